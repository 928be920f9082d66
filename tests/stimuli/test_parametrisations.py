"""Magnitudes and norms are held at every step, and only directions are learned."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from torch import nn

from sktrim.stimuli import ActivationMaximizer
from sktrim.stimuli._parametrisations import decay
from sktrim.transforms import WaveletTransformer
from tests.nets import seeded, small_conv
from tests.stimuli.problems import linear, rows


@pytest.mark.parametrize("n_steps", [0, 1, 2, 7, 60])
@pytest.mark.parametrize("shape", [(1, 12, 12), (2, 7, 9), (15,)])
def test_maco_holds_the_mean_magnitude_at_every_step(n_steps, shape):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((9, *shape)) + 0.5
    net = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(X[0].size, 3))).double()
    found = ActivationMaximizer(
        2, parametrisation="maco", n_steps=n_steps, n_starts=2, random_state=0
    ).maximize(net, X)
    axes = (-1,) if len(shape) == 1 else (-2, -1)
    magnitude = np.abs(np.fft.fftn(X, axes=axes)).mean(axis=0)
    for image in found.images:
        reached = np.abs(np.fft.fftn(image, axes=axes))
        np.testing.assert_allclose(reached, magnitude, atol=1e-5)


def test_maco_of_a_linear_unit_takes_its_phases():
    net, w = linear()
    X = rows() - 0.3
    X -= X.mean(axis=0)
    found = ActivationMaximizer(0, parametrisation="maco", random_state=0)
    image = found.maximize(net, X).images[0]
    magnitude = np.abs(np.fft.fft(X)).mean(axis=0)
    best = np.fft.ifft(magnitude * np.exp(1j * np.angle(np.fft.fft(w[0])))).real
    np.testing.assert_allclose(image, best, atol=1e-6)


@pytest.mark.parametrize("n_steps", [0, 1, 2, 7, 60])
@pytest.mark.parametrize("kind", ["pca", "wavelet"])
def test_groups_hold_the_mean_norm_of_any_transform(kind, n_steps):
    X = rows()
    transformer: object = PCA(8).fit(X)
    groups = np.array([0, 0, 0, 1, 1, 2, -1, -1])
    if kind == "wavelet":
        transformer = WaveletTransformer("haar", level=3).fit(X)
        groups = transformer.feature_groups(by="level")
    s = transformer.transform(X)
    found = ActivationMaximizer(
        0,
        parametrisation="groups",
        transformer=transformer,
        groups=groups,
        n_steps=n_steps,
        random_state=0,
    ).maximize(linear()[0], X)
    reached = transformer.transform(found.images)
    masks = (
        groups.toarray()
        if kind == "wavelet"
        else (groups == np.arange(3)[:, None]).astype(float)
    )
    for mask in masks.astype(bool):
        norm = np.linalg.norm(s[:, mask], axis=1).mean()
        assert np.linalg.norm(reached[:, mask]) == pytest.approx(norm, abs=1e-5)
    free = masks.sum(axis=0) == 0
    np.testing.assert_allclose(reached[0, free], s.mean(axis=0)[free], atol=1e-8)


def test_a_single_coefficient_finds_its_sign():
    net, w = linear()
    X = rows() - 0.3
    pca = PCA(6).fit(X)
    found = ActivationMaximizer(
        0,
        parametrisation="groups",
        transformer=pca,
        groups="coefficients",
        n_starts=4,
        random_state=0,
    ).maximize(net, X)
    s = pca.transform(found.images)
    expected = np.abs(pca.transform(X)).mean(axis=0) * np.sign(pca.components_ @ w[0])
    np.testing.assert_allclose(s, np.tile(expected, (4, 1)), atol=1e-8)


def test_a_spectrum_keeps_to_the_range_of_the_data():
    X = np.random.default_rng(0).uniform(2, 5, (6, 1, 12, 12))
    found = ActivationMaximizer(
        0, parametrisation="fourier", n_starts=2, random_state=0
    ).maximize(small_conv(), X)
    assert found.images.min() > X.min()
    assert found.images.max() < X.max()
    assert (found.losses[-1] < found.losses[0]).all()


def test_the_scale_of_a_spectrum_falls_as_it_should():
    scale = decay((6, 8))
    for i, fy in enumerate([0, 1, 2, 3, 2, 1]):
        for j in range(5):
            f = np.hypot(fy / 6, j / 8)
            assert scale[i, j] == pytest.approx(np.sqrt(48) / max(f, 1 / 8) ** 1.5)
