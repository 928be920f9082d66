"""What happens around a step of the ascent: balls, variation, blur and jitter."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

TV_FORMS = ("isotropic", "global", "anisotropic")


def spatial_axes(shape: Sequence[int], axes: Sequence[int] | None) -> tuple[int, ...]:
    """Return the negative axes of a signal along which neighbours lie."""
    n = len(shape)
    if axes is None:
        return tuple(k for k in range(-min(n, 2), 0) if shape[k] > 1) or (-1,)
    chosen = sorted({a - n if a >= 0 else a for a in np.atleast_1d(axes).tolist()})
    if not chosen or not -n <= chosen[0] <= chosen[-1] < 0:
        raise ValueError(f"axes={axes!r}; a signal here has axes 0 to {n - 1}.")
    return tuple(chosen)


def norms(x: Tensor, p: float) -> Tensor:
    """Return the p-norm of each row, in a shape that divides x."""
    sizes = torch.linalg.vector_norm(x.flatten(1), p, dim=1)
    return sizes.view(-1, *[1] * (x.ndim - 1))


def project_ball(x: Tensor, p: float, radius: float) -> Tensor:
    """Return the nearest points of the p-ball, row by row, in the Euclidean sense."""
    if p == np.inf:
        return x.clamp(-radius, radius)
    if p == 2:
        return x * (radius / norms(x, 2)).clamp(max=1)
    sizes = x.flatten(1).abs()
    falling = sizes.sort(dim=1, descending=True).values
    excess = falling.cumsum(1) - radius
    counts = torch.arange(1, sizes.shape[1] + 1, device=x.device)
    n_kept = (falling * counts > excess).sum(1, keepdim=True)
    threshold = (excess.gather(1, n_kept - 1) / n_kept).clamp(min=0)
    return (x.flatten(1).sign() * (sizes - threshold).clamp(min=0)).view_as(x)


def without_rounding(sizes: Tensor) -> Tensor:
    """Return sizes (n, m) with 0 for those that are rounding errors of the largest."""
    least = 64 * torch.finfo(sizes.dtype).eps * sizes.amax(1, keepdim=True)
    return torch.where(sizes > least, sizes, 0)


def steepest(gradient: Tensor, p: float) -> Tensor:
    """Return the direction of p-norm 1 along which a function rises most, by row."""
    if p == np.inf:
        sizes = without_rounding(gradient.flatten(1).abs()).view_as(gradient)
        return gradient.sign() * (sizes > 0)
    if p == 2:
        sizes = norms(gradient, 2)
        return gradient / torch.where(sizes > 0, sizes, 1)
    flat = gradient.flatten(1)
    at = flat.abs().argmax(1, keepdim=True)
    alone = torch.zeros_like(flat).scatter(1, at, flat.gather(1, at).sign())
    return alone.view_as(gradient)


def total_variation(x: Tensor, axes: Sequence[int], form: str) -> Tensor:
    """Return the variation of each row, (n,), from differences of neighbours."""
    # a difference that would leave the signal is 0
    differences = [
        torch.diff(x, dim=axis, append=x.narrow(axis, -1, 1)) for axis in axes
    ]
    if form == "anisotropic":
        return torch.stack(differences).abs().sum(0).flatten(1).sum(1)
    squares = torch.stack(differences).square().sum(0).flatten(1)
    if form == "global":
        squares = squares.sum(1, keepdim=True)
    # the root has no slope at 0
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0).sum(1)


def blurred(x: Tensor, sigma: float, axes: Sequence[int]) -> Tensor:
    """Return signals after a Gaussian of `sigma` samples; edges are repeated."""
    for axis in axes:
        matrix = gaussian_filter1d(np.eye(x.shape[axis]), sigma, axis=0, mode="nearest")
        rows = torch.as_tensor(matrix, dtype=x.dtype, device=x.device)
        x = (x.movedim(axis, -1) @ rows.T).movedim(-1, axis)
    return x


def draw_shifts(
    generators: Sequence[torch.Generator], most: int, n_axes: int
) -> list[list[int]]:
    """Draw how far each row is rolled along each axis."""
    return [
        torch.randint(-most, most + 1, (n_axes,), generator=g).tolist()
        for g in generators
    ]


def rolled(x: Tensor, shifts: Sequence, axes: Sequence[int]) -> Tensor:
    """Return rows rolled, each by shifts of its own."""
    return torch.stack(
        [
            torch.roll(row, tuple(s), tuple(axes))
            for row, s in zip(x, shifts, strict=True)
        ]
    )
