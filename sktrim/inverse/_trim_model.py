"""The network as a function of coefficients, f o T^-1, as a plain torch module."""

from collections.abc import Callable, Sequence
from itertools import chain as chained
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sktrim.inverse._registry import inverse_module


def _floating(module: nn.Module) -> Tensor | None:
    """Return any floating parameter or buffer, whose dtype and device count."""
    tensors = chained(module.parameters(), module.buffers())
    return next((t for t in tensors if t.is_floating_point()), None)


def _as_inverse(inverse: Any) -> Any:
    """Return a module or callable as it is, a fitted transformer's inverse module."""
    if hasattr(inverse, "inverse_transform") or inverse is None:
        return inverse_module(inverse)
    if isinstance(inverse, str):
        return inverse_module(inverse)
    if callable(inverse) and not isinstance(inverse, type):
        return inverse
    raise TypeError(
        f"inverse is {inverse!r}, expected a fitted transformer, an InverseModule or "
        "any callable on tensors."
    )


class TrimModel(nn.Module):
    r"""The network as a function of coefficients, f o T^-1, as a plain torch module.

    .. math::

       f'(s) = f \Bigl( N \bigl( T^{-1}(s) + r \bigr) \Bigr):

    back to the signal, plus the residual r that the transform cannot represent, then
    the shape that the network takes, then its normalisation N, then the network f. Any
    torch tool (captum, one's own gradients) then works in coefficient space.

    Parameters
    ----------
    model : nn.Module or callable
        The network.
    inverse : fitted transformer, InverseModule, nn.Module or callable
        T^-1; of a fitted transformer `inverse_module` is taken.
    norm : callable, default=None
        Applied to the reshaped signals, e.g. ``lambda x: (x - 0.13) / 0.31``.
    reshape : tuple of int or callable, default=None
        Shape of one signal as the network takes it, e.g. (1, 28, 28), or a function
        of the batch. None: the shape that `inverse` gives.
    residual : array-like or Tensor, default=None
        ``x - T^-1(T(x))``: of one signal, used for every row, or one per row of s,
        laid out as the inverse gives it, or flat. It is held constant: it depends
        neither on s nor on anything computed here.

    Raises
    ------
    TypeError
        If `model` or `inverse` is of the wrong kind.
    ValueError
        If `residual` is not a real array.

    See Also
    --------
    sktrim.TransformImportance : Does all of it: fits, groups, explains.
    sktrim.inverse_module : The inverse alone.
    sktrim.scorers.CaptumScorer : A method of captum as a scorer.

    Notes
    -----
    The composition is equation 2 of :footcite:t:`singh2020trim`. In their code the
    residual may be computed anew at every call, from s itself, so that the composed
    function no longer depends on s: integrated gradients then collapse. Here it is held
    constant.

    The signals are cast to the dtype and device of the network's parameters.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.decomposition import PCA
    >>> from sktrim.inverse import TrimModel
    >>> X = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    >>> net = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Tanh())
    >>> pca = PCA(3).fit(X)
    >>> s = torch.tensor(pca.transform(X))
    >>> residual = X - pca.inverse_transform(s.numpy())
    >>> f = TrimModel(net, pca, residual=residual)
    >>> bool(torch.allclose(f(s), net(torch.tensor(X)), atol=1e-5))
    True
    """

    model: Any
    inverse: Any
    norm: Any
    reshape: Any
    residual: Tensor | None

    def __init__(
        self,
        model: Any,
        inverse: Any,
        norm: Callable[[Tensor], Tensor] | None = None,
        reshape: Sequence[int] | Callable[[Tensor], Tensor] | int | None = None,
        residual: Any = None,
    ) -> None:
        super().__init__()
        if not callable(model) or isinstance(model, type):
            hint = " Pass net.module_." if hasattr(model, "module_") else ""
            raise TypeError(
                f"model is {type(model).__name__}, expected nn.Module.{hint}"
            )
        self.model = model
        self.inverse = _as_inverse(inverse)
        self.norm = norm
        if isinstance(reshape, Integral):
            reshape = (int(reshape),)
        self.reshape = reshape
        self.register_buffer("residual", self._constant(residual))
        if self.residual is not None:
            self.residual = self.residual.clone()

    def forward(self, s: Tensor, residual: Tensor | None = None) -> Tensor:
        """Evaluate the network at coefficients.

        Parameters
        ----------
        s : Tensor of shape (n_samples, n_coefficients)
            Coefficients.
        residual : Tensor, default=None
            Used instead of the fixed one, for tools that repeat rows of s and repeat
            extra arguments with them (captum's ``additional_forward_args``).

        Returns
        -------
        Tensor
            What the network gives.

        Raises
        ------
        ValueError
            If s, the residual or `reshape` do not fit one another.
        """
        signals = self.signals(s, residual)
        return self.model(signals if self.norm is None else self.norm(signals))

    def signals(self, s: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the signals of coefficients as the network takes them, before `norm`.

        Parameters
        ----------
        s : Tensor of shape (n_samples, n_coefficients)
            Coefficients.
        residual : Tensor, default=None
            Used instead of the fixed one.

        Returns
        -------
        Tensor of shape (n_samples, *reshape)
            In the dtype and on the device of the network.
        """
        signals = self.inverse(s)
        constant = self.residual if residual is None else self._constant(residual)
        if constant is not None:
            constant = self._fit_residual(constant, signals, s.shape[:-1])
            signals = signals + constant.to(signals)
        weight = _floating(self.model) if isinstance(self.model, nn.Module) else None
        return self._reshaped(
            signals if weight is None else signals.to(weight), s.shape[:-1]
        )

    @staticmethod
    def _constant(residual: Any) -> Tensor | None:
        """Return the residual as a real tensor without history."""
        if residual is None:
            return None
        if not isinstance(residual, Tensor):
            residual = torch.tensor(np.asarray(residual))
        if residual.is_complex():
            raise ValueError(f"residual is {residual.dtype}, expected real values.")
        return residual.detach()

    @staticmethod
    def _fit_residual(residual: Tensor, signals: Tensor, rows: torch.Size) -> Tensor:
        """Lay the residual out as one signal, or as one per row."""
        layout = signals.shape[len(rows) :]
        if residual.numel() == layout.numel():
            return residual.reshape(layout)
        if residual.shape[:1] == rows and residual.numel() == signals.numel():
            return residual.reshape(signals.shape)
        raise ValueError(
            f"residual has shape {tuple(residual.shape)}, but the signals of this call "
            f"have {tuple(signals.shape)}; expected one signal or one per row. Where a "
            "tool repeats the rows of s, let it repeat the residual too: call "
            "model(s, residual), e.g. with additional_forward_args=residual."
        )

    def _reshaped(self, signals: Tensor, rows: torch.Size) -> Tensor:
        """Give the signals the shape that the network takes."""
        if self.reshape is None:
            return signals
        if not isinstance(self.reshape, Sequence):
            return self.reshape(signals)
        shape = tuple(self.reshape)
        signal_shape = tuple(signals.shape[len(rows) :])
        if -1 not in shape and prod(shape) != prod(signal_shape):
            raise ValueError(
                f"reshape={shape} has {prod(shape)} values, but the inverse gives "
                f"signals of shape {signal_shape}, which have {prod(signal_shape)}; "
                "pass the shape of one signal, without the sample axis."
            )
        return signals.reshape(*rows, *shape)
