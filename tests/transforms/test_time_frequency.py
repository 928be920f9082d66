"""Frames of time and frequency: exact inverses, and cells of both as groups."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.signal import ShortTimeFFT
from torch import nn

from sktrim import (
    LappedTransformer,
    ShortTimeFourierTransformer,
    TransformImportance,
    inverse_module,
)
from sktrim.inverse import _signals

LENGTHS = pytest.mark.parametrize("n", [1, 7, 64, 101])
WINDOWS = ["sqrt_hann", "hann", "boxcar", ("kaiser", 5.0)]


def signals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(3, *shape))


def matrix_of(transformer, n):
    """Return the transform as a matrix (n_coefficients, n)."""
    return transformer.transform(np.eye(n)).T


@LENGTHS
@pytest.mark.parametrize(("length", "hop"), [(8, 4), (8, 3), (9, 2), (5, 5), (16, 1)])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("tight", [True, False])
def test_short_time_is_inverted_whatever_length_window_and_hop(
    n, length, hop, window, tight
):
    X = signals(n)
    stft = ShortTimeFourierTransformer(length, hop, window, tight)
    if hop == length and "hann" in str(window):
        with pytest.raises(ValueError, match="does not see 1 of every 5 samples"):
            stft.fit(X)
        return
    stft.fit(X)
    s = stft.transform(X)
    assert s.shape[1] == len(stft.frame_centers_) * length
    assert_allclose(stft.inverse_transform(s), X, atol=1e-12)
    A = matrix_of(stft, n)
    D = stft.inverse_transform(np.eye(len(A))).T
    assert_allclose(D @ A, np.eye(n), atol=1e-12)
    if tight:
        assert_allclose(D, A.T, atol=1e-12)
        assert_allclose((s**2).sum(1), (X**2).sum(1), rtol=1e-12)


@pytest.mark.parametrize(("length", "hop"), [(8, 4), (9, 2)])
def test_frames_are_those_of_scipy(length, hop):
    X = signals(50)
    stft = ShortTimeFourierTransformer(length, hop, "hann", tight=False).fit(X)
    peer = ShortTimeFFT(stft.window_, hop, fs=1.0, phase_shift=None)
    found = peer.stft(X)
    centers = peer.t(50) - peer.m_num_mid + (length - 1) / 2
    s = stft.transform(X).reshape(3, -1, length)
    packing = stft.packing_
    for i, center in enumerate(stft.frame_centers_):
        at = int(np.argmin(abs(centers - center)))
        assert_allclose(centers[at], center)
        parts = np.ascontiguousarray(found[:, :, at]).view(float) / np.sqrt(length)
        expected = parts.reshape(3, -1)[:, packing.entries] * packing.scales
        assert_allclose(s[:, i], expected, atol=1e-12)


def naive_mdct(x, m, window):
    """Return the coefficients of one signal by the sum of its definition."""
    n_frames = -(-len(x) // m)
    out = np.zeros((n_frames, m))
    for p in range(n_frames):
        for j in range(2 * m):
            at = j + p * m - m // 2
            if not 0 <= at < len(x):
                continue
            weight = window[j]
            if (p == 0 and j < m) or (p == n_frames - 1 and j >= m):
                weight = m // 2 <= j < m + m // 2
            cosines = np.cos(np.pi / m * (j + 0.5 + m / 2) * (np.arange(m) + 0.5))
            out[p] += weight * x[at] * cosines
    return np.sqrt(2 / m) * out.ravel()


@LENGTHS
@pytest.mark.parametrize("m", [2, 4, 6])
@pytest.mark.parametrize("window", ["sine", ("kaiser_bessel_derived", 4.0)])
def test_lapped_is_its_definition_and_orthonormal(n, m, window):
    X = signals(n)
    lapped = LappedTransformer(m, window).fit(X)
    s = lapped.transform(X)
    expected = [naive_mdct(x, m, lapped.window_) for x in X]
    assert_allclose(s, expected, atol=1e-12)
    assert_allclose(lapped.inverse_transform(s), X, atol=1e-12)
    A = matrix_of(lapped, n)
    assert_allclose(A.T @ A, np.eye(n), atol=1e-12)
    assert_allclose(lapped.inverse_transform(np.eye(len(A))).T, A.T, atol=1e-12)
    assert len(A) == -(-n // m) * m


def test_what_happens_at_an_end_is_scored_there():
    X = np.eye(960)[[0, 30, 929, 959]]
    lapped = LappedTransformer(64).fit(X)
    tenths = lapped.feature_groups(by="time", n_times=10)
    shares = tenths.aggregate(lapped.transform(X) ** 2)
    assert_allclose(shares[:2], [[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]] * 2, atol=1e-12)
    assert_allclose(shares[2:], [[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]] * 2, atol=1e-12)


@pytest.mark.parametrize("m", [2, 6, 20, 300])
@pytest.mark.parametrize("dense", [0, 256])
def test_lapped_twin_is_exact(m, dense, monkeypatch):
    monkeypatch.setattr(_signals, "_DENSE", dense)
    lapped = LappedTransformer(m).fit(signals(2, 61))
    s = np.random.default_rng(1).normal(size=(2, lapped.n_coefficients_))
    inverse = inverse_module(lapped)
    assert_allclose(inverse(torch.tensor(s)), lapped.inverse_transform(s), atol=1e-12)
    assert torch.autograd.gradcheck(inverse, torch.tensor(s).requires_grad_())


def test_a_tone_is_where_and_when_it_sounds():
    t = np.arange(1000) / 1000
    X = np.where(t < 0.5, np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 300 * t))
    for transformer in (ShortTimeFourierTransformer(64), LappedTransformer(32)):
        transformer.fit(X[None])
        power = transformer.transform(X[None])[0] ** 2
        cells = transformer.feature_groups(
            by="cell", edges=[0, 200, 500], n_times=2, sample_spacing=1e-3, unit="Hz"
        )
        shares = cells.masks @ power / power.sum()
        assert_allclose(shares, [0.5, 0, 0, 0.5], atol=0.03)
        assert cells.names[1] == "200.0 to 500.0 Hz, 0 to 0.5 s"
        assert cells.unit == "Hz, s"
        assert_allclose(cells.coordinates[2], [100, 0.75])


@pytest.mark.parametrize(
    "transformer", [ShortTimeFourierTransformer(16, 4), LappedTransformer(8)]
)
def test_groups_by_frequency_time_and_cell_take_every_coefficient_once(transformer):
    X = signals(2, 60)
    fitted = type(transformer)(**transformer.get_params()).fit(X.reshape(3, 2, 60))
    n_frames = len(fitted.frame_centers_)
    n_frequencies = len(fitted.frequencies_)
    rate = {"sample_spacing": 0.01, "unit": "Hz"}
    every = {
        ("natural",): n_frequencies,
        ("time",): n_frames,
        ("cell",): n_frames * n_frequencies,
    }
    for (by,), count in every.items():
        groups = fitted.feature_groups(by=by, **rate)
        assert len(groups) == count
        assert groups.sums_to_one
        apart = fitted.feature_groups(by=by, channels="separate", **rate)
        assert len(apart) == 2 * count
    some = fitted.feature_groups(by="time", n_times=3, **rate)
    assert some.names == ["0 to 0.2 s", "0.2 to 0.4 s", "0.4 to 0.6 s"]
    assert_allclose(some.centers, [0.1, 0.3, 0.5])
    assert some.sums_to_one
    soft = fitted.feature_groups(by="cell", edges="mel", n_bands=3, n_times=3, **rate)
    assert len(soft) == 9
    assert_allclose(np.asarray(soft.masks.sum(axis=0)).ravel(), 1, atol=1e-15)
    # a cell is the product of its band and its time
    band = fitted.feature_groups(by="band", edges="mel", n_bands=3, **rate)
    assert_allclose(
        soft.masks.toarray()[4],
        (band.masks[[1]].toarray() * some.masks[[1]].toarray())[0],
    )


def test_intervals_of_ones_own_hold_the_frames_with_their_middles_inside():
    fitted = LappedTransformer(5 * 2).fit(signals(60))
    rate = {"sample_spacing": 0.01, "unit": "Hz"}
    times = fitted.frame_centers_ * 0.01
    edges = [0.1, 0.25, 0.5]
    own = fitted.feature_groups(by="time", time_edges=edges, **rate)
    assert own.names == ["0.1 to 0.25 s", "0.25 to 0.5 s"]
    assert_allclose(own.centers, [0.175, 0.375])
    for mask, lo, hi in zip(own.masks.toarray(), edges[:-1], edges[1:], strict=True):
        assert_allclose(
            mask, (lo <= times[fitted.frame_of_]) & (times[fitted.frame_of_] < hi)
        )
    apart = fitted.feature_groups(
        by="time", time_edges=[[0.1, 0.2], [0.15, 0.4]], **rate
    )
    assert apart.masks.sum() > 0
    cells = fitted.feature_groups(by="cell", n_bands=2, time_edges=edges, **rate)
    assert cells.names[3].endswith(" Hz, 0.25 to 0.5 s")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("scorer", ["cd", "deeplift", "occlusion", "shapley"])
@pytest.mark.parametrize(
    "transformer", [ShortTimeFourierTransformer(8, 4), LappedTransformer(4)]
)
def test_scores_of_a_linear_network_are_those_in_closed_form(transformer, scorer, seed):
    torch.manual_seed(seed)
    X = signals(2, 30, seed=seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(60, 1)).double()
    weight = net[1].weight.detach().numpy().reshape(2, 30)

    def cells(fitted):
        return fitted.feature_groups(by="cell", n_bands=2, n_times=3)

    trim = TransformImportance(net, transformer, scorer=scorer, groups=cells).fit(X)
    explanation = trim.explain(X)
    # adjoint and inverse are one, so that a coefficient's weight is that of the net's
    own = trim.transformer_.transform(weight[None])[0]
    expected = (explanation.coefficients * own) @ trim.groups_.masks.toarray().T
    assert_allclose(explanation.values, expected, atol=1e-10)


@pytest.mark.parametrize(
    ("transformer", "match"),
    [
        (ShortTimeFourierTransformer(0), "window_length=0; expected an integer"),
        (ShortTimeFourierTransformer(8, 0), "hop=0; expected"),
        (ShortTimeFourierTransformer(8, 9), "does not see 2 of every 9 samples"),
        (ShortTimeFourierTransformer(8, 8, "hann"), "does not see 1 of every 8"),
        (ShortTimeFourierTransformer(8, 2, np.ones(7)), r"shape \(7,\); expected 8"),
        (ShortTimeFourierTransformer(8, 2, np.zeros(8)), "there is no inverse"),
        (ShortTimeFourierTransformer(8.0), "window_length=8.0; expected an integer"),
        (ShortTimeFourierTransformer(8, "4"), "hop='4'; expected an integer"),
        (ShortTimeFourierTransformer(8, 2, 1j * np.ones(8)), "8 finite real values"),
        (ShortTimeFourierTransformer(8, 2, "loudness"), "is no window of 8 values"),
        (ShortTimeFourierTransformer(8, 2, "kaiser"), "where it takes a parameter"),
        (LappedTransformer(3), "n_bins=3; expected an even number"),
        (LappedTransformer(1), "n_bins=1; expected an integer of at least 2"),
        (LappedTransformer(4, "hann"), "window='hann' has no inverse here"),
        (LappedTransformer(4, np.ones(8)), "The window has no inverse here"),
        (LappedTransformer(4, axes=(-2, -1)), "acts on one axis, time"),
    ],
)
def test_what_cannot_be_inverted_is_refused(transformer, match):
    with pytest.raises(ValueError, match=match):
        transformer.fit(signals(6, 40))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"by": "level"}, r"by='level'; expected one of \('natural', 'band', 'time'"),
        ({"n_times": 3}, "n_times and time_edges need by='time' or 'cell'"),
        ({"by": "time", "n_bands": 3}, "n_bands needs by='band' or 'cell'"),
        ({"by": "time", "n_times": 0}, "n_times=0; expected an integer"),
        ({"by": "time", "n_times": 2, "time_edges": [0, 9]}, "give one of them"),
        ({"time_edges": [0, 9]}, "n_times and time_edges need by='time' or 'cell'"),
        ({"by": "time", "time_edges": [0]}, r"time_edges has shape \(1,\); expected"),
        ({"by": "time", "time_edges": [0, 9, 9]}, "time_edges must be finite and inc"),
        ({"by": "time", "time_edges": [70, 80]}, "some hold the middle of none"),
        ({"by": "time", "n_times": 50}, "some hold the middle of none"),
        ({"by": "cell", "edges": "mel", "n_bands": 3}, "needs sample_spacing="),
        ({"by": "time", "unit": "Hz"}, "needs sample_spacing="),
    ],
)
def test_groups_that_cannot_be_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        LappedTransformer(8).fit(signals(60)).feature_groups(**options)


@pytest.mark.parametrize("dense", [0, 256])
@pytest.mark.parametrize(
    ("length", "hop"), [(8, 4), (9, 2), (7, 5), (4, 4), (1, 1), (512, 100)]
)
@pytest.mark.parametrize("tight", [True, False])
def test_short_time_twin_is_exact(length, hop, tight, dense, monkeypatch):
    monkeypatch.setattr(_signals, "_DENSE", dense)
    stft = ShortTimeFourierTransformer(length, hop, "hamming", tight)
    stft.fit(signals(2, 61))
    s = np.random.default_rng(1).normal(size=(2, stft.n_coefficients_))
    inverse = inverse_module(stft)
    assert_allclose(inverse(torch.tensor(s)), stft.inverse_transform(s), atol=1e-12)
    values = torch.tensor(signals(122, seed=2))
    basis = inverse(torch.eye(s.shape[1], dtype=torch.float64)).flatten(1)
    assert_allclose(inverse.adjoint(values, s.shape[1]), values @ basis.T, atol=1e-12)


@pytest.mark.parametrize(
    "transformer", [ShortTimeFourierTransformer(4096), LappedTransformer(2048)]
)
def test_twins_of_long_frames_take_no_matrix(transformer):
    inverse = inverse_module(transformer.fit(np.ones((1, 160_000))))
    assert sum(buffer.numel() for buffer in inverse.buffers()) < 400_000


@pytest.mark.parametrize("n", [1, 2, 128, 129, 257, 300])
@pytest.mark.parametrize("window", ["sqrt_hann", "hann", "boxcar"])
def test_every_frame_sees_some_of_the_signal(n, window):
    stft = ShortTimeFourierTransformer(256, 64, window).fit(np.zeros((1, n)))
    energy = (stft.transform(np.eye(n)) ** 2).sum(axis=0).reshape(-1, 256).sum(axis=1)
    assert (energy > 0).all()


def test_times_are_in_seconds_only_where_that_is_said():
    stft = ShortTimeFourierTransformer(16).fit(signals(60))
    assert stft.feature_groups(by="time").unit == "samples"
    for by, options, unit in [
        ("time", {"sample_spacing": 2.0}, "sample unit"),
        ("cell", {"sample_spacing": 2.0}, "1/sample unit, sample unit"),
        ("time", {"sample_spacing": 2.0, "unit": "Hz"}, "s"),
        ("cell", {"sample_spacing": 2.0, "unit": "kHz"}, "kHz, ms"),
        ("cell", {"sample_spacing": 2.0, "edges": "mel", "n_bands": 2}, "Hz, s"),
    ]:
        assert stft.feature_groups(by=by, **options).unit == unit


def test_cells_are_drawn_over_time_and_frequency():
    X = signals(64)
    trim = TransformImportance(
        nn.Linear(64, 1).double(),
        LappedTransformer(8),
        groups=lambda t: t.feature_groups(by="cell", sample_spacing=0.01, unit="Hz"),
    ).fit(X)
    display = trim.explain(X).plot.heatmap(sample=0)
    assert display.kind == "plane"
    assert display.ax_.get_xlabel() == "time (s)"
    assert display.ax_.get_ylabel() == "frequency (Hz)"
    low, high = display.ax_.get_ylim()
    assert low < high
    plt.close(display.figure_)
