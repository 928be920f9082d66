"""Planted rows and places are found, and what a unit sees is what it can see."""

import numpy as np
import pytest
import torch
from torch import nn

from sktrim.stimuli import max_activating
from tests.nets import seeded, small_conv

RNG = np.random.default_rng(0)
X = 0.1 * RNG.standard_normal((30, 1, 12, 12))


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_row_and_place_are_found(seed):
    rng = np.random.default_rng(seed)
    net = seeded(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), seed).double()
    planted = X.copy()
    row, i, j = rng.integers(30), *rng.integers(10, size=2)
    kernel = net[0].weight[2, 0].detach().numpy()
    planted[row, 0, i : i + 3, j : j + 3] = 5 * kernel / np.linalg.norm(kernel)
    found = max_activating(("1", 2), net, planted, n=3)
    assert found.indices[0] == row
    assert found.places[0].tolist() == [i, j]
    assert found.boxes[0].tolist() == [[i, i + 2], [j, j + 2]]
    np.testing.assert_array_equal(found.crops[0], planted[row, :, i : i + 3, j : j + 3])


def test_the_ranking_is_that_of_the_largest_place():
    net = small_conv()
    with torch.no_grad():
        z = net.conv(torch.tensor(X))[:, 3].flatten(1).amax(1).numpy()
    found = max_activating(("conv", 3), net, X, n=30)
    np.testing.assert_array_equal(found.indices, np.argsort(-z))
    np.testing.assert_allclose(found.activations, np.sort(z)[::-1])


def test_one_place_and_one_output_have_no_places():
    net = small_conv()
    at = max_activating(("conv", 1, 2, 7), net, X, n=4)
    assert at.places.shape == (4, 0)
    assert at.boxes[0].tolist() == [[2, 4], [7, 9]]
    out = max_activating(2, net, X, n=4)
    with torch.no_grad():
        z = net(torch.tensor(X))[:, 2].numpy()
    np.testing.assert_array_equal(out.indices, np.argsort(-z)[:4])
    # the pooled places of a linear layer see every pixel, or all but the border
    assert (out.boxes[..., 0] <= 1).all()
    assert (out.boxes[..., 1] >= 10).all()


def test_a_place_behind_two_layers_sees_all_that_it_can():
    net = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 2, 2)
        )
    ).double()
    found = max_activating(("3", 0, 1, 2), net, X, n=5)
    # two pooled samples, of two filtered ones each, of three pixels each
    for box in found.boxes:
        assert box.tolist() == [[2, 7], [4, 9]]


def test_what_is_off_at_the_row_is_seen_all_the_same():
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 3)).double()
    net[0].weight.data.fill_(1)
    net[0].bias.data.fill_(0)
    net[2].weight.data.fill_(1)
    dark = -np.ones((4, 1, 9, 9))
    dark[1, 0, 4, 4] = 1
    found = max_activating(("2", 0, 3, 3), net, dark, n=1)
    assert found.indices.tolist() == [1]
    assert found.boxes[0].tolist() == [[3, 5], [3, 5]]


def test_rows_of_a_table_are_taken_as_signals():
    net = seeded(lambda: nn.Linear(12, 2)).double()
    table = RNG.standard_normal((9, 12))
    found = max_activating(0, net, table, n=2)
    assert found.boxes[0].tolist() == [[0, 11]]
    display = found.plot()
    assert len(display.axes_) == 2


def test_a_plot_frames_what_is_seen():
    found = max_activating(("conv", 3), small_conv(), X, n=3)
    display = found.plot()
    assert [ax.get_title().split(":")[0] for ax in display.axes_] == [
        f"row {i}" for i in found.indices
    ]
    line = display.axes_[0].lines[0].get_xydata()
    rows, columns = found.boxes[0]
    assert line[:, 0].min() == columns[0] - 0.5
    assert line[:, 1].max() == rows[1] + 0.5
    assert "rows" in repr(found)


@pytest.mark.parametrize("n", [0, 31])
def test_more_rows_than_there_are_are_refused(n):
    with pytest.raises(ValueError, match="expected 1 to 30"):
        max_activating(("conv", 0), small_conv(), X, n=n)
