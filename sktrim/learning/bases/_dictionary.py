"""A dictionary of atoms of norm 1, with sparse codes."""

import torch
from torch import Tensor

from sktrim.learning.bases._basis import Sparse


class Dictionary(Sparse):
    r"""x = sum_k s_k d_k, with atoms d_k of norm 1 and sparse s."""

    @property
    def n_coefficients(self) -> int:
        """Number of atoms."""
        return len(self.atoms)

    def gain(self) -> Tensor:
        """Return the largest square of a singular value of the atoms."""
        return torch.linalg.matrix_norm(self.atoms, 2).square()

    def decode(self, s: Tensor) -> Tensor:
        """Map (..., n_atoms) to (..., *grid_shape)."""
        return (s @ self.atoms).unflatten(-1, self.grid_shape)

    def adjoint(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to products with the atoms."""
        return x.flatten(1) @ self.atoms.T
