"""Classical statistics of maps, as scikit-learn transformers."""

from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sktrim.lensing._maps import ARCMIN, analyse, multipole_grid, real_modes, synthesise
from sktrim.lensing._validation import check_maps, check_pixel


class MapStatistic(TransformerMixin, BaseEstimator):
    """Base of statistics that turn each map into a row of numbers."""

    centers_: np.ndarray
    n_pixels_: int

    def fit(self, X, y=None):
        """Check the maps and the bins; nothing is learned from the maps.

        Parameters
        ----------
        X : array-like of shape (n_maps, n_pixels, n_pixels) or (n_maps, 1, ...)
        y : ignored

        Returns
        -------
        MapStatistic

        Raises
        ------
        ValueError
            If maps are not square or hold NaN, or an argument does not fit.
        """
        self.n_pixels_ = check_maps(X, "X").shape[-1]
        self._plan()
        return self

    def transform(self, X) -> np.ndarray:
        """Measure maps.

        Parameters
        ----------
        X : array-like of shape (n_maps, n_pixels, n_pixels) or (n_maps, 1, ...)

        Returns
        -------
        ndarray of shape (n_maps, n_bins)

        Raises
        ------
        ValueError
            If maps are not square, hold NaN or have another size than in fit.
        """
        check_is_fitted(self)
        maps = check_maps(X, "X")
        if maps.shape[-1] != self.n_pixels_:
            raise ValueError(
                f"X has maps of {maps.shape[-1]} pixels to a side; those in fit had "
                f"{self.n_pixels_}."
            )
        return np.stack([self._measure(field.astype(float)) for field in maps])

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the names of the bins.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        return np.array(self._names(), dtype=object)

    def _plan(self) -> None:
        """Check arguments and set what depends on the size of the maps."""
        raise NotImplementedError

    def _measure(self, field: np.ndarray) -> np.ndarray:
        """Return the statistic of one map."""
        raise NotImplementedError

    def _names(self) -> list[str]:
        raise NotImplementedError


class PowerSpectrum(MapStatistic):
    r"""Power spectrum of maps in bins of multipole.

    .. math:: C_B = \frac{A_\mathrm{pix}}{N_\mathrm{pix}}
       \frac{1}{|B|} \sum_{k \in B} |\hat \kappa_k|^2,

    over the modes k of the map in the bin B, :math:`\hat \kappa` the discrete Fourier
    transform without a factor: white noise of variance :math:`\sigma^2` has
    :math:`\sigma^2 A_\mathrm{pix}` everywhere.

    Parameters
    ----------
    pixel_arcmin : float
        Side of a pixel, in arcmin.
    n_bins : int, default=20
    ell_min, ell_max : float, default=100, 15000
        Multipoles at the ends of the bins, which are equally wide in their logarithm.

    Attributes
    ----------
    edges_ : ndarray of shape (n_bins + 1,)
        Multipoles.
    centers_ : ndarray of shape (n_bins,)
        Geometric middles of the bins.
    n_modes_ : ndarray of int of shape (n_bins,)
        Independent real modes in each bin.
    unit_ : str
        Of the power: "sr".
    n_pixels_ : int

    See Also
    --------
    convergence_spectra : What theory says.

    Notes
    -----
    The bins of :footcite:t:`zorrilla2020lensing`. Maps are taken as they are: neither
    the window of their pixels nor that of their edges is divided out.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import PowerSpectrum
    >>> maps = np.random.default_rng(0).standard_normal((3, 256, 256))
    >>> spectrum = PowerSpectrum(pixel_arcmin=0.8).fit(maps)
    >>> spectrum.transform(maps).shape, spectrum.get_feature_names_out()[0]
    ((3, 20), 'C_l, 100 to 128.5')
    """

    unit_ = "sr"

    def __init__(self, pixel_arcmin, n_bins=20, ell_min=100.0, ell_max=15_000.0):
        self.pixel_arcmin = pixel_arcmin
        self.n_bins = n_bins
        self.ell_min = ell_min
        self.ell_max = ell_max

    def _plan(self) -> None:
        step = check_pixel(self.pixel_arcmin)
        check_n_bins(self.n_bins)
        if not 0 < self.ell_min < self.ell_max < np.inf:
            raise ValueError(
                f"ell_min={self.ell_min!r} and ell_max={self.ell_max!r}; expected "
                "positive multipoles, the first below the second."
            )
        self.edges_ = np.geomspace(self.ell_min, self.ell_max, self.n_bins + 1)
        self.centers_ = np.sqrt(self.edges_[1:] * self.edges_[:-1])
        *_, lengths = multipole_grid(self.n_pixels_, step)
        # the last bin is closed; what lies outside goes to bins that are cut off
        at = np.searchsorted(self.edges_, lengths, side="right")
        at[lengths == self.edges_[-1]] = self.n_bins
        self._bins = at.ravel()
        self._modes = real_modes(self.n_pixels_).ravel()
        self.n_modes_ = self._sums(self._modes).astype(int)
        self._check_filled()

    def _sums(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._bins, values, self.n_bins + 2)[1:-1]

    def _check_filled(self) -> None:
        empty = np.flatnonzero(self.n_modes_ == 0)
        if empty.size:
            step = self.pixel_arcmin * ARCMIN
            named = ", ".join(self._names()[i].removeprefix("C_l, ") for i in empty[:5])
            raise ValueError(
                f"{empty.size} of {self.n_bins} bins of multipole hold no mode of a "
                f"map with {self.n_pixels_} pixels of {self.pixel_arcmin} arcmin: "
                f"{named}. Along each axis it has multiples of "
                f"{2 * np.pi / (self.n_pixels_ * step):.4g} up to {np.pi / step:.5g}. "
                "Take larger maps, fewer bins or other ends."
            )

    def _measure(self, field: np.ndarray) -> np.ndarray:
        power = np.abs(analyse(field)).ravel() ** 2 * self._modes
        scale = self.pixel_arcmin * ARCMIN / self.n_pixels_
        return self._sums(power) / self.n_modes_ * scale**2

    def _names(self) -> list[str]:
        return [f"C_l, {low:.4g} to {high:.4g}" for low, high in pairwise(self.edges_)]


class _ByConvergence(MapStatistic):
    """Base of statistics in equal bins of convergence."""

    n_bins: int
    low: float
    high: float

    def _plan(self) -> None:
        check_n_bins(self.n_bins)
        if not -np.inf < self.low < self.high < np.inf:
            raise ValueError(
                f"low={self.low!r} and high={self.high!r}; expected convergences, the "
                "first below the second."
            )
        self.edges_ = np.linspace(self.low, self.high, self.n_bins + 1)
        self.centers_ = (self.edges_[1:] + self.edges_[:-1]) / 2


class PeakCounts(_ByConvergence):
    """Numbers of peaks in bins of their height.

    A peak is a pixel that is higher than its eight neighbours.

    Parameters
    ----------
    n_bins : int, default=20
    low, high : float, default=-0.0235, 0.0704
        Convergence at the ends of the equal bins [low, high), the last one closed.
        These are -2 and 6 standard deviations of maps of the fiducial cosmology without
        noise, smoothed by 1 arcmin; with the noise of 30 galaxies per square arcmin
        -0.05 and 0.10 are -2.7 and 5.3.
    periodic : bool, default=False
        Whether maps repeat at their edges, as simulated ones do. Otherwise pixels at
        the edges are no peaks.

    Attributes
    ----------
    edges_, centers_ : ndarray
        Convergence.
    unit_ : str
        Of the counts: "peaks".
    n_pixels_ : int

    See Also
    --------
    MinkowskiFunctionals : Areas, lengths and curvatures.

    Notes
    -----
    The bins of :footcite:t:`zorrilla2020lensing`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import PeakCounts
    >>> maps = np.zeros((1, 5, 5))
    >>> maps[0, 2, 2] = 0.05
    >>> PeakCounts(n_bins=4, low=0.0, high=0.1).fit_transform(maps)
    array([[0., 0., 1., 0.]])
    """

    unit_ = "peaks"

    def __init__(self, n_bins=20, low=-0.0235, high=0.0704, periodic=False):
        self.n_bins = n_bins
        self.low = low
        self.high = high
        self.periodic = periodic

    def _measure(self, field: np.ndarray) -> np.ndarray:
        if self.periodic:
            field = np.pad(field, 1, mode="wrap")
        middle = field[1:-1, 1:-1]
        peak = np.ones(middle.shape, dtype=bool)
        steps = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
        rows, columns = middle.shape
        for i, j in steps:
            peak &= middle > field[i : i + rows, j : j + columns]
        return np.histogram(middle[peak], self.edges_)[0].astype(float)

    def _names(self) -> list[str]:
        return [
            f"peaks, {low:.4g} to {high:.4g}" for low, high in pairwise(self.edges_)
        ]


class MinkowskiFunctionals(_ByConvergence):
    r"""Area, boundary and curvature of where maps exceed a threshold.

    .. math::

       V_0(\nu) = \langle \Theta(\kappa - \nu) \rangle, \quad
       V_1(\nu) = \tfrac 1 4 \langle \delta(\kappa - \nu) |\nabla \kappa| \rangle, \quad
       V_2(\nu) = \tfrac 1 {2 \pi} \Bigl\langle \delta(\kappa - \nu)
       \frac{2 \kappa_x \kappa_y \kappa_{xy} - \kappa_x^2 \kappa_{yy}
       - \kappa_y^2 \kappa_{xx}}{|\nabla \kappa|^2} \Bigr\rangle,

    averaged over pixels, with :math:`\delta` as 1 over the width of a bin inside of it.

    Parameters
    ----------
    functionals : tuple of {"V0", "V1", "V2"}, default=("V0", "V1", "V2")
        Which ones, in that order.
    n_bins : int, default=20
        Thresholds, at the middles of equal bins.
    low, high : float, default=-0.0235, 0.0704
        Convergence at the ends of the bins; see `PeakCounts`.
    pixel_arcmin : float, default=1.0
        Side of a pixel: V1 is per arcmin, and V2 per square arcmin.
    periodic : bool, default=False
        Whether maps repeat at their edges, as simulated ones do. Derivatives are then
        those of the Fourier series, otherwise finite differences, which underestimate
        structures of few pixels.

    Attributes
    ----------
    edges_, centers_ : ndarray
        Convergence; one bin for each threshold.
    unit_ : tuple of str
        Of each functional.
    n_pixels_ : int

    See Also
    --------
    PeakCounts : Numbers of peaks.

    Notes
    -----
    In the normalisation of :footcite:t:`zorrilla2020lensing`: of a Gaussian field with
    the variances :math:`s_0^2` and :math:`s_1^2` of values and gradients, at
    :math:`n = \nu / s_0`,

    .. math::

       V_0 = \tfrac 1 2 \mathrm{erfc} \tfrac{n}{\sqrt 2}, \quad
       V_1 = \frac{s_1}{8 \sqrt 2 s_0} e^{-n^2 / 2}, \quad
       V_2 = \frac{n s_1^2}{2 (2 \pi)^{3/2} s_0^2} e^{-n^2 / 2}.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import MinkowskiFunctionals
    >>> maps = np.random.default_rng(0).standard_normal((2, 64, 64))
    >>> found = MinkowskiFunctionals(n_bins=3, low=-1.5, high=1.5).fit_transform(maps)
    >>> found.shape, bool(found[0, 0] > found[0, 1] > found[0, 2])
    ((2, 9), True)
    """

    def __init__(
        self,
        functionals=("V0", "V1", "V2"),
        n_bins=20,
        low=-0.0235,
        high=0.0704,
        pixel_arcmin=1.0,
        periodic=False,
    ):
        self.functionals = functionals
        self.n_bins = n_bins
        self.low = low
        self.high = high
        self.pixel_arcmin = pixel_arcmin
        self.periodic = periodic

    _UNITS = {"V0": "", "V1": "1/arcmin", "V2": "1/arcmin^2"}  # noqa: RUF012

    def _plan(self) -> None:
        super()._plan()
        step = check_pixel(self.pixel_arcmin)
        asked = tuple(self.functionals)
        unknown = [name for name in asked if name not in self._UNITS]
        if unknown or not asked or len(set(asked)) < len(asked):
            raise ValueError(
                f"functionals={self.functionals!r}; expected some of "
                f"{(*self._UNITS,)}, each once."
            )
        self.unit_ = tuple(self._UNITS[name] for name in asked)
        if self.periodic:
            rows, columns, _ = multipole_grid(self.n_pixels_, step)
            # per arcmin
            self._waves = rows * ARCMIN, columns * ARCMIN

    def _measure(self, field: np.ndarray) -> np.ndarray:
        width = (self.high - self.low) / self.n_bins
        halves = np.floor((field - self.low) / (width / 2))
        # below all bins, the two halves of each, and above
        halves = np.clip(halves, -1, 2 * self.n_bins).astype(int) + 1
        found = {}
        if "V0" in self.functionals:
            counts = np.bincount(halves.ravel(), minlength=2 * self.n_bins + 2)
            above = counts[::-1].cumsum()[::-1]
            found["V0"] = above[2:-1:2] / field.size
        if set(self.functionals) - {"V0"}:
            bins = (halves + 1) // 2
            scale = 1 / (field.size * width)
            for name, density in self._densities(field):
                sums = np.bincount(bins.ravel(), density.ravel(), self.n_bins + 2)
                found[name] = sums[1:-1] * scale
        return np.concatenate([found[name] for name in self.functionals])

    def _densities(self, field: np.ndarray):
        """Yield what V1 and V2 average over the pixels of a bin."""
        x, y, xx, xy, yy = self._derivatives(field)
        squares = x**2 + y**2
        if "V1" in self.functionals:
            yield "V1", np.sqrt(squares) / 4
        if "V2" in self.functionals:
            curvature = 2 * x * y * xy - x**2 * yy - y**2 * xx
            # flat places have no curvature
            flat = squares == 0
            curvature = np.where(flat, 0, curvature) / np.where(flat, 1, squares)
            yield "V2", curvature / (2 * np.pi)

    def _derivatives(self, field: np.ndarray) -> list[np.ndarray]:
        """Return the derivatives x, y, xx, xy and yy, per arcmin."""
        if not self.periodic:
            x, y = np.gradient(field, self.pixel_arcmin)
            xx, xy = np.gradient(x, self.pixel_arcmin)
            return [x, y, xx, xy, np.gradient(y, self.pixel_arcmin, axis=1)]
        half, (a, b) = analyse(field), self._waves
        factors = (1j * a, 1j * b, -(a**2), -a * b, -(b**2))
        spectra = np.stack([half * factor for factor in factors])
        return list(synthesise(spectra, field.shape))

    def _names(self) -> list[str]:
        return [
            f"{name} at {c:.4g}" for name in self.functionals for c in self.centers_
        ]


def check_n_bins(n_bins: Any) -> None:
    """Refuse what is no number of bins."""
    if isinstance(n_bins, bool) or n_bins != int(n_bins) or n_bins < 1:
        raise ValueError(f"n_bins={n_bins!r}; expected a positive integer.")
