"""Small atoms at every place: convolutional sparse coding."""

from collections.abc import Callable
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sktrim.learning.bases._basis import (
    Basis,
    fista,
    squared_error,
    unit_rows,
    unrolled,
)

Ends = Callable[[Tensor], Tensor]
_N_STEPS, _N_ROUGH = 1000, 50
"""Most steps to the codes, and in training, where they need not be exact."""


class Convolutional(Basis):
    r"""x = sum_k d_k * s_k, around the ends: atoms d_k of norm 1, sparse s_k."""

    def __init__(
        self, grid_shape: tuple[int, ...], atoms: np.ndarray, sparsity: float
    ) -> None:
        super().__init__(grid_shape)
        self.atoms = nn.Parameter(unit_rows(torch.tensor(atoms)))
        self.sparsity = sparsity

    @property
    def n_coefficients(self) -> int:
        """Number of atoms times places."""
        return len(self.atoms) * prod(self.grid_shape)

    def encode(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to (n, n_atoms * n_places)."""
        spectra = self._spectra()
        with torch.no_grad():
            gain = spectra.abs().square().sum(0).max()
            step = (1 / gain.clamp(min=1e-12)).to(x)
            start = x.new_zeros(len(x), len(self.atoms), *self.grid_shape)
            n_steps = _N_ROUGH if self.training else _N_STEPS
            tol = 1e-3 if self.training else torch.finfo(x.dtype).eps ** 0.5
            fixed = spectra.detach()
            ends = self._ends(fixed)
            s = fista(
                x,
                *ends,
                step,
                self.sparsity,
                start=start,
                n_steps=n_steps,
                tol=tol,
            )
        if torch.is_grad_enabled():
            s = unrolled(x, *self._ends(spectra), step, self.sparsity, s)
        return s.flatten(1)

    def decode(self, s: Tensor) -> Tensor:
        """Map (..., n_atoms * n_places) to (..., *grid_shape)."""
        maps = s.unflatten(-1, (len(self.atoms), *self.grid_shape))
        return self._ends(self._spectra())[0](maps)

    def adjoint(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to correlations with the atoms."""
        return self._ends(self._spectra())[1](x).flatten(1)

    def terms(self, x: Tensor, s: Tensor, back: Tensor) -> dict[str, Tensor]:
        """Return half the squared error, as codes are made with."""
        return {"reconstruction": squared_error(x, back) / 2}

    def project(self) -> None:
        """Give the atoms the norm 1."""
        self.atoms.copy_(unit_rows(self.atoms))

    def blocks(self) -> list[tuple[int, ...]]:
        """Return the places of each atom."""
        return [self.grid_shape] * len(self.atoms)

    def names(self) -> list[str]:
        """Return the atom and its place."""
        places = list(np.ndindex(self.grid_shape))
        return [f"atom{k} {list(at)}" for k in range(len(self.atoms)) for at in places]

    def _spectra(self) -> Tensor:
        """Return the atoms' Fourier transforms on the grid, centred at 0."""
        shape = self.atoms.shape[1:]
        axes = tuple(range(-len(shape), 0))
        gaps = [n - m for n, m in zip(self.grid_shape, shape, strict=True)]
        padded = F.pad(self.atoms, [v for gap in gaps[::-1] for v in (0, gap)])
        centred = padded.roll([-(m // 2) for m in shape], axes)
        return torch.fft.rfftn(centred, dim=axes)

    def _ends(self, spectra: Tensor) -> tuple[Ends, Ends]:
        """Return what makes signals of maps, and its adjoint."""
        axes = tuple(range(-len(self.grid_shape), 0))
        size = self.grid_shape

        def decode(maps: Tensor) -> Tensor:
            whole = torch.fft.rfftn(maps, dim=axes) * spectra.to(_complex(maps))
            return torch.fft.irfftn(whole.sum(-1 - len(axes)), s=size, dim=axes)

        def adjoint(signals: Tensor) -> Tensor:
            whole = torch.fft.rfftn(signals, dim=axes).unsqueeze(-1 - len(axes))
            whole = whole * spectra.to(_complex(signals)).conj()
            return torch.fft.irfftn(whole, s=size, dim=axes)

        return decode, adjoint


def _complex(values: Tensor) -> torch.dtype:
    return torch.complex128 if values.dtype == torch.float64 else torch.complex64
