"""Torch modules for the inverse of a transform: the base class and affine maps."""

from collections.abc import Sequence
from math import prod
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn


class InverseModule(nn.Module):
    r"""The inverse T^-1 of a fitted transform, as a differentiable torch module.

    .. math::

       T^{-1}(s) = D s + T^{-1}(0) \quad \text{where it is affine,}

    with `linear` for D and `adjoint` for its transpose. Subclasses implement
    ``forward``; affine ones set ``is_affine = True`` and may override `linear`.
    Everything works under autograd, forward-mode differentiation and
    ``torch.func.vmap``.

    Parameters
    ----------
    n_coefficients : int, default=None
        Length of the last axis of s; None leaves it unchecked.
    layout : tuple of int, default=None
        Shape of one signal that comes out; None: not known.

    Attributes
    ----------
    is_affine : bool
        Whether T^-1(s) is linear in s up to a constant.
    n_coefficients : int or None
        Length of the last axis of s.
    layout : tuple of int or None
        Shape of one signal that comes out.

    See Also
    --------
    sktrim.inverse_module : Makes one of a fitted transformer.

    Examples
    --------
    A transform of one's own, with a torch twin of its own:

    >>> import torch
    >>> from sktrim.inverse import InverseModule
    >>> class Exponential(InverseModule):
    ...     def forward(self, s):
    ...         return self.check(s).exp()
    >>> Exponential(n_coefficients=2)(torch.zeros(1, 2))
    tensor([[1., 1.]])
    """

    is_affine: bool = False

    def __init__(
        self,
        n_coefficients: int | None = None,
        layout: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.n_coefficients = n_coefficients
        self.layout = None if layout is None else tuple(layout)

    def forward(self, s: Tensor) -> Tensor:
        """Map coefficients to signals.

        Parameters
        ----------
        s : Tensor of shape (..., n_coefficients)
            Coefficients, of any floating dtype.

        Returns
        -------
        Tensor of shape (..., *layout)
            Signals in the dtype and on the device of s.

        Raises
        ------
        ValueError
            If the last axis has the wrong length.
        TypeError
            If s is not floating.
        """
        raise NotImplementedError(f"{type(self).__name__} lacks forward(s).")

    def linear(self, s: Tensor) -> Tensor:
        """Return T^-1(s) - T^-1(0), the linear part.

        Parameters
        ----------
        s : Tensor of shape (..., n_coefficients)
            Coefficients, of any floating dtype.

        Returns
        -------
        Tensor of shape (..., *layout)
            The part of the signals that is linear in s.

        Raises
        ------
        TypeError
            If the inverse is not affine.
        """
        if not self.is_affine:
            raise TypeError(
                f"{type(self).__name__} is not affine, so it has no linear part."
            )
        return self(s) - self(torch.zeros_like(s))

    def adjoint(self, gradients: Tensor, n_coefficients: int) -> Tensor:
        """Return D^T g for the linear part D: gradients in coefficients.

        Parameters
        ----------
        gradients : Tensor of shape (n, n_values)
            In the values of the signals, flat.
        n_coefficients : int

        Returns
        -------
        Tensor of shape (n, n_coefficients)
        """
        shape = len(gradients), n_coefficients
        s = gradients.new_zeros(shape, requires_grad=True)
        with torch.enable_grad():
            signals = self.linear(s)
        followed = torch.is_grad_enabled() and (
            gradients.requires_grad or signals.grad_fn is not None
        )
        gradients = gradients.reshape(signals.shape)
        return torch.autograd.grad(signals, s, gradients, create_graph=followed)[0]

    def check(self, s: Tensor) -> Tensor:
        """Return s, or raise where it is not floating or has the wrong width."""
        if not s.is_floating_point():
            raise TypeError(f"s is {s.dtype}, expected a floating tensor: s.double().")
        width = self.n_coefficients
        if width is not None and (s.ndim == 0 or s.shape[-1] != width):
            raise ValueError(
                f"s has shape {tuple(s.shape)}, expected (..., {width}): the columns "
                "of the fitted transform lie on the last axis."
            )
        return s

    def extra_repr(self) -> str:
        """Show the sizes in the repr."""
        return f"{self.n_coefficients} -> {self.layout}"


def as_buffer(values: Any) -> Tensor:
    """Copy an array into a float64 tensor."""
    return torch.tensor(np.asarray(values).copy(), dtype=torch.float64)


class LinearTwin(InverseModule):
    """Base of inverses ``linear(s) + offset``, with offset T^-1(0), None for zero."""

    is_affine = True
    offset: Tensor | None

    def __init__(
        self, n_coefficients: int, layout: Sequence[int], offset: Any = None
    ) -> None:
        super().__init__(n_coefficients, layout)
        if offset is not None:
            offset = as_buffer(offset).reshape(tuple(layout))
            offset = offset if bool(offset.any()) else None
        self.register_buffer("offset", offset)

    def forward(self, s: Tensor) -> Tensor:
        """Return ``linear(s) + offset``, see `InverseModule`."""
        signals = self.linear(s)
        return signals if self.offset is None else signals + self.offset.to(signals)

    def _laid_out(self, signals: Tensor, s: Tensor) -> Tensor:
        """Give (..., n_values) the shape (..., *layout)."""
        return signals.reshape(*s.shape[:-1], *cast(tuple, self.layout))


class MatrixTwin(LinearTwin):
    """The affine map ``s @ matrix + offset``."""

    # the matrix has one row per coefficient

    matrix: Tensor

    def __init__(self, matrix: Any, offset: Any = None, layout: Any = None) -> None:
        values = as_buffer(matrix)
        super().__init__(values.shape[0], layout or (values.shape[1],), offset)
        self.register_buffer("matrix", values)

    def linear(self, s: Tensor) -> Tensor:
        """Return ``s @ matrix``, see `InverseModule`."""
        return self._laid_out(self.check(s) @ self.matrix.to(s), s)

    def adjoint(self, gradients: Tensor, n_coefficients: int) -> Tensor:
        """Return ``gradients @ matrix.T``, see `InverseModule`."""
        return gradients @ self.matrix.to(gradients).T


class ScaleTwin(LinearTwin):
    """The affine map ``s * scale + offset``, as of scalers."""

    scale: Tensor

    def __init__(self, scale: Any, offset: Any = None, layout: Any = None) -> None:
        values = as_buffer(scale)
        super().__init__(values.shape[0], layout or (values.shape[0],), offset)
        self.register_buffer("scale", values)

    def linear(self, s: Tensor) -> Tensor:
        """Return ``s * scale``, see `InverseModule`."""
        return self._laid_out(self.check(s) * self.scale.to(s), s)


class IdentityTwin(InverseModule):
    """The identity: the coefficients are the signal, laid out if a layout is given."""

    is_affine = True

    def __init__(self, layout: Sequence[int] | None = None) -> None:
        super().__init__(None if layout is None else prod(layout), layout)

    def forward(self, s: Tensor) -> Tensor:
        """Return s in the layout of a signal, see `InverseModule`."""
        self.check(s)
        return s if self.layout is None else s.reshape(*s.shape[:-1], *self.layout)

    def linear(self, s: Tensor) -> Tensor:
        """Return s in the layout of a signal, see `InverseModule`."""
        return self(s)


class SequentialTwin(InverseModule):
    """Several inverses, one after the other as they act on the coefficients."""

    def __init__(self, twins: Sequence[nn.Module]) -> None:
        super().__init__(
            getattr(twins[0], "n_coefficients", None),
            getattr(twins[-1], "layout", None),
        )
        self.twins = nn.ModuleList(twins)
        self.is_affine = all(getattr(twin, "is_affine", False) for twin in twins)

    def forward(self, s: Tensor) -> Tensor:
        """Apply one inverse after the other, see `InverseModule`."""
        for twin in self.twins:
            s = twin(s)
        return s

    def linear(self, s: Tensor) -> Tensor:
        """Apply one linear part after the other, see `InverseModule`."""
        if not self.is_affine:
            return super().linear(s)
        for twin in self.twins:
            s = cast(InverseModule, twin).linear(s)
        return s


def _merge(first: nn.Module, second: nn.Module) -> list[nn.Module]:
    """Fold two matrices or scalings into one where that is not larger."""
    kinds = (MatrixTwin, ScaleTwin)
    if not isinstance(first, kinds) or not isinstance(second, kinds):
        return [first, second]
    a, b = (
        twin.matrix if isinstance(twin, MatrixTwin) else twin.scale
        for twin in (first, second)
    )
    if a.ndim == b.ndim == 2:
        if len(a) * b.shape[1] > a.numel() + b.numel():
            return [first, second]
        product = a @ b
    else:
        product = a[:, None] * b if b.ndim == 2 else a * b
    offset = second(torch.zeros(len(b)).to(b) if first.offset is None else first.offset)
    kind = MatrixTwin if product.ndim == 2 else ScaleTwin
    return [kind(product, offset, second.layout)]


def chain(twins: Sequence[nn.Module]) -> InverseModule:
    """Compose inverses, in the order in which they act on the coefficients."""
    # without identities; consecutive matrices are multiplied where the product is not
    # larger than the factors
    kept: list[Any] = []
    for twin in twins:
        if isinstance(twin, IdentityTwin):
            continue
        kept[-1:] = _merge(kept[-1], twin) if kept else [twin]
    if len(kept) == 1 and isinstance(kept[0], InverseModule):
        return kept[0]
    return SequentialTwin(kept) if kept else cast(InverseModule, twins[-1])
