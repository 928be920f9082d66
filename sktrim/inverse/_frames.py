"""Torch modules for the inverses of transforms of overlapping frames."""

from math import pi

import torch
from torch import Tensor
from torch.nn import functional as F

from sktrim.inverse._modules import as_buffer
from sktrim.inverse._signals import AxisMap, FourierMap, SignalTwin
from sktrim.transforms._lapped import LappedTransformer
from sktrim.transforms._short_time import ShortTimeFourierTransformer


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Sum frames (..., n_frames, length) that are `hop` apart: (..., n_samples)."""
    n_frames, length = frames.shape[-2:]
    n_hops = -(-length // hop)
    wide = F.pad(frames, (0, n_hops * hop - length))
    parts = wide.reshape(*frames.shape[:-1], n_hops, hop).unbind(-2)
    # summed one by one, so that no more than two are held
    total = F.pad(parts[0], (0, 0, 0, n_hops - 1))
    for at, part in enumerate(parts[1:], 1):
        total = total + F.pad(part, (0, 0, at, n_hops - 1 - at))
    return total.reshape(*frames.shape[:-2], (n_frames + n_hops - 1) * hop)


class ShortTimeTwin(SignalTwin):
    """The inverse of a fitted `ShortTimeFourierTransformer`, one FFT a frame."""

    window: Tensor
    weights: Tensor

    def __init__(self, transformer: ShortTimeFourierTransformer) -> None:
        super().__init__(transformer)
        self.hop, self.before = transformer.hop_, transformer.n_before_
        length = len(transformer.window_)
        self.map = FourierMap(transformer.packing_, (length,))
        self.register_buffer("window", as_buffer(transformer.window_))
        self.register_buffer("weights", as_buffer(1 / transformer.weights_))

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        columns = channels.reshape(*channels.shape[:-1], -1, len(self.window))
        samples = overlap_add(self.map(columns) * self.window.to(columns), self.hop)
        samples = samples[..., self.before : self.before + self.grid_shape[0]]
        return samples * self.weights.to(samples)


class LappedMap(AxisMap):
    """The orthonormal cosine transform of type IV, its own inverse, by one FFT."""

    # of half the length: the spectrum of (x[2n] + i x[M - 1 - 2n]) exp(-i pi n / M),
    # times exp(-i pi (k + 1/4) / M), has the even coefficients as its real part and the
    # odd ones, backwards and negated, as its imaginary part

    before: Tensor
    behind: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        angle = -pi * torch.arange(n // 2, dtype=torch.float64) / n
        for name, shift in (("before", 0.0), ("behind", pi / (4 * n))):
            turned = angle - shift
            parts = torch.stack([turned.cos(), turned.sin()])
            self.register_buffer(name, parts)
        self.condense(n)

    def direct(self, x: Tensor) -> Tensor:
        """Map (..., n) to (..., n)."""
        n = x.shape[-1]
        z = torch.complex(x[..., ::2].contiguous(), x.flip(-1)[..., ::2].contiguous())
        z = torch.fft.fft(z * torch.complex(*self.before.to(x)))
        z = z * torch.complex(*self.behind.to(x)) * (2 / n) ** 0.5
        return torch.stack([z.real, -z.imag.flip(-1)], dim=-1).flatten(-2)


class LappedTwin(SignalTwin):
    """The inverse of a fitted `LappedTransformer`."""

    windows: Tensor

    def __init__(self, transformer: LappedTransformer) -> None:
        super().__init__(transformer)
        self.hop = len(transformer.window_) // 2
        self.map = LappedMap(self.hop)
        self.register_buffer("windows", as_buffer(transformer.windows_))

    def synthesise(self, channels: Tensor) -> Tensor:
        """Map (..., m) to (..., *grid_shape)."""
        columns = channels.reshape(*channels.shape[:-1], -1, self.hop)
        first, last = self.map(columns).chunk(2, dim=-1)
        quarters = [last, -last.flip(-1), -first.flip(-1), -first]
        frames = torch.cat(quarters, dim=-1) * self.windows.to(columns)
        start = self.hop // 2
        return overlap_add(frames, self.hop)[..., start : start + self.grid_shape[0]]
