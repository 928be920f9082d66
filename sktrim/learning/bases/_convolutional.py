"""Small atoms at every place: convolutional sparse coding."""

from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sktrim.learning.bases._basis import Sparse


class Convolutional(Sparse):
    r"""x = sum_k d_k * s_k, around the ends: atoms d_k of norm 1, sparse s_k."""

    n_steps, exponent, n_rough = 1000, 0.5, 50

    @property
    def n_coefficients(self) -> int:
        """Number of atoms times places."""
        return len(self.atoms) * prod(self.grid_shape)

    def gain(self) -> Tensor:
        """Return the largest power of the atoms at a frequency."""
        return self._spectra().abs().square().sum(0).max()

    def decode(self, s: Tensor) -> Tensor:
        """Map (..., n_atoms * n_places) to (..., *grid_shape)."""
        maps = s.unflatten(-1, (len(self.atoms), *self.grid_shape))
        axes = self._axes
        whole = torch.fft.rfftn(maps, dim=axes) * self._spectra()
        return torch.fft.irfftn(whole.sum(-1 - len(axes)), s=self.grid_shape, dim=axes)

    def adjoint(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to correlations with the atoms."""
        axes = self._axes
        whole = torch.fft.rfftn(x, dim=axes).unsqueeze(-1 - len(axes))
        whole = whole * self._spectra().conj()
        return torch.fft.irfftn(whole, s=self.grid_shape, dim=axes).flatten(1)

    def blocks(self) -> list[tuple[int, ...]]:
        """Return the places of each atom."""
        return [self.grid_shape] * len(self.atoms)

    def names(self) -> list[str]:
        """Return the atom and its place."""
        places = list(np.ndindex(self.grid_shape))
        return [f"atom{k} {list(at)}" for k in range(len(self.atoms)) for at in places]

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self.grid_shape), 0))

    def _spectra(self) -> Tensor:
        """Return the atoms' Fourier transforms on the grid, centred at 0."""
        shape = self.atoms.shape[1:]
        gaps = [n - m for n, m in zip(self.grid_shape, shape, strict=True)]
        padded = F.pad(self.atoms, [v for gap in gaps[::-1] for v in (0, gap)])
        centred = padded.roll([-(m // 2) for m in shape], self._axes)
        return torch.fft.rfftn(centred, dim=self._axes)
