"""Maps of a layer keep planted classes apart and say how far to trust them."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.metrics import silhouette_score
from torch import nn

from sktrim.stimuli import layer_embedding
from tests.nets import seeded, small_conv

RNG = np.random.default_rng(0)
Y = np.arange(60) % 2
X = 0.3 * RNG.standard_normal((60, 1, 12, 12))
X[Y == 1, 0, 3:9, 3:9] += 1


@pytest.fixture(scope="module")
def found():
    return layer_embedding(
        "conv", small_conv(), X, Y, perplexities=(5, 15), random_state=0
    )


def test_two_planted_classes_are_apart_on_every_map(found):
    assert found.points.shape == (1, 2, 60, 2)
    for points in found.points[0]:
        assert silhouette_score(points, Y) > 0.5


def test_trustworthiness_is_that_of_the_layer_and_is_stated(found):
    import torch

    with torch.no_grad():
        h = small_conv().conv(torch.tensor(X)).flatten(1).numpy()
    for points, t in zip(found.points[0], found.trustworthiness[0], strict=True):
        assert t == pytest.approx(trustworthiness(h, points, n_neighbors=5))
        assert f"trustworthiness {t:.3f}" in repr(found)
    assert "perplexity 5: trustworthiness" in repr(found)
    titles = [ax.get_title() for ax in found.plot().axes_]
    assert titles == found.titles
    assert "trustworthiness" in titles[1]


def test_a_map_equals_the_reducer_by_hand(found):
    import torch

    with torch.no_grad():
        h = small_conv().conv(torch.tensor(X)).flatten(1).numpy()
    by_hand = TSNE(init="pca", perplexity=15, random_state=0).fit_transform(h)
    np.testing.assert_allclose(found.points[0, 1], by_hand)


def test_signals_lie_at_their_points_in_the_colour_of_their_class(found):
    from matplotlib.offsetbox import AnnotationBbox

    display = found.plot(n_pictures=60)
    for ax, points in zip(display.axes_, found.points[0], strict=True):
        boxes = [a for a in ax.artists if isinstance(a, AnnotationBbox)]
        np.testing.assert_allclose([b.xy for b in boxes], points)
        colors = [b.patch.get_edgecolor() for b in boxes]
        assert len({c for c, own in zip(colors, Y, strict=True) if own == 0}) == 1
        assert len(set(colors)) == 2


def test_two_networks_are_drawn_before_and_after():
    nets = [small_conv(0), small_conv(1)]
    found = layer_embedding("conv", nets, X, Y, reducer=PCA(2))
    assert found.points.shape == (2, 1, 60, 2)
    titles = [ax.get_title() for ax in found.plot().axes_]
    assert [t.split("\n")[0] for t in titles] == ["before", "after"]
    named = layer_embedding(
        "conv", nets, X, reducer=PCA(2), model_names=["random", "trained"]
    )
    assert "random: trustworthiness" in repr(named)


def test_what_is_no_image_is_drawn_as_dots():
    net = seeded(lambda: nn.Sequential(nn.Linear(5, 3))).double()
    table = RNG.standard_normal((30, 5))
    display = layer_embedding("0", net, table, reducer=PCA(2)).plot()
    assert len(display.axes_[0].collections) == 1
    assert not display.axes_[0].artists


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"layer": "cnv"}, ValueError, "'conv'"),
        ({"y": Y[:5]}, ValueError, "a class per signal"),
        ({"perplexities": (5, 60)}, ValueError, "below 60"),
        ({"perplexities": ()}, ValueError, "perplexities"),
        ({"n_neighbors": 30}, ValueError, "less than half"),
        ({"reducer": 3}, TypeError, "fit_transform"),
        ({"model_names": ["a", "b"]}, ValueError, "2 model_names for 1"),
    ],
)
def test_what_cannot_be_is_told(change, error, message):
    settings = {"layer": "conv", "model": small_conv(), "X": X, "y": Y, **change}
    with pytest.raises(error, match=message):
        layer_embedding(**settings)
