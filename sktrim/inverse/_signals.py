"""Torch modules for the inverses of the Fourier, cosine and wavelet transforms."""

from collections.abc import Callable
from itertools import pairwise
from math import pi, prod
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sktrim.inverse._modules import InverseModule, as_buffer
from sktrim.transforms._along_axis import AlongAxis
from sktrim.transforms._base import SignalTransformer
from sktrim.transforms._cosine import CosineTransformer
from sktrim.transforms._fourier import FourierPacking, FourierTransformer
from sktrim.transforms._packets import WaveletPacketTransformer
from sktrim.transforms._wavelet import WaveletTransformer

# up to this length a matrix product beats FFTs and convolutions
_DENSE = 256


class AxisMap(nn.Module):
    """A linear map of the last axis, kept as a matrix where that is faster."""

    # subclasses implement `direct`, register what it needs, and then call `condense`

    matrix: Tensor | None

    def condense(self, n: int) -> None:
        """Replace `direct` by its matrix if the last axis, n long, is short."""
        short = n <= _DENSE
        matrix = self.direct(torch.eye(n, dtype=torch.float64)) if short else None
        self.register_buffer("matrix", matrix)

    def direct(self, x: Tensor) -> Tensor:
        """Map (..., n) to (..., m) without a matrix."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n) to (..., m)."""
        return self.direct(x) if self.matrix is None else x @ self.matrix.to(x)


class SignalTwin(InverseModule):
    """Base of the linear inverses that put channels and axes back in place."""

    is_affine = True

    def __init__(self, transformer: SignalTransformer) -> None:
        super().__init__(transformer.n_coefficients_, transformer.layout_)
        self.axes = transformer.axes_
        self.grid_shape = transformer.grid_shape_
        self.channel_shape = transformer.channel_shape_

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        raise NotImplementedError

    def forward(self, s: Tensor) -> Tensor:
        """Return the signals of the coefficients, see `InverseModule`."""
        return self.laid_out(s, self.synthesise)

    def laid_out(self, s: Tensor, synthesise: Callable[[Tensor], Tensor]) -> Tensor:
        """Return signals (..., *layout) of channels that a function synthesises."""
        lead = self.check(s).shape[:-1]
        grids = synthesise(s.reshape(*lead, prod(self.channel_shape), -1))
        grids = grids.reshape(*lead, *self.channel_shape, *self.grid_shape)
        signals = grids.movedim(tuple(range(-len(self.axes), 0)), self.axes)
        return signals.reshape(*lead, *cast(tuple, self.layout))

    def linear(self, s: Tensor) -> Tensor:
        """Return T^-1(s), which has no offset, see `InverseModule`."""
        return self(s)


class FourierMap(AxisMap):
    """Real columns of a channel to values: gather the half spectrum, then irfftn."""

    columns: Tensor
    weights: Tensor
    entries: Tensor
    scales: Tensor

    def __init__(self, packing: FourierPacking, grid_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.grid_shape = grid_shape
        self.half_shape = packing.half_shape
        self.register_buffer("columns", torch.tensor(packing.columns.ravel()))
        self.register_buffer("weights", as_buffer(packing.weights.ravel()))
        self.register_buffer("entries", torch.tensor(packing.entries))
        self.register_buffer("scales", as_buffer(packing.scales))
        self.condense(prod(self.grid_shape))

    def direct(self, x: Tensor) -> Tensor:
        """Map (..., n) columns to (..., n) values."""
        pairs = _pick(x, self.columns).mul_(self.weights.to(x))
        pairs = pairs.reshape(*x.shape[:-1], *self.half_shape, 2)
        half = torch.view_as_complex(pairs)
        dims = tuple(range(-len(self.grid_shape), 0))
        signals = torch.fft.irfftn(half, s=self.grid_shape, dim=dims, norm="ortho")
        return signals.reshape(x.shape)

    def adjoint(self, values: Tensor) -> Tensor:
        """Map (..., n) values to (..., n) columns: it is the transform itself."""
        if self.matrix is not None:
            return values @ self.matrix.to(values).T
        grids = values.reshape(*values.shape[:-1], *self.grid_shape)
        dims = tuple(range(-len(self.grid_shape), 0))
        half = torch.view_as_real(torch.fft.rfftn(grids, dim=dims, norm="ortho"))
        pairs = half.reshape(*values.shape[:-1], -1)
        return _pick(pairs, self.entries) * self.scales.to(values)


def _pick(x: Tensor, index: Tensor) -> Tensor:
    """Return ``x[..., index]``, which gather does several times faster."""
    return x.gather(-1, index.to(x.device).expand(*x.shape[:-1], -1))


class FourierTwin(SignalTwin):
    """The inverse of a fitted `FourierTransformer`."""

    def __init__(self, transformer: FourierTransformer) -> None:
        super().__init__(transformer)
        self.map = FourierMap(transformer.packing_, transformer.grid_shape_)

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        return self.map(channels)

    def adjoint(self, gradients: Tensor, n_coefficients: int) -> Tensor:
        """Return the transform of the gradients, see `InverseModule`."""
        front = tuple(range(-len(self.axes), 0))
        shape = (*self.channel_shape, *self.grid_shape)
        probe = torch.empty(shape, device="meta").movedim(front, self.axes)
        grids = gradients.reshape(-1, *probe.shape).movedim(self.axes, front)
        channels = grids.reshape(len(gradients), prod(self.channel_shape), -1)
        return self.map.adjoint(channels).reshape(len(gradients), -1)


class PolarFourierTwin(FourierTwin):
    """The inverse of a `FourierTransformer` with polar coordinates: not affine."""

    is_affine = False
    first: Tensor

    def __init__(self, transformer: FourierTransformer) -> None:
        super().__init__(transformer)
        self.register_buffer("first", torch.tensor(transformer.paired_))

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) amplitudes and phases to (..., *grid_shape)."""
        first = self.first.to(channels.device)
        amplitude, phase = channels[..., first], channels[..., first + 1]
        parts = channels.index_copy(-1, first, amplitude * phase.cos())
        return super().synthesise(
            parts.index_copy(-1, first + 1, amplitude * phase.sin())
        )

    def linear(self, s: Tensor) -> Tensor:
        """Refuse: there is no linear part, see `InverseModule`."""
        return InverseModule.linear(self, s)

    def adjoint(self, gradients: Tensor, n_coefficients: int) -> Tensor:
        """Refuse: there is no linear part to transpose, see `InverseModule`."""
        return InverseModule.adjoint(self, gradients, n_coefficients)


class CosineMap(AxisMap):
    """The orthonormal inverse cosine transform of one axis, through one real FFT."""

    # Makhoul, A fast cosine transform in one and two dimensions, IEEE ASSP 28, 1980:
    # the values, even ones first and then the odd ones backwards, have the spectrum
    # exp(i pi k / 2n) (C[k] - i C[n - k]), with C the plain DCT-II and C[n] = 0

    cosine: Tensor
    sine: Tensor
    scale: Tensor
    order: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        scale = torch.full((n,), (n / 2) ** 0.5, dtype=torch.float64)
        scale[0] = n**0.5
        angle = torch.arange(n // 2 + 1, dtype=torch.float64) * pi / (2 * n)
        at = torch.arange(n)
        self.register_buffer("scale", scale)
        self.register_buffer("cosine", angle.cos())
        self.register_buffer("sine", angle.sin())
        self.register_buffer(
            "order", torch.where(at % 2 == 0, at // 2, n - 1 - at // 2)
        )
        self.condense(n)

    def direct(self, x: Tensor) -> Tensor:
        """Map (..., n) coefficients to (..., n) values."""
        plain = x * self.scale.to(x)
        ahead = plain[..., : self.n // 2 + 1]
        behind = F.pad(plain, (0, 1)).flip(-1)[..., : self.n // 2 + 1]
        cosine, sine = self.cosine.to(x), self.sine.to(x)
        spectrum = torch.complex(
            ahead * cosine + behind * sine, ahead * sine - behind * cosine
        )
        mixed = torch.fft.irfft(spectrum, n=self.n)
        return mixed[..., self.order.to(x.device)]


class CosineTwin(SignalTwin):
    """The inverse of a fitted `CosineTransformer`, axis by axis."""

    def __init__(self, transformer: CosineTransformer) -> None:
        super().__init__(transformer)
        self.maps = nn.ModuleList(CosineMap(n) for n in self.grid_shape)

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        grid = channels.reshape(*channels.shape[:-1], *self.grid_shape)
        for axis, along in zip(range(-len(self.grid_shape), 0), self.maps, strict=True):
            grid = along(grid.movedim(axis, -1)).movedim(-1, axis)
        return grid


class WaveletMap(AxisMap):
    """One level of wavelet synthesis along one axis."""

    # low-pass and high-pass coefficients, n each, one after the other on the last axis,
    # are spread by two, convolved with the reconstruction filters and summed; the part
    # that no filter tap overhangs is the signal, 2 n - n_taps + 2 values; under
    # periodization what overhangs is wrapped round instead, which gives 2 n; no other
    # boundary mode changes the synthesis; `n_out` values are kept

    filters: Tensor

    def __init__(self, wavelet: Any, n: int, n_out: int, periodic: bool) -> None:
        super().__init__()
        self.n = n
        self.n_out = n_out
        self.periodic = periodic
        self.register_buffer("filters", as_buffer([[wavelet.rec_lo], [wavelet.rec_hi]]))
        self.condense(2 * n)

    def direct(self, x: Tensor) -> Tensor:
        """Map (..., 2 n) coefficients to (..., n_out) values."""
        filters = self.filters.to(x)
        n_taps = filters.shape[-1]
        pairs = x.reshape(-1, 2, self.n)
        crop = 0 if self.periodic else n_taps - 2
        out = F.conv_transpose1d(pairs, filters, stride=2, padding=crop)
        if self.periodic:
            period = 2 * self.n
            turns = -(-out.shape[-1] // period)
            out = F.pad(out, (0, turns * period - out.shape[-1]))
            out = out.reshape(-1, turns, period).sum(1).roll(1 - n_taps // 2, -1)
        return out[..., : self.n_out].reshape(*x.shape[:-1], self.n_out)


class WaveletTwin(SignalTwin):
    """The inverse of a fitted `WaveletTransformer`, level by level and axis by axis."""

    def __init__(self, transformer: WaveletTransformer) -> None:
        super().__init__(transformer)
        self.bands = [(band.key, band.shape) for band in transformer.bands_]
        # the lengths of each level's bands, coarse to fine, then the signal's
        lengths = [shape for key, shape in self.bands if set(key) == {"d"}]
        periodic = transformer.mode == "periodization"
        self.maps = nn.ModuleList(
            nn.ModuleList(
                WaveletMap(transformer.wavelet_, n, n_out, periodic)
                for n, n_out in zip(inside, outside, strict=True)
            )
            for inside, outside in pairwise([*lengths, self.grid_shape])
        )

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        parts = channels.split([prod(shape) for _, shape in self.bands], -1)
        arrays = [
            part.reshape(*channels.shape[:-1], *shape)
            for part, (_, shape) in zip(parts, self.bands, strict=True)
        ]
        signal = arrays[0]
        n_details = 2 ** len(self.grid_shape) - 1
        for at, maps in enumerate(self.maps):
            first = 1 + at * n_details
            level = slice(first, first + n_details)
            keys = [key for key, _ in self.bands[level]]
            bands = dict(zip(keys, arrays[level], strict=True))
            bands["a" * len(self.grid_shape)] = signal
            signal = self._merge_level(bands, maps)
        return signal

    def _merge_level(self, bands: dict[str, Tensor], maps: Any) -> Tensor:
        """Merge the bands of a level, one axis after the other."""
        for axis, along in zip(range(-len(maps), 0), maps, strict=True):
            merged = {}
            for rest in {key[1:] for key in bands}:
                both = [bands[letter + rest].movedim(axis, -1) for letter in "ad"]
                merged[rest] = along(torch.cat(both, -1)).movedim(-1, axis)
            bands = merged
        return bands[""]


class AlongAxisTwin(SignalTwin):
    """The inverse of a fitted `AlongAxis`: its transformer's, at every position."""

    def __init__(self, transformer: AlongAxis, inner: InverseModule) -> None:
        super().__init__(transformer)
        self.inner = inner
        self.is_affine = inner.is_affine

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        return self.inner(channels)

    def linear(self, s: Tensor) -> Tensor:
        """Return the part that is linear in s, see `InverseModule`."""
        return self.laid_out(s, self.inner.linear)


class PacketTwin(SignalTwin):
    """The inverse of a fitted `WaveletPacketTransformer`: nodes are merged in pairs."""

    order: Tensor

    def __init__(self, transformer: WaveletPacketTransformer) -> None:
        super().__init__(transformer)
        # "a" before "d" at every level: the order of the tree
        places = np.argsort(transformer.nodes_)
        self.register_buffer("order", torch.tensor(places))
        n_places, wavelet = len(transformer.frame_centers_), transformer.wavelet_
        lengths = [n_places * 2**at for at in range(len(transformer.nodes_[0]))]
        self.maps = nn.ModuleList(
            WaveletMap(wavelet, n, 2 * n, periodic=True) for n in lengths
        )

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., n_places * n_nodes) to (..., n)."""
        nodes = channels.reshape(*channels.shape[:-1], -1, len(self.order)).mT
        nodes = nodes[..., self.order.to(nodes.device), :]
        for merge in self.maps:
            nodes = merge(nodes.reshape(*nodes.shape[:-2], nodes.shape[-2] // 2, -1))
        return nodes[..., 0, : self.grid_shape[0]]
