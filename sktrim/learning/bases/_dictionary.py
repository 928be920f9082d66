"""A dictionary of atoms of norm 1, with sparse codes."""

import numpy as np
import torch
from torch import Tensor, nn

from sktrim.learning.bases._basis import (
    Basis,
    fista,
    squared_error,
    unit_rows,
    unrolled,
)

_N_STEPS, _N_ROUGH = 2000, 100
"""Most steps to the codes, and in training, where they need not be exact."""


class Dictionary(Basis):
    r"""Atoms d_k of norm 1: s minimises 1/2 |x - sum_k s_k d_k|^2 + sparsity |s|_1."""

    def __init__(
        self, grid_shape: tuple[int, ...], atoms: np.ndarray, sparsity: float
    ) -> None:
        super().__init__(grid_shape)
        self.atoms = nn.Parameter(unit_rows(torch.tensor(atoms)))
        self.sparsity = sparsity

    @property
    def n_coefficients(self) -> int:
        """Number of atoms."""
        return len(self.atoms)

    def encode(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to codes (n, n_atoms)."""
        rows, atoms = x.flatten(1), self.atoms
        with torch.no_grad():
            step = 1 / torch.linalg.matrix_norm(atoms, 2).square().clamp(min=1e-12)
            ends = (lambda s: s @ atoms), (lambda r: r @ atoms.T)
            start = rows.new_zeros(len(rows), len(atoms))
            n_steps = _N_ROUGH if self.training else _N_STEPS
            tol = 1e-3 if self.training else torch.finfo(rows.dtype).eps ** 0.6
            s = fista(
                rows,
                *ends,
                step,
                self.sparsity,
                start=start,
                n_steps=n_steps,
                tol=tol,
            )
        if not torch.is_grad_enabled():
            return s
        return unrolled(rows, *ends, step, self.sparsity, s)

    def decode(self, s: Tensor) -> Tensor:
        """Map (..., n_atoms) to (..., *grid_shape)."""
        return (s @ self.atoms).unflatten(-1, self.grid_shape)

    def adjoint(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to products with the atoms."""
        return x.flatten(1) @ self.atoms.T

    def terms(self, x: Tensor, s: Tensor, back: Tensor) -> dict[str, Tensor]:
        """Return half the squared error, as codes are made with."""
        return {"reconstruction": squared_error(x, back) / 2}

    def project(self) -> None:
        """Give the atoms the norm 1."""
        self.atoms.copy_(unit_rows(self.atoms))
