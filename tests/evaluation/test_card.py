"""The card measures what it prints and says what was not measured."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from sktrim import FourierTransformer, TransformImportance
from sktrim.evaluation import explanation_card, stability_report
from sktrim.explanation import Explanation
from tests.nets import linear_net, mlp


@pytest.fixture
def trim_and_X():
    X = np.random.default_rng(0).standard_normal((20, 12))
    groups = {"low": range(4), "rest": range(4, 12)}
    trim = TransformImportance(
        mlp(), FourierTransformer(), groups=groups, residual="component"
    )
    return trim.fit(X), X


def test_the_card_follows_the_order_of_the_framework(trim_and_X):
    trim, X = trim_and_X
    y = trim.predict(X)
    y[0] = (y[0] + 1) % 3
    card = explanation_card(trim, X, y, sample=0, n_draws=2)
    assert list(card.sections) == [
        "Predictive accuracy",
        "Descriptive accuracy",
        "Relevance (sample 0)",
    ]
    text = str(card)
    for found in (
        "0.950 over 20 samples",
        "predicted",
        "reconstruction error",
        "residual's share",
        "completeness",
        "random order",
        "effect",
        "bootstrap",
        "low",
    ):
        assert found in text, found
    assert "not measured" not in text
    assert "<table>" in card._repr_html_()


def test_one_sample_is_no_average(trim_and_X):
    trim, X = trim_and_X
    explanation = trim.explain(X)
    card = explanation.card(sample=3)
    error = explanation.reconstruction_errors[3]
    missed = abs(explanation.completeness_error[3])
    total = abs(explanation.values[3].sum())
    assert card.sections["Descriptive accuracy"][0][1].endswith(f"= {error:.3g}")
    found = dict(card.sections["Descriptive accuracy"])["completeness"]
    assert found == f"error {missed:.3g}; |sum of scores| = {total:.3g}"
    assert str(explanation.card()).count("on average") == 2
    assert "on average" not in str(card)


def test_what_was_not_measured_is_said_to_be_missing():
    card = Explanation([[1.0, -2.0]], ["a", "b & c"]).card()
    assert str(card).count("not measured") == 4
    assert "b &amp; c" in card._repr_html_()
    assert "not defined" in str(card)


def test_regressors_have_an_error_instead_of_an_accuracy():
    X = np.ones((4, 3))
    trim = TransformImportance(linear_net(np.ones(3), bias=0)).fit(X)
    card = trim.explain(X).card([2, 3, 3, 3], sample=0)
    assert "mean absolute error" in str(card)
    assert "0.25" in str(card)
    with pytest.raises(ValueError, match="y has 2 entries for 4 samples"):
        trim.explain(X).card([1, 2])


def test_groups_come_with_their_units():
    explanation = Explanation([[1.0, -2.0]], ["a", "b"], centers=[5, 10], unit="Hz")
    assert "10 Hz" in str(explanation.card())


def test_groups_come_with_the_interval_of_their_importance(trim_and_X):
    trim, X = trim_and_X
    report = stability_report(trim, X, perturbations=["subsample", "noise"], n_draws=5)
    low, high = report["subsample"].interval()
    card = trim.explain(X).card(stability=report)
    relevance = dict(card.sections["Relevance (all samples)"])
    for group, name in enumerate(["low", "rest"]):
        expected = f"mean magnitude {low[group]:.4g} to {high[group]:.4g} (95 %, subsa"
        assert expected in relevance[name]
    unperturbed = stability_report(trim, X, perturbations=[])
    assert "95 %" not in str(trim.explain(X).card(stability=unperturbed))


def test_a_forest_has_a_card():
    X = np.random.default_rng(0).standard_normal((20, 6))
    forest = RandomForestClassifier(5, random_state=0).fit(X, X[:, 0] > 0)
    trim = TransformImportance(forest, scorer="occlusion").fit(X)
    card = explanation_card(trim, X, X[:, 0] > 0, n_draws=2)
    assert (
        "no weights"
        in dict(card.sections["Descriptive accuracy"])["randomised weights"]
    )


def test_true_values_must_be_one_per_output():
    explanation = Explanation(
        np.ones((4, 2)), ["a", "b"], predictions=np.ones((4, 2)), output="raw"
    )
    with pytest.raises(ValueError, match="2 outputs"):
        explanation.card(np.ones(4))
    found = explanation.card(np.zeros((4, 2))).sections["Predictive accuracy"]
    assert found == [("mean absolute error", "1")]


def test_scores_of_one_sample_keep_their_signs():
    values = np.array([[1.0, 0, 0], [0.5, -2, 0.1]])
    explanation = Explanation(values, ["a", "b", "c"])
    found = explanation.card(sample=1, k=2).sections["Relevance (sample 1)"]
    assert found == [("b", "-2"), ("a", "0.5")]
    found = explanation.card(k=2).sections["Relevance (all samples)"]
    assert found == [("b", "1"), ("a", "0.75")]
