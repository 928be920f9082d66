"""The real, orthonormal Fourier transform of signals of any shape."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.fft

from sktrim.transforms._frequency import FrequencyTransformer, grid_indices

__all__ = ["FourierPacking", "FourierTransformer"]


class FourierPacking(NamedTuple):
    """How the complex half spectrum of one channel is written as real columns."""

    # with h the flat half spectrum, seen as pairs (re, im), and s the columns:
    # s = h.ravel()[entries] * scales and h = s[columns] * weights

    # of ``scipy.fft.rfftn`` over the grid
    half_shape: tuple[int, ...]
    # (n_bins, 2): the columns that hold the real and the imaginary part of each bin
    columns: np.ndarray
    # (n_bins, 2): 1 or 1/sqrt(2) for real parts; 0 or +-1/sqrt(2) for imaginary ones,
    # negative where the column belongs to the bin of opposite frequency
    weights: np.ndarray
    # (n_columns,): places in the half spectrum's pairs, 2 * bin + (0 for re, 1 for im)
    entries: np.ndarray
    # (n_columns,): 1 for bins that are their own opposite, otherwise sqrt(2)
    scales: np.ndarray


def opposite_bins(
    shape: tuple[int, ...], half_shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of half-spectrum bins, and the flat bins of opposite sign."""
    # (n_bins, n_axes), the frequencies modulo `shape`, in C order; and (n_bins,), the
    # flat bin of -k, or -1 where it lies in the other half
    bins = grid_indices(half_shape)
    mirrored = -bins % np.array(shape)
    inside = mirrored[:, -1] < half_shape[-1]
    opposite = np.full(len(bins), -1)
    opposite[inside] = np.ravel_multi_index(tuple(mirrored[inside].T), half_shape)
    return bins, opposite


def pack(shape: tuple[int, ...]) -> tuple[FourierPacking, np.ndarray, np.ndarray]:
    """Lay out the real columns of a Fourier transform."""
    # returns the packing; the frequencies (n_frequencies, n_axes) that have columns,
    # modulo `shape`; and the row of these that each column belongs to
    half_shape = (*shape[:-1], shape[-1] // 2 + 1)
    bins, opposite = opposite_bins(shape, half_shape)
    own = np.arange(len(bins))
    alone = opposite == own
    mirrored = (opposite >= 0) & (opposite < own)
    kept = np.flatnonzero(~mirrored)
    n_parts = np.where(alone[kept], 1, 2)
    frequency_of = np.repeat(np.arange(kept.size), n_parts)
    first = np.zeros(len(bins), dtype=np.intp)
    first[kept] = np.cumsum(n_parts) - n_parts
    first[mirrored] = first[opposite[mirrored]]
    part = np.arange(frequency_of.size) - first[kept][frequency_of]
    sign = np.where(mirrored, -1.0, 1.0)
    packing = FourierPacking(
        half_shape=half_shape,
        columns=np.stack([first, np.where(alone, first, first + 1)], axis=1),
        weights=np.stack(
            [np.where(alone, 1, np.sqrt(0.5)), np.where(alone, 0, sign * np.sqrt(0.5))],
            axis=1,
        ),
        entries=2 * kept[frequency_of] + part,
        scales=np.where(alone[kept][frequency_of], 1, np.sqrt(2)),
    )
    return packing, bins[kept], frequency_of


def signed_frequencies(bins: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the one of +-k whose first non-zero component is positive."""
    # (n_frequencies, n_axes): `bins` are modulo `shape`; what is returned is in cycles
    # per signal, in (-n / 2, n / 2] along every axis
    sizes = np.array(shape)
    signed = np.where(2 * bins > sizes, bins - sizes, bins)
    leading = np.argmax(signed != 0, axis=1)
    flip = signed[np.arange(len(signed)), leading] < 0
    flipped = np.where(2 * signed == sizes, signed, -signed)
    return np.where(flip[:, None], flipped, signed).astype(np.float64)


class FourierTransformer(FrequencyTransformer):
    r"""Orthonormal discrete Fourier transform with real coefficients.

    .. math::

       \hat x_k = \frac{1}{\sqrt n} \sum_{j=0}^{n-1} x_j \, e^{-2 \pi i j k / n}, \qquad
       s = \begin{cases}
       \sqrt 2 \, (\mathrm{Re} \, \hat x_k, \; \mathrm{Im} \, \hat x_k)
       & \text{for a pair } \pm k, \\
       \hat x_k & \text{where } k = -k \bmod n,
       \end{cases}

    of a signal of n values along each of the axes acted upon: for every frequency, in
    the C order of ``scipy.fft.rfftn(norm="ortho")``, the real part and then the
    imaginary part, both times sqrt(2); only the real part, as it is, for frequencies
    that are their own opposite (0, and Nyquist where the length is even). On several
    axes one of each pair ±k is kept, the first in that order. The transform is an
    orthogonal matrix, so its inverse is its transpose, for any length and any number of
    axes, and the sum of the squares of a frequency's coefficients is its power: they
    add up to that of the signal.

    Parameters
    ----------
    signal_shape : int or tuple of int, default=None
        How one row of a 2-D X is laid out, e.g. (28, 28) or (3, 32, 32). None: a row
        is a 1-D signal, or, for n-D X, the shape is that of the data.
    axes : int or tuple of int, default=None
        Axes of the signal to transform; the others are channels, each with
        coefficients of its own. None: the only axis of a 1-D signal, otherwise the
        last two, leaving out axes of length 1; X of shape (n_samples, a, b) needs
        `axes` or `signal_shape`, since it may hold channels or images.
    coordinates : {"rectangular", "polar"}, default="rectangular"
        "polar": the amplitude and the phase, in radians, of each pair ±k in place of
        its real and imaginary part, so that one can ask which of them counts. A phase
        has a branch cut and means nothing where the amplitude is 0, so that this is for
        perturbation scorers with ``baseline="rows"``; others refuse it.

    Attributes
    ----------
    packing_ : FourierPacking
        Where the coefficients of a channel and its half spectrum find each other.
    frequencies_ : ndarray of shape (n_frequencies, n_axes), float64
        Cycles per signal along each of `axes_`.
    frequency_of_ : ndarray of shape (n_coefficients_ / n_channels_,), int
        Row of `frequencies_` that each coefficient of a channel belongs to.
    signal_shape_ : tuple of int
        Shape one signal is laid out as.
    layout_ : tuple of int
        ``X.shape[1:]`` in fit; what `inverse_transform` gives back.
    axes_ : tuple of int
        Axes acted upon, negative and increasing.
    grid_shape_ : tuple of int
        Lengths along `axes_`.
    channel_shape_ : tuple of int
        Lengths of the axes not acted upon, in order.
    n_channels_ : int
        Product of `channel_shape_`.
    n_coefficients_ : int
        Number of coefficients; equal to `n_features_in_`.
    n_features_in_ : int
        Number of values in one signal.

    See Also
    --------
    CosineTransformer : Without a jump from the end of a signal to its beginning.
    WaveletTransformer : Local in position too.
    sktrim.inverse_module : The inverse as a torch module.

    Notes
    -----
    Coefficients are in the units of the signal. A frequency of k cycles per signal is
    :math:`k / (n \Delta)` for samples :math:`\Delta` apart, and on a map of the sky
    with pixels of :math:`\Delta` radians the multipole
    :math:`l = 2 \pi k / (n \Delta)`, in the flat approximation; see `feature_groups`.

    Frequency space is where :footcite:t:`singh2020trim` ask, in section 4, what
    networks for cosmology and audio use. Two things differ from their code. The inverse
    has the length of the signal, odd ones too. And the group of a frequency has both
    parts in it, whose scores keep their sign and add up; the magnitude of a pair of
    scores, which ranks groups in their Table 1, does neither.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.transforms import FourierTransformer
    >>> X = np.cos(2 * np.pi * 3 * np.arange(8) / 8)[None]
    >>> fourier = FourierTransformer().fit(X)
    >>> np.round(fourier.transform(X), 3) + 0.0
    array([[0., 0., 0., 0., 0., 2., 0., 0.]])
    >>> fourier.feature_groups().names[3]
    '3.0 cycles'
    """

    packing_: FourierPacking

    def __init__(
        self,
        signal_shape: int | tuple[int, ...] | None = None,
        axes: int | tuple[int, ...] | None = None,
        coordinates: str = "rectangular",
    ) -> None:
        self.signal_shape = signal_shape
        self.axes = axes
        self.coordinates = coordinates

    def _plan(self) -> int:
        if self.coordinates not in ("rectangular", "polar"):
            raise ValueError(
                f"coordinates={self.coordinates!r}; expected 'rectangular' or 'polar'."
            )
        shape = self.grid_shape_
        self.packing_, kept, self.frequency_of_ = pack(shape)
        self.frequencies_ = signed_frequencies(kept, shape)
        return self.frequency_of_.size

    def _grid_axes(self) -> tuple[int, ...]:
        """Return the last axes, where the grid of a channel lies."""
        return tuple(range(-len(self.grid_shape_), 0))

    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        spectrum = scipy.fft.rfftn(signals, axes=self._grid_axes(), norm="ortho")
        parts = np.ascontiguousarray(spectrum).view(signals.dtype)
        parts = parts.reshape(*signals.shape[:2], -1)
        columns = np.take(parts, self.packing_.entries, axis=-1)
        columns *= self.packing_.scales.astype(signals.dtype)
        return self._in_coordinates(columns, _to_polar)

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        packing = self.packing_
        coefficients = self._in_coordinates(coefficients, _from_polar)
        parts = np.take(coefficients, packing.columns, axis=-1)
        parts *= packing.weights.astype(coefficients.dtype)
        complex_type = np.result_type(coefficients.dtype, np.complex64)
        spectrum = parts.view(complex_type)[..., 0]
        spectrum = spectrum.reshape(*coefficients.shape[:2], *packing.half_shape)
        signals = scipy.fft.irfftn(
            spectrum, s=self.grid_shape_, axes=self._grid_axes(), norm="ortho"
        )
        return np.asarray(signals)

    @property
    def paired_(self) -> np.ndarray:
        """Columns of a channel that hold the first of two parts of a frequency."""
        return np.flatnonzero(self.packing_.entries % 2) - 1

    def _in_coordinates(self, s: np.ndarray, change: Callable) -> np.ndarray:
        """Change both parts of every pair, where coordinates are polar."""
        if self.coordinates == "rectangular":
            return s
        s, first = s.copy(), self.paired_
        s[..., first], s[..., first + 1] = change(s[..., first], s[..., first + 1])
        return s

    _KINDS = ("natural", "band", "part", "coefficient")

    def _part_masks(self) -> tuple[np.ndarray, list[str]]:
        """Tell amplitudes and phases apart: masks (2, m) and what they are called."""
        second = self.packing_.entries % 2
        polar = self.coordinates == "polar"
        names = ["amplitude", "phase"] if polar else ["real part", "imaginary part"]
        return np.stack([1 - second, second]), names

    def _coefficient_names(self) -> list[str]:
        names = self._frequency_names(self.frequencies_, "cycles")
        parts = self.packing_.entries % 2
        first, second = ("re", "im")
        if self.coordinates == "polar":
            first, second = "amplitude", "phase"
        return [
            f"{names[at]} {second if part else first}"
            for at, part in zip(self.frequency_of_, parts, strict=True)
        ]


def has_phases(transformer: Any) -> bool:
    """Tell whether coefficients are amplitudes and phases, in a Pipeline too."""
    steps = getattr(transformer, "steps", [(None, transformer)])
    return any(getattr(step, "coordinates", None) == "polar" for _, step in steps)


def _to_polar(re: np.ndarray, im: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.hypot(re, im), np.arctan2(im, re)


def _from_polar(
    amplitude: np.ndarray, phase: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return amplitude * np.cos(phase), amplitude * np.sin(phase)
