"""Transforms that are learned from data, and from what a network makes of them."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from tqdm.auto import tqdm

from sktrim._memory import chunks
from sktrim.exceptions import ExplanationFileError
from sktrim.explanation._files import Archive, write_arrays
from sktrim.groups import FeatureGroups
from sktrim.inverse import InverseModule, inverse_module
from sktrim.inverse._signals import SignalTwin
from sktrim.learning._relevance import Relevance
from sktrim.learning._rounds import Rounds, fingerprint, train
from sktrim.learning._start import BASES, starting_basis
from sktrim.learning.bases import Basis, Wavelet
from sktrim.learning.bases._basis import variation
from sktrim.network._network import to_numpy
from sktrim.transforms._base import SignalTransformer
from sktrim.transforms._wavelet import Wavelet as PyWavelet

__all__ = ["LearnedTransformer"]

_ROWS = 512


class LearnedTransformer(SignalTransformer):
    r"""A transform that is learned: sparse, and sparse in what a network uses.

    .. math::

       \min_T \; \frac{1}{n} \sum_i \| x_i - T^{-1}(s_i) \|^2
       + \lambda \| s_i \|_1 + \gamma \| \phi(s_i) \|_1
       + \tau \sum_{k \sim l} | \phi_k(s_i) - \phi_l(s_i) |,
       \qquad s_i = T(x_i),

    where :math:`\phi(s)` are the scores of the coefficients of a network's output
    (`trim`) and k and l are neighbours. Without a network it is dictionary learning,
    wavelet design, sparse coding or an autoencoder; with one, few coefficients say what
    the network does.

    Parameters
    ----------
    base : {"dictionary", "orthogonal", "wavelet", "convolutional", "autoencoder"}
        "dictionary": atoms of norm 1, sparse codes (by default). "orthogonal":
        orthonormal atoms, which lose nothing where they are as many as the values.
        "wavelet": the low-pass filter of an orthonormal wavelet; `wavelet_` is for
        `WaveletTransformer`. "convolutional": small atoms at every place, sparse codes.
        "autoencoder": an encoder and a decoder; what they miss is the residual.
    n_components : int or None, default=None
        Atoms, or units in the middle; None: 8 convolutional atoms, else as many as a
        channel has values.
    trim : fitted TransformImportance or None, default=None
        Whose network, scorer, target and output give the scores; its own transformer
        and groups do not count. The scorer must be differentiable: "gradient" (the
        saliency), "input_x_gradient", "integrated_gradients", "cd", ...
    sparsity : float, default=0.1
        :math:`\lambda`.
    relevance : float, default=0.0
        :math:`\gamma`.
    contiguity : float, default=0.0
        :math:`\tau`: neighbouring coefficients are to have similar scores.
    wavelet : str or pywt.Wavelet, default="db5"
        Where a wavelet starts: any orthogonal one.
    noise : float, default=0.0
        Standard deviation of what is added to the filter at the start, before it is
        made orthonormal.
    n_starts : int, default=1
        Starts, each with noise or atoms of its own, that are learned for a quarter of
        `max_epochs`; the one with the least loss goes on. A filter has many local
        minima.
    level : int or None, default=None
        Levels of a wavelet; None: as many as leave one coefficient free of the ends,
        and as the lengths can be halved.
    atom_shape : int or tuple of int, default=7
        Size of convolutional atoms.
    n_hidden : int, default=128
        Units of the hidden layers of an autoencoder.
    encoder, decoder : callable or None, default=None
        ``encoder(n_values, n_out)`` and ``decoder(n_components, n_values)`` make the
        modules of an autoencoder, on flat rows.
    variational : bool, default=False
        An autoencoder of a mean and the logarithm of a variance: n_out is twice
        n_components.
    beta : float, default=1.0
        Weight of a variational autoencoder's divergence.
    max_epochs : int, default=50
    batch_size : int, default=100
    lr : float, default=1e-3
        Step size of Adam.
    patience : int or None, default=10
        Stop once so many epochs lower the loss by less than a share `tol`; None: never.
    tol : float, default=1e-4
    warm_start : bool, default=False
        `fit` goes on from what was fitted before.
    checkpoint : str, path or None, default=None
        A file that keeps each epoch; `fit` goes on from it, to the bit.
    signal_shape, axes
        As in `WaveletTransformer`: axes that are not acted upon are channels, which
        share the atoms.
    random_state : int, RandomState or None, default=None
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    basis_ : torch.nn.Module
        The transform.
    components_ : ndarray of shape (n_components, \*atom_shape)
        The atoms of a dictionary, an orthogonal or a convolutional base.
    wavelet_ : pywt.Wavelet
        Of base="wavelet", named "learned": ``WaveletTransformer(wavelet_)`` takes it.
    losses_ : list of dict
        The mean of each term of the loss, and of all, epoch by epoch.
    n_iter_ : int
        Number of epochs.
    reconstruction_error_ : float
        :math:`\| x - T^{-1} T(x) \| / \| x \|` of the signals that were fitted.
    signal_shape_, layout_, axes_, grid_shape_, channel_shape_, n_channels_
        The layout of the signals, as in `FourierTransformer`.
    n_coefficients_, n_features_in_
        Sizes of that layout, likewise.

    See Also
    --------
    MinimalMask : Few coefficients of any transform that keep a prediction.
    TorchTransformer : Modules of one's own.
    sktrim.TransformImportance : Explains in the space that was learned.

    Notes
    -----
    The problem is that of :footcite:t:`singh2020trim`, equations 1 to 4 of their
    supplement; atoms have norm 1, else scores and coefficients could be made small for
    nothing. base="wavelet" is adaptive wavelet distillation
    :footcite:p:`ha2021awd`: the loss is theirs, with every condition on the filters,
    norms of coefficients and scores averaged over the scales, and after each step the
    nearest filter is taken that meets the conditions, so that reconstruction is perfect
    all along. Sparse codes are found by FISTA :footcite:p:`beck2009fista`; the last
    steps are followed by the gradient. Atoms start at rows of X: of 20 planted atoms of
    16 values all are found (mean cosine .999), where scikit-learn's
    ``MiniBatchDictionaryLearning`` with coordinate descent ends at .65 to .74.

    The gradient of the output does not depend on a transform that loses nothing, so
    that for the scorers "gradient", "gradient_squared", "input_x_gradient" and
    "integrated_gradients" (from zeros) it is computed once for all epochs.

    The file of :meth:`save` holds arrays and parameters alone; nothing in it is run.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.learning import LearnedTransformer
    >>> rng = np.random.default_rng(0)
    >>> atoms = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    >>> X = rng.laplace(size=(2000, 8)) ** 3 @ atoms
    >>> learned = LearnedTransformer("orthogonal", lr=0.02, random_state=0).fit(X)
    >>> cosines = np.abs(learned.components_ @ atoms.T)
    >>> bool(cosines.max(axis=1).min() > 0.95)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "base": [StrOptions(set(BASES))],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "sparsity": [Interval(Real, 0, None, closed="left")],
        "relevance": [Interval(Real, 0, None, closed="left")],
        "contiguity": [Interval(Real, 0, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "n_starts": [Interval(Integral, 1, None, closed="left")],
        "n_hidden": [Interval(Integral, 1, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        base: str = "dictionary",
        n_components: int | None = None,
        *,
        trim: Any = None,
        sparsity: float = 0.1,
        relevance: float = 0.0,
        contiguity: float = 0.0,
        wavelet: Any = "db5",
        noise: float = 0.0,
        n_starts: int = 1,
        level: int | None = None,
        atom_shape: Any = 7,
        n_hidden: int = 128,
        encoder: Callable | None = None,
        decoder: Callable | None = None,
        variational: bool = False,
        beta: float = 1.0,
        max_epochs: int = 50,
        batch_size: int = 100,
        lr: float = 1e-3,
        patience: int | None = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        checkpoint: Any = None,
        signal_shape: int | tuple[int, ...] | None = None,
        axes: int | tuple[int, ...] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(signal_shape=signal_shape, axes=axes)
        self.base = base
        self.n_components = n_components
        self.trim = trim
        self.sparsity = sparsity
        self.relevance = relevance
        self.contiguity = contiguity
        self.wavelet = wavelet
        self.noise = noise
        self.n_starts = n_starts
        self.level = level
        self.atom_shape = atom_shape
        self.n_hidden = n_hidden
        self.encoder = encoder
        self.decoder = decoder
        self.variational = variational
        self.beta = beta
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.patience = patience
        self.tol = tol
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        r"""Learn the transform.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, \*signal_shape)
            Signals.
        y : array-like of shape (n_samples,), default=None
            Labels, where `trim` explains the true class.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter does not fit the signals, or the checkpoint is of another
            training.
        TypeError
            If `trim` is not fitted, or its scores cannot be differentiated.
        NonFiniteLossError
            If a term of the loss becomes NaN; the last good epoch is kept.
        """
        self._validate_params()
        relevant = self.relevance > 0 or self.contiguity > 0
        if relevant and self.trim is None:
            raise ValueError(
                f"relevance={self.relevance:g} and contiguity={self.contiguity:g} "
                "weigh the scores of a network; pass trim=, a fitted "
                "TransformImportance, or set them to 0."
            )
        self._relevance = Relevance(self.trim, X, y) if relevant else None
        try:
            return super().fit(X)
        finally:
            del self._relevance

    def _learn(self, signals: np.ndarray) -> int:
        """Train on channels (n_samples, n_channels, *grid_shape)."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        relevance = self._relevance
        dtype = signals.dtype if relevance is None else relevance.dtype
        x = signals.astype(dtype, copy=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if not (self.warm_start and hasattr(self, "basis_")):
                self.basis_ = starting_basis(self, x.reshape(-1, *self.grid_shape_))
            self.n_coefficients_ = self.n_channels_ * self.basis_.n_coefficients
            try:
                losses = self._train(x, relevance, seed)
            finally:
                self.basis_.requires_grad_(False).eval()
        self.losses_, self.n_iter_ = losses, len(losses)
        self._describe()
        self.reconstruction_error_ = self._missed(x)
        return self.basis_.n_coefficients

    def _train(
        self, x: np.ndarray, relevance: Relevance | None, seed: int
    ) -> list[dict[str, float]]:
        """Descend the loss, unless the start is the answer already."""
        basis = self.basis_.requires_grad_(True).train()
        device = "cpu" if relevance is None else relevance.device
        basis.to(device)
        constant = not any(p.numel() for p in basis.parameters())
        trivial = isinstance(basis, Wavelet) and not basis.level
        if constant or trivial:
            return []
        if relevance is not None:
            relevance.bind(_Twin(self, basis))

        def terms(some: np.ndarray) -> dict[str, Tensor]:
            return self._terms(torch.tensor(x[some], device=device), some, relevance)

        rounds = Rounds(
            self.max_epochs,
            self.batch_size,
            self.lr,
            seed,
            self.patience,
            self.tol,
            self.verbose,
            self.checkpoint,
            self._fingerprint(x, relevance) if self.checkpoint is not None else "",
        )
        if self.n_starts > 1 and not (
            self.checkpoint and Path(self.checkpoint).exists()
        ):
            self._choose_start(x, terms, rounds)
        return train(basis, len(x), terms, basis.project, rounds)

    def _choose_start(self, x: np.ndarray, terms: Callable, rounds: Rounds) -> None:
        """Go on from the start that is best after a quarter of the epochs."""
        basis = self.basis_
        rows = x.reshape(-1, *self.grid_shape_)
        short = replace(
            rounds, max_epochs=-(-self.max_epochs // 4), verbose=0, checkpoint=None
        )
        best = None
        for at in tqdm(range(self.n_starts), unit="start", disable=not self.verbose):
            if at:
                start = starting_basis(self, rows)
                basis.load_state_dict(start.state_dict())
            losses = train(basis, len(x), terms, basis.project, short)
            if best is None or losses[-1]["loss"] < best[0]:
                best = losses[-1]["loss"], copy.deepcopy(basis.state_dict())
        assert best is not None
        basis.load_state_dict(best[1])

    def _terms(
        self, x: Tensor, some: np.ndarray, relevance: Relevance | None
    ) -> dict[str, Tensor]:
        """Return the terms of the loss of a batch (n, n_channels, *grid_shape)."""
        basis = self.basis_
        rows = x.flatten(0, 1)
        s = basis.encode(rows)
        parts = basis.terms(rows, s, basis.decode(s))
        per_signal = len(x) * basis.n_scales
        parts["sparsity"] = self.sparsity * s.abs().sum() / per_signal
        if relevance is None:
            return parts
        scores = relevance.scores(some, s.reshape(len(x), -1))
        n_targets = scores.shape[-1]
        size = scores.abs().sum() / (per_signal * n_targets)
        parts["relevance"] = self.relevance * size
        if self.contiguity:
            rough = variation(scores, basis.blocks())
            parts["contiguity"] = self.contiguity * rough / basis.n_scales
        return parts

    def _describe(self) -> None:
        """Set what users read off the basis."""
        basis = self.basis_
        for name in ("components_", "wavelet_", "level_"):
            vars(self).pop(name, None)
        if hasattr(basis, "atoms"):
            atoms = to_numpy(basis.state_dict()["atoms"])
            flat = self.base != "convolutional"
            self.components_ = (
                atoms.reshape(len(atoms), *self.grid_shape_) if flat else atoms
            )
        if isinstance(basis, Wavelet):
            self.level_ = basis.level
            low = to_numpy(basis.low_pass).astype(float)
            high = to_numpy(basis.high_pass).astype(float)
            bank = [low, high, low[::-1], high[::-1]]
            self.wavelet_ = PyWavelet("learned", filter_bank=bank)
            self.wavelet_.orthogonal = self.wavelet_.biorthogonal = True

    def _fingerprint(self, x: np.ndarray, relevance: Relevance | None) -> str:
        names = [n for n in self.get_params(deep=False) if n not in _OUTSIDE]
        asked = [] if relevance is None else relevance.told()
        return fingerprint(x, [(name, getattr(self, name)) for name in names], *asked)

    def _missed(self, x: np.ndarray) -> float:
        """Return the share of the signals that is not represented."""
        back = self._synthesise(self._analyse(x))
        size = np.linalg.norm(x)
        return float(np.linalg.norm(back - x) / size) if size else 0.0

    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        return self._applied(self.basis_.encode, signals, 2, len(self.grid_shape_))

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        return self._applied(self.basis_.decode, coefficients, 2, 1)

    def _applied(
        self, function: Callable, values: np.ndarray, n_leading: int, n_own: int
    ) -> np.ndarray:
        """Apply the basis to many channels, in its own dtype."""
        some = next(iter(self.basis_.parameters()), torch.zeros(()))
        rows = values.reshape(-1, *values.shape[values.ndim - n_own :])
        with torch.no_grad():
            parts = [
                to_numpy(function(torch.tensor(rows[c]).to(some)))
                for c in chunks(len(rows), _ROWS)
            ]
        out = np.concatenate(parts)
        return out.reshape(*values.shape[:n_leading], *out.shape[1:])

    def _coefficient_names(self) -> list[str]:
        if isinstance(self.basis_, Wavelet):
            return _band_names(self.basis_)
        return self.basis_.names()

    def feature_groups(
        self, by: str = "natural", *, channels: str = "pool"
    ) -> FeatureGroups:
        """Group the coefficients by atom, by the wavelet's bands, or not at all.

        Parameters
        ----------
        by : {"natural", "coefficient"}, default="natural"
            "natural": a group for each atom or unit, or for each band of a wavelet.
        channels : {"pool", "separate"}, default="pool"

        Returns
        -------
        FeatureGroups

        Raises
        ------
        ValueError
            If `by` is unknown.

        Examples
        --------
        >>> import numpy as np
        >>> from sktrim.learning import LearnedTransformer
        >>> X = np.random.default_rng(0).normal(size=(20, 16))
        >>> learned = LearnedTransformer("wavelet", wavelet="db2", level=1).fit(X)
        >>> learned.feature_groups().names
        ['learned approximation', 'learned level 1']
        """
        check_is_fitted(self)
        if by not in ("natural", "coefficient"):
            raise ValueError(f"by={by!r}; expected 'natural' or 'coefficient'.")
        own = self._coefficient_names()
        if by == "natural":
            own = [name.split(" [")[0] for name in own]
        names = list(dict.fromkeys(own))
        places = {name: k for k, name in enumerate(names)}
        masks = np.zeros((len(names), len(own)))
        masks[[places[name] for name in own], np.arange(len(own))] = 1
        return self._over_channels(masks, names, channels=channels)

    def save(self, path: Any) -> None:
        """Write what was learned into a file of arrays.

        Parameters
        ----------
        path : str or path
            Named .npz; replaced in one step.

        Raises
        ------
        ValueError
            For modules of one's own, which a file of arrays does not hold.
        """
        check_is_fitted(self)
        if self.encoder is not None or self.decoder is not None:
            raise ValueError(
                "The encoder or decoder is a function of one's own, which a file of "
                "arrays does not hold; save basis_.state_dict() with torch.save."
            )
        arrays = {
            f"basis {name}": to_numpy(value)
            for name, value in self.basis_.state_dict().items()
        }
        for name in _KEPT:
            arrays[f"fitted {name}"] = np.asarray(getattr(self, name), dtype=np.int64)
        params = self.get_params(deep=False)
        plain = {k: v for k, v in params.items() if k not in _OUTSIDE}
        plain["wavelet"] = getattr(self.wavelet, "name", self.wavelet)
        arrays["params"] = np.array(json.dumps(plain, default=list))
        arrays["error"] = np.array(self.reconstruction_error_)
        write_arrays(Path(path), arrays)

    @classmethod
    def load(cls, path: Any) -> Self:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        LearnedTransformer
            Fitted, without `trim` and `losses_`.

        Raises
        ------
        ExplanationFileError
            If the file is none of these, or was damaged.
        """
        arrays = _read(Path(path))
        params = json.loads(str(arrays["params"]))
        for name in ("signal_shape", "axes", "atom_shape"):
            if isinstance(params[name], list):
                params[name] = tuple(params[name])
        loaded = cls(**params)
        for name in _KEPT:
            value = arrays[f"fitted {name}"]
            setattr(loaded, name, tuple(value.tolist()) if value.ndim else int(value))
        state = {
            name.removeprefix("basis "): torch.as_tensor(array)
            for name, array in arrays.items()
            if name.startswith("basis ")
        }
        dtype = to_numpy(next(iter(state.values()))).dtype
        frame = np.zeros((1, *loaded.grid_shape_), dtype)
        loaded.basis_ = starting_basis(loaded, frame, state)
        loaded.basis_.requires_grad_(False).eval()
        loaded.losses_, loaded.n_iter_ = [], 0
        loaded.reconstruction_error_ = float(arrays["error"])
        loaded._describe()
        return loaded

    def __sklearn_clone__(self) -> Self:
        # the network of `trim` is fitted, and stays so
        params = self.get_params(deep=False)
        kept = {n: params.pop(n) for n in ("trim", "encoder", "decoder")}
        return type(self)(
            **{name: clone(value, safe=False) for name, value in params.items()}, **kept
        )


_OUTSIDE = (
    "trim max_epochs patience warm_start checkpoint verbose encoder decoder "
    "random_state".split()
)
"""Parameters that are no part of what was learned."""
_KEPT = (
    "signal_shape_ layout_ axes_ grid_shape_ channel_shape_ n_channels_ "
    "n_coefficients_ n_features_in_".split()
)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a file, or say that it is none of these."""
    try:
        with path.open("rb") as file:
            arrays = Archive(file, lambda name: "fiU").read_all()
        if "params" not in arrays:
            raise ExplanationFileError("it holds no parameters")
    except OSError:
        raise
    except Exception as error:
        raise ExplanationFileError(
            f"{path} is no file of LearnedTransformer.save, or is damaged: {error}."
        ) from error
    return arrays


def _band_names(basis: Wavelet) -> list[str]:
    """Return names of coefficients, as `WaveletTransformer` has them."""
    n_details = 2 ** len(basis.grid_shape) - 1
    letters = ["HL", "LH", "HH"] if n_details == 3 else [""]
    names = []
    for at, shape in enumerate(basis.blocks()):
        name = "learned approximation"
        if at:
            level, which = divmod(at - 1, n_details)
            name = f"learned level {basis.level - level} {letters[which]}".strip()
        names += [f"{name} {list(place)}" for place in np.ndindex(shape)]
    return names


class _Twin(SignalTwin):
    """The inverse of what is learned, channels and axes put back in place."""

    # while it is learned, the basis itself, later a copy that follows s

    def __init__(self, transformer: LearnedTransformer, basis: Basis) -> None:
        super().__init__(transformer)
        self.basis = basis
        self.is_affine = basis.is_affine
        self.is_lossless = basis.is_lossless
        self.signal_shape = transformer.signal_shape_

    def adjoint(self, gradients: Tensor, n_coefficients: int) -> Tensor:
        """Return D^T g, see `InverseModule`."""
        grids = gradients.reshape(len(gradients), *self.signal_shape)
        grids = grids.movedim(self.axes, tuple(range(-len(self.axes), 0)))
        pulled = self.basis.adjoint(grids.reshape(-1, *self.grid_shape))
        return pulled.reshape(len(gradients), n_coefficients)

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        return self.basis.decode(channels)


class _TwinOfCopy(_Twin):
    """The inverse of what was learned."""

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        self.basis.to(dtype=channels.dtype, device=channels.device)
        return self.basis.decode(channels)


@inverse_module.register(LearnedTransformer)
def _(transformer: LearnedTransformer, *, X: Any = None) -> InverseModule:
    check_is_fitted(transformer)
    return _TwinOfCopy(transformer, copy.deepcopy(transformer.basis_))
