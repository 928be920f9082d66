"""Projections, variation, blur, jitter and consensus equal their naive forms."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq

from sktrim.stimuli import ActivationMaximizer
from sktrim.stimuli._ascent import agreed, soft_minimum
from sktrim.stimuli._similarity import correlations, mean_correlation
from sktrim.stimuli._steps import (
    blurred,
    draw_shifts,
    project_ball,
    rolled,
    spatial_axes,
    steepest,
    total_variation,
)

SEEDS = pytest.mark.parametrize("seed", range(3))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def nearest(x, p, radius):
    """The nearest point of the ball, one row."""
    if np.linalg.norm(x, p) <= radius:
        return x
    if p == 2:
        return radius * x / np.sqrt(sum(v * v for v in x))
    if p == np.inf:
        return np.array([max(-radius, min(radius, v)) for v in x])

    def shrunk(t):
        return np.array([np.sign(v) * max(abs(v) - t, 0) for v in x])

    t = brentq(lambda t: np.abs(shrunk(t)).sum() - radius, 0, np.abs(x).max())
    return shrunk(t)


@SEEDS
@pytest.mark.parametrize("p", [1, 2, np.inf])
def test_a_projection_is_the_nearest_point(p, seed):
    x = normal(6, 3, 5, seed=seed) * np.array([0.01, 0.1, 1, 1, 5, 0]).reshape(6, 1, 1)
    for radius in (0.5, 2.0):
        got = project_ball(torch.tensor(x), p, radius).numpy().reshape(6, -1)
        naive = [nearest(row.ravel(), p, radius) for row in x]
        np.testing.assert_allclose(got, naive, atol=1e-9)


@SEEDS
@pytest.mark.parametrize("p", [1, 2, np.inf])
def test_the_steepest_direction_gains_the_dual_norm(p, seed):
    g = normal(4, 7, seed=seed)
    d = steepest(torch.tensor(g), p).numpy()
    dual = {1: np.inf, 2: 2, np.inf: 1}[p]
    np.testing.assert_allclose((g * d).sum(1), np.linalg.norm(g, dual, axis=1))
    np.testing.assert_allclose(np.linalg.norm(d, p, axis=1), 1)
    assert not steepest(torch.zeros(2, 3), p).any()


@SEEDS
def test_variation_equals_its_loops(seed):
    x = normal(2, 3, 4, 5, seed=seed)
    naive = {"isotropic": [], "global": [], "anisotropic": []}
    for image in x:
        terms, squares, sizes = 0.0, 0.0, 0.0
        for c in range(3):
            for i in range(4):
                for j in range(5):
                    dy = image[c, i + 1, j] - image[c, i, j] if i < 3 else 0
                    dx = image[c, i, j + 1] - image[c, i, j] if j < 4 else 0
                    terms += np.sqrt(dx**2 + dy**2)
                    squares += dx**2 + dy**2
                    sizes += abs(dx) + abs(dy)
        naive["isotropic"].append(terms)
        naive["global"].append(np.sqrt(squares))
        naive["anisotropic"].append(sizes)
    for form, values in naive.items():
        got = total_variation(torch.tensor(x), (-2, -1), form)
        np.testing.assert_allclose(got, values)


def test_the_slope_of_variation_is_finite_where_nothing_varies():
    for form in ("isotropic", "global", "anisotropic"):
        x = torch.ones(1, 1, 4, 4, requires_grad=True)
        total_variation(x, (-2, -1), form).sum().backward()
        assert not x.grad.any()


@SEEDS
def test_a_blur_is_that_of_scipy(seed):
    x = normal(2, 3, 9, 8, seed=seed)
    got = blurred(torch.tensor(x), 1.3, (-2, -1)).numpy()
    naive = [[gaussian_filter(c, 1.3, mode="nearest") for c in image] for image in x]
    np.testing.assert_allclose(got, naive)


def test_a_blur_comes_before_the_projection():
    net = torch.nn.Linear(8, 1, bias=False).double()
    w = net.weight.detach().numpy()[0]
    settings = {"radius": 1.0, "lr": 0.4, "random_state": 0, "n_steps": 1}
    X = normal(5, 8)
    start = ActivationMaximizer(0, **{**settings, "n_steps": 0}).maximize(net, X)
    found = ActivationMaximizer(0, blur=0.8, **settings).maximize(net, X)
    moved = start.images[0] + 0.4 * w / np.linalg.norm(w)
    naive = gaussian_filter(nearest(moved, 2, 1.0), 0.8, mode="nearest")
    np.testing.assert_allclose(found.images[0], nearest(naive, 2, 1.0), atol=1e-12)


def test_jitter_rolls_and_its_slope_rolls_back():
    generators = [torch.Generator().manual_seed(k) for k in (3, 4)]
    shifts = draw_shifts(generators, 2, 2)
    assert np.abs(shifts).max() <= 2
    values = normal(2, 1, 5, 6)
    x = torch.tensor(values, requires_grad=True)
    seen = rolled(x, shifts, (-2, -1))
    naive = np.zeros(seen.shape)
    for k, (dy, dx) in enumerate(shifts):
        for i in range(5):
            for j in range(6):
                naive[k, 0, (i + dy) % 5, (j + dx) % 6] = values[k, 0, i, j]
    np.testing.assert_array_equal(seen.detach(), naive)
    w = torch.tensor(normal(1, 5, 6, seed=1))
    (slope,) = torch.autograd.grad((seen * w).sum(), x)
    back = rolled(w.expand(2, 1, 5, 6), [[-a, -b] for a, b in shifts], (-2, -1))
    torch.testing.assert_close(slope, back)


def test_jitter_of_every_shift_is_drawn():
    drawn = {
        draw_shifts([torch.Generator().manual_seed(k)], 1, 1)[0][0] for k in range(40)
    }
    assert drawn == {-1, 0, 1}


@SEEDS
def test_what_gradients_agree_on_equals_its_loop(seed):
    g = normal(3, 2, 9, seed=seed)
    g[0, 0, 0] = 0
    naive = np.zeros((2, 9))
    for place in np.ndindex(2, 9):
        values = [one[place] for one in g]
        if all(v > 0 for v in values) or all(v < 0 for v in values):
            naive[place] = np.sign(values[0]) * min(map(abs, values))
    got = agreed([torch.tensor(one) for one in g])
    np.testing.assert_array_equal(got, naive)
    torch.testing.assert_close(agreed([torch.tensor(g[1])]), torch.tensor(g[1]))


def test_a_soft_minimum_lies_between_minimum_and_mean():
    f = [torch.tensor(row) for row in normal(3, 5)]
    stacked = torch.stack(f)
    cold, hot = soft_minimum(f, 1e-4), soft_minimum(f, 1e4)
    torch.testing.assert_close(cold, stacked.amin(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(hot, stacked.mean(0), atol=1e-3, rtol=0)


@SEEDS
def test_the_best_shift_equals_trying_all(seed):
    a, b = normal(2, 1, 4, 5, seed=seed), normal(3, 1, 4, 5, seed=seed + 5)
    naive = np.empty((2, 3))
    for i, j in np.ndindex(2, 3):
        naive[i, j] = max(
            np.corrcoef(a[i].ravel(), np.roll(b[j], s, (-2, -1)).ravel())[0, 1]
            for s in np.ndindex(4, 5)
        )
    np.testing.assert_allclose(correlations(a, b, (-2, -1)), naive, atol=1e-12)
    plain = [[np.corrcoef(p.ravel(), q.ravel())[0, 1] for q in b] for p in a]
    np.testing.assert_allclose(correlations(a, b), plain)


def test_a_picture_and_its_shift_are_alike_at_the_best_shift_alone():
    a = normal(1, 6, 6)
    both = np.concatenate([a, np.roll(a, (2, 3), (-2, -1))])
    assert mean_correlation(both, (-2, -1)) == pytest.approx(1)
    assert mean_correlation(both) < 0.6
    assert np.isnan(mean_correlation(a))


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((1, 8, 8), None, (-2, -1)),
        ((8,), None, (-1,)),
        ((1, 8), None, (-1,)),
        ((3, 8), -1, (-1,)),
        ((3, 8, 8), (1, 2), (-2, -1)),
    ],
)
def test_neighbours_lie_along_the_last_axes(shape, axes, expected):
    assert spatial_axes(shape, axes) == expected
