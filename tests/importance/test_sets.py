"""A set of groups scores what one group with all of their coefficients scores."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.decomposition import PCA
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.hierarchy import AgglomerativeDecomposition
from sktrim.scorers import (
    ContextualDecomposition,
    KernelShap,
    Occlusion,
    Shapley,
)

SCORERS = [
    "cd",
    ContextualDecomposition(bias="channel", baseline="mean"),
    ContextualDecomposition(nonlinearity="symmetric", baseline="rows", absolute=True),
    "occlusion",
    Occlusion("rows", absolute=True),
    "deeplift",
]


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3)).double()


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(5, 6))


def drawn(shape, seed=1):
    return np.random.default_rng(seed).random(shape) < 0.5


def joined(trim, members):
    """Groups of a set, and of each group that is not in it."""
    masks = trim.groups_.masks.toarray()
    parts = [masks[members].sum(axis=0), *masks[~members]]
    return np.array(parts)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("transformer", [None, FourierTransformer(), PCA(4)])
@pytest.mark.parametrize("residual", ["constant", "component"])
def test_a_set_is_one_group(net, X, scorer, transformer, residual):
    options = {"target": 1, "random_state": 0, "residual": residual}
    trim = TransformImportance(net, transformer, scorer, **options).fit(X)
    sets = drawn((5, 3, len(trim.groups_)))
    sets[:, 0], sets[:, 1] = True, False
    found = trim.explain_sets(X, sets)
    assert found.shape == (5, 3)
    for i in range(5):
        for k in (0, 2):
            groups = joined(trim, sets[i, k])
            alone = TransformImportance(
                net, trim.transformer, scorer, groups=groups, **options
            ).fit(X)
            assert_allclose(found[i, k], alone.explain(X).values[i, 0], atol=1e-10)
    assert_allclose(found[:, 1], 0, atol=1e-12)


def test_of_shapley_a_set_is_a_single_player(net, X):
    scorer = Shapley(n_permutations=4000)
    trim = TransformImportance(net, None, scorer, target=1, random_state=0).fit(X)
    sets = drawn((3, 6))
    found = trim.explain_sets(X, sets)
    for k in range(3):
        alone = TransformImportance(
            net, None, "shapley", groups=joined(trim, sets[k]), target=1
        ).fit(X)
        assert_allclose(found[:, k], alone.explain(X).values[:, 0], atol=0.02)
    # one after the other joined, they add up to the whole
    everything = trim.explain_sets(X, np.ones((1, 6)))
    whole = trim.explain(X)
    assert_allclose(everything[:, 0], whole.values.sum(axis=1), atol=1e-6)


@pytest.mark.parametrize("scorer", ["cd", "occlusion", "shapley"])
def test_samples_and_sets_do_not_depend_on_each_other(net, X, scorer, monkeypatch):
    trim = TransformImportance(net, None, scorer, random_state=0).fit(X)
    sets = drawn((5, 4, 6))
    found = trim.explain_sets(X, sets)
    for i in range(5):
        for k in range(4):
            alone = trim.explain_sets(X[[i]], sets[i, [k]])
            assert_allclose(found[i, k], alone[0, 0], atol=1e-10)
    monkeypatch.setattr("sktrim.composed._model.rows_in_memory", lambda _: 1)
    assert_allclose(trim.explain_sets(X, sets), found, atol=1e-10)


def test_overlapping_groups_are_there_once(net, X):
    masks = np.array([[1, 1, 0, 0, 0, 0], [0, 1, 1, 0.5, 0, 0]])
    trim = TransformImportance(net, groups=masks, target=0).fit(X)
    both = TransformImportance(net, groups=[[1, 1, 1, 0.5, 0, 0]], target=0).fit(X)
    found = trim.explain_sets(X, [[1, 1]])
    assert_allclose(found, both.explain(X).values, atol=1e-10)


def test_all_targets_side_by_side(net, X):
    trim = TransformImportance(net, target="all").fit(X)
    sets = drawn((4, 6))
    found = trim.explain_sets(X, sets)
    assert found.shape == (5, 4, 3)
    one = TransformImportance(net, target=2).fit(X).explain_sets(X, sets)
    assert_allclose(found[..., 2], one, atol=1e-10)


def test_a_scorer_without_a_notion_of_sets_refuses(net, X):
    trim = TransformImportance(net, scorer=KernelShap(), random_state=0).fit(X)
    with pytest.raises(TypeError, match="KernelShap cannot score a set of groups"):
        trim.explain_sets(X, np.ones((1, 6)))
    scorer = ContextualDecomposition(partition=True)
    with pytest.raises(ValueError, match="sets overlap; leave partition at False"):
        TransformImportance(net, scorer=scorer).fit(X).explain_sets(X, np.ones((1, 6)))


class Holed(nn.Module):
    """Gives NaN where something was replaced by zero."""

    def forward(self, x):
        there = (x != 0).all(dim=1, keepdim=True)
        return torch.where(there, x.sum(dim=1, keepdim=True), torch.nan)


def test_scores_that_are_not_finite_are_refused(X):
    trim = TransformImportance(Holed(), scorer="occlusion").fit(X)
    with pytest.raises(ValueError, match="Occlusion gave NaN or infinite scores"):
        trim.explain_sets(X, np.eye(6))
    # a tree would never end
    with pytest.raises(ValueError, match="Occlusion gave NaN or infinite scores"):
        AgglomerativeDecomposition(trim).explain(X)


@pytest.mark.parametrize("scorer", ["cd", "occlusion", "shapley"])
def test_many_sets_take_bounded_memory(scorer):
    X = np.random.default_rng(0).normal(size=(40, 60)).astype("float32")
    net = nn.Sequential(nn.Linear(60, 4), nn.ReLU(), nn.Linear(4, 1))
    trim = TransformImportance(net, scorer=scorer, random_state=0).fit(X)
    sets = drawn((40, 200, 60))
    expected = trim.explain_sets(X[:2], sets[:2])
    most = []
    attribute = type(trim.question_.scorer).attribute_sets

    def counted(self, model, s, members, *rest, **extras):
        most.append(members.numel() * members.element_size())
        return attribute(self, model, s, members, *rest, **extras)

    with pytest.MonkeyPatch.context() as patch, config_context(working_memory=1):
        patch.setattr(type(trim.question_.scorer), "attribute_sets", counted)
        found = trim.explain_sets(X[:2], sets[:2])
        trim.explain_sets(X[:40:8], sets[:40:8])
    assert_allclose(found, expected, atol=1e-5)
    assert max(most) <= 2**20 / 4 + 60 * 4


@pytest.mark.parametrize(
    ("sets", "match"),
    [
        (np.ones((2, 5)), r"sets has shape \(5, 2, 5\); expected \(n_sets, 6\)"),
        (np.ones((4, 2, 6)), r"or \(5, n_sets, 6\)"),
        (np.ones(6), "a row of 0 and 1"),
        (np.full((2, 6), 0.5), "other values than 0 and 1"),
        (np.ones((0, 6)), "a row of 0 and 1"),
    ],
)
def test_sets_that_do_not_fit_are_refused(net, X, sets, match):
    with pytest.raises(ValueError, match=match):
        TransformImportance(net).fit(X).explain_sets(X, sets)
