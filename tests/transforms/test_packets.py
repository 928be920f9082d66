"""Wavelet packets are PyWavelets', in order of frequency, and invertible."""

import numpy as np
import pytest
import pywt
import torch
from numpy.testing import assert_allclose
from torch import nn

from sktrim import TransformImportance, WaveletPacketTransformer, inverse_module

WAVELETS = ["haar", "db4", "sym8", "coif2", "bior2.2"]


def signals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(3, *shape))


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("level", [1, 2, 4])
@pytest.mark.parametrize("n", [64, 61, 16])
def test_it_is_inverted_and_orthonormal_where_the_wavelet_is(wavelet, level, n):
    X = signals(n)
    packets = WaveletPacketTransformer(wavelet, level).fit(X)
    s = packets.transform(X)
    assert_allclose(packets.inverse_transform(s), X, atol=1e-10)
    A = packets.transform(np.eye(n)).T
    if pywt.Wavelet(wavelet).orthogonal:
        assert_allclose(A.T @ A, np.eye(n), atol=1e-10)
        assert_allclose(packets.inverse_transform(np.eye(len(A))).T, A.T, atol=1e-10)
    if n % 2**level == 0:
        assert s.shape == X.shape
    given = torch.tensor(signals(s.shape[1], seed=1))
    assert_allclose(
        inverse_module(packets)(given), packets.inverse_transform(given), atol=1e-11
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_nodes_are_those_of_pywavelets_in_order_of_frequency(seed):
    x = signals(64, seed=seed)[0]
    packets = WaveletPacketTransformer("db3", 3).fit(x[None])
    tree = pywt.WaveletPacket(x, "db3", "periodization", 3)
    s = packets.transform(x[None]).reshape(8, 8)
    for b, node in enumerate(tree.get_level(3, order="freq")):
        assert packets.nodes_[b] == node.path
        assert_allclose(s[:, b], node.data, atol=1e-12)


@pytest.mark.parametrize("band", range(16))
def test_a_tone_is_in_the_band_of_its_frequency(band):
    n, rate = 4096, 1000.0
    hertz = (band + 0.5) / 32 * rate
    x = np.sin(2 * np.pi * hertz * np.arange(n) / rate)[None]
    packets = WaveletPacketTransformer("sym16", 4).fit(x)
    groups = packets.feature_groups(sample_spacing=1 / rate, unit="Hz")
    power = groups.aggregate(packets.transform(x)[0] ** 2)
    assert power.argmax() == band
    assert_allclose(groups.centers[band], hertz)
    cells = packets.feature_groups(
        by="cell", edges=[0, 100, 500], n_times=4, sample_spacing=1 / rate, unit="Hz"
    )
    assert len(cells) == 8
    assert cells.sums_to_one


def test_scores_of_a_linear_network_are_those_in_closed_form():
    X = signals(2, 32)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).double()
    weight = net[1].weight.detach().numpy().reshape(1, 2, 32)
    for scorer in ("cd", "deeplift", "occlusion"):
        trim = TransformImportance(
            net, WaveletPacketTransformer("db2", 2, axes=-1), scorer=scorer
        ).fit(X)
        explanation = trim.explain(X)
        own = trim.transformer_.transform(weight)[0]
        expected = (explanation.coefficients * own) @ trim.groups_.masks.toarray().T
        assert_allclose(explanation.values, expected, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"level": 0}, "level=0; expected an integer of at least 1"),
        ({"level": 7}, "level=7 has 128 bands, but a signal has 40 values"),
        ({"wavelet": "morl"}, "'morl' is no discrete wavelet"),
        ({"axes": (-2, -1)}, "acts on one axis, time"),
    ],
)
def test_what_has_no_packets_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        WaveletPacketTransformer(**options).fit(signals(6, 40))
