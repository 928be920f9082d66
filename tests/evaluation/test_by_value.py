"""Importance against the value of a group is read off as the bins say."""

import numpy as np
import pytest

from sktrim import FourierTransformer, TransformImportance
from sktrim.evaluation import importance_by_value
from sktrim.explanation import Explanation
from tests.nets import mlp


def named(values):
    return Explanation(values, [str(i) for i in range(np.shape(values)[1])])


def test_shares_by_hand():
    X = np.array([[1.0, -1, 1, -1], [2, 2, -2, -2]])
    values = np.array([[1.0, 2, 0, 0], [0, 1, 1, 1]])
    found = importance_by_value(named(values), X, bins=[-2, 0, 2])
    np.testing.assert_allclose(found.shares, [[0.8, 0.2], [2 / 3, 1 / 3]])
    np.testing.assert_allclose(found.mean_squares, [[2, 0.5], [1, 0.5]])
    np.testing.assert_array_equal(found.counts, 2)
    np.testing.assert_allclose(found.share(high=0), [0.8, 2 / 3])
    np.testing.assert_allclose(found.share(), 1)
    *_, upper, summary = str(found).split("\n")
    assert upper.split() == ["0.00", "to", "2.00", "26.67"]
    assert summary == "below 0: 73.33 %, above 3: 0.00 %"


def test_values_are_in_units_of_each_signal():
    X = np.random.default_rng(0).standard_normal((3, 50))
    values = np.random.default_rng(1).standard_normal((3, 50))
    small = importance_by_value(named(values), X)
    large = importance_by_value(named(values), X * np.array([[1], [10], [100]]))
    np.testing.assert_allclose(small.shares, large.shares)
    assert len(small.edges) == 21
    assert (small.edges[0], small.edges[-1]) == (-2.5, 5)


def test_outputs_are_summed():
    X = np.random.default_rng(0).standard_normal((6, 12))
    trim = TransformImportance(mlp(), scorer="gradient", target="all").fit(X)
    explanation = trim.explain(X)
    found = importance_by_value(explanation)
    expected = (explanation.values**2).sum(axis=(1, 2))
    np.testing.assert_allclose(found.squares.sum(axis=1), expected)
    display = found.plot(by=np.arange(6) % 2)
    assert "r.m.s." in display.ax_.get_xlabel()


def test_nothing_is_undefined():
    found = importance_by_value(named(np.zeros((2, 4))), np.zeros((2, 4)))
    np.testing.assert_array_equal(found.shares, 0)
    np.testing.assert_array_equal(found.mean_squares, 0)
    np.testing.assert_array_equal(found.share(low=3), 0)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="pass X"):
        importance_by_value(named(np.zeros((2, 4))))
    with pytest.raises(ValueError, match="transformer=None"):
        importance_by_value(named(np.zeros((2, 4))), np.zeros((2, 5)))
    with pytest.raises(ValueError, match="increasing"):
        importance_by_value(named(np.ones((2, 4))), np.ones((2, 4)), bins=[1, 0])


def test_groups_in_another_order_are_brought_to_their_values():
    X = np.random.default_rng(0).standard_normal((6, 12))
    groups = {f"g{i}": [11 - i] for i in range(12)}
    turned = TransformImportance(mlp(), None, "gradient", groups=groups).fit(X)
    plain = TransformImportance(mlp(), None, "gradient").fit(X)
    found = importance_by_value(turned.explain(X))
    expected = importance_by_value(plain.explain(X))
    np.testing.assert_allclose(found.squares, expected.squares)
    np.testing.assert_allclose(found.shares, expected.shares)


def test_as_many_coefficients_as_values_are_not_values():
    X = np.random.default_rng(0).standard_normal((6, 12))
    trim = TransformImportance(mlp(), FourierTransformer(), groups="coefficients")
    explanation = trim.fit(X).explain(X)
    assert explanation.values.shape == X.shape
    with pytest.raises(ValueError, match="transformer=None"):
        importance_by_value(explanation)
    overlapping = {f"g{i}": [i, (i + 1) % 12] for i in range(12)}
    trim = TransformImportance(mlp(), None, groups=overlapping).fit(X)
    with pytest.raises(ValueError, match="one group per value"):
        importance_by_value(trim.explain(X))


@pytest.mark.parametrize("bins", [0, -3, 2.5, "auto", [1], [3, 1], [np.nan, 1]])
def test_bins_that_are_none(bins):
    with pytest.raises(ValueError, match="bins="):
        importance_by_value(named(np.ones((2, 3))), np.ones((2, 3)), bins=bins)


def test_samples_without_values_in_a_bin_do_not_lower_its_mean():
    X = np.array([[1.0, -1, 1, -1], [1, 1, 1, 1], [1, 1, 1, 1]])
    found = importance_by_value(named(np.full((3, 4), 2.0)), X, bins=[-2, 0, 2])
    (line,) = [c.heights for c in found.plot(what="mean_squares").curves]
    np.testing.assert_allclose(line, [4, 4])
    curves = found.plot(what="mean_squares", by=[0, 1, 1]).curves
    np.testing.assert_allclose([c.heights for c in curves], [[4, 4], [0, 4]])
