"""Owen values of nested groups, and what pairs of groups give together."""

from itertools import combinations, pairwise, permutations
from math import factorial

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from sktrim import Explanation, FeatureGroups, TransformImportance, transform_importance
from sktrim.scorers import Shapley
from sktrim.scorers._shapley import _draw_ranks

PARENTS = ["a", "b", "a", "c", "b"]


@pytest.fixture(params=[0, 1])
def problem(request):
    torch.manual_seed(request.param)
    X = np.random.default_rng(request.param).normal(size=(3, 5))
    net = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    return net, X


def game(net, x):
    """Return v(S) of one sample, by the members of S."""

    def value(members):
        kept = np.isin(np.arange(5), list(members)) * x
        with torch.no_grad():
            return float(net(torch.tensor(kept))[0])

    return value


def nested(parents=PARENTS):
    return FeatureGroups(np.eye(5), list("pqrst"), parents=parents)


def owen(value, parents):
    """Average over all orders in which the groups of a parent follow each other."""
    gains, count = np.zeros(5), 0
    for order in permutations(range(5)):
        of = [parents[g] for g in order]
        runs = 1 + sum(a != b for a, b in pairwise(of))
        if runs > len(set(parents)):
            continue
        count += 1
        for at, g in enumerate(order):
            gains[g] += value(order[: at + 1]) - value(order[:at])
    return gains / count


def test_owen_values_are_means_over_the_orders_that_keep_parents_together(problem):
    net, X = problem
    found = transform_importance(net, X, scorer="shapley", groups=nested())
    expected = [owen(game(net, x), PARENTS) for x in X]
    assert_allclose(found.values, expected, atol=1e-12)
    assert_allclose(found.completeness_error, 0, atol=1e-12)
    # the sum over a parent is the parent's own Shapley value
    whole = FeatureGroups.from_labels([0, 1, 0, 2, 1])
    parents = transform_importance(net, X, scorer="shapley", groups=whole).values
    sums = np.stack([found.values[:, np.array(PARENTS) == p].sum(1) for p in "abc"], 1)
    assert_allclose(sums, parents, atol=1e-12)


@pytest.mark.parametrize("parents", [["a"] * 5, list("abcde")])
def test_one_parent_or_one_each_is_the_shapley_value(problem, parents):
    net, X = problem
    plain = transform_importance(net, X, scorer="shapley").values
    found = transform_importance(net, X, scorer="shapley", groups=nested(parents))
    assert_allclose(found.values, plain, atol=1e-12)


def test_sampled_orders_keep_parents_together(problem):
    net, X = problem
    numbers = np.unique(PARENTS, return_inverse=True)[1]
    ranks = _draw_ranks(5, 50, 0, numbers)
    for order in np.argsort(ranks, axis=1):
        assert (np.diff(numbers[order]) != 0).sum() == 2
    sampled = transform_importance(
        net, X, scorer=Shapley(max_exact=0, n_permutations=4000), groups=nested(),
        random_state=0,
    )  # fmt: skip
    exact = transform_importance(net, X, scorer="shapley", groups=nested()).values
    assert (np.abs(sampled.values - exact) <= 5 * sampled.std_errors + 1e-3).all()
    assert_allclose(sampled.completeness_error, 0, atol=1e-10)


def test_interactions_are_those_of_the_definition(problem):
    net, X = problem
    found = transform_importance(net, X, scorer=Shapley(interactions=True))
    pairs = found.metadata["interactions"]
    assert pairs.shape == (3, 5, 5)
    for x, joint in zip(X, pairs, strict=True):
        value = game(net, x)
        for g, h in combinations(range(5), 2):
            others = [k for k in range(5) if k not in (g, h)]
            total = 0.0
            for size in range(4):
                share = factorial(size) * factorial(3 - size) / factorial(4)
                for some in combinations(others, size):
                    total += share * (
                        value((*some, g, h))
                        - value((*some, g))
                        - value((*some, h))
                        + value(some)
                    )
            assert_allclose(joint[g, h], total, atol=1e-12)
            assert joint[g, h] == joint[h, g]
    assert_allclose(np.diagonal(pairs, axis1=1, axis2=2), 0)
    with pytest.raises(ValueError, match="interactions=True needs exact values"):
        transform_importance(net, X, scorer=Shapley(max_exact=3, interactions=True))


def test_a_residual_is_a_parent_of_its_own(problem):
    net, X = problem
    from sklearn.decomposition import PCA

    trim = TransformImportance(
        net,
        PCA(3),
        "shapley",
        residual="component",
        groups=lambda t: FeatureGroups(np.eye(3), parents=["a", "a", "b"]),
    ).fit(np.random.default_rng(0).normal(size=(30, 5)))
    explanation = trim.explain(X)
    assert_allclose(explanation.completeness_error, 0, atol=1e-12)
    frame = explanation.to_frame()
    assert frame["parent"][:4].tolist() == ["a", "a", "b", "residual"]


def test_parents_survive_selection_files_and_tables(problem, tmp_path):
    net, X = problem
    groups = nested()
    assert groups[[1, 3]].parents == ["b", "c"]
    explanation = transform_importance(net, X, groups=groups)
    explanation.save(tmp_path / "e.npz")
    again = Explanation.load(tmp_path / "e.npz")
    assert again.feature_groups.parents == PARENTS
    pd.testing.assert_frame_equal(again.to_frame(), explanation.to_frame())
    assert explanation.to_frame()["parent"][:5].tolist() == PARENTS
    named = groups.with_parents({"x": ["p", "q"], "y": [2, 3, 4]})
    assert named.parents == ["x", "x", "y", "y", "y"]
    assert named.names == groups.names


@pytest.mark.parametrize(
    ("parents", "match"),
    [
        ({"x": ["p", "q"]}, "3 of 5 groups have no parent: 'r', 's', 't'"),
        ({"x": list("pqrst"), "y": ["p"]}, "'p' has two parents, 'x' and 'y'"),
        (["x"], "for 5 groups; expected one string per group"),
        ("abcde", "expected one string per group"),
    ],
)
def test_parents_that_do_not_cover_are_refused(parents, match):
    with pytest.raises(ValueError, match=match):
        nested().with_parents(parents)
