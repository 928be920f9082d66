"""The rows and places that a unit likes, and what a layer makes of classes."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from sktrim.stimuli import layer_embedding, max_activating


def detector(pattern):
    conv = nn.Conv2d(1, 1, pattern.shape, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.as_tensor(pattern)[None, None])
    return nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2))


def test_a_planted_row_and_its_place_are_found():
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=(3, 3)).astype("float32")
    X = 0.1 * rng.normal(size=(30, 1, 12, 12)).astype("float32")
    X[17, 0, 4:7, 6:9] += pattern
    net = detector(pattern)
    top = max_activating(("0", 0), net, X, n=3)
    assert top.indices[0] == 17
    assert top.places[0] == (4, 6)
    assert top.boxes[0] == (slice(4, 7), slice(6, 9))
    assert np.array_equal(top.crops[0], X[17, :, 4:7, 6:9])
    assert (np.diff(top.activations) <= 0).all()
    pooled = max_activating(("2", 0), net, X, n=1)
    assert pooled.places[0] == (2, 3)
    assert pooled.boxes[0] == (slice(4, 8), slice(6, 10))
    with pytest.raises(ValueError, match="n=0"):
        max_activating(("0", 0), net, X, n=0)


def test_series_have_places_too():
    conv = nn.Conv1d(1, 2, 5)
    X = np.random.default_rng(0).normal(size=(6, 1, 20)).astype("float32")
    top = max_activating((conv, 1), nn.Sequential(conv), X, n=2)
    response = conv(torch.as_tensor(X)).detach().numpy()[:, 1]
    assert top.indices[0] == response.max(1).argmax()
    [place] = top.places[0]
    assert top.boxes[0] == (slice(place, place + 5),)


def test_pictures_have_a_frame_around_what_is_seen():
    X = np.random.default_rng(0).normal(size=(6, 1, 12, 12)).astype("float32")
    top = max_activating(("0", 0), detector(np.ones((3, 3), "float32")), X, n=4)
    [row, column] = top.boxes[0]
    [frame] = top.plot().axes_[0].get_lines()
    x, y = frame.get_data()
    assert (min(y), max(y)) == (row.start - 0.5, row.stop - 0.5)
    assert (min(x), max(x)) == (column.start - 0.5, column.stop - 0.5)


@pytest.fixture
def classes():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 40)
    X = rng.normal(size=(80, 1, 6, 6))
    X[y == 1, 0, :3] += 4
    return X.astype("float32"), y


def test_planted_classes_are_apart_and_trust_is_stated(classes):
    X, y = classes
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 2))
    found = layer_embedding("2", net, X, y, perplexities=(5, 20))
    assert len(found.points) == 2
    for plane, trust in zip(found.points, found.trust, strict=True):
        near = ((plane[:, None] - plane[None]) ** 2).sum(-1)
        np.fill_diagonal(near, np.inf)
        assert (y[near.argmin(1)] == y).mean() > 0.9
        assert 0.7 < trust <= 1
    assert "perplexity 20: trustworthiness" in repr(found)
    titles = [axes.get_title() for axes in found.plot().ax_.child_axes]
    assert all("trustworthiness" in title for title in titles)


def test_other_reducers_and_several_models(classes):
    X, y = classes
    nets = {
        name: nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
        for name in ("before", "after")
    }
    found = layer_embedding("1", nets, X, y, reducer=PCA(2))
    assert found.names == ["before", "after"]
    linear = nets["after"](torch.as_tensor(X)).detach().numpy()
    expected = PCA(2).fit_transform(linear)
    assert np.allclose(np.abs(found.points[1]), np.abs(expected), atol=1e-4)
    with pytest.raises(ValueError, match="perplexity 80 for 80 signals"):
        layer_embedding("1", nets, X, perplexities=(80,))
