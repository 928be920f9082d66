"""Amplitudes and phases: which of them counts, by scorers to which phases mean much."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sktrim import FourierTransformer, TransformImportance, inverse_module
from sktrim.evaluation import faithfulness_score
from sktrim.scorers import KernelShap, Occlusion, Shapley, get_scorer_names

SHAPES = pytest.mark.parametrize(
    ("shape", "axes"), [((8,), None), ((9,), None), ((2, 7), -1), ((5, 6), (-2, -1))]
)


def signals(*shape, n=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape))


@SHAPES
def test_polar_coordinates_are_those_of_the_pairs(shape, axes):
    X = signals(*shape)
    plain = FourierTransformer(axes=axes).fit(X)
    polar = FourierTransformer(axes=axes, coordinates="polar").fit(X)
    s, p = plain.transform(X), polar.transform(X)
    assert_allclose(polar.inverse_transform(p), X, atol=1e-12)
    m = len(plain.frequency_of_)
    s, p = s.reshape(-1, m), p.reshape(-1, m)
    for k in range(len(plain.frequencies_)):
        own = np.flatnonzero(plain.frequency_of_ == k)
        if len(own) == 1:
            assert_allclose(p[:, own], s[:, own])
            continue
        z = s[:, own[0]] + 1j * s[:, own[1]]
        assert_allclose(p[:, own[0]], abs(z), atol=1e-12)
        assert_allclose(p[:, own[1]], np.angle(z), atol=1e-12)
    module = inverse_module(polar)
    assert not module.is_affine
    given = torch.tensor(signals(p.size // 5, seed=1))
    assert_allclose(module(given), polar.inverse_transform(given), atol=1e-12)
    with pytest.raises(TypeError, match="has no linear part"):
        module.linear(given)
    with pytest.raises(TypeError, match="has no linear part"):
        module.adjoint(torch.zeros(2, X[0].size, dtype=torch.float64), given.shape[1])


def test_single_precision_and_names():
    X = signals(8).astype("float32")
    polar = FourierTransformer(coordinates="polar").fit(X)
    s = polar.transform(X)
    assert s.dtype == np.float32
    assert_allclose(polar.inverse_transform(s), X, atol=1e-5)
    names = polar.get_feature_names_out()
    assert list(names[1:3]) == ["1.0 cycles amplitude", "1.0 cycles phase"]
    parts = polar.feature_groups(by="part")
    assert parts.names == ["amplitude", "phase"]
    assert_allclose(parts.masks.sum(axis=1), [5, 3])
    assert FourierTransformer().fit(X).feature_groups(by="part").names == [
        "real part",
        "imaginary part",
    ]


def test_amplitude_and_phase_of_every_band():
    X = signals(16)
    polar = FourierTransformer(coordinates="polar").fit(X)
    bands = polar.feature_groups(by="band", edges=[0, 1, 4, 8])
    parts = polar.feature_groups(by="part", edges=[0, 1, 4, 8])
    # the constant has no phase
    assert parts.names == [
        "amplitude, 0.0 to 1.0 cycles",
        "amplitude, 1.0 to 4.0 cycles",
        "amplitude, 4.0 to 8.0 cycles",
        "phase, 1.0 to 4.0 cycles",
        "phase, 4.0 to 8.0 cycles",
    ]
    whole, divided = bands.masks.toarray(), parts.masks.toarray()
    assert_allclose(divided[:3] + np.vstack([0 * whole[:1], divided[3:]]), whole)
    named = np.array(["phase" in name for name in polar.get_feature_names_out()])
    assert not divided[:3, named].any()
    assert not divided[3:, ~named].any()
    soft = polar.feature_groups(by="part", centers=[1, 3, 6], soft=True)
    assert_allclose(np.asarray(soft.masks.sum(axis=0)).ravel(), 1)


def test_faithfulness_puts_other_rows_in_place_of_amplitudes_and_phases():
    X = signals(16, n=12)
    space = FourierTransformer(coordinates="polar")
    trim = TransformImportance(Power(), space, Occlusion("rows"), groups="part").fit(X)
    assert trim.score(X) == faithfulness_score(trim, X, baseline="rows")
    with pytest.raises(ValueError, match="baseline='zero' would put a phase"):
        faithfulness_score(trim, X)


class Power(nn.Module):
    """Looks at the power of three cycles, whatever their phase."""

    def forward(self, x):
        return torch.fft.rfft(x)[:, 3:4].abs().square()


class Peak(nn.Module):
    """Looks at where three cycles have their crest, whatever their amplitude."""

    def forward(self, x):
        z = torch.fft.rfft(x)[:, 3:4]
        return (z / z.abs()).real


@pytest.mark.parametrize("net", [Power(), Peak()])
@pytest.mark.parametrize(
    "scorer",
    [Occlusion("rows", n_rows=5), Shapley("rows", n_rows=5), KernelShap("rows")],
)
def test_what_counts_is_told_apart(net, scorer):
    X = signals(16, n=6)
    trim = TransformImportance(
        net,
        FourierTransformer(coordinates="polar"),
        scorer,
        groups="part",
        random_state=0,
    ).fit(X)
    amplitude, phase = np.abs(trim.explain(X).values).mean(axis=0)
    counts, other = (amplitude, phase) if isinstance(net, Power) else (phase, amplitude)
    assert counts > 0.1
    assert other < 1e-5 * counts


@pytest.mark.parametrize("scorer", get_scorer_names())
@pytest.mark.parametrize("scaled", [None, 0, 1])
def test_scorers_to_which_phases_mean_nothing_refuse(scorer, scaled):
    X = signals(16)
    space = FourierTransformer(coordinates="polar")
    if scaled is not None:
        steps = [space]
        steps.insert(scaled, StandardScaler())
        space = make_pipeline(*steps)
    net = nn.Linear(16, 1).double()
    with pytest.raises(ValueError, match="cannot score amplitudes and phases"):
        TransformImportance(net, space, scorer).fit(X)


def test_rows_of_ones_own_are_a_baseline_too():
    X = signals(16)
    space = FourierTransformer(coordinates="polar")
    rows = space.fit(X).transform(X[:2])
    net = nn.Linear(16, 1).double()
    found = TransformImportance(net, space, Occlusion(rows)).fit(X).explain(X)
    assert np.isfinite(found.values).all()
    with pytest.raises(ValueError, match="coordinates='cartesian'; expected"):
        FourierTransformer(coordinates="cartesian").fit(X)
