"""The short-time Fourier transform, as real coefficients of windowed frames."""

from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike
from scipy.signal import get_window

from sktrim.transforms._fourier import FourierPacking, pack
from sktrim.transforms._time_frequency import (
    TimeFrequencyTransformer,
    check_count,
    overlap_add,
)

__all__ = ["ShortTimeFourierTransformer"]


class ShortTimeFourierTransformer(TimeFrequencyTransformer):
    r"""Short-time Fourier transform with real coefficients, and its inverse.

    .. math::

       \hat x_{pk} = \frac{1}{\sqrt N} \sum_{j=0}^{N-1}
       w_j \, x_{j + p H - a} \, e^{-2 \pi i j k / N}, \qquad
       x_t = \frac{1}{W_t} \sum_p w_{t - p H + a} \, y_{p, t - p H + a},
       \qquad W_t = \sum_p w_{t - p H + a}^2,

    for frames p of N values that begin H apart, with zeros beyond the ends of the
    signal, a window w and the inverse Fourier transforms :math:`y_p` of the frames. As
    in `FourierTransformer`, a frame has the real and the imaginary part of each pair
    :math:`\pm k`, times :math:`\sqrt 2`. A *tight* window has :math:`W_t = 1`: the
    inverse is then the transpose, and the squares of the coefficients sum to those of
    the signal.

    There are about N / H times as many coefficients as values, so a signal can be
    written in many ways and the scores of its frames are not unique: they belong to
    these coefficients. Where that matters, take `LappedTransformer` or
    `WaveletPacketTransformer`, which have as many coefficients as values.

    Parameters
    ----------
    window_length : int, default=256
        N, in samples.
    hop : int, default=None
        H, in samples; None: half of `window_length`.
    window : str, tuple, float or array-like, default="sqrt_hann"
        w: the root of the periodic Hann window, what ``scipy.signal.get_window``
        takes, or N values.
    tight : bool, default=True
        Divide w by :math:`\sqrt{W_t}`, which makes it tight (the canonical tight
        window); the root of Hann is that already where N is a multiple of 2 H. With
        False the window stays as it is but for a factor that makes W 1 on average.
    signal_shape : int or tuple of int, default=None
        How one row of a 2-D X is laid out, e.g. (2, 8000). None: a row is a signal,
        or, for n-D X, the shape is that of the data.
    axes : int, default=-1
        The axis of the signal that is time; the others are channels.

    Attributes
    ----------
    window_ : ndarray of shape (window_length,)
        As it is applied.
    frame_centers_ : ndarray of shape (n_frames,)
        The middle of each frame, in samples.
    frequencies_ : ndarray of shape (n_frequencies, 1), float64
        Cycles per signal.
    frequency_of_, frame_of_ : ndarray of int, shape (n_coefficients_ / n_channels_,)
        Row of `frequencies_` and frame that each coefficient of a channel belongs to.
    n_before_ : int
        Zeros before the signal, in the first frames.
    weights_ : ndarray of shape (n,)
        :math:`W_t`; 1 where the window is tight.
    signal_shape_ : tuple of int
        Shape one signal is laid out as.
    layout_ : tuple of int
        ``X.shape[1:]`` in fit; what `inverse_transform` gives back.
    n_coefficients_ : int
        Number of coefficients, over all channels.
    n_features_in_ : int
        Number of values in one signal.

    See Also
    --------
    LappedTransformer : Orthonormal: as many coefficients as values.
    WaveletPacketTransformer : Orthonormal, with frames of any sharpness.
    FourierTransformer : Without time.

    Notes
    -----
    The inverse is that of :footcite:t:`griffin1984stft`, exact for any length, window
    and hop for which every sample is seen. Frames that reach beyond the signal see
    zeros there. Coefficients are in the units of the signal.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim import ShortTimeFourierTransformer
    >>> X = np.random.default_rng(0).standard_normal((2, 1000))
    >>> stft = ShortTimeFourierTransformer(64, hop=16).fit(X)
    >>> s = stft.transform(X)
    >>> bool(np.allclose(stft.inverse_transform(s), X))
    True
    >>> bool(np.allclose((s**2).sum(), (X**2).sum()))
    True
    """

    packing_: FourierPacking

    def __init__(
        self,
        window_length: int = 256,
        hop: int | None = None,
        window: Any = "sqrt_hann",
        tight: bool = True,
        signal_shape: int | tuple[int, ...] | None = None,
        axes: int = -1,
    ) -> None:
        self.window_length = window_length
        self.hop = hop
        self.window = window
        self.tight = tight
        self.signal_shape = signal_shape
        self.axes = axes

    def _plan(self) -> int:
        one_axis(self)
        length = check_count("window_length", self.window_length)
        hop = self.hop
        self.hop_ = max(1, length // 2) if hop is None else check_count("hop", hop)
        window = checked_window(self.window, length)
        covered = _covered(window, self.hop_, self.window)
        self.window_ = window / np.sqrt(covered if self.tight else covered.mean())
        n = self.grid_shape_[0]
        # the frames in which the window is not 0 at every sample
        seeing = np.flatnonzero(self.window_)
        first = -int(seeing[-1] // self.hop_)
        last = int((n - 1 - seeing[0]) // self.hop_)
        # so many zeros stand before the signal
        self.n_before_ = -first * self.hop_
        n_frames = last - first + 1
        starts = np.arange(n_frames) * self.hop_ - self.n_before_
        self.frame_centers_ = starts + (length - 1) / 2
        squares = np.broadcast_to(self.window_**2, (n_frames, length))
        self.weights_ = self._crop(overlap_add(squares, self.hop_, self._n_padded()))
        if self.tight:
            self.weights_ = np.ones(n)
        self.packing_, kept, own = pack((length,))
        return self._lay_frames_out(kept / length, own)

    def _n_padded(self) -> int:
        n_frames = len(self.frame_centers_)
        return (n_frames - 1) * self.hop_ + len(self.window_)

    def _crop(self, values: np.ndarray) -> np.ndarray:
        return values[..., self.n_before_ : self.n_before_ + self.grid_shape_[0]]

    def _part_names(self) -> list[str]:
        return [" im" if part else " re" for part in self.packing_.entries % 2]

    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        after = self._n_padded() - self.n_before_ - signals.shape[-1]
        padded = np.pad(signals, ((0, 0), (0, 0), (self.n_before_, max(0, after))))
        frames = np.lib.stride_tricks.sliding_window_view(
            padded, len(self.window_), axis=-1
        )[..., :: self.hop_, :][..., : len(self.frame_centers_), :]
        frames = frames * self.window_.astype(signals.dtype)
        spectrum = np.ascontiguousarray(scipy.fft.rfft(frames, norm="ortho"))
        parts = spectrum.view(signals.dtype)
        columns = np.take(parts, self.packing_.entries, axis=-1)
        return columns * self.packing_.scales.astype(signals.dtype)

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        packing, length = self.packing_, len(self.window_)
        s = coefficients.reshape(*coefficients.shape[:2], -1, length)
        parts = np.take(s, packing.columns, axis=-1) * packing.weights.astype(s.dtype)
        complex_type = np.result_type(s.dtype, np.complex64)
        spectrum = np.ascontiguousarray(parts).view(complex_type)[..., 0]
        frames = np.asarray(scipy.fft.irfft(spectrum, n=length, norm="ortho"))
        frames *= self.window_.astype(s.dtype)
        signals = self._crop(overlap_add(frames, self.hop_, self._n_padded()))
        return signals / self.weights_.astype(coefficients.dtype)


def one_axis(transformer: Any) -> None:
    """Raise where a transform of time is to act on several axes."""
    if len(transformer.grid_shape_) != 1:
        raise ValueError(
            f"axes={transformer.axes!r}; {type(transformer).__name__} acts on one "
            "axis, time."
        )


def checked_window(window: Any, length: int, periodic: bool = True) -> np.ndarray:
    """Return the values of a window."""
    if isinstance(window, str) and window == "sqrt_hann":
        return np.sqrt(np.clip(get_window("hann", length), 0, None))
    if isinstance(window, str | tuple | float | int):
        try:
            return np.asarray(get_window(window, length, fftbins=periodic))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"window={window!r} is no window of {length} values to scipy "
                f"({error}); expected a name that scipy.signal.get_window knows, such "
                "as 'hann', or ('kaiser', 8.0) where it takes a parameter."
            ) from error
    values = np.asarray(window)
    real = values.dtype.kind in "biuf"
    if not real or values.shape != (length,) or not np.isfinite(values).all():
        raise ValueError(
            f"window has {values.dtype} values of shape {values.shape}; expected "
            f"{length} finite real values, as many as window_length, or a name that "
            "scipy.signal.get_window knows."
        )
    return values.astype(np.float64)


def _covered(window: np.ndarray, hop: int, given: ArrayLike) -> np.ndarray:
    """Return W, of period hop, at the places of the window, or raise where it is 0."""
    places = np.arange(len(window)) % hop
    sums = np.bincount(places, window**2, minlength=hop)
    if sums.min() <= 1e-10 * sums.max():
        lost = int(np.sum(sums <= 1e-10 * sums.max()))
        what = f"window={given!r}" if isinstance(given, str | tuple) else "The window"
        raise ValueError(
            f"{what} of {len(window)} values at hop={hop} does not see {lost} of every "
            f"{hop} samples (the sum of its squares is 0 there), so that there is no "
            f"inverse; take a hop of at most {max(1, len(window) // 2)}, or a window "
            "that is not 0 there."
        )
    return sums[places]
