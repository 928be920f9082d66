"""The cosine transform against the DCT-II matrix itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sktrim.transforms import CosineTransformer

shapes = st.integers(1, 200).map(lambda n: (n,)) | st.lists(
    st.integers(1, 6), min_size=2, max_size=3
).map(tuple)


def naive_matrix(n):
    """Return the orthonormal DCT-II matrix, one row per coefficient."""
    k, j = np.ogrid[:n, :n]
    rows = np.sqrt(2 / n) * np.cos(np.pi * k * (2 * j + 1) / (2 * n))
    rows[0] /= np.sqrt(2)
    return rows


@settings(max_examples=50, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_equals_the_cosine_matrix_and_inverts(shape, seed):
    X = np.random.default_rng(seed).normal(size=(2, *shape))
    fitted = CosineTransformer(axes=tuple(range(len(shape)))).fit(X)
    matrix = np.eye(1)
    for n in shape:
        matrix = np.kron(matrix, naive_matrix(n))
    coefficients = fitted.transform(X)
    assert_allclose(coefficients, X.reshape(2, -1) @ matrix.T, atol=1e-11)
    assert_allclose(fitted.inverse_transform(coefficients), X, atol=1e-12)


def test_coefficients_count_half_cycles():
    fitted = CosineTransformer().fit(np.zeros((1, 5)))
    groups = fitted.feature_groups()
    assert groups.names[3] == "1.5 cycles"
    assert_allclose(groups.centers, [0, 0.5, 1, 1.5, 2])
    image = CosineTransformer((2, 3)).fit(np.zeros((1, 2, 3)))
    assert image.feature_groups().names[-1] == "(0.5, 1) cycles"
    assert_allclose(image.feature_groups().centers[-1], np.hypot(0.5, 1))


@pytest.mark.parametrize("shape", [(64,), (16, 12)])
def test_bands_hold_the_wave_of_their_frequency(shape):
    """A half-sample-shifted cosine of k half cycles excites one coefficient."""
    fitted = CosineTransformer(shape).fit(np.zeros((1, *shape)))
    bands = fitted.feature_groups("band", edges=[0, 1, 3, 20 if len(shape) == 1 else 8])
    wave = np.cos(np.pi * 4 * (2 * np.arange(shape[-1]) + 1) / (2 * shape[-1]))
    X = np.broadcast_to(wave, (1, *shape))
    energy = bands.aggregate(fitted.transform(X) ** 2)[0]
    assert_allclose(energy, [0, (X**2).sum(), 0], atol=1e-10)
