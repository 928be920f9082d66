"""Scores of explanations have the values that small networks make plain."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV

from sktrim import FourierTransformer, TransformImportance
from sktrim.evaluation import (
    completeness_score,
    explanation_scores,
    faithfulness_score,
    localisation_score,
    marginal_changes,
    neg_sufficient_fraction,
    sparsity_score,
    sufficient_fraction,
)
from sktrim.explanation import Explanation
from sktrim.scorers import IntegratedGradients, Occlusion
from tests.nets import linear_net, mlp


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((60, 8))


def scored(values):
    values = np.atleast_2d(np.asarray(values, dtype=float))
    return Explanation(values, [str(i) for i in range(values.shape[1])])


def test_sparsity_of_known_scores(X):
    def sparsity(values):
        return sparsity_score(None, None, explanation=scored(values))

    assert sparsity([0, 0, -5, 0]) == 1
    assert sparsity([2, -2, 2, 2]) == 0
    assert sparsity([0, 0, 0]) == 0
    assert sparsity([3]) == 0
    assert sparsity([[0, 1], [1, 1]]) == 0.5
    assert sparsity([1, 2, 3]) == pytest.approx(2 / 6)


def test_complete_scores_are_complete(X):
    trim = TransformImportance(mlp(8), scorer=IntegratedGradients(500)).fit(X)
    assert completeness_score(trim, X) == pytest.approx(1, abs=0.02)
    linear = TransformImportance(linear_net(np.ones(8)), scorer="input_x_gradient")
    assert completeness_score(linear.fit(X), X) == pytest.approx(1, abs=1e-12)


def test_completeness_by_hand():
    explanation = scored([[1, 1], [2, 1]])
    explanation.completeness_error = np.array([1.0, -0.5])
    expected = 1 - 1.5 / (1 + 3.5)
    assert completeness_score(None, None, explanation=explanation) == expected
    nothing = scored([[0, 0]])
    nothing.completeness_error = np.zeros(1)
    assert completeness_score(None, None, explanation=nothing) == 1


def test_completeness_is_never_silently_undefined(X):
    trim = TransformImportance(mlp(8), scorer="gradient").fit(X)
    with pytest.warns(UndefinedMetricWarning, match="not defined"):
        assert np.isnan(completeness_score(trim, X))


def test_sufficient_fraction_of_one_informative_group(X):
    """The output is one coordinate: that group alone is enough."""
    weight = np.zeros(8)
    weight[3] = 5.0
    trim = TransformImportance(linear_net(weight, bias=0), scorer="input_x_gradient")
    trim.fit(X)
    right = np.tile(np.eye(8)[3], (60, 1))
    assert sufficient_fraction(trim, X, scores=right, tolerance=1e-9) == 1 / 8
    assert sufficient_fraction(trim, X, scores=-right, tolerance=1e-9) == 1
    assert -neg_sufficient_fraction(trim, X) == sufficient_fraction(trim, X)


def test_sufficient_fraction_of_a_classifier(X):
    net = mlp(8)
    trim = TransformImportance(net, scorer="occlusion").fit(X)
    fraction = sufficient_fraction(trim, X)
    assert 0 <= fraction < sufficient_fraction(trim, X, scores=np.zeros((60, 8)))
    assert 0 <= sufficient_fraction(trim, X[:1], baseline="mean") <= 1
    with pytest.raises(ValueError, match="no single prediction"):
        sufficient_fraction(trim, X, baseline="rows")


def test_nothing_is_needed_for_a_constant_network(X):
    trim = TransformImportance(linear_net(np.zeros(8))).fit(X)
    assert sufficient_fraction(trim, X) == 0


def test_marginal_changes_of_a_linear_network(X):
    weight = np.arange(8.0)
    trim = TransformImportance(linear_net(weight)).fit(X)
    rows = trim.background_[-4:]
    expected = np.abs((X[:, None] - rows) * weight).mean(axis=1)
    np.testing.assert_allclose(marginal_changes(trim, X, n_rows=4), expected)


def test_localisation_of_marginal_occlusion_is_circular(X):
    """Over the same rows the score measures itself; other rows give a little less."""
    weight = np.arange(1.0, 9)
    scorer = Occlusion("rows", n_rows=60, absolute=True)
    trim = TransformImportance(linear_net(weight), FourierTransformer(), scorer).fit(X)
    assert localisation_score(trim, X, n_rows=60) == pytest.approx(1)
    assert localisation_score(trim, X, n_rows=60, over="samples") == pytest.approx(1)
    assert 0.5 < localisation_score(trim, X, n_rows=4) < 1


def test_a_score_that_ignores_the_sample_is_not_local(X):
    trim = TransformImportance(linear_net(np.arange(1.0, 9))).fit(X)
    same = scored(np.tile(np.arange(1.0, 9), (60, 1)))
    assert localisation_score(trim, X, explanation=same, over="samples") == 0
    assert localisation_score(trim, X, explanation=same) > 0.5
    with pytest.raises(ValueError, match="over='rows'"):
        localisation_score(trim, X, over="rows")


@pytest.mark.parametrize("n_samples", [1, 5])
@pytest.mark.parametrize("groups", ["natural", np.zeros(8, dtype=int)])
def test_every_metric_is_defined_for_hard_cases(X, n_samples, groups):
    flat = linear_net(np.zeros(8), bias=0)
    for net in (flat, mlp(8)):
        trim = TransformImportance(net, groups=groups).fit(X)
        found = explanation_scores(trim, X[:n_samples])
        assert np.isfinite(list(found.values())).all(), found


def test_metrics_are_scorings_of_a_grid_search(X):
    trim = TransformImportance(mlp(8), PCA(), "input_x_gradient")
    grid = {"transformer__n_components": [2, 6]}
    together = GridSearchCV(
        trim, grid, scoring=explanation_scores, refit="faithfulness", cv=2
    ).fit(X)
    separate = GridSearchCV(
        trim,
        grid,
        scoring={"faithfulness": faithfulness_score, "sparsity": sparsity_score},
        refit="sparsity",
        cv=2,
    ).fit(X)
    for name in ("faithfulness", "sparsity"):
        np.testing.assert_allclose(
            together.cv_results_[f"mean_test_{name}"],
            separate.cv_results_[f"mean_test_{name}"],
        )
    assert together.best_params_["transformer__n_components"] in (2, 6)
