"""Contours of Gaussian problems have the areas of closed forms."""

import numpy as np
import pytest

from sktrim.exceptions import HullWarning
from sktrim.lensing import GaussianLikelihood, Posterior, area_change

SLOPES = np.array([[1.0, 0.5, 0.0], [0.2, 1.0, 1.0]])
COVARIANCE = 1e-3 * np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.5]])


def _design(n=60, seed=0):
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1.0]])
    inside = np.random.default_rng(seed).uniform(-1, 1, (n, 2))
    return np.concatenate([corners, inside])


def _fiducial(n=4000, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(3), COVARIANCE, n)


def _fitted(n_fiducial=4000, **options):
    design = _design()
    return GaussianLikelihood(**options).fit(
        design @ SLOPES, design, fiducial_statistics=_fiducial(n_fiducial)
    )


@pytest.mark.parametrize("probability", [0.68, 0.95])
def test_areas_of_a_linear_problem_are_those_of_ellipses(probability):
    likelihood = _fitted()
    posterior = likelihood.posterior(np.array([0.05, -0.02, 0.01]))
    # an ellipse, with the precision that was estimated
    information = SLOPES @ likelihood.precision_ @ SLOPES.T
    expected = (
        -2 * np.pi * np.log(1 - probability) / np.sqrt(np.linalg.det(information))
    )
    np.testing.assert_allclose(posterior.area(probability), expected, rtol=0.01)


@pytest.mark.parametrize("n_grid", [200, 400])
@pytest.mark.parametrize("width", [1e-1, 1e-2, 1e-3])
def test_narrow_slanted_regions_are_not_cut(n_grid, width):
    # along (1, -.95), wide; across, a hundredth of that
    along, across = np.array([1, -0.95]), np.array([0.95, 1])
    slopes = np.stack([along, 100 * across], axis=1) / np.hypot(1, 0.95)
    design = _design(30)
    fiducial = width * np.random.default_rng(0).standard_normal((5000, 2))
    likelihood = GaussianLikelihood(n_grid).fit(
        design @ slopes, design, fiducial_statistics=fiducial
    )
    observed = np.array([0.1, -0.15]) @ slopes
    information = slopes @ likelihood.precision_ @ slopes.T
    expected = -2 * np.pi * np.log(0.05) / np.sqrt(np.linalg.det(information))
    found = likelihood.posterior(observed).area(0.95)
    np.testing.assert_allclose(found, expected, rtol=0.05 if n_grid == 200 else 0.02)


def test_the_posterior_is_a_density_around_the_best_fit():
    truth = np.array([0.3, -0.2])
    posterior = _fitted(n_grid=150).posterior(truth @ SLOPES)
    np.testing.assert_allclose(posterior.density.sum() * posterior.cell, 1)
    first = (posterior.density.sum(axis=0) * posterior.first).sum() * posterior.cell
    second = (posterior.density.sum(axis=1) * posterior.second).sum() * posterior.cell
    np.testing.assert_allclose([first, second], truth, atol=0.005)
    assert posterior.names == ("Omega_m", "sigma_8")


def test_the_precision_is_without_bias():
    # the mean over many small suites
    suites = [_fiducial(12, seed) for seed in range(3000)]
    design = _design(4)
    found = [
        GaussianLikelihood()
        .fit(design @ SLOPES, design, fiducial_statistics=suite)
        .precision_
        for suite in suites
    ]
    expected = np.linalg.inv(COVARIANCE)
    np.testing.assert_allclose(
        np.mean(found, axis=0), expected, atol=0.06 * np.abs(expected).max()
    )


def test_three_splits_of_the_fiducial_suite_give_the_same_contours():
    design, fiducial = _design(), _fiducial(6000)
    areas = [
        GaussianLikelihood()
        .fit(design @ SLOPES, design, fiducial_statistics=fiducial[at::3])
        .posterior(np.zeros(3))
        .area(0.68)
        for at in range(3)
    ]
    # an area is the root of a determinant that 2000 maps know to 3 %
    assert np.ptp(areas) / np.mean(areas) < 0.08


def test_maps_of_one_point_are_averaged():
    design = _design()
    noise = np.random.default_rng(1).standard_normal((len(design), 3))
    both = np.concatenate([design @ SLOPES + noise, design @ SLOPES - noise])
    likelihood = GaussianLikelihood().fit(
        both, np.concatenate([design, design]), fiducial_statistics=_fiducial()
    )
    expected = likelihood.points_ @ SLOPES
    np.testing.assert_allclose(likelihood.means_, expected, atol=1e-12)
    np.testing.assert_allclose(
        likelihood.emulate([[0.1, 0.2]])[0], [0.1, 0.2] @ SLOPES, atol=1e-3
    )


def test_the_likelihood_is_its_formula():
    likelihood = _fitted()
    point, observed = np.array([[0.2, 0.1]]), np.array([0.1, 0.0, 0.3])
    off = likelihood.emulate(point)[0] - observed
    expected = -0.5 * off @ likelihood.precision_ @ off
    np.testing.assert_allclose(likelihood.log_likelihood(point, observed), [expected])


def test_scales_of_numbers_do_not_matter():
    design, scales = _design(), np.array([1e-12, 1.0, 1e9])
    posteriors = [
        GaussianLikelihood(n_grid=80)
        .fit(design @ SLOPES * s, design, fiducial_statistics=_fiducial() * s)
        .posterior(np.zeros(3))
        for s in (np.ones(3), scales)
    ]
    np.testing.assert_allclose(posteriors[0].density, posteriors[1].density, rtol=1e-5)


def test_more_information_makes_smaller_areas():
    design = _design()
    areas = []
    for columns in ([0, 1], [0, 1, 2]):
        fitted = GaussianLikelihood().fit(
            (design @ SLOPES)[:, columns],
            design,
            fiducial_statistics=_fiducial()[:, columns],
        )
        areas.append(fitted.posterior(np.zeros(len(columns))).area(0.68))
    assert area_change(areas[1], areas[0]) < -10


def test_points_outside_of_the_hull_are_refused():
    likelihood = _fitted()
    with pytest.raises(ValueError, match=r"\(0, 3\) of Omega_m and sigma_8 lies outs"):
        likelihood.log_likelihood([[0, 0], [0, 3]], np.zeros(3))


def test_regions_that_reach_the_edge_of_the_design_warn():
    posterior = _fitted().posterior(np.array([1.0, 0.98]) @ SLOPES)
    with pytest.warns(HullWarning, match="lower bound"):
        posterior.area(0.95)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fiducial": _fiducial(5)}, "5 fiducial maps for a statistic of 3"),
        ({"fiducial": _fiducial()[:, :2]}, "expected"),
        ({"fiducial": _fiducial() * [1, 0, 1]}, "1 numbers .* the first at 1"),
        ({"fiducial": _fiducial()[:, [0, 1, 1]]}, "depend on each other"),
        ({"fiducial": np.full((100, 3), np.nan)}, "NaN"),
        ({"design": _design() * [1, 0]}, "span no area"),
        ({"design": _design()[:, :1]}, "expected"),
    ],
)
def test_suites_that_do_not_fit_are_refused(changed, message):
    design = changed.get("design", _design())
    fiducial = changed.get("fiducial", _fiducial())
    with pytest.raises(ValueError, match=message):
        GaussianLikelihood().fit(
            _design() @ SLOPES, design, fiducial_statistics=fiducial
        )


def test_a_grid_of_one_point_is_refused():
    with pytest.raises(ValueError, match="n_grid=1"):
        _fitted(n_grid=1)


@pytest.mark.parametrize("observed", [np.zeros(2), np.full(3, np.nan)])
def test_measurements_that_do_not_fit_are_refused(observed):
    with pytest.raises(ValueError, match="observed"):
        _fitted(n_grid=10).posterior(observed)


@pytest.mark.parametrize("probability", [0, 1, 68])
def test_probabilities_are_between_0_and_1(probability):
    x = np.linspace(-1, 1, 5)
    flat = Posterior(x, x, np.ones((5, 5)), np.ones((5, 5), bool), ("a", "b"))
    with pytest.raises(ValueError, match="probability"):
        flat.area(probability)
