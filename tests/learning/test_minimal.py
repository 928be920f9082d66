"""The fewest groups that keep a prediction are those that were planted."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.learning import MinimalMask


class Reads(nn.Module):
    """Tells classes by the sizes of two frequencies alone."""

    def forward(self, x):
        spectrum = torch.fft.rfft(x, norm="ortho").abs()
        return torch.stack([spectrum[:, 3] * spectrum[:, 7], spectrum[:, 5]], 1)


def test_planted_frequencies_are_kept():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 32))
    t = np.arange(32)
    X += 2 * np.cos(2 * np.pi * 3 * t / 32) + 2 * np.cos(2 * np.pi * 7 * t / 32 + 1)
    trim = TransformImportance(
        Reads(), FourierTransformer(), target=0, output="logit"
    ).fit(X)
    found = MinimalMask(trim, tolerance=0.05).explain(X)
    assert (found.n_kept == 2).all()
    assert found.names(0) == ["3.0 cycles", "7.0 cycles"]
    assert (np.abs(found.outputs - found.kept_outputs) <= found.tolerances + 1e-6).all()
    assert repr(found).startswith("Masks(6 samples; 2.0 of 17 groups")


def test_what_is_kept_gives_the_output_that_is_stated():
    torch.manual_seed(0)
    X = np.random.default_rng(1).normal(size=(5, 12))
    net = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    trim = TransformImportance(net, target=1, output="logit").fit(X)
    found = MinimalMask(trim, tolerance=0.2).explain(X)
    kept = net(torch.as_tensor(X * found.kept))[:, 1].detach().numpy()
    assert_allclose(found.kept_outputs, kept)
    whole = net(torch.as_tensor(X))[:, 1].detach().numpy()
    zero = net(torch.zeros(5, 12).double())[:, 1].detach().numpy()
    assert_allclose(found.tolerances, 0.2 * np.abs(whole - zero))
    assert (np.abs(kept - whole) <= found.tolerances + 1e-9).all()
    assert (found.n_kept < 12).any()


def test_smooth_masks_keep_neighbours_together():
    w = np.zeros(20)
    w[[5, 6, 7, 8]] = [2.0, 0.05, 0.05, 2.0]
    net = nn.Linear(20, 1, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.as_tensor(w)[None])
    X = np.ones((1, 20))
    trim = TransformImportance(net).fit(X)
    rough = MinimalMask(trim).explain(X)
    smooth = MinimalMask(trim, smoothness=3.0).explain(X)
    assert rough.names(0) == ["coefficient5", "coefficient8"]

    def variation(found):
        return np.abs(np.diff(found.soft[0])).sum()

    assert smooth.soft[0, 6:8].min() > rough.soft[0, 6:8].max() + 0.2
    assert variation(smooth) < variation(rough)


def test_samples_do_not_depend_on_each_other():
    X = np.random.default_rng(0).normal(size=(4, 10))
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 1)).double()
    trim = TransformImportance(net).fit(X)
    asked = MinimalMask(trim, n_steps=50)
    together = asked.explain(X)
    assert len(set(together.n_kept)) > 1
    for row in range(len(X)):
        alone = asked.explain(X[row : row + 1])
        assert_allclose(together.soft[row], alone.soft[0], atol=1e-9)
        assert_array_equal(together.kept[row], alone.kept[0])


def test_what_is_in_no_group_is_always_there():
    X = np.random.default_rng(0).normal(size=(3, 4))
    net = nn.Linear(4, 1).double()
    trim = TransformImportance(net, groups=[0, 1, -1, -1]).fit(X)
    found = MinimalMask(trim, tolerance=0.6, n_steps=20).explain(X)
    assert not found.kept.all()
    kept = np.hstack([found.kept, np.ones((3, 2))])
    expected = net(torch.as_tensor(X * kept)).detach().numpy()[:, 0]
    assert_allclose(found.kept_outputs, expected)


def test_what_does_not_fit_is_refused_with_reasons():
    X = np.random.default_rng(0).normal(size=(4, 3))
    net = nn.Linear(3, 2).double()
    overlapping = TransformImportance(net, groups=[[1, 1, 0], [0, 1, 1]]).fit(X)
    with pytest.raises(ValueError, match="Groups overlap"):
        MinimalMask(overlapping).explain(X)
    several = TransformImportance(net, target="all").fit(X)
    with pytest.raises(ValueError, match="2 targets are explained"):
        MinimalMask(several).explain(X)
    other = TransformImportance(LinearRegression().fit(X, X[:, 0]), scorer="occlusion")
    with pytest.raises(TypeError, match="no gradient"):
        MinimalMask(other.fit(X)).explain(X)
    with pytest.raises(ValueError, match="tolerance"):
        MinimalMask(several, tolerance=0.0).explain(X)
