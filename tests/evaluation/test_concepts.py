"""A planted concept is found, first, where it was planted."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF, PCA, TruncatedSVD
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from sktrim import AlongAxis, TransformImportance
from sktrim.evaluation import concept_report
from sktrim.inspection import ConceptsDisplay


@pytest.fixture(scope="module")
def planted():
    """Digits, half of them with a bar in a corner, and a network that finds it."""
    images = load_digits().images[:300] / 16
    X = np.zeros((300, 1, 12, 12))
    X[:, 0, 4:, 4:] = images
    y = np.arange(300) % 2
    X[y == 1, 0, 1, :4] = 1.0
    X = X.astype("float32")
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1152, 2)
    )
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    x, labels = torch.tensor(X), torch.tensor(y)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()
    assert (net(x).argmax(1) == labels).float().mean() > 0.98
    return net.eval(), X, y


@pytest.mark.parametrize("scorer", ["cd", "shapley", "integrated_gradients", "sobol"])
def test_the_planted_concept_is_ranked_first(planted, scorer):
    net, X, y = planted
    options = {"layer": "1", "target": 1, "output": "margin", "random_state": 0}
    concepts = NMF(8, random_state=0, init="nndsvda", max_iter=500)
    trim = TransformImportance(net, concepts, scorer, **options).fit(X)
    report = concept_report(trim, X[y == 1][:40])
    atoms = trim.transformer_.components_.reshape(8, 8, 12, 12)
    # beyond what a channel has everywhere
    atoms = atoms - np.median(atoms, axis=(2, 3), keepdims=True)
    inside = (atoms[:, :, :3, :5] ** 2).sum((1, 2, 3)) / (atoms**2).sum((1, 2, 3))
    assert report.names[inside.argmax()] == report.to_frame().index[0]
    assert inside.max() > 0.5


def test_the_table_is_what_it_says(planted):
    net, X, _ = planted
    concepts = AlongAxis(NMF(4, random_state=0, init="random", max_iter=800), axis=1)
    trim = TransformImportance(net, concepts, layer="1").fit(X[:60])
    report = concept_report(trim, X[:20], n_fits=2, random_state=0)
    explanation = trim.explain(X[:20])
    assert_allclose(report.importance, np.abs(explanation.values).mean(0))
    x = trim.signals(X[:20]).x
    back = trim.transformer_.inverse_transform(explanation.coefficients)
    expected = 1 - ((x - back) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert_allclose(report.r2, expected, rtol=1e-5)
    own = explanation.coefficients.reshape(20 * 144, 4)
    size = np.sqrt(len(own))
    hoyer = (size - abs(own).sum(0) / np.sqrt((own**2).sum(0))) / (size - 1)
    assert_allclose(report.sparsity, hoyer, rtol=1e-5)
    assert ((report.stability > 0.3) & (report.stability <= 1 + 1e-9)).all()
    assert report.maps.shape == (4, 20, 12, 12)
    # the explained probability without a concept, and with it alone
    predicted = net(torch.tensor(X[:20])).argmax(1)

    def probability(s):
        value = x + trim.transformer_.inverse_transform(s) - back
        out = net[2:](torch.tensor(value, dtype=torch.float32)).softmax(1)
        return out[range(20), predicted].detach().numpy()

    s = explanation.coefficients
    for k in range(4):
        own = np.tile(np.eye(4)[k], s.shape[1] // 4)
        falls = probability(s) - probability(s * (1 - own))
        rises = probability(s * own) - probability(0 * s)
        assert_allclose(report.deletion[k], falls.mean(), atol=1e-5)
        assert_allclose(report.insertion[k], rises.mean(), atol=1e-5)
    assert "R2 of what they represent" in str(report)
    again = concept_report(trim, X[:20], n_fits=2, random_state=0)
    assert_allclose(again.stability, report.stability)
    same = TransformImportance(net, PCA(3, svd_solver="full"), layer="1").fit(X[:60])
    stable = concept_report(same, X[:60], n_fits=1)
    assert_allclose(stable.stability, 1, atol=1e-4)


def test_a_concept_that_is_nowhere_is_dead():
    X = np.random.default_rng(0).random((30, 4))
    X[:, 3] = 0
    trim = TransformImportance(
        nn.Linear(4, 1).double(), FunctionTransformer(lambda x: x, lambda x: x)
    ).fit(X)
    report = concept_report(trim, X)
    assert report.dead.tolist() == [False, False, False, True]
    assert np.isnan(report.sparsity[3])
    assert "dead" in str(report)


@pytest.mark.parametrize("layer", [None, "1"])
def test_sparse_signals_are_reported_as_dense_ones(layer):
    X = sp.random(30, 20, 0.3, "csr", random_state=0, dtype=np.float32)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 2))
    space = TruncatedSVD(3, random_state=0) if layer is None else PCA(3)
    trim = TransformImportance(net, space, layer=layer, random_state=0).fit(X)
    found = concept_report(trim, X, n_fits=1, random_state=0)
    expected = concept_report(trim, X.toarray(), n_fits=1, random_state=0)
    assert_allclose(found.signals, X.toarray())
    assert_allclose(found.r2, expected.r2, rtol=1e-5)
    assert_allclose(found.importance, expected.importance, rtol=1e-4)


def test_maps_are_drawn_where_each_concept_is_strongest(planted):
    net, X, _ = planted
    concepts = AlongAxis(NMF(3, random_state=0, init="nndsvda", max_iter=800), axis=1)
    trim = TransformImportance(net, concepts, layer="1").fit(X[:60])
    report = concept_report(trim, X[:20])
    cropped = report.plot(k=2, n_columns=3, crop=0.5)
    assert len(cropped.axes_) == 12
    row, column = np.unravel_index(
        cropped.maps[0, cropped.picked[0, 0]].argmax(), (12, 12)
    )
    top, left = np.clip([row - 2.5, column - 2.5], 0, 6).round().astype(int)
    expected = X[cropped.picked[0, 0], 0, top : top + 6, left : left + 6]
    assert_allclose(cropped.axes_[3].images[0].get_array(), expected)
    plt.close(cropped.figure_)
    display = report.plot(k=2, n_columns=4, title="Concepts")
    assert isinstance(display, ConceptsDisplay)
    assert len(display.axes_) == 8
    best = report.names.index(display.names[0])
    strongest = report.maps[best].reshape(20, -1).max(1).argmax()
    assert display.axes_[0].get_title() == f"sample {strongest}"
    plt.close(display.figure_)
    lines = np.random.default_rng(0).normal(size=(4, 1, 50))
    drawn = ConceptsDisplay.from_maps(lines, np.ones((1, 4, 10)), ["beat"])
    assert len(drawn.axes_) == 4
    plt.close(drawn.figure_)
    with pytest.raises(ValueError, match="and 1 axes of places"):
        ConceptsDisplay.from_maps(lines, np.ones((1, 4, 10, 2)), ["beat"])
    with pytest.raises(ValueError, match=r"crop=0; expected a share in \(0, 1\]"):
        ConceptsDisplay.from_maps(lines, np.ones((1, 4, 10)), ["beat"], crop=0)
    cut = ConceptsDisplay.from_maps(lines, np.ones((1, 4, 10)), ["beat"], crop=0.2)
    assert len(cut.axes_[4].lines[0].get_xdata()) == 10
    plt.close(cut.figure_)
    with pytest.raises(ValueError, match="2 names were given for 1 concepts"):
        ConceptsDisplay.from_maps(lines, np.ones((1, 4, 10)), ["beat", "rest"])


def test_what_has_no_concepts_is_refused():
    X = np.random.default_rng(0).normal(size=(10, 4))
    net = nn.Linear(4, 1).double()
    with pytest.raises(ValueError, match="needs a transformer of components"):
        concept_report(TransformImportance(net).fit(X), X)
    whole = concept_report(TransformImportance(net, PCA(3)).fit(X), X)
    with pytest.raises(ValueError, match="have no places to draw"):
        whole.plot()
    trim = TransformImportance(net, PCA(3), groups=[0, 0, 1]).fit(X)
    with pytest.raises(ValueError, match="needs one group per component"):
        concept_report(trim, X)
