"""What a learned space can do, and sparse coding by FISTA."""

from math import prod

import numpy as np
import torch
from torch import Tensor, nn


class Basis(nn.Module):
    """A transform with parameters, on single channels."""

    is_affine = True
    # whether decoding undoes encoding, whatever the parameters
    is_lossless = False
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


class Sparse(Basis):
    r"""Atoms of norm 1: codes minimise 1/2 |x - D s|^2 + sparsity |s|_1."""

    # most steps to the codes and how little they move at the end, as a power of the
    # rounding; and in training, where they need not be exact
    n_steps, exponent, n_rough, rough = 2000, 0.6, 100, 1e-3

    def __init__(
        self, grid_shape: tuple[int, ...], atoms: np.ndarray, sparsity: float
    ) -> None:
        super().__init__(grid_shape)
        self.atoms = nn.Parameter(unit_rows(torch.tensor(atoms)))
        self.sparsity = sparsity

    def gain(self) -> Tensor:
        """Return the largest square of a singular value of `decode`."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to codes (n, n_coefficients)."""
        with torch.no_grad():
            step = 1 / self.gain().to(x).clamp(min=1e-12)
            s = self._fista(x, step)
        if not torch.is_grad_enabled():
            return s
        # a few plain steps more, which know of the atoms
        for _ in range(3):
            s = self._stepped(s, x, step)
        return s

    def _fista(self, x: Tensor, step: Tensor) -> Tensor:
        """Return the codes; every row stops by itself, whatever is beside it."""
        training = self.training
        tol = self.rough if training else torch.finfo(x.dtype).eps ** self.exponent
        s = moment = x.new_zeros(len(x), self.n_coefficients)
        t, moving = 1.0, torch.ones(len(x), 1, dtype=torch.bool, device=x.device)
        for _ in range(self.n_rough if training else self.n_steps):
            new = torch.where(moving, self._stepped(moment, x, step), s)
            t, before = (1 + (1 + 4 * t**2) ** 0.5) / 2, t
            moment = new + (before - 1) / t * (new - s)
            moved, s = (new - s).abs().amax(1, keepdim=True), new
            moving = moving & (moved > tol * new.abs().amax(1, keepdim=True))
            if not moving.any():
                break
        return s

    def _stepped(self, s: Tensor, x: Tensor, step: Tensor) -> Tensor:
        """Go down the error, then shrink."""
        moved = s - step * self.adjoint(self.decode(s) - x)
        return moved.sign() * (moved.abs() - step * self.sparsity).clamp(min=0)

    def terms(self, x: Tensor, s: Tensor, back: Tensor) -> dict[str, Tensor]:
        """Return half the squared error, as codes are made with."""
        return {"reconstruction": squared_error(x, back) / 2}

    def project(self) -> None:
        """Give the atoms the norm 1."""
        self.atoms.copy_(unit_rows(self.atoms))


def unit_rows(atoms: Tensor) -> Tensor:
    """Give every row the norm 1."""
    tiny = torch.finfo(atoms.dtype).tiny
    return atoms / atoms.flatten(1).norm(dim=1).clamp(min=tiny).reshape(
        -1, *[1] * (atoms.ndim - 1)
    )
