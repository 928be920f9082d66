"""A scikit-learn transformer of two torch modules: an encoder and a decoder."""

import copy
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn
from tqdm.auto import tqdm

from sktrim._memory import chunks
from sktrim.inverse import InverseModule, inverse_module
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._network import floating_type, to_numpy

__all__ = ["TorchTransformer"]

_ROWS = 1024


class TorchTransformer(TransformerMixin, BaseEstimator):
    r"""A transform of torch modules, such as a sparse autoencoder.

    .. math::

       s = \mathrm{encoder}(x), \qquad T^{-1}(s) = \mathrm{decoder}(s), \qquad
       \min \; \frac{1}{n} \sum_i \| x_i - T^{-1}(s_i) \|^2 + \lambda \| s_i \|_1

    where it is trained. Modules that are given as they are count as fitted: `fit` looks
    at them and changes nothing, unless `max_epochs` says how long to train copies of
    them. Functions of the width of the data make them anew, so that one estimator fits
    layers of any width. What the decoder misses is the residual, which
    ``residual="component"`` scores as one group more.

    Parameters
    ----------
    encoder : torch.nn.Module or callable
        Maps (n, \*signal_shape) to (n, n_coefficients), or begins with that in a tuple
        (mean and spread of a variational autoencoder); or a function of the number of
        values of a row that returns such a module.
    decoder : torch.nn.Module or callable
        The way back; or a function of the number of values of a row.
    max_epochs : int, default=0
        Passes over the data in training; 0: the modules are fitted.
    l1 : float, default=0.0
        :math:`\lambda`: weight of the coefficients' magnitudes in training.
    lr : float, default=1e-3
        Step size of Adam.
    batch_size : int, default=256
    random_state : int, RandomState or None, default=None
        Seeds the weights of modules that are made here, and the order of rows.
    verbose : int, default=0
        1 shows a progress bar of the training.

    Attributes
    ----------
    encoder_, decoder_ : torch.nn.Module
        In eval mode.
    is_affine_ : bool
        Whether the decoder is affine in the coefficients, as that of a sparse
        autoencoder is; tried on random ones. Scorers that need an affine inverse, or
        go faster with one, know it by this.
    losses_ : list of float
        Mean loss of each epoch.
    n_coefficients_ : int
    n_features_in_ : int
        Number of values in one row.

    See Also
    --------
    sktrim.AlongAxis : Puts it at every position of a layer.
    sktrim.inverse_module : The decoder as the inverse.

    Notes
    -----
    Sparse autoencoders at a layer of a language model are those of
    :footcite:t:`cunningham2024sae`. The torch generator of the process is left as it
    was.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A sparse autoencoder of 6 units, for rows of any width:

    >>> import numpy as np
    >>> from torch import nn
    >>> from sktrim.learning import TorchTransformer
    >>> X = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
    >>> sae = TorchTransformer(
    ...     lambda width: nn.Sequential(nn.Linear(width, 6), nn.ReLU()),
    ...     lambda width: nn.Linear(6, width),
    ...     max_epochs=5,
    ...     l1=0.01,
    ...     random_state=0,
    ... ).fit(X)
    >>> sae.transform(X).shape, sae.is_affine_
    ((100, 6), True)
    """

    _parameter_constraints: ClassVar[dict] = {
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        encoder: nn.Module | Callable,
        decoder: nn.Module | Callable,
        *,
        max_epochs: int = 0,
        l1: float = 0.0,
        lr: float = 1e-3,
        batch_size: int = 256,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.encoder = encoder
        self.decoder = decoder
        self.max_epochs = max_epochs
        self.l1 = l1
        self.lr = lr
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Make or take the modules, train them if asked to, and try them.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If a module is none, and no function that makes one.
        ValueError
            If encoder and decoder do not fit X or each other.
        """
        self._validate_params()
        rows = self._rows(X, reset=True)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width = rows[0].size
            self.encoder_ = self._module("encoder", width)
            self.decoder_ = self._module("decoder", width)
            self._layout = rows.shape[1:]
            self.n_coefficients_ = self._tried(rows)
            self.losses_ = self._train(rows) if self.max_epochs else []
            self.is_affine_ = self._decodes_affinely()
        return self

    def _rows(self, X: Any, reset: bool) -> Any:
        floats = [np.float64, np.float32]
        if getattr(X, "ndim", 2) <= 2:
            return validate_data(self, X, dtype=floats, reset=reset)
        flat: Any = np.reshape(X, (len(X), -1))
        checked: Any = validate_data(self, flat, dtype=floats, reset=reset)
        return checked.reshape(np.shape(X))

    def _module(self, name: str, width: int) -> nn.Module:
        given = getattr(self, name)
        module = given
        if not isinstance(given, nn.Module) and callable(given):
            module = given(width)
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"{name}={given!r} is no torch.nn.Module"
                f"{'' if module is given else f' but made a {type(module).__name__}'}; "
                "expected one, or a function of the width of a row that returns one."
            )
        if module is given and self.max_epochs:
            module = copy.deepcopy(module)
        return module

    def _tried(self, rows: np.ndarray) -> int:
        """Return the number of coefficients of a row, or raise."""
        some = rows[:2]
        s = self._encoded(some)
        if s.ndim != 2 or len(s) != len(some):
            raise ValueError(
                f"The encoder gives shape {tuple(s.shape)} for {len(some)} rows of "
                f"shape {some.shape[1:]}; expected (n, n_coefficients)."
            )
        with evaluation_mode(self.decoder_), torch.no_grad():
            back = self._decoder_tensor(s)
        if back[0].numel() != some[0].size:
            raise ValueError(
                f"The decoder gives {back[0].numel()} values for a row of "
                f"{some[0].size}, from {s.shape[1]} coefficients; expected as many as "
                "the encoder was given."
            )
        return s.shape[1]

    def _encoded(self, rows: np.ndarray) -> Tensor:
        dtype, device = floating_type(self.encoder_)
        with evaluation_mode(self.encoder_), torch.no_grad():
            parts = [
                _first(
                    self.encoder_(torch.tensor(rows[some], dtype=dtype, device=device))
                )
                for some in chunks(len(rows), _ROWS)
            ]
        return torch.cat(parts)

    def _decoder_tensor(self, s: Any) -> Tensor:
        dtype, device = floating_type(self.decoder_)
        values = torch.as_tensor(s).to(dtype=dtype, device=device)
        try:
            return _first(self.decoder_(values))
        except RuntimeError as error:
            raise ValueError(
                f"The decoder failed on the {values.shape[-1]} coefficients that the "
                f"encoder gives: {error}"
            ) from error

    def _train(self, rows: np.ndarray) -> list[float]:
        modules = nn.ModuleList([self.encoder_, self.decoder_]).train()
        dtype, device = floating_type(self.encoder_)
        optimizer = torch.optim.Adam(modules.parameters(), self.lr)
        losses = []
        epochs = range(self.max_epochs)
        for _ in tqdm(epochs, unit="epoch", disable=not self.verbose):
            total = 0.0
            for some in torch.randperm(len(rows)).split(self.batch_size):
                x = torch.tensor(rows[some.numpy()], dtype=dtype, device=device)
                s = _first(self.encoder_(x))
                error = (_first(self.decoder_(s)).reshape(x.shape) - x).square()
                loss = (error.flatten(1).sum(1) + self.l1 * s.abs().sum(1)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(some)
            losses.append(total / len(rows))
        modules.eval()
        return losses

    def _decodes_affinely(self) -> bool:
        """Try whether decoded sums are sums of what is decoded."""
        dtype, _ = floating_type(self.decoder_)
        draws = torch.randn(3, self.n_coefficients_, dtype=torch.float64)
        a, b, c = draws
        with evaluation_mode(self.decoder_), torch.no_grad():
            decoded = self._decoder_tensor(torch.stack([a + b, a - b, a, b, c - a, c]))
            zero = self._decoder_tensor(torch.zeros_like(draws[:1]))[0]
        plus, minus, first, second, third, last = (decoded - zero).double()
        off = (plus - first - second).abs().max() + (minus - first + second).abs().max()
        off = off + (third - last + first).abs().max()
        size = decoded.double().abs().max() + zero.double().abs().max()
        return bool(off <= 100 * torch.finfo(dtype).eps * size)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        ndarray of shape (n_samples, n_coefficients)
            In the dtype of X.
        """
        check_is_fitted(self)
        rows = self._rows(X, reset=False)
        s = to_numpy(self._encoded(rows.reshape(len(rows), *self._layout)))
        return s.astype(rows.dtype, copy=False)

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Decode coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_coefficients)

        Returns
        -------
        ndarray of shape (n_samples, ...)
            Rows as `fit` saw them.
        """
        check_is_fitted(self)
        s = np.asarray(X)
        with evaluation_mode(self.decoder_), torch.no_grad():
            parts = [
                to_numpy(self._decoder_tensor(s[some]))
                for some in chunks(len(s), _ROWS)
            ]
        rows = np.concatenate(parts).reshape(len(s), *self._layout)
        return rows.astype(s.dtype if s.dtype.kind == "f" else float, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return "unit0", "unit1", ...

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored.

        Returns
        -------
        ndarray of str objects of shape (n_coefficients,)
        """
        check_is_fitted(self)
        names = [f"unit{k}" for k in range(self.n_coefficients_)]
        return np.asarray(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _first(out: Any) -> Tensor:
    """Return the tensor of a tuple that begins with it."""
    return out[0] if isinstance(out, tuple | list) else out


class _Decoder(InverseModule):
    """The decoder as an inverse."""

    def __init__(self, transformer: TorchTransformer) -> None:
        super().__init__(transformer.n_coefficients_, transformer._layout)
        # a copy, which moves to the dtype of the coefficients
        self.decoder = copy.deepcopy(transformer.decoder_).eval().requires_grad_(False)
        self.is_affine = transformer.is_affine_

    def forward(self, s: Tensor) -> Tensor:
        """Return the signals of the coefficients, see `InverseModule`."""
        self.decoder.to(dtype=s.dtype, device=s.device)
        rows = self.check(s).reshape(-1, s.shape[-1])
        out = _first(self.decoder(rows))
        return out.reshape(*s.shape[:-1], *(self.layout or ()))


@inverse_module.register(TorchTransformer)
def _(transformer: TorchTransformer, *, X: Any = None) -> InverseModule:
    check_is_fitted(transformer)
    return _Decoder(transformer)
