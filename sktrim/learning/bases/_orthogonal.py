"""A rotation, or orthonormal atoms that are fewer than the values."""

import numpy as np
import torch
from torch import Tensor, nn

from sktrim.learning.bases._basis import Basis


class Orthogonal(Basis):
    """Orthonormal atoms: codes are products with them."""

    def __init__(self, grid_shape: tuple[int, ...], atoms: np.ndarray) -> None:
        super().__init__(grid_shape)
        self.atoms = nn.Parameter(torch.tensor(atoms))
        with torch.no_grad():
            self.project()

    @property
    def is_lossless(self) -> bool:
        """Whether there are as many atoms as values."""
        return self.atoms.shape[0] == self.atoms.shape[1]

    @property
    def n_coefficients(self) -> int:
        """Number of atoms."""
        return len(self.atoms)

    def encode(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to (n, n_atoms)."""
        return x.flatten(1) @ self.atoms.T

    def decode(self, s: Tensor) -> Tensor:
        """Map (..., n_atoms) to (..., *grid_shape)."""
        return (s @ self.atoms).unflatten(-1, self.grid_shape)

    def adjoint(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to (n, n_atoms): the transform itself."""
        return self.encode(x)

    def project(self) -> None:
        """Take the nearest orthonormal atoms."""
        left, _, right = torch.linalg.svd(self.atoms, full_matrices=False)
        self.atoms.copy_(left @ right)
