"""A Gaussian likelihood of statistics over two parameters, and its contours."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CloughTocher2DInterpolator
from scipy.ndimage import binary_dilation
from scipy.optimize import minimize
from scipy.spatial import Delaunay, QhullError
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, check_is_fitted

from sktrim.exceptions import HullWarning

# points along each side of the grids that look for where a posterior ends
_COARSE = 60


@dataclass(frozen=True)
class Posterior:
    """What a likelihood leaves of two parameters, on a grid.

    Parameters
    ----------
    first : ndarray of shape (n_first,)
        Values of the first parameter at the grid's columns.
    second : ndarray of shape (n_second,)
        Values of the second one at its rows.
    density : ndarray of shape (n_second, n_first)
        Per unit of both; its integral is 1. Zero outside of the emulator's hull.
    inside : ndarray of bool of shape (n_second, n_first)
        Where the emulator is defined.
    names : tuple of str
        Of the parameters.

    See Also
    --------
    GaussianLikelihood : Makes it.
    sktrim.inspection.ContoursDisplay : Draws several.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import Posterior
    >>> x = np.linspace(-5, 5, 201)
    >>> density = np.exp(-(x**2 + x[:, None] ** 2) / 2) / (2 * np.pi)
    >>> posterior = Posterior(x, x, density, density > 0, ("a", "b"))
    >>> bool(abs(posterior.area(0.68) / (-2 * np.pi * np.log(0.32)) - 1) < 0.02)
    True
    """

    first: np.ndarray
    second: np.ndarray
    density: np.ndarray
    inside: np.ndarray
    names: tuple[str, str]

    @property
    def cell(self) -> float:
        """Area of a cell of the grid."""
        steps = (np.ptp(axis) / (axis.size - 1) for axis in (self.first, self.second))
        return float(np.prod(list(steps)))

    def level(self, probability: float) -> float:
        """Return the density at the edge of a credible region.

        Parameters
        ----------
        probability : float
            Of the region, the smallest that holds it.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If `probability` is not between 0 and 1.
        """
        if not 0 < probability < 1:
            raise ValueError(
                f"probability={probability!r}; expected one between 0 and 1."
            )
        heights = np.sort(self.density, axis=None)[::-1]
        held = heights.cumsum() * self.cell
        return float(heights[np.searchsorted(held, probability * held[-1])])

    def area(self, probability: float) -> float:
        """Return the area of a credible region.

        Parameters
        ----------
        probability : float

        Returns
        -------
        float
            In the units of both parameters.

        Warns
        -----
        HullWarning
            If the region reaches the edge of where the emulator is defined: the area is
            then a lower bound.
        """
        region = self.density >= self.level(probability)
        # a grid ends where the design does, or where there is next to nothing
        known = np.pad(self.inside, 1)
        if (binary_dilation(np.pad(region, 1)) & ~known).any():
            warnings.warn(
                f"The {100 * probability:g} % region reaches the edge of the design of "
                f"{self.names[0]} and {self.names[1]}; its area is a lower bound. Take "
                "a wider design.",
                HullWarning,
                stacklevel=2,
            )
        return float(region.sum() * self.cell)


def area_change(with_: float, without: float) -> float:
    """Return by how many per cent an area changes when something joins.

    Parameters
    ----------
    with_, without : float
        Areas.

    Returns
    -------
    float
        ``100 * (with_ / without - 1)``.

    See Also
    --------
    Posterior.area : Such areas.

    Examples
    --------
    >>> from sktrim.lensing import area_change
    >>> area_change(1.0, 4.0)
    -75.0
    """
    return 100 * (with_ / without - 1)


class GaussianLikelihood(BaseEstimator):
    r"""Likelihood of a statistic as a Gaussian whose mean depends on two parameters.

    .. math::

       \ln L(\theta) = -\tfrac 1 2 (s - m(\theta))^T \, \hat C^{-1} (s - m(\theta)),
       \qquad \hat C^{-1} = \frac{N - d - 2}{N - 1} \hat\Sigma^{-1},

    for a statistic s of d numbers. Its mean m is interpolated between the means at the
    points of a design, and the covariance :math:`\hat \Sigma` is that of N maps of a
    fiducial suite.

    Parameters
    ----------
    n_grid : int, default=200
        Points along each side of the grid of a posterior.
    parameter_names : tuple of str, default=("Omega_m", "sigma_8")

    Attributes
    ----------
    points_ : ndarray of shape (n_points, 2)
        The design.
    means_ : ndarray of shape (n_points, d)
        Means of the statistic there.
    precision_ : ndarray of shape (d, d)
        The inverse covariance, corrected.
    n_features_in_ : int
        The length d.

    See Also
    --------
    Posterior : What `posterior` returns.
    PowerSpectrum, PeakCounts, MinkowskiFunctionals : Statistics.

    Notes
    -----
    As in :footcite:t:`zorrilla2020lensing`: the covariance is fixed at the fiducial
    point and its determinant left out, and the factor makes the inverse unbiased
    (:footcite:t:`hartlap2007inverse`). Maps that trained a network must be neither in
    the means nor in the covariance of its outputs. The mean is interpolated
    piecewise by cubics (Clough and Tocher), within the hull of the design, where the
    prior is flat.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import GaussianLikelihood
    >>> rng = np.random.default_rng(0)
    >>> design = rng.uniform(-1, 1, (50, 2))
    >>> statistics = design @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 1.0]])
    >>> fiducial = 0.1 * rng.standard_normal((500, 3))
    >>> likelihood = GaussianLikelihood(n_grid=100)
    >>> _ = likelihood.fit(statistics, design, fiducial_statistics=fiducial)
    >>> posterior = likelihood.posterior(np.zeros(3))
    >>> posterior.density.shape, bool(posterior.area(0.68) < posterior.area(0.95))
    ((100, 100), True)
    """

    def __init__(self, n_grid=200, parameter_names=("Omega_m", "sigma_8")):
        self.n_grid = n_grid
        self.parameter_names = parameter_names

    def fit(self, X, y, *, fiducial_statistics):
        """Take the means of the design and the covariance of the fiducial suite.

        Parameters
        ----------
        X : array-like of shape (n_maps, d)
            Statistics of maps of the design.
        y : array-like of shape (n_maps, 2)
            Their parameters; maps with equal ones are averaged.
        fiducial_statistics : array-like of shape (n_fiducial, d)
            Statistics of independent maps of one cosmology.

        Returns
        -------
        GaussianLikelihood

        Raises
        ------
        ValueError
            If shapes do not fit, values are not finite, there are fewer fiducial maps
            than the statistic is long, a number of it never changes, or the design does
            not span an area.
        """
        X, y = check_array(X), check_array(y)
        fiducial = check_array(fiducial_statistics, input_name="fiducial_statistics")
        if len(X) != len(y) or y.shape[1] != 2 or fiducial.shape[1] != X.shape[1]:
            raise ValueError(
                f"X has shape {X.shape}, y {y.shape} and fiducial_statistics "
                f"{fiducial.shape}; expected (n, d), (n, 2) and (N, d)."
            )
        if self.n_grid < 10 or self.n_grid != int(self.n_grid):
            raise ValueError(f"n_grid={self.n_grid!r}; expected an integer from 10 up.")
        self.n_features_in_ = X.shape[1]
        self.precision_ = _precision(fiducial)
        self.points_, place = np.unique(y, axis=0, return_inverse=True)
        place = place.ravel()
        sums = np.zeros((len(self.points_), X.shape[1]))
        np.add.at(sums, place, X)
        self.means_ = sums / np.bincount(place)[:, None]
        try:
            self._hull = Delaunay(self._scaled(self.points_))
        except (QhullError, ValueError) as error:
            raise ValueError(
                f"the {len(self.points_)} points of the design span no area; take at "
                "least three that are not on a line."
            ) from error
        # how gradients are estimated depends on the size of the numbers
        self._spread = fiducial.std(axis=0)
        scaled = self.means_ / self._spread
        self._emulator = CloughTocher2DInterpolator(self._hull, scaled)
        return self

    def _scaled(self, parameters: np.ndarray) -> np.ndarray:
        low = self.points_.min(axis=0)
        width = np.ptp(self.points_, axis=0)
        return (parameters - low) / np.where(width > 0, width, 1)

    def emulate(self, parameters) -> np.ndarray:
        """Return the mean of the statistic.

        Parameters
        ----------
        parameters : array-like of shape (n, 2)

        Returns
        -------
        ndarray of shape (n, d)

        Raises
        ------
        ValueError
            If a point lies outside of the hull of the design.
        """
        check_is_fitted(self)
        asked = check_array(parameters, input_name="parameters")
        if asked.shape[1] != 2:
            raise ValueError(f"parameters has shape {asked.shape}; expected (n, 2).")
        outside = self._hull.find_simplex(self._scaled(asked)) < 0
        if outside.any():
            names = " and ".join(self.parameter_names)
            point = ", ".join(f"{value:g}" for value in asked[outside][0])
            low, high = self.points_.min(axis=0), self.points_.max(axis=0)
            raise ValueError(
                f"({point}) of {names} lies outside of the hull of the design, whose "
                f"points go from {low.round(4).tolist()} to {high.round(4).tolist()}; "
                "the emulator knows nothing there."
            )
        return self._means(asked)

    def log_likelihood(self, parameters, observed) -> np.ndarray:
        """Return the logarithm of the likelihood, up to a constant.

        Parameters
        ----------
        parameters : array-like of shape (n, 2)
        observed : array-like of shape (d,)
            The statistic that was measured.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            If a point lies outside of the hull, or `observed` does not fit.
        """
        return self._log_likelihood(self.emulate(parameters), self._observed(observed))

    def _observed(self, observed: Any) -> np.ndarray:
        check_is_fitted(self)
        s = np.asarray(observed, dtype=float)
        if s.shape != (self.n_features_in_,) or not np.isfinite(s).all():
            raise ValueError(
                f"observed has shape {s.shape}; expected ({self.n_features_in_},) "
                "finite numbers."
            )
        return s

    def _log_likelihood(self, means: np.ndarray, s: np.ndarray) -> np.ndarray:
        off = means - s
        return -0.5 * np.einsum("nd,nd->n", off @ self.precision_, off)

    def posterior(self, observed) -> Posterior:
        """Return what a measurement says of the parameters, with a flat prior.

        The grid covers what holds nearly all of the posterior.

        Parameters
        ----------
        observed : array-like of shape (d,)

        Returns
        -------
        Posterior
            Within the hull of the design.

        Raises
        ------
        ValueError
            If `observed` does not fit.
        """
        s = self._observed(observed)
        best = self._best_fit(s)
        ends = self.points_.min(axis=0), self.points_.max(axis=0)
        # from a point to a box with next to nothing at its sides
        low, high = ends
        reach = np.full((2, 2), 1e-3) * (ends[1] - ends[0])
        for _ in range(30):
            low = np.maximum(best - reach[0], ends[0])
            high = np.minimum(best + reach[1], ends[1])
            open_sides = _open_sides(self._on_grid(low, high, s, _COARSE))
            open_sides &= np.stack([low > ends[0], high < ends[1]])
            if not open_sides.any():
                break
            reach[open_sides] *= 1.5
        return self._on_grid(low, high, s, self.n_grid)

    def _best_fit(self, s: np.ndarray) -> np.ndarray:
        """Return where the likelihood is largest."""
        ends = self.points_.min(axis=0), self.points_.max(axis=0)
        coarse = self._on_grid(*ends, s, self.n_grid)
        row, column = np.unravel_index(coarse.density.argmax(), coarse.density.shape)
        start = np.array([coarse.first[column], coarse.second[row]])

        def badness(point: np.ndarray) -> float:
            means = self._means(point[None])
            if not np.isfinite(means).all():
                return np.inf
            return -float(self._log_likelihood(means, s)[0])

        width = (ends[1] - ends[0]) / self.n_grid
        simplex = start + np.array([[0, 0], [1, 0], [0, 1]]) * width / 2
        options = {"initial_simplex": simplex, "xatol": 1e-9, "fatol": 1e-6}
        found = minimize(badness, start, method="Nelder-Mead", options=options)
        return found.x if np.isfinite(found.fun) else start

    def _means(self, parameters: np.ndarray) -> np.ndarray:
        """Return emulated means, NaN outside of the hull."""
        return self._emulator(self._scaled(parameters)) * self._spread

    def _on_grid(
        self, low: np.ndarray, high: np.ndarray, s: np.ndarray, n_grid: int
    ) -> Posterior:
        first, second = np.linspace(low, high, n_grid).T
        grid = np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)
        means = self._means(grid)
        inside = np.asarray(np.isfinite(means).all(axis=1))
        logs = np.full(len(grid), -np.inf)
        logs[inside] = self._log_likelihood(means[inside], s)
        density = np.exp(logs - logs.max())
        density /= density.sum() * (first[1] - first[0]) * (second[1] - second[0])
        shape = n_grid, n_grid
        names = self.parameter_names[0], self.parameter_names[1]
        return Posterior(
            first, second, density.reshape(shape), inside.reshape(shape), names
        )


def _open_sides(found: Posterior) -> np.ndarray:
    """Tell at which sides of a grid there is something: (low, high) x parameters."""
    rows, columns = found.density.max(axis=1), found.density.max(axis=0)
    ends = np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]])
    return ends > 1e-5 * found.density.max()


def _precision(fiducial: np.ndarray) -> np.ndarray:
    """Invert the covariance of the fiducial maps, without bias."""
    n, d = fiducial.shape
    if n < d + 3:
        raise ValueError(
            f"{n} fiducial maps for a statistic of {d} numbers; their covariance has "
            f"no inverse. Take at least {d + 3}, better ten times as many as numbers."
        )
    spread = fiducial.std(axis=0)
    fixed = np.flatnonzero(spread <= 1e-12 * np.abs(fiducial).max(axis=0))
    if fixed.size:
        raise ValueError(
            f"{fixed.size} numbers of the statistic are the same in all fiducial maps, "
            f"the first at {fixed[0]}; leave them out, or take wider bins."
        )
    # of numbers of one size, so that none is lost in rounding
    scaled = (fiducial - fiducial.mean(axis=0)) / spread
    covariance = scaled.T @ scaled / (n - 1)
    if np.linalg.matrix_rank(covariance, hermitian=True) < d:
        raise ValueError(
            f"the {d} numbers of the statistic depend on each other linearly in the "
            "fiducial maps, so that their covariance has no inverse; leave some out."
        )
    inverse = np.linalg.inv(covariance) / np.outer(spread, spread)
    return (n - d - 2) / (n - 1) * inverse
