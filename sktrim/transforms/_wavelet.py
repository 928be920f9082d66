"""Multilevel discrete wavelet transform with a real, invertible layout."""

from math import prod
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import pywt
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sktrim.groups import FeatureGroups
from sktrim.transforms._base import SignalTransformer

__all__ = ["WaveletTransformer"]

Wavelet: Any = pywt.Wavelet  # pyright: ignore[reportAttributeAccessIssue]
WAVELETS: list[str] = pywt.wavelist(kind="discrete")  # pyright: ignore[reportAttributeAccessIssue]
# off perfect reconstruction by less: exact; by more: another filter, not a rounded one
_EXACT, _ROUNDED = 1e-14, 1e-9
MODES: list[str] = pywt.Modes.modes  # pyright: ignore[reportAttributeAccessIssue]


class Band(NamedTuple):
    """One array of coefficients of the decomposition."""

    # 1 the finest
    level: int
    # "a" (approximation) or "d" (detail) for each axis acted upon, in their order
    key: str
    # numbers of coefficients along these axes
    shape: tuple[int, ...]


def _restored(wavelet: Any) -> Any:
    """Give a wavelet's filters the perfect reconstruction that rounding cost them."""
    # with a the reversed low-pass filter of the analysis and r that of the synthesis,
    # sum_k a[k] r[k + 2m] must be 1 for m = 0 and 0 for every other m; some tables
    # (sym3, sym20, bior4.4, ...) miss that by up to 1e-11, which deep levels of
    # extrapolating modes amplify; Newton's steps of least norm restore it, moving no
    # tap by more than 1e-11; wavelets that are exact, or far from it (dmey), are left
    # alone
    dec_lo, dec_hi, rec_lo, rec_hi = map(np.array, wavelet.filter_bank)
    n_taps = len(dec_lo)
    signs = (-1.0) ** np.arange(n_taps)
    signs_dec = signs * np.sign(signs @ (dec_hi * rec_lo))
    signs_rec = signs * np.sign(signs @ (rec_hi * dec_lo))
    lags = range(2 - n_taps, n_taps, 2)
    shifts = np.stack([np.eye(n_taps, k=lag) for lag in lags])
    wanted = np.equal(lags, 0)
    a, r = dec_lo[::-1], rec_lo
    error = a @ shifts @ r - wanted
    mirrored = np.allclose([dec_hi, rec_hi], [signs_dec * rec_lo, signs_rec * dec_lo])
    if n_taps % 2 or not mirrored or not _EXACT < np.abs(error).max() < _ROUNDED:
        return wavelet
    for _ in range(3):
        slopes = np.hstack([shifts @ r, a @ shifts])
        step = np.linalg.lstsq(slopes, a @ shifts @ r - wanted, rcond=1e-10)[0]
        a, r = a - step[:n_taps], r - step[n_taps:]
    bank = [a[::-1], signs_dec * r, r, signs_rec * a[::-1]]
    return Wavelet(wavelet.name, filter_bank=bank)


def check_wavelet(wavelet: Any) -> Any:
    """Return a discrete PyWavelets wavelet."""
    if isinstance(wavelet, Wavelet):
        return _restored(wavelet)
    if wavelet not in WAVELETS:
        raise ValueError(
            f"wavelet={wavelet!r} is no discrete wavelet of PyWavelets; expected a "
            "pywt.Wavelet or one of pywt.wavelist(kind='discrete'), e.g. 'haar', "
            "'db2', 'sym4', 'coif1' or 'bior2.2'."
        )
    return _restored(Wavelet(wavelet))


def _check_level(level: Any, grid: tuple[int, ...], wavelet: Any) -> int:
    """Return the number of levels; None asks for the most that are of use."""
    highest = min(pywt.dwt_max_level(n, wavelet.dec_len) for n in grid)
    if level is None:
        return highest
    if not isinstance(level, Integral) or isinstance(level, bool) or level < 0:
        raise ValueError(
            f"level={level!r}; expected None or an integer from 0 to {highest}."
        )
    if level > highest:
        raise ValueError(
            f"level={level} is too high: signals of shape {grid} allow at most "
            f"{highest} with the {wavelet.dec_len} filter taps of {wavelet.name!r}, "
            "beyond which every coefficient is a boundary effect. Pass level=None for "
            f"the highest level ({highest}), or a shorter wavelet, e.g. 'haar'."
        )
    return int(level)


class WaveletTransformer(SignalTransformer):
    r"""Discrete wavelet transform of 1-D and 2-D signals.

    .. math::

       a^{(l + 1)}_j = \sum_m h_{m - 2j} \, a^{(l)}_m, \qquad
       d^{(l + 1)}_j = \sum_m g_{m - 2j} \, a^{(l)}_m, \qquad a^{(0)} = x,

    for level l and places j and m, with the low-pass filter h and the high-pass filter
    g of the wavelet, up to a shift that PyWavelets chooses; along both axes in turn in
    2-D. The details :math:`d^{(l)}` are where the signal changes on a scale of
    :math:`2^l` values, and the last approximation a is what is left.

    The coefficients of a channel are the flattened bands from coarse to fine: the
    approximation, then the details of the highest level, down to level 1. In 2-D the
    details of a level come as HL, LH, HH, named as in JPEG 2000: the first letter is
    the horizontal (last) axis, the second the vertical one, H a high-pass and L a
    low-pass filter, so that HL responds to vertical edges. PyWavelets calls these
    "ad" (cV), "da" (cH) and "dd" (cD).

    Parameters
    ----------
    wavelet : str or pywt.Wavelet, default="db2"
        Any discrete wavelet of PyWavelets, see ``pywt.wavelist(kind="discrete")``.
    level : int, default=None
        Number of levels; 0 leaves the signal as it is. None: the highest level at
        which some coefficient is free of boundary effects
        (``pywt.dwt_max_level`` of the shortest axis acted upon).
    mode : str, default="periodization"
        How the signal goes on beyond its ends, one of ``pywt.Modes.modes``. The
        default gives (for lengths divisible by ``2 ** level``) as many coefficients
        as values, and is orthogonal for orthogonal wavelets. All other modes, such as
        PyWavelets' own default "symmetric", give a few more coefficients than values:
        a redundant expansion, with `inverse_transform` a left inverse. Prefer
        "symmetric" where the wrap from the last value to the first is a jump.
    signal_shape : int or tuple of int, default=None
        How one row of a 2-D X is laid out, e.g. (28, 28) or (3, 32, 32). None: a row
        is a 1-D signal, or, for n-D X, the shape is that of the data.
    axes : int or tuple of int, default=None
        Axes of the signal to act on; the others are channels, each with coefficients
        of its own. None: the only axis of a 1-D signal, otherwise the last two,
        leaving out axes of length 1; X of shape (n_samples, a, b) needs `axes` or
        `signal_shape`, since it may hold channels or images.

    Attributes
    ----------
    level_ : int
        Number of levels.
    wavelet_ : pywt.Wavelet
        The wavelet, with filters that reconstruct perfectly (see Notes).
    bands_ : list of Band
        Level, key and shape of every band of a channel, in the order of the
        coefficients. The approximation is the first one.
    signal_shape_, layout_, axes_, grid_shape_
        The layout of the signals, as in `FourierTransformer`.
    channel_shape_, n_channels_, n_coefficients_, n_features_in_
        Sizes of that layout, likewise.

    See Also
    --------
    FourierTransformer : Frequencies, at no place.
    sktrim.inverse_module : The inverse as a torch module.

    Notes
    -----
    Multiresolution is due to :footcite:t:`mallat1989wavelets`, orthonormal wavelets of
    compact support such as "db2" to :footcite:t:`daubechies1988wavelets`; the filters
    are those of PyWavelets :footcite:p:`lee2019pywavelets`. Coefficients are in the
    units of the signal.

    The round trip is exact to 1e-10 of the largest value for every wavelet but "dmey"
    (1e-1, and more over many levels), whose filters are truncated. The tables of some
    wavelets (sym3, sym20, bior4.4, ...) are rounded too coarsely for 1e-10 over many
    levels; their taps are corrected, by less than 1e-11, to reconstruct perfectly.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim import WaveletTransformer
    >>> X = np.random.default_rng(0).normal(size=(5, 28 * 28))
    >>> wavelet = WaveletTransformer("db2", level=2, signal_shape=(28, 28)).fit(X)
    >>> wavelet.transform(X).shape
    (5, 784)
    >>> wavelet.feature_groups(by="level").names
    ['db2 approximation', 'db2 level 2', 'db2 level 1']
    >>> bool(np.allclose(wavelet.inverse_transform(wavelet.transform(X)), X))
    True
    """

    def __init__(
        self,
        wavelet: Any = "db2",
        level: int | None = None,
        mode: str = "periodization",
        signal_shape: int | tuple[int, ...] | None = None,
        axes: int | tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(signal_shape=signal_shape, axes=axes)
        self.wavelet = wavelet
        self.level = level
        self.mode = mode

    def _plan(self) -> int:
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r}; expected one of {', '.join(MODES)}.")
        self.wavelet_ = check_wavelet(self.wavelet)
        self.level_ = _check_level(self.level, self.grid_shape_, self.wavelet_)
        approximation, *details = pywt.wavedecn_shapes(
            self.grid_shape_, self.wavelet_, self.mode, self.level_
        )
        self.bands_ = [Band(self.level_, "a" * len(self.grid_shape_), approximation)]
        for level, shapes in zip(range(self.level_, 0, -1), details, strict=True):
            self.bands_ += [Band(level, key, shapes[key]) for key in sorted(shapes)]
        return sum(prod(band.shape) for band in self.bands_)

    def _grid_axes(self) -> tuple[int, ...]:
        return tuple(range(2, 2 + len(self.grid_shape_)))

    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        approximation, *details = pywt.wavedecn(
            signals, self.wavelet_, self.mode, self.level_, self._grid_axes()
        )
        arrays = [approximation]
        for bands in details:
            arrays += [bands[key] for key in sorted(bands)]
        return np.concatenate([a.reshape(*a.shape[:2], -1) for a in arrays], axis=-1)

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        ends = np.cumsum([prod(band.shape) for band in self.bands_])
        parts = np.split(coefficients, ends[:-1], axis=-1)
        tree: list[Any] = [None] + [{} for _ in range(self.level_)]
        for (level, key, shape), part in zip(self.bands_, parts, strict=True):
            array = part.reshape(*part.shape[:2], *shape)
            if "d" in key:
                tree[1 + self.level_ - level][key] = array
            else:
                tree[0] = array
        signals: Any = pywt.waverecn(tree, self.wavelet_, self.mode, self._grid_axes())
        # a level of odd length comes back one longer
        return signals[(..., *(slice(n) for n in self.grid_shape_))]

    def _band_name(self, band: Band) -> str:
        """Return "db2 approximation", "db2 level 3" (1-D) or "db2 level 3 HL"."""
        if "d" not in band.key:
            return f"{self.wavelet_.name} approximation"
        name = f"{self.wavelet_.name} level {band.level}"
        if len(band.key) == 1:
            return name
        return f"{name} {band.key[::-1].replace('a', 'L').replace('d', 'H')}"

    def _coefficient_names(self) -> list[str]:
        return [
            f"{self._band_name(band)} {list(at)}"
            for band in self.bands_
            for at in np.ndindex(band.shape)
        ]

    def feature_groups(
        self,
        by: str = "natural",
        *,
        channels: str = "pool",
        sample_spacing: float | None = None,
        unit: str | None = None,
    ) -> FeatureGroups:
        """Group the coefficients by level, by level and orientation, or not at all.

        Parameters
        ----------
        by : {"natural", "level", "coefficient"}, default="natural"
            "natural": one group per band, that is per level and orientation, and one
            for the approximation. "level": the orientations of a level together.
            "coefficient": one group per coefficient (and channel, if separate).
        channels : {"pool", "separate"}, default="pool"
            Whether the channels share a group or each has its own.
        sample_spacing : float, default=None
            Distance between two neighbouring values of the signal. None: the centers
            are levels. Otherwise they are scales, ``2 ** level * sample_spacing``,
            the spacing of the coefficients of that level.
        unit : str, default=None
            Label of the scales: the unit of `sample_spacing`, such as "s".

        Returns
        -------
        FeatureGroups
            Disjoint groups from coarse to fine with names such as "db4 level 2 HL".
            The approximation counts as level ``level_ + 1``. There are no centers
            where several groups share a level.

        Raises
        ------
        ValueError
            If an option is unknown, `sample_spacing` is not positive, or `unit` is
            given without it, or is one of frequencies.

        See Also
        --------
        sktrim.FeatureGroups : What is returned; groups of one's own.

        Examples
        --------
        >>> import numpy as np
        >>> from sktrim import WaveletTransformer
        >>> wavelet = WaveletTransformer("haar", level=1, axes=(-2, -1))
        >>> wavelet.fit(np.ones((1, 8, 8))).feature_groups().names
        ['haar approximation', 'haar level 1 HL', 'haar level 1 LH', 'haar level 1 HH']
        """
        check_is_fitted(self)
        if by not in ("natural", "level", "coefficient"):
            raise ValueError(
                f"by={by!r}; expected 'natural', 'level' or 'coefficient'."
            )
        if by == "coefficient":
            each = sp.eye_array(self.n_coefficients_ // self.n_channels_)
            names = self._coefficient_names()
            return self._over_channels(each, names, channels=channels)
        names, steps = self._labels(by)
        distinct = list(dict.fromkeys(names))
        labels = np.repeat(
            [distinct.index(name) for name in names],
            [prod(band.shape) for band in self.bands_],
        )
        masks = sp.csr_array((np.ones(len(labels)), (labels, np.arange(len(labels)))))
        centers, unit = self._centers(steps, sample_spacing, unit)
        if len(centers) != len(distinct):
            centers, unit = None, None
        return self._over_channels(
            masks, distinct, channels=channels, centers=centers, unit=unit
        )

    def _labels(self, by: str) -> tuple[list[str], list[int]]:
        """Return the group each band is in, and its level, coarse to fine."""
        steps = [band.level + ("d" not in band.key) for band in self.bands_]
        names = [self._band_name(band) for band in self.bands_]
        if by == "level":
            names = [names[0]]
            names += [f"{self.wavelet_.name} level {step}" for step in steps[1:]]
        return names, steps

    def _centers(
        self, steps: list[int], sample_spacing: float | None, unit: str | None
    ) -> tuple[np.ndarray, str | None]:
        """Return the level of every step from coarse to fine, or its scale."""
        levels = np.array(sorted(set(steps), reverse=True), dtype=np.float64)
        if sample_spacing is None:
            if unit is not None:
                raise ValueError(
                    f"unit={unit!r} labels scales; pass sample_spacing too."
                )
            return levels, "level"
        if unit in ("Hz", "kHz", "multipole"):
            raise ValueError(
                f"unit={unit!r} is one of frequencies, but the centers of wavelets are "
                "scales; give the unit of sample_spacing, such as 's'."
            )
        if not isinstance(sample_spacing, Real) or not sample_spacing > 0:
            raise ValueError(
                f"sample_spacing={sample_spacing!r} must be positive, and a single "
                "number: a level has one scale."
            )
        return 2**levels * sample_spacing, unit
