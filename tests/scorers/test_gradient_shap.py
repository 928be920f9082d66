"""GradientSHAP against its definition, against captum and against the integral."""

import captum.attr
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from sktrim import transform_importance
from sktrim.scorers import CaptumScorer, ExpectedGradients, GradientShap
from tests.nets import mlp


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((7, 12))


GROUPS = np.repeat(np.arange(4), 3)


def drawn_shares(random_state, n_points):
    seed = int(np.random.RandomState(random_state).randint(2**31 - 1))
    return np.random.default_rng(seed).random(n_points)


def by_definition(X, rows, n_points):
    """Scores of coefficients at each point, (n_points, n_samples, n_coefficients)."""
    found = []
    for index, share in enumerate(drawn_shares(3, n_points)):
        row = rows[index % len(rows)]
        point = row + share * (X - row)
        gradient = transform_importance(mlp(), point, scorer="gradient", target=2)
        found.append(gradient.values * (X - row))
    return np.stack(found)


@pytest.mark.parametrize("n_rows", [1, 3, 9])
@pytest.mark.parametrize("absolute", [False, True])
def test_scores_are_those_at_the_drawn_points(X, n_rows, absolute):
    rows = np.random.default_rng(1).standard_normal((n_rows, 12))
    each = by_definition(X, rows, 5).reshape(5, 7, 4, 3).sum(-1)
    each = np.abs(each) if absolute else each
    found = transform_importance(
        mlp(),
        X,
        scorer=GradientShap(n_points=5, absolute=absolute),
        groups=GROUPS,
        background=rows,
        target=2,
        random_state=3,
    )
    np.testing.assert_allclose(found.values, each.mean(0), atol=1e-12)
    np.testing.assert_allclose(
        found.std_errors, each.std(0, ddof=1) / 5**0.5, atol=1e-12
    )


def test_more_points_tend_to_the_integral(X):
    options = {"background": X[:4], "target": 1, "random_state": 0}
    sampled = transform_importance(mlp(), X, scorer=GradientShap(4000), **options)
    exact = transform_importance(
        mlp(), X, scorer=ExpectedGradients(n_rows=4, n_steps=64), **options
    )
    off = np.abs(sampled.values - exact.values)
    assert (off <= 5 * sampled.std_errors + 1e-12).all()
    assert off.max() < 0.1 * np.abs(exact.values).max()
    np.testing.assert_allclose(sampled.base_values, exact.base_values, atol=1e-12)
    assert np.abs(sampled.completeness_error).max() > 0


def test_captum_means_the_same(X):
    options = {"target": 1, "random_state": 0}
    ours = transform_importance(
        mlp(), X, scorer=GradientShap(2000, baseline="zero"), **options
    )
    theirs = transform_importance(
        mlp(),
        X,
        scorer=CaptumScorer(captum.attr.GradientShap, n_samples=2000, stdevs=0.0),
        **options,
    )
    off = np.abs(ours.values - theirs.values)
    assert (off <= 7 * ours.std_errors + 1e-12).all()


def test_one_point_has_no_standard_error(X):
    found = transform_importance(mlp(), X, scorer=GradientShap(1, "zero"))
    assert found.std_errors is None


def test_the_mean_baseline_is_the_mean_of_the_background(X):
    options = {"background": X, "random_state": 2}
    ours = transform_importance(mlp(), X, scorer=GradientShap(6, "mean"), **options)
    theirs = transform_importance(
        mlp(), X, scorer=GradientShap(6, X.mean(0)), **options
    )
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-12)


def test_chunks_share_what_is_drawn(X, monkeypatch):
    pca = PCA(5).fit(X)
    options = {"transformer": pca, "background": X, "random_state": 1}
    whole = transform_importance(mlp(), X, scorer="gradient_shap", **options)
    monkeypatch.setattr("sktrim._memory.CACHE_BYTES", 2**10)
    parts = transform_importance(mlp(), X, scorer="gradient_shap", **options)
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-12)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (GradientShap(n_points=0), "n_points=0"),
        (GradientShap(baseline="median"), "baseline='median'"),
        (GradientShap(), "background"),
    ],
)
def test_wrong_parameters_are_named(X, scorer, message):
    background = X if scorer.n_points == 0 else None
    with pytest.raises(ValueError, match=message), torch.no_grad():
        transform_importance(mlp(), X, scorer=scorer, background=background)
