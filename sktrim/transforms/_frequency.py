"""Frequencies, bands over them, and the transforms whose coefficients have them."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sktrim.groups import FeatureGroups
from sktrim.transforms._bands import band_groups, format_numbers
from sktrim.transforms._base import SignalTransformer


def check_spacing(sample_spacing: Any, n_axes: int) -> np.ndarray:
    """Return one positive spacing of samples per axis."""
    spacing = np.asarray(sample_spacing, dtype=np.float64)
    if spacing.shape not in ((), (n_axes,)):
        raise ValueError(
            f"sample_spacing={sample_spacing!r} has shape {spacing.shape}; expected "
            f"one number, or one per axis acted upon ({n_axes})."
        )
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise ValueError(f"sample_spacing={sample_spacing!r} must be positive.")
    return np.broadcast_to(spacing, (n_axes,))


class FrequencyTransformer(SignalTransformer):
    """Base of transforms whose coefficients belong to frequencies."""

    # (n_frequencies, n_axes): cycles per signal along each of `axes_`
    frequencies_: np.ndarray
    # the row of these that each coefficient of a channel belongs to
    frequency_of_: np.ndarray
    _KINDS: tuple[str, ...] = ("natural", "band", "coefficient")

    def _part_masks(self) -> tuple[np.ndarray, list[str]]:
        """Return masks (n_parts, m) of a channel's coefficients, and their names."""
        raise NotImplementedError(f"{type(self).__name__} has no parts.")

    def _in_unit(self, sample_spacing: Any, unit: str | None) -> tuple[np.ndarray, str]:
        """Return `frequencies_` in the wanted unit, and that unit."""
        if sample_spacing is None:
            if unit in ("Hz", "multipole"):
                needed = "radians" if unit == "multipole" else "seconds"
                raise ValueError(
                    f"unit={unit!r} needs sample_spacing=, the distance between "
                    f"neighbouring samples in {needed}."
                )
            return self.frequencies_, unit or "cycles"
        spacing = check_spacing(sample_spacing, len(self.grid_shape_))
        physical = self.frequencies_ / (np.array(self.grid_shape_) * spacing)
        if unit == "multipole":
            physical = 2 * np.pi * physical
        return physical, unit or "1/sample unit"

    def _frequency_names(self, frequencies: np.ndarray, unit: str) -> list[str]:
        """Return "3.0 cycles" on one axis, "(2, -3) cycles" on several."""
        if frequencies.shape[1] == 1:
            return [f"{text} {unit}" for text in format_numbers(frequencies[:, 0])]
        texts = format_numbers(frequencies.ravel())
        parts = [text.removesuffix(".0") for text in texts]
        rows = zip(*[iter(parts)] * frequencies.shape[1], strict=True)
        return [f"({', '.join(row)}) {unit}" for row in rows]

    def feature_groups(
        self,
        by: str = "natural",
        *,
        n_bands: int | None = None,
        edges: ArrayLike | None = None,
        centers: ArrayLike | None = None,
        width: ArrayLike | None = None,
        soft: bool | None = None,
        sample_spacing: ArrayLike | None = None,
        unit: str | None = None,
        channels: str = "pool",
    ) -> FeatureGroups:
        r"""Group the coefficients by frequency.

        The centre of a group is the length of its frequency vector,

        .. math::

           \nu = \sqrt{\sum_a \left( \frac{k_a}{n_a \Delta_a} \right)^2}, \qquad
           l = 2 \pi \nu \text{ for multipoles},

        where :math:`k_a` are the cycles along axis a, :math:`n_a` is its length and
        :math:`\Delta_a` the `sample_spacing`; without that, that of the cycles k alone.

        Parameters
        ----------
        by : {"natural", "band", "part", "coefficient"}, default="natural"
            "natural": one group per frequency; "band": one per interval of absolute
            frequency; "part": one each of all amplitudes and all phases, or real and
            imaginary parts, of a Fourier transform, or of each band where bands are
            given; "coefficient": one per coefficient and channel.
        n_bands : int, default=None
            With "band": that many bands, of equal width from 0 to the highest
            absolute frequency, or equally far apart on the scale of `edges`.
        edges : str or array-like of shape (n_bands + 1,) or (n_bands, 2), default=None
            With "band": increasing edges of touching bands [lo, hi), the last one
            closed; or one row (lo, hi) per band, which may overlap. Frequencies
            outside all bands stay ungrouped. "mel" or "bark" (with `n_bands`),
            "octave" or "third-octave" (around 1000 Hz): bands on that scale, in hertz,
            soft unless told otherwise; they need `sample_spacing`, in seconds.
        centers : array-like of shape (n_bands,), default=None
            With "band": middles of bands, of the given `width` or soft.
        width : float or array-like of shape (n_bands,), default=None
            With `centers`: full width of the bands, where they are not soft.
        soft : bool, default=None
            Whether bands fade into their neighbours: a frequency between the middles
            of two bands is shared by both, so that the weights of every frequency sum
            to 1. None: on a named scale, where False has bands meet midway.
        sample_spacing : float or sequence of float, one per axis, default=None
            Distance between neighbouring samples. None: frequencies are in cycles
            per signal (along every axis, also of an image that is not square);
            otherwise k / (n * sample_spacing).
        unit : str, default=None
            Label of the unit: "cycles" by default, "1/sample unit" with
            `sample_spacing`. "Hz" takes the spacing in seconds; "multipole" takes it
            in radians and multiplies by 2 pi.
        channels : {"pool", "separate"}, default="pool"
            Whether channels share their groups or have their own.

        Returns
        -------
        FeatureGroups
            `centers` are absolute frequencies, of a band its middle, in `unit`. The
            natural groups of several axes have the frequency along each of them as
            `coordinates`, unless channels are separate.

        Raises
        ------
        ValueError
            If an argument does not fit, or a band contains no frequency.

        See Also
        --------
        sktrim.FeatureGroups : What is returned; groups of one's own.

        Examples
        --------
        Four bands in hertz of a signal sampled every 10 ms:

        >>> import numpy as np
        >>> from sktrim import FourierTransformer
        >>> fourier = FourierTransformer().fit(np.ones((1, 100)))
        >>> bands = fourier.feature_groups(
        ...     by="band", n_bands=4, sample_spacing=0.01, unit="Hz"
        ... )
        >>> bands.names
        ['0.0 to 12.5 Hz', '12.5 to 25.0 Hz', '25.0 to 37.5 Hz', '37.5 to 50.0 Hz']
        """
        check_is_fitted(self)
        if by not in self._KINDS:
            raise ValueError(f"by={by!r}; expected one of {self._KINDS}.")
        bands = {"n_bands": n_bands, "edges": edges, "centers": centers}
        bands |= {"width": width, "soft": soft}
        banded = any(value is not None for value in bands.values())
        if banded and by not in ("band", "part"):
            raise ValueError(
                "n_bands, edges, centers, width and soft need by='band', or 'part', "
                f"got by={by!r}."
            )
        if isinstance(edges, str) and unit is None:
            unit = "Hz"
        frequencies, unit = self._in_unit(sample_spacing, unit)
        radii = np.linalg.norm(frequencies, axis=1)
        if by == "coefficient":
            names = list(self.get_feature_names_out())
            positions = np.tile(radii[self.frequency_of_], self.n_channels_)
            identity = sp.eye_array(self.n_coefficients_, format="csr")
            return FeatureGroups(identity, names, centers=positions, unit=unit)
        if by == "part" and not banded:
            return self._over_channels(*self._part_masks(), channels=channels)
        coordinates = None
        if by == "natural":
            masks = sp.csr_array(sp.eye_array(len(radii)))
            names, positions = self._frequency_names(frequencies, unit), radii
            coordinates = frequencies if frequencies.shape[1] > 1 else None
        else:
            masks, names, positions = band_groups(radii, unit, **bands)
        masks = masks[:, self.frequency_of_]
        if by == "part":
            masks, names = self._parts_of(masks, names)
            positions = coordinates = None
        return self._over_channels(
            masks,
            names,
            channels=channels,
            centers=positions,
            unit=unit,
            coordinates=coordinates,
        )

    def _parts_of(self, masks: sp.csr_array, names: list) -> tuple:
        """Divide bands into their parts, leaving out parts in which nothing is."""
        parts, kinds = self._part_masks()
        divided = sp.csr_array(sp.vstack([masks.multiply(part) for part in parts]))
        full = np.flatnonzero(divided.sum(axis=1))
        named = [f"{kind}, {name}" for kind in kinds for name in names]
        return divided[full], [named[i] for i in full]


def grid_indices(shape: tuple[int, ...]) -> np.ndarray:
    """Return the indices of a grid in C order, of shape (n_points, n_axes)."""
    return np.indices(shape).reshape(len(shape), -1).T
