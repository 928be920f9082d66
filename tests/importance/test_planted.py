"""What alone decides a label is found first, by networks that learned it from data."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import NMF
from torch import nn

from sktrim import (
    FourierTransformer,
    LatentDirichletAllocation,
    TransformImportance,
)

SCORERS = ["cd", "deeplift", "occlusion", "integrated_gradients"]


def trained(net, X, y, rate=0.02, steps=150):
    optimizer = torch.optim.Adam(net.parameters(), rate, weight_decay=1e-3)
    x, labels = torch.tensor(X), torch.tensor(y)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()
    assert (net(x).argmax(1) == labels).float().mean() > 0.95
    return net.eval()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize(
    "topics", [LatentDirichletAllocation(3, random_state=0), NMF(3, random_state=0)]
)
def test_a_planted_topic_is_ranked_first(topics, scorer, seed):
    rng = np.random.default_rng(seed)
    # words 0 to 9, 10 to 19 and 20 to 29 belong together
    rates = np.kron(np.eye(3), np.full(10, 0.9)) + 0.1 / 3
    shares = rng.dirichlet(np.full(3, 0.3), size=300)
    X = rng.poisson(4 * shares @ rates).astype("float32")
    y = (shares[:, 1] > 0.5).astype(int)
    torch.manual_seed(seed)
    net = trained(nn.Sequential(nn.Linear(30, 12), nn.ReLU(), nn.Linear(12, 2)), X, y)
    trim = TransformImportance(net, topics, scorer, target=1, random_state=0).fit(X)
    scores = trim.explain(X[y == 1]).values
    components = trim.transformer_.components_
    own = components[:, 10:20].sum(axis=1) / components.sum(axis=1)
    assert scores.mean(axis=0).argmax() == own.argmax()
    assert own.max() > 0.8
    assert (scores.argmax(axis=1) == own.argmax()).mean() > 0.9


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("scorer", SCORERS)
def test_a_planted_frequency_is_ranked_first(scorer, seed):
    rng = np.random.default_rng(seed)
    times = np.arange(64) / 64
    X = rng.normal(size=(400, 64))
    y = np.arange(400) % 2
    phases = rng.uniform(0, 2 * np.pi, size=(400, 1))
    X += np.where(y == 1, 2.0, 0.0)[:, None] * np.sin(2 * np.pi * 9 * times + phases)
    X = X.astype("float32")
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Unflatten(1, (1, 64)),
        *(nn.Conv1d(1, 8, 15, padding=7), nn.ReLU(), nn.AdaptiveAvgPool1d(1)),
        *(nn.Flatten(), nn.Linear(8, 2)),
    )
    trained(net, X, y, 0.01, 200)
    trim = TransformImportance(
        net, FourierTransformer(), scorer, target=1, random_state=0
    ).fit(X)
    scores = trim.explain(X[y == 1]).values
    assert np.abs(scores).mean(axis=0).argmax() == 9
    assert (np.abs(scores).argmax(axis=1) == 9).mean() > 0.8
