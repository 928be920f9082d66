"""Total Sobol indices are those of the definition, and of CRAFT's procedure."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.stats import qmc
from sklearn.decomposition import NMF
from torch import nn

from sktrim import AlongAxis, TransformImportance, transform_importance
from sktrim.scorers import Sobol


def linear(*weights):
    net = nn.Linear(len(weights), 1).double()
    values = torch.tensor([*weights, 0.5]).double()
    nn.utils.vector_to_parameters(values, net.parameters())
    return net


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shares_of_a_sum_are_those_of_the_squared_terms(seed):
    X = np.random.default_rng(seed).normal(size=(3, 4))
    net = linear(1.0, -2.0, 0.0, 3.0)
    found = transform_importance(net, X, scorer=Sobol(1024), random_state=seed)
    terms = (X * [1, -2, 0, 3]) ** 2
    assert_allclose(found.values, terms / terms.sum(1, keepdims=True), atol=0.02)


def test_what_acts_together_is_counted_by_both():
    class Product(nn.Module):
        def forward(self, x):
            return x[:, :1] * x[:, 1:]

    X = np.ones((1, 2))
    found = transform_importance(Product(), X, scorer=Sobol(4096), random_state=0)
    # of a b, with a and b uniform: Var = 7/144, total indices (1/12 1/3) / (7/144)
    assert_allclose(found.values, [[4 / 7, 4 / 7]], atol=0.02)


def test_an_output_that_stays_has_no_shares():
    X = np.random.default_rng(0).normal(size=(3, 4))
    found = transform_importance(linear(0, 0, 0, 0), X, scorer="sobol")
    assert_allclose(found.values, 0)


def naive(net, X, k, n, seed, target):
    """Rank concepts as CRAFT does, written out: NMF, masks, Jansen's estimator."""
    front, back = net[:2], net[2:]
    with torch.no_grad():
        activations = front(torch.tensor(X)).numpy()
    channels = np.moveaxis(activations, 1, -1)
    nmf = NMF(k, random_state=0, max_iter=2000, init="nndsvda")
    rows = channels.reshape(-1, channels.shape[-1])
    u = nmf.fit(rows).transform(rows)
    missing = channels.reshape(u.shape[0], -1) - u @ nmf.components_
    u = u.reshape(*channels.shape[:-1], k)
    missing = missing.reshape(channels.shape)
    sequence = qmc.Halton(2 * k, seed=np.random.default_rng(seed)).random(n)
    scores = np.zeros((len(X), k))

    def output(sample, mask):
        rows = (u[sample] * mask) @ nmf.components_ + missing[sample]
        with torch.no_grad():
            return float(back(torch.tensor(np.moveaxis(rows, -1, 0)[None]))[0, target])

    for i in range(len(X)):
        f = np.array([output(i, row) for row in sequence[:, :k]])
        for g in range(k):
            moved = sequence[:, :k].copy()
            moved[:, g] = sequence[:, k + g]
            other = np.array([output(i, row) for row in moved])
            scores[i, g] = ((f - other) ** 2).sum() / (2 * n * f.var())
    return scores


def test_concepts_are_ranked_as_craft_does():
    torch.manual_seed(0)
    X = np.random.default_rng(0).normal(size=(3, 1, 8, 8))
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 3)
    ).double()
    concepts = AlongAxis(NMF(4, random_state=0, max_iter=2000, init="nndsvda"), axis=1)
    trim = TransformImportance(
        net, concepts, Sobol(32), layer="1", output="logit", target=1, random_state=0
    ).fit(X)
    expected = naive(net, X, 4, 32, trim._seed, 1)
    assert_allclose(trim.explain(X).values, expected, atol=1e-8)


def test_designs_are_checked_and_the_seed_is_the_samples_own():
    X = np.random.default_rng(0).normal(size=(5, 4))
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    with pytest.raises(ValueError, match="n_designs"):
        transform_importance(net, X, scorer=Sobol(0))
    whole = transform_importance(net, X, scorer="sobol", random_state=3)
    alone = transform_importance(net, X[2:3], scorer="sobol", random_state=3)
    assert_allclose(alone.values, whole.values[2:3], atol=1e-10)
