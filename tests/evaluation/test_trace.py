"""Whole groups are traced in signal space as they would be in coefficients."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import QuantileTransformer
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.evaluation import faithfulness_curves
from sktrim.evaluation._trace import ReplacementCurves
from tests.nets import mlp, seeded

GROUPS = {
    "apart": np.arange(12) // 3,
    "overlapping": np.eye(4, 12) + np.eye(4, 12, 1) + np.eye(4, 12, 5),
    "one": np.ones((1, 12)),
    "some are in none": np.eye(12)[[1, 4, 7]],
    "soft": np.random.default_rng(5).dirichlet(np.ones(4), 12).T,
    "many": "coefficients",
}
TRANSFORMERS = {
    "none": None,
    "fourier": FourierTransformer(),
    "with an offset": PCA(),
    "lossy": PCA(6),
    "no gradient": QuantileTransformer(n_quantiles=6),
}


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((14, 12))


def both_ways(trim, X, monkeypatch, **options):
    """The curves as they come, and with every point taken through T^-1."""
    found = faithfulness_curves(trim, X, **options)
    with monkeypatch.context() as patch:
        patch.setattr(
            ReplacementCurves, "_in_signals", ReplacementCurves._in_coefficients
        )
        expected = faithfulness_curves(trim, X, **options)
    return found, expected


def assert_same(found, expected, atol=1e-12):
    np.testing.assert_allclose(found.deletion, expected.deletion, atol=atol)
    np.testing.assert_allclose(found.insertion, expected.insertion, atol=atol)


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_signals_give_what_coefficients_give(X, groups, transformer, monkeypatch):
    T, chosen = TRANSFORMERS[transformer], GROUPS[groups]
    if transformer == "lossy" and groups != "many":
        chosen = np.asarray(chosen)[..., :6]
    trim = TransformImportance(mlp(), T, "occlusion", groups=chosen).fit(X)
    for options in ({}, {"baseline": "rows", "n_rows": 3}, {"max_steps": 3}):
        assert_same(*both_ways(trim, X, monkeypatch, **options))


@pytest.mark.parametrize("residual", ["constant", "component", "drop"])
def test_the_residual_is_held_as_asked(X, residual, monkeypatch):
    trim = TransformImportance(mlp(), PCA(4), "occlusion", residual=residual).fit(X)
    assert_same(*both_ways(trim, X, monkeypatch))


def test_only_whole_groups_are_moved_in_signals(X, monkeypatch):
    moved = []
    original = ReplacementCurves._in_signals

    def recorded(self, *args):
        moved.append(1)
        return original(self, *args)

    monkeypatch.setattr(ReplacementCurves, "_in_signals", recorded)
    for groups in ("apart", "soft"):
        trim = TransformImportance(mlp(), groups=GROUPS[groups]).fit(X)
        faithfulness_curves(trim, X)
    assert len(moved) == 1


def test_restoring_soft_groups_ends_where_the_whole_signal_is():
    net = nn.Linear(1, 1, bias=False, dtype=torch.float64).eval()
    nn.init.ones_(net.weight)
    weights = np.array([[0.1], [0.5], [0.2]])
    trim = TransformImportance(net, None, "gradient", groups=weights, output="raw")
    curves = faithfulness_curves(
        trim.fit(np.ones((2, 1))), np.ones((1, 1)), scores=[[3.0, 2.0, 1.0]]
    )
    left = np.array([1, 0.9, 0.45, 0.36])
    np.testing.assert_allclose(curves.deletion[0], left)
    np.testing.assert_allclose(curves.insertion[0], 0.36 + 1 - left)


def test_networks_that_write_to_their_input(X, monkeypatch):
    def build(inplace):
        return nn.Sequential(nn.ReLU(inplace=inplace), nn.Linear(12, 3)).double()

    scores = np.random.default_rng(1).standard_normal(X.shape)
    curves = []
    for inplace in (False, True):
        net = seeded(lambda inplace=inplace: build(inplace)).eval()
        trim = TransformImportance(net, scorer="gradient").fit(X.copy())
        curves.append(
            faithfulness_curves(trim, X.copy(), scores=scores, baseline="rows")
        )
    assert_same(*curves)


def test_ranks_are_exact_in_a_short_dtype():
    """300 groups: bfloat16 knows 256 and 258, but not 257."""
    net = nn.Linear(300, 1, bias=False, dtype=torch.bfloat16).eval()
    nn.init.ones_(net.weight)
    X = np.zeros((300, 300), np.float32)
    scores = -np.tile(np.arange(300.0), (300, 1))
    np.fill_diagonal(X, 1)
    trim = TransformImportance(net, scorer="gradient", output="raw").fit(X)
    curves = faithfulness_curves(trim, X, scores=scores, max_steps=300)
    removed = np.arange(301) > np.arange(300)[:, None]
    np.testing.assert_array_equal(curves.deletion, ~removed)
    np.testing.assert_array_equal(curves.insertion, removed)
