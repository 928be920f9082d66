"""Failure reports find the samples and the groups that go wrong together."""

from math import comb

import numpy as np
import pytest

from sktrim import TransformImportance
from sktrim.evaluation import failure_report
from sktrim.explanation import Explanation
from tests.nets import linear_net, mlp


def biased(seed=0):
    """Forty samples explained by group 2 that are wrong, among right ones."""
    rng = np.random.default_rng(seed)
    values = 0.2 * rng.standard_normal((200, 5))
    values[:160, 0] += 2
    values[160:, 2] += 2
    y = rng.integers(0, 3, 200)
    outputs = np.eye(3)[y]
    outputs[160:] = np.eye(3)[(y[160:] + 1) % 3]
    names = [f"band {i}" for i in range(5)]
    return Explanation(values, names, predictions=outputs), y


def test_the_biased_cluster_comes_first_with_its_driver():
    explanation, y = biased()
    report = failure_report(explanation, y, n_clusters=2)
    worst, best = report.clusters
    np.testing.assert_array_equal(worst.samples, np.arange(160, 200))
    assert worst.error_rate == 1
    assert worst.p_value == pytest.approx(1 / comb(200, 40))
    assert {worst.drivers[0][0], worst.drivers[1][0]} == {"band 2", "band 0"}
    assert best.error_rate == 0
    assert best.p_value == 1
    np.testing.assert_array_equal(report.labels[160:], 0)
    assert "0.200 over 200 samples" in str(report)
    display = report.plot()
    widths = [bar.get_width() for bar in display.ax_.patches]
    assert widths == [1, 0]


def test_groups_of_equal_scores_change_no_cluster():
    """Their mean is a little off them by round-off."""
    explanation, y = biased()
    constant = np.full((200, 20), 0.1)
    values = np.hstack([explanation.values, constant])
    wider = Explanation(values, [f"group {i}" for i in range(25)])
    wider.predictions = explanation.predictions
    labels = failure_report(wider, y, n_clusters=4).labels
    expected = failure_report(explanation, y, n_clusters=4).labels
    np.testing.assert_array_equal(labels, expected)
    level = Explanation(constant, wider.group_names[:20])
    level.predictions = explanation.predictions
    assert len(failure_report(level, y).clusters) == 1


@pytest.mark.parametrize("seed", range(3))
def test_clusters_do_not_depend_on_the_order_of_the_samples(seed):
    rng = np.random.default_rng(seed)
    y, order = rng.integers(0, 3, 150), rng.permutation(150)
    outputs = np.eye(3)[rng.integers(0, 3, 150)]
    given = Explanation(rng.standard_normal((150, 6)), list("abcdef"))
    given.predictions = outputs
    report = failure_report(given, y)
    shuffled = failure_report(given[order], y[order])
    together = report.labels[order][:, None] == report.labels[order]
    np.testing.assert_array_equal(shuffled.labels[:, None] == shuffled.labels, together)


def test_labels_may_be_words():
    explanation, y = biased()
    words = np.array(["a", "b", "c"])
    report = failure_report(explanation, words[y], classes=words, n_clusters=2)
    assert report.clusters[0].error_rate == 1


def test_errors_of_a_regressor_are_absolute():
    values = np.repeat([[1.0, 0], [0, 1]], 10, axis=0)
    truth = np.zeros(20)
    outputs = np.repeat([[0.5], [3.0]], 10, axis=0)
    explanation = Explanation(values, ["a", "b"], predictions=outputs, output="raw")
    report = failure_report(explanation, truth, n_clusters=5)
    assert [c.error_rate for c in report.clusters] == [3, 0.5]
    assert report.clusters[0].p_value < 0.01


@pytest.mark.parametrize("n", [1, 4])
def test_all_equal_explanations_are_one_cluster(n):
    explanation = Explanation(np.zeros((n, 3)), list("abc"), predictions=np.eye(4)[:n])
    report = failure_report(explanation, np.zeros(n))
    assert len(report.clusters) == 1
    assert np.isfinite(report.clusters[0].p_value)


def test_what_is_missing_is_named():
    explanation = Explanation(np.zeros((2, 3)), list("abc"))
    with pytest.raises(ValueError, match="no predictions"):
        failure_report(explanation, [0, 1])
    explanation, y = biased()
    with pytest.raises(ValueError, match="y has shape"):
        failure_report(explanation, y[:5])


def test_outputs_of_a_regressor_are_no_classes():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 12)).astype("f4"), rng.standard_normal((20, 2))
    explanation = Explanation(
        X, list("abcdefghijkl"), predictions=X[:, :2], kind="regressor"
    )
    report = failure_report(explanation, y)
    np.testing.assert_allclose(report.errors, np.abs(X[:, :2] - y).mean(axis=1))
    with pytest.raises(ValueError, match="2 outputs"):
        failure_report(explanation, y[:, 0])


def test_raw_outputs_of_a_classifier_are_classes():
    X = np.random.default_rng(0).standard_normal((20, 12))
    trim = TransformImportance(mlp(), output="raw").fit(X)
    assert failure_report(trim.explain(X), trim.predict(X)).errors.sum() == 0
    card = trim.explain(X).card(trim.predict(X))
    assert card.sections["Predictive accuracy"][0][1] == "1.000 over 20 samples"
    values = TransformImportance(linear_net(np.ones(12))).fit(X)
    errors = failure_report(values.explain(X), np.zeros(20)).errors
    np.testing.assert_allclose(errors, np.abs(values.predict(X)))


def test_labels_that_no_output_has_are_refused():
    explanation, y = biased()
    with pytest.raises(ValueError, match="classes="):
        failure_report(explanation, y.astype(str))
    with pytest.raises(ValueError, match="classes="):
        explanation.card(y + 10)


def test_labels_are_one_per_sample():
    explanation, y = biased()
    for bad in (y[:, None], np.eye(3)[y], y[0]):
        for study in (explanation.card, lambda y: failure_report(explanation, y)):
            with pytest.raises(ValueError, match=r"y has shape \(.*one label each"):
                study(bad)


def test_a_missing_true_value_is_no_error_of_nan():
    X = np.random.default_rng(0).standard_normal((6, 12))
    trim = TransformImportance(linear_net(np.ones(12))).fit(X)
    y = np.r_[np.nan, np.zeros(5)]
    with pytest.raises(ValueError, match="y holds NaN"):
        failure_report(trim.explain(X), y)
    with pytest.raises(ValueError, match="y holds NaN"):
        trim.explain(X).card(y)
