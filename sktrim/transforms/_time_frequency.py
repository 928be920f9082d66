"""What transforms of overlapping frames share: frames, their times, groups of cells."""

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sktrim.groups import FeatureGroups
from sktrim.transforms._bands import (
    band_groups,
    check_intervals,
    format_numbers,
    inside_intervals,
)
from sktrim.transforms._frequency import FrequencyTransformer, check_spacing


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Return a number of samples, or raise."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r}; expected an integer of at least {least}.")
    return int(value)


class TimeFrequencyTransformer(FrequencyTransformer):
    """Base of transforms whose coefficients belong to a frequency and a frame."""

    _KINDS = ("natural", "band", "time", "cell", "coefficient")
    # (n_frames,): in samples, where the middle of each frame lies
    frame_centers_: np.ndarray
    # coefficients of a channel are frame by frame, each with its frequencies
    _own_frequency: np.ndarray

    def _lay_frames_out(self, frequencies: np.ndarray, own: np.ndarray) -> int:
        """Keep the frequencies (n, 1) and whose each of a frame's coefficients is."""
        n_frames = len(self.frame_centers_)
        self.frequencies_ = frequencies * self.grid_shape_[0]
        self._own_frequency = own
        self.frequency_of_ = np.tile(own, n_frames)
        self.frame_of_ = np.repeat(np.arange(n_frames), len(own))
        return len(self.frequency_of_)

    def feature_groups(
        self,
        by: str = "natural",
        *,
        n_bands: int | None = None,
        edges: ArrayLike | None = None,
        centers: ArrayLike | None = None,
        width: ArrayLike | None = None,
        soft: bool | None = None,
        n_times: int | None = None,
        time_edges: ArrayLike | None = None,
        sample_spacing: ArrayLike | None = None,
        unit: str | None = None,
        channels: str = "pool",
    ) -> FeatureGroups:
        """Group the coefficients by frequency, by time, or by cells of both.

        Parameters
        ----------
        by : {"natural", "band", "time", "cell", "coefficient"}, default="natural"
            "natural": one group per frequency, at all times; "band": one per band of
            frequencies; "time": one per frame, or per interval of time; "cell": one per
            frequency, or band, and frame, or interval; "coefficient": one per
            coefficient and channel.
        n_bands, edges, centers, width, soft
            With "band" or "cell": see `FourierTransformer.feature_groups`.
        n_times : int, default=None
            With "time" or "cell": that many intervals of equal length, to which frames
            belong by their middles. None: one per frame.
        time_edges : array-like of shape (n_times + 1,) or (n_times, 2), default=None
            With "time" or "cell", in place of `n_times`: increasing edges of touching
            intervals [lo, hi), the last one closed, or a row (lo, hi) for each, in
            samples or the unit of `sample_spacing`. Frames whose middles lie outside
            all of them stay ungrouped.
        sample_spacing : float, default=None
            Time between neighbouring samples. None: frequencies are in cycles per
            signal, times in samples.
        unit : str, default=None
            Label of the frequencies' unit: "cycles" by default, "1/sample unit" with
            `sample_spacing`. "Hz" takes the spacing in seconds, and times are in "s".
        channels : {"pool", "separate"}, default="pool"
            Whether channels share their groups or have their own.

        Returns
        -------
        FeatureGroups
            `centers` are frequencies, or times. Cells have both as `coordinates`,
            frequency first, unless channels are separate.

        Raises
        ------
        ValueError
            If an argument does not fit, or a band or an interval is empty.

        See Also
        --------
        sktrim.FeatureGroups : What is returned; groups of one's own.

        Examples
        --------
        Five bands of hearing in ten intervals of a second of sound:

        >>> import numpy as np
        >>> from sktrim import LappedTransformer
        >>> lapped = LappedTransformer(128).fit(np.ones((1, 8000)))
        >>> cells = lapped.feature_groups(
        ...     by="cell", edges="mel", n_bands=5, n_times=10, sample_spacing=1 / 8000
        ... )
        >>> len(cells), cells.names[6]
        (50, 'around 425.9 Hz, 0.1 to 0.2 s')
        """
        check_is_fitted(self)
        bands = {"n_bands": n_bands, "edges": edges, "centers": centers}
        bands |= {"width": width, "soft": soft}
        given: dict[str, Any] = {k: v for k, v in bands.items() if v is not None}
        shared: dict[str, Any] = {"sample_spacing": sample_spacing, "unit": unit}
        if by not in ("time", "cell"):
            if n_times is not None or time_edges is not None:
                raise ValueError(
                    f"n_times and time_edges need by='time' or 'cell', got by={by!r}."
                )
            return super().feature_groups(by, **given, **shared, channels=channels)
        if isinstance(edges, str) and unit is None:
            unit = shared["unit"] = "Hz"
        times, moments, span = self._intervals(
            n_times, time_edges, sample_spacing, unit
        )
        if by == "time":
            if given:
                raise ValueError(f"{', '.join(given)} needs by='band' or 'cell'.")
            masks = sp.kron(times, np.ones((1, len(self._own_frequency))), "csr")
            names = [name for name, _ in moments]
            middles = np.array([middle for _, middle in moments])
            return self._over_channels(
                masks, names, channels=channels, centers=middles, unit=span
            )
        own, names, middles, unit = self._frame_bands(given, bands, shared)
        return self._over_channels(
            sp.kron(times, own, format="csr"),
            [f"{name}, {moment}" for moment, _ in moments for name in names],
            channels=channels,
            unit=f"{unit}, {span}",
            coordinates=np.array([(f, t) for _, t in moments for f in middles]),
        )

    def _intervals(
        self, n_times: Any, edges: Any, sample_spacing: Any, unit: Any
    ) -> tuple[sp.csr_array, list[tuple[str, float]], str]:
        """Return masks (n_times, n_frames), names with middles, and the unit."""
        spacing, span = 1.0, "samples"
        self._in_unit(sample_spacing, unit)  # raises for a unit without a spacing
        if sample_spacing is not None:
            spacing = float(check_spacing(sample_spacing, 1)[0])
            span = {"Hz": "s", "kHz": "ms"}.get(unit, "sample unit")
        frames = self.frame_centers_ * spacing
        if n_times is None and edges is None:
            names = [f"{text} {span}" for text in format_numbers(frames)]
            every = sp.csr_array(sp.eye_array(len(frames)))
            return every, list(zip(names, frames.tolist(), strict=True)), span
        if edges is None:
            n_times = check_count("n_times", n_times)
            edges = np.linspace(0, self.grid_shape_[0] * spacing, n_times + 1)
            # frames whose middles lie outside the signal count at its ends
            frames = frames.clip(edges[0], edges[-1])
        elif n_times is not None:
            raise ValueError("n_times and time_edges were given; give one of them.")
        intervals = check_intervals(frames, edges=edges, name="time_edges")
        masks = inside_intervals(frames, intervals)
        if not np.diff(masks.indptr).all():
            raise ValueError(
                f"Of {len(intervals)} intervals of time, some hold the middle of none "
                f"of {len(frames)} frames, from {frames[0]:.6g} to {frames[-1]:.6g} "
                f"{span}; take fewer or longer ones, or a shorter hop."
            )
        texts = iter(t.removesuffix(".0") for t in format_numbers(intervals.ravel()))
        names = [f"{a} to {b} {span}" for a, b in zip(texts, texts, strict=True)]
        return masks, list(zip(names, intervals.mean(axis=1), strict=True)), span

    def _frame_bands(self, given: dict, bands: dict, shared: dict) -> tuple:
        """Return masks of a frame's coefficients, their names, middles and unit."""
        frequencies, unit = self._in_unit(**shared)
        radii = np.abs(frequencies[:, 0])
        if given:
            masks, names, middles = band_groups(radii, unit, **bands)
            return masks[:, self._own_frequency], names, middles, unit
        every = sp.csr_array(sp.eye_array(len(radii)))[:, self._own_frequency]
        return every, self._frequency_names(frequencies, unit), radii, unit

    def _coefficient_names(self) -> list[str]:
        frequencies = self._frequency_names(self.frequencies_, "cycles")
        own = [frequencies[at] for at in self._own_frequency]
        parts = self._part_names()
        moments = format_numbers(self.frame_centers_)
        return [
            f"{name}{part}, {moment} samples"
            for moment in moments
            for name, part in zip(own, parts, strict=True)
        ]

    def _part_names(self) -> list[str]:
        """Return what tells apart the coefficients of a frame at one frequency."""
        return [""] * len(self._own_frequency)


def overlap_add(frames: np.ndarray, hop: int, n_values: int) -> np.ndarray:
    """Add frames (..., n_frames, length), a hop apart, up in (..., n_values)."""
    length = frames.shape[-1]
    out = np.zeros((*frames.shape[:-2], n_values), dtype=frames.dtype)
    for at in range(frames.shape[-2]):
        start = at * hop
        out[..., start : start + length] += frames[..., at, :]
    return out
