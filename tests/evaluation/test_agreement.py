"""Scorers are compared two by two, rank by rank, on the same samples."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from sktrim import TransformImportance
from sktrim.evaluation import (
    ScorerAgreement,
    recovery_benchmark,
    scorer_agreement,
    stability_report,
)
from tests.nets import linear_net, mlp


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((30, 12))


def test_scorers_agree_on_a_linear_network(X):
    trim = TransformImportance(linear_net(np.arange(12.0))).fit(X)
    scorers = ["input_x_gradient", "integrated_gradients", "occlusion"]
    found = scorer_agreement(trim, X, scorers=scorers)
    assert found.names == scorers
    np.testing.assert_allclose(found.signed, 1, atol=1e-3)
    np.testing.assert_allclose(found.top, 1)


def test_correlations_are_means_over_samples(X):
    trim = TransformImportance(mlp()).fit(X)
    found = scorer_agreement(trim, X, scorers=["gradient", "cd", "gradient"])
    assert found.names == ["gradient 1", "cd", "gradient 2"]
    first, second = (
        TransformImportance(mlp(), scorer=name).fit(X).transform(X)
        for name in ("gradient", "cd")
    )
    pairs = zip(first, second, strict=True)
    expected = np.mean([spearmanr(a, b).statistic for a, b in pairs])
    assert found.signed[0, 1] == pytest.approx(expected)
    assert found.signed[0, 2] == pytest.approx(1)
    np.testing.assert_allclose(found.signed, found.signed.T)
    assert trim.scorer == "cd"
    assert "gradient 2" in str(found)
    display = found.plot("absolute")
    assert len(display.ax_.texts) == 9
    with pytest.raises(ValueError, match="what='best'"):
        found.plot("best")


def test_no_scorers_is_an_error(X):
    with pytest.raises(ValueError, match="scorers is empty"):
        scorer_agreement(TransformImportance(mlp()).fit(X), X, scorers=[])


def test_shares_have_no_negative_colours():
    values = np.array([[1.0, 0.2], [0.2, 1.0]])
    for lowest, table in ((0, values), (-1, values - 0.5)):
        agreement = ScorerAgreement(["a", "b"], table, table, table)
        bar = agreement.plot("top").figure_.axes[-1]
        assert bar.get_ylim() == (lowest, 1)


def test_one_name_is_a_list_of_one(X):
    trim = TransformImportance(mlp()).fit(X)
    assert scorer_agreement(trim, X, scorers="gradient").names == ["gradient"]
    report = stability_report(trim, X, perturbations="subsample", n_draws=2)
    assert list(report.kinds) == ["subsample"]
    table = recovery_benchmark("gradient", regimes="deep", n_networks=1, n_rows=5)
    assert [(r.regime, r.scorer) for r in table] == [("deep", "gradient")]
