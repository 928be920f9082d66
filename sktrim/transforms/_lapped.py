"""The modified discrete cosine transform: orthonormal, real, in overlapping frames."""

from typing import Any

import numpy as np
import scipy.fft

from sktrim.transforms._short_time import checked_window, one_axis
from sktrim.transforms._time_frequency import (
    TimeFrequencyTransformer,
    check_count,
    overlap_add,
)

__all__ = ["LappedTransformer"]


class LappedTransformer(TimeFrequencyTransformer):
    r"""Modified discrete cosine transform (MDCT), orthonormal and critically sampled.

    .. math::

       s_{pk} = \sqrt{\frac{2}{M}} \sum_{j=0}^{2M-1} w_j \, x_{j + p M - M / 2}
       \cos \left[ \frac{\pi}{M} \left( j + \tfrac{1}{2} + \tfrac{M}{2} \right)
       \left( k + \tfrac{1}{2} \right) \right], \qquad k = 0, \dots, M - 1,

    for frames p of 2 M values that begin M apart. The window has
    :math:`w_j^2 + w_{j+M}^2 = 1` and is its own mirror image, so that what frames alias
    into each other cancels: the transform is an orthogonal matrix. The first window is
    0 before the signal and 1 in its first M / 2 values, and the last one likewise at
    the end, so that nothing wraps around: frame p holds what happens about sample
    :math:`(p + \tfrac12) M`. Coefficient k of a frame lies at (k + 1/2) / (2 M) cycles
    per sample. Unlike the short-time Fourier transform it has as many coefficients as
    the signal has values, real ones, whose scores are unique; but, real as they are,
    they change with the phase of a tone.

    Parameters
    ----------
    n_bins : int, default=128
        M: frequencies of a frame, and the samples between frames; even.
    window : str or array-like, default="sine"
        :math:`w_j = \sin[\pi (j + 1/2) / (2 M)]`, ``("kaiser_bessel_derived", beta)``,
        or 2 M values with the two properties.
    signal_shape : int or tuple of int, default=None
        How one row of a 2-D X is laid out, e.g. (2, 8000). None: a row is a signal,
        or, for n-D X, the shape is that of the data.
    axes : int, default=-1
        The axis of the signal that is time; the others are channels.

    Attributes
    ----------
    window_ : ndarray of shape (2 * n_bins,)
    windows_ : ndarray of shape (n_frames, 2 * n_bins)
        The window of each frame, cut off at the ends of the signal.
    frame_centers_ : ndarray of shape (n_frames,)
        The middle of each frame, in samples.
    frequencies_ : ndarray of shape (n_bins, 1), float64
        Cycles per signal.
    frequency_of_, frame_of_ : ndarray of int, shape (n_coefficients_ / n_channels_,)
        Row of `frequencies_` and frame that each coefficient of a channel belongs to.
    signal_shape_ : tuple of int
        Shape one signal is laid out as.
    layout_ : tuple of int
        ``X.shape[1:]`` in fit; what `inverse_transform` gives back.
    n_coefficients_ : int
        Number of coefficients: that of the values where `n_bins` divides the length.
    n_features_in_ : int
        Number of values in one signal.

    See Also
    --------
    ShortTimeFourierTransformer : With phases, redundant.
    WaveletPacketTransformer : Orthonormal too, with frames as long as one likes.
    CosineTransformer : Without time.

    Notes
    -----
    The transform is that of :footcite:t:`princen1987tdac`. Where `n_bins` does not
    divide the length, zeros are put behind the signal; the inverse is exact all the
    same, and squares sum to those of the signal, but there are a few coefficients more
    than values. Other implementations let the last frame go on at the beginning of the
    signal; between the ends the coefficients are the same. Coefficients are in the
    units of the signal.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim import LappedTransformer
    >>> X = np.random.default_rng(0).standard_normal((2, 1024))
    >>> lapped = LappedTransformer(32).fit(X)
    >>> s = lapped.transform(X)
    >>> s.shape, bool(np.allclose(lapped.inverse_transform(s), X))
    ((2, 1024), True)
    """

    def __init__(
        self,
        n_bins: int = 128,
        window: Any = "sine",
        signal_shape: int | tuple[int, ...] | None = None,
        axes: int = -1,
    ) -> None:
        self.n_bins = n_bins
        self.window = window
        self.signal_shape = signal_shape
        self.axes = axes

    def _plan(self) -> int:
        one_axis(self)
        m = check_count("n_bins", self.n_bins, 2)
        if m % 2:
            raise ValueError(f"n_bins={m}; expected an even number.")
        self.window_ = _power_complementary(self.window, m)
        n_frames = -(-self.grid_shape_[0] // m)
        self.frame_centers_ = np.arange(n_frames) * m + (m - 1) / 2
        self.windows_ = np.tile(self.window_, (n_frames, 1))
        self.windows_[0, :m] = np.arange(m) >= m // 2
        self.windows_[-1, m:] = np.arange(m) < m // 2
        frequencies = (np.arange(m) + 0.5) / (2 * m)
        return self._lay_frames_out(frequencies[:, None], np.arange(m))

    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        n_frames, m = len(self.frame_centers_), len(self.window_) // 2
        after = n_frames * m - signals.shape[-1] + m // 2
        padded = np.pad(signals, ((0, 0), (0, 0), (m // 2, after)))
        halves = padded.reshape(*signals.shape[:2], -1, m)
        windows = self.windows_.astype(signals.dtype)
        first = halves[:, :, :-1] * windows[:, :m]
        second = halves[:, :, 1:] * windows[:, m:]
        return _dct4(_folded(first, second)).reshape(*signals.shape[:2], -1)

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        n_frames, m = len(self.frame_centers_), len(self.window_) // 2
        s = coefficients.reshape(*coefficients.shape[:2], n_frames, m)
        frames = _unfolded(_dct4(s)) * self.windows_.astype(s.dtype)
        signals = overlap_add(frames, m, (n_frames + 1) * m)
        return signals[..., m // 2 : m // 2 + self.grid_shape_[0]]


def _dct4(values: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.fft.dct(values, type=4, norm="ortho"))


def _folded(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Alias the quarters (a, b), (c, d) of a frame: (-c_r - d, a - b_r)."""
    half = first.shape[-1] // 2
    a, b = first[..., :half], first[..., half:]
    c, d = second[..., :half], second[..., half:]
    return np.concatenate([-c[..., ::-1] - d, a - b[..., ::-1]], axis=-1)


def _unfolded(values: np.ndarray) -> np.ndarray:
    """Spread (u, v) over a frame: the transpose of the aliasing."""
    half = values.shape[-1] // 2
    u, v = values[..., :half], values[..., half:]
    return np.concatenate([v, -v[..., ::-1], -u[..., ::-1], -u], axis=-1)


def _power_complementary(window: Any, m: int) -> np.ndarray:
    """Return a window that aliases cancel with, or raise."""
    if isinstance(window, str) and window == "sine":
        return np.sin(np.pi * (np.arange(2 * m) + 0.5) / (2 * m))
    values = checked_window(window, 2 * m, periodic=False)
    squares = values[:m] ** 2 + values[m:] ** 2
    off = np.abs(squares - 1).max()
    if max(off, np.abs(values - values[::-1]).max()) > 1e-9:
        what = f"window={window!r}" if isinstance(window, str | tuple) else "The window"
        raise ValueError(
            f"{what} has no inverse here: w[j]^2 + w[j + n_bins]^2 is off 1 by "
            f"{off:.2g}, or it is not its own mirror image; take 'sine' or "
            "('kaiser_bessel_derived', beta)."
        )
    return values
