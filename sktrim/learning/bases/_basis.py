"""What a learned space can do, and sparse coding by FISTA."""

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor, nn


class Basis(nn.Module):
    """A transform with parameters, on single channels."""

    is_affine = True
    # over so many the L1 norms are averaged
    n_scales = 1

    def __init__(self, grid_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.grid_shape = grid_shape

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients of a channel."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to (n, n_coefficients), differentiable."""
        raise NotImplementedError

    def decode(self, s: Tensor) -> Tensor:
        """Map (..., n_coefficients) to (..., *grid_shape)."""
        raise NotImplementedError

    def adjoint(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to (n, n_coefficients): the transpose of `decode`."""
        raise NotImplementedError

    def terms(self, x: Tensor, s: Tensor, back: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss that are its own, the fit to x among them."""
        return {"reconstruction": squared_error(x, back)}

    def project(self) -> None:
        """Go back to where the constraints hold, after a step."""

    def blocks(self) -> list[tuple[int, ...]]:
        """Return the shapes of coefficients that lie beside each other."""
        return [(self.n_coefficients,)]

    def names(self) -> list[str]:
        """Return a name for each coefficient."""
        return [f"atom{k}" for k in range(self.n_coefficients)]


def squared_error(x: Tensor, back: Tensor) -> Tensor:
    """Return the squared error of a signal, averaged over signals."""
    return (x - back).square().flatten(1).sum(1).mean()


def variation(values: Tensor, blocks: list[tuple[int, ...]]) -> Tensor:
    """Sum |differences| of neighbours in each block, averaged over rows and targets."""
    # of values (n, n_channels * n_coefficients, n_targets)
    total = values.new_zeros(())
    size = sum(prod(shape) for shape in blocks)
    channels = values.movedim(1, -1).unflatten(-1, (-1, size))
    parts = channels.split([prod(shape) for shape in blocks], -1)
    for part, shape in zip(parts, blocks, strict=True):
        grid = part.unflatten(-1, shape)
        for axis in range(-len(shape), 0):
            total = total + grid.diff(dim=axis).abs().sum()
    return total / (values.shape[0] * values.shape[2])


def fista(
    x: Tensor,
    decode: Callable[[Tensor], Tensor],
    adjoint: Callable[[Tensor], Tensor],
    step: Tensor,
    sparsity: float,
    *,
    start: Tensor,
    n_steps: int,
    tol: float,
) -> Tensor:
    r"""Minimise 1/2 |x - D s|^2 + sparsity |s|_1 by FISTA, from a start."""
    # every row stops by itself, so that rows do not depend on each other
    s = moment = start
    t, moving = 1.0, torch.ones(len(start), dtype=torch.bool, device=start.device)
    lead = (-1, *[1] * (start.ndim - 1))
    for _ in range(n_steps):
        new = _shrunk(moment - step * adjoint(decode(moment) - x), step * sparsity)
        new = torch.where(moving.view(lead), new, s)
        t, before = (1 + (1 + 4 * t**2) ** 0.5) / 2, t
        moment = new + (before - 1) / t * (new - s)
        moved, s = (new - s).abs().flatten(1).amax(1), new
        moving = moving & (moved > tol * new.abs().flatten(1).amax(1))
        if not moving.any():
            break
    return s


def unrolled(
    x: Tensor,
    decode: Callable[[Tensor], Tensor],
    adjoint: Callable[[Tensor], Tensor],
    step: Tensor,
    sparsity: float,
    s: Tensor,
    n_steps: int = 3,
) -> Tensor:
    """Take a few plain steps more from a solution, which know of the atoms."""
    for _ in range(n_steps):
        s = _shrunk(s - step * adjoint(decode(s) - x), step * sparsity)
    return s


def _shrunk(s: Tensor, by: Tensor) -> Tensor:
    return s.sign() * (s.abs() - by).clamp(min=0)


def unit_rows(atoms: Tensor) -> Tensor:
    """Give every row the norm 1."""
    tiny = torch.finfo(atoms.dtype).tiny
    return atoms / atoms.flatten(1).norm(dim=1).clamp(min=tiny).reshape(
        -1, *[1] * (atoms.ndim - 1)
    )
