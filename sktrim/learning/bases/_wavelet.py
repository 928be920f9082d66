"""Orthonormal wavelet filters, kept so that the transform can be undone."""

from math import prod, sqrt

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sktrim.learning.bases._basis import Basis, squared_error


class Wavelet(Basis):
    """The periodic wavelet transform of one low-pass filter; its transpose undoes it.

    Bands from coarse to fine as in `WaveletTransformer`; lengths divisible by
    ``2 ** level``.
    """

    is_lossless = True

    def __init__(
        self, grid_shape: tuple[int, ...], low_pass: np.ndarray, level: int
    ) -> None:
        super().__init__(grid_shape)
        self.low_pass = nn.Parameter(torch.tensor(low_pass))
        self.level = level
        self.n_scales = level + 1

    @property
    def n_coefficients(self) -> int:
        """Number of values of the grid."""
        return prod(self.grid_shape)

    @property
    def high_pass(self) -> Tensor:
        """The mirrored filter of the details."""
        return mirrored(self.low_pass)

    def encode(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to (n, n_coefficients)."""
        filters = self._filters()
        details: list[Tensor] = []
        for _ in range(self.level):
            bands = {"": x}
            for axis in range(-len(self.grid_shape), 0):
                bands = _split(bands, filters, axis)
            x = bands.pop("a" * len(self.grid_shape))
            details = [*(bands[key].flatten(1) for key in sorted(bands)), *details]
        return torch.cat([x.flatten(1), *details], 1)

    def decode(self, s: Tensor) -> Tensor:
        """Map (..., n_coefficients) to (..., *grid_shape)."""
        filters = self._filters()
        parts = s.split([prod(shape) for shape in self.blocks()], -1)
        arrays = [
            part.unflatten(-1, shape)
            for part, shape in zip(parts, self.blocks(), strict=True)
        ]
        n_axes = len(self.grid_shape)
        keys = _detail_keys(n_axes)
        x = arrays[0]
        for at in range(self.level):
            first = 1 + at * len(keys)
            bands = dict(zip(keys, arrays[first : first + len(keys)], strict=True))
            bands["a" * n_axes] = x
            for axis in range(-n_axes, 0):
                bands = _merged(bands, filters, axis)
            x = bands[""]
        return x

    def adjoint(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to (n, n_coefficients): the transform itself."""
        return self.encode(x)

    def terms(self, x: Tensor, s: Tensor, back: Tensor) -> dict[str, Tensor]:
        """Return the fit and the conditions on the filters, weighted as published."""
        low, high = self.low_pass, self.high_pass
        energy = torch.fft.fft(low).abs().square()
        half = len(low) // 2
        return {
            "reconstruction": squared_error(x, back),
            "low-pass sum": (low.sum() - sqrt(2)).square() / 2,
            "high-pass sum": high.sum().square() / 2,
            "norm": (low.square().sum() - 1).square() / 2,
            "conjugate mirror": (energy[:half] + energy[half:] - 2).square().sum() / 2,
            "even shifts": _off(low).square().sum() / 2,
        }

    def project(self) -> None:
        """Take filters nearby that are orthonormal to their even shifts."""
        low = orthonormalised(self.low_pass.cpu().numpy())
        self.low_pass.copy_(torch.as_tensor(low))

    def blocks(self) -> list[tuple[int, ...]]:
        """Return the shapes of the bands."""
        shape = tuple(n >> self.level for n in self.grid_shape)
        n_details = 2 ** len(shape) - 1
        bands = [shape]
        for up in range(self.level):
            bands += [tuple(n << up for n in shape)] * n_details
        return bands

    def _filters(self) -> Tensor:
        """Return both filters, (2, n_taps), reversed for a correlation."""
        return torch.stack([self.low_pass, self.high_pass]).flip(1)


def mirrored(low_pass: Tensor) -> Tensor:
    """Return the high-pass filter, whose sign is that of PyWavelets."""
    signs = torch.ones_like(low_pass)
    signs[::2] = -1
    return signs * low_pass.flip(0)


def _detail_keys(n_axes: int) -> list[str]:
    every = [""]
    for _ in range(n_axes):
        every = [key + letter for key in every for letter in "ad"]
    return sorted(every)[1:]


def _split(bands: dict[str, Tensor], filters: Tensor, axis: int) -> dict[str, Tensor]:
    """Filter every band along an axis, and keep each second value."""
    out = {}
    for key, values in bands.items():
        rows = values.movedim(axis, -1)
        n, half = rows.shape[-1], filters.shape[1] // 2
        flat = rows.reshape(-1, 1, n)
        padded = _around(flat, half - 1, half)
        low, high = F.conv1d(padded, filters[:, None], stride=2).unbind(1)
        for letter, part in (("a", low), ("d", high)):
            laid = part.reshape(*rows.shape[:-1], n // 2)
            out[key + letter] = laid.movedim(-1, axis)
    return out


def _merged(bands: dict[str, Tensor], filters: Tensor, axis: int) -> dict[str, Tensor]:
    """Undo the split of an axis: its transpose."""
    out = {}
    for rest in {key[1:] for key in bands}:
        both = [bands[letter + rest].movedim(axis, -1) for letter in "ad"]
        shape = both[0].shape
        flat = torch.stack([part.reshape(-1, shape[-1]) for part in both], 1)
        n, half = 2 * shape[-1], filters.shape[1] // 2
        wide = F.conv_transpose1d(flat, filters[:, None], stride=2)[:, 0]
        places = torch.arange(wide.shape[1], device=wide.device) - (half - 1)
        whole = wide.new_zeros(len(wide), n).index_add(1, places % n, wide)
        out[rest] = whole.reshape(*shape[:-1], n).movedim(-1, axis)
    return out


def _around(rows: Tensor, before: int, after: int) -> Tensor:
    """Continue rows periodically, as often as it takes."""
    n = rows.shape[-1]
    places = torch.arange(-before, n + after, device=rows.device) % n
    return rows[..., places]


def _off(low: Tensor) -> Tensor:
    """Return sum_n h_n h_(n - 2k) - delta_k for all k."""
    n = len(low)
    products = [low[2 * k :] @ low[: n - 2 * k] for k in range((n + 1) // 2)]
    values = torch.stack(products)
    off = torch.cat([values[:1] - 1, values[1:]])
    return torch.cat([off[1:].flip(0), off])


def orthonormalised(low_pass: np.ndarray, n_steps: int = 20) -> np.ndarray:
    """Return the filter's nearest one that is orthonormal and sums to the root of 2."""
    # Newton's steps of least norm
    low = low_pass.astype(float)
    n = len(low)
    shifts = np.stack([np.eye(n, k=2 * k) for k in range((n + 1) // 2)])
    ones = np.ones((1, n))
    for _ in range(n_steps):
        moved = shifts @ low
        off = np.append(moved @ low, low.sum())
        off[0] -= 1
        off[-1] -= sqrt(2)
        if np.abs(off).max() < 1e-14:
            break
        slopes = np.concatenate([moved + low @ shifts, ones])
        low = low - np.linalg.lstsq(slopes, off, rcond=1e-8)[0]
    return low
