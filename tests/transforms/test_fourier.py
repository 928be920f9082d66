"""The real packing of the Fourier transform against the DFT matrix itself."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sktrim.transforms import FourierTransformer

SHAPES = [(1,), (2,), (7,), (8,), (1, 1), (5, 6), (6, 5), (4, 4), (3, 4, 6), (2, 3, 5)]
shapes = st.lists(st.integers(1, 6), min_size=2, max_size=3).map(tuple)
lengths = st.integers(1, 200).map(lambda n: (n,))


def every_axis(shape):
    return FourierTransformer(axes=tuple(range(len(shape))))


def matrix(shape):
    """Return T of shape (n_features, n_coefficients), one row per unit impulse."""
    n = int(np.prod(shape))
    return every_axis(shape).fit_transform(np.eye(n).reshape(n, *shape))


def naive_columns(shape):
    """Pack the DFT of every impulse by walking over the half spectrum."""
    n = int(np.prod(shape))
    axes = tuple(range(1, len(shape) + 1))
    spectrum = scipy.fft.fftn(np.eye(n).reshape(n, *shape), axes=axes, norm="ortho")
    seen, columns = set(), []
    for k in np.ndindex(*shape[:-1], shape[-1] // 2 + 1):
        opposite = tuple(-i % m for i, m in zip(k, shape, strict=True))
        if opposite in seen:
            continue
        seen.add(k)
        value = spectrum[(slice(None), *k)]
        if opposite == k:
            columns.append(value.real)
        else:
            columns += [np.sqrt(2) * value.real, np.sqrt(2) * value.imag]
    return np.stack(columns, axis=1)


@settings(max_examples=60, deadline=None)
@given(shape=lengths | shapes, seed=st.integers(0, 99))
def test_round_trip_and_energy(shape, seed):
    X = np.random.default_rng(seed).normal(size=(3, *shape))
    fitted = every_axis(shape).fit(X)
    coefficients = fitted.transform(X)
    assert coefficients.shape == (3, np.prod(shape))
    assert_allclose(fitted.inverse_transform(coefficients), X, atol=1e-12)
    assert_allclose(
        (coefficients**2).sum(axis=1), (X**2).reshape(3, -1).sum(axis=1), rtol=1e-12
    )


@settings(max_examples=30, deadline=None)
@given(shape=lengths | shapes)
def test_matrix_is_orthogonal(shape):
    T = matrix(shape)
    assert_allclose(T @ T.T, np.eye(len(T)), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_packed_dft_matrix(shape):
    assert_allclose(matrix(shape), naive_columns(shape), atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 9, 10])
def test_one_axis_is_dc_then_re_im_pairs_then_nyquist(n):
    x = np.random.default_rng(n).normal(size=n)
    spectrum = np.fft.rfft(x, norm="ortho")
    pairs = [
        part
        for k in range(1, (n + 1) // 2)
        for part in (np.sqrt(2) * spectrum[k].real, np.sqrt(2) * spectrum[k].imag)
    ]
    nyquist = [spectrum[n // 2].real] if n % 2 == 0 else []
    expected = [spectrum[0].real, *pairs, *nyquist]
    assert_allclose(FourierTransformer().fit_transform(x[None])[0], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_packing_gathers_the_half_spectrum_from_the_columns(shape):
    X = np.random.default_rng(3).normal(size=(2, *shape))
    fitted = every_axis(shape).fit(X)
    packing = fitted.packing_
    pairs = fitted.transform(X)[:, packing.columns] * packing.weights
    half = (pairs[..., 0] + 1j * pairs[..., 1]).reshape(2, *packing.half_shape)
    axes = tuple(range(1, len(shape) + 1))
    assert_allclose(half, scipy.fft.rfftn(X, axes=axes, norm="ortho"), atol=1e-12)


@pytest.mark.parametrize("shape", [(50,), (12, 15), (3, 8, 9)])
def test_float32_agrees_with_float64(shape):
    X = np.random.default_rng(4).normal(size=(5, *shape))
    fitted = FourierTransformer(shape).fit(X)
    single = fitted.transform(X.astype(np.float32))
    assert_allclose(single, fitted.transform(X), atol=1e-5)
    assert_allclose(fitted.inverse_transform(single), X, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_natural_group_is_the_frequency_its_wave_excites(shape):
    """A cosine of the named frequency lives in the columns of that group alone."""
    fitted = every_axis(shape).fit(np.zeros((1, *shape)))
    groups = fitted.feature_groups()
    grid = np.indices(shape).reshape(len(shape), -1) / np.array(shape)[:, None]
    phases = 2 * np.pi * fitted.frequencies_ @ grid + 0.3
    energy = fitted.transform(np.cos(phases)) ** 2
    shares = groups.aggregate(energy)
    assert_allclose(shares, np.diag(energy.sum(axis=1)), atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_names_differ_and_centers_are_absolute_frequencies(shape):
    fitted = every_axis(shape).fit(np.zeros((1, *shape)))
    groups = fitted.feature_groups()
    assert len(set(groups.names)) == len(groups)
    assert len(set(fitted.get_feature_names_out())) == fitted.n_coefficients_
    folded = [np.minimum(np.arange(n), n - np.arange(n)) for n in shape]
    radii = np.sqrt(sum(np.square(f) for f in np.meshgrid(*folded)))
    assert_allclose(np.unique(groups.centers), np.unique(radii))
    assert groups.unit == "cycles"


def test_natural_groups_of_an_image_lie_in_its_plane_of_frequencies():
    fitted = FourierTransformer().fit(np.zeros((1, 3, 6, 8)))
    groups = fitted.feature_groups(sample_spacing=(0.5, 2), unit="1/mm")
    assert_allclose(groups.coordinates, fitted.frequencies_ / [3, 16])
    assert_allclose(np.linalg.norm(groups.coordinates, axis=1), groups.centers)
    assert fitted.feature_groups(by="band", n_bands=2).coordinates is None
    assert fitted.feature_groups(channels="separate").coordinates is None
    one = FourierTransformer().fit(np.zeros((1, 8)))
    assert one.feature_groups().coordinates is None


@pytest.mark.parametrize("shape", SHAPES)
def test_frequencies_are_signed_with_nyquist_positive(shape):
    frequencies = every_axis(shape).fit(np.zeros((1, *shape))).frequencies_
    assert (2 * np.abs(frequencies) <= shape).all()
    assert (2 * frequencies > -np.array(shape)).all()


def test_frequencies_of_digits_number_394():
    fitted = FourierTransformer((28, 28)).fit(np.zeros((1, 784)))
    assert len(fitted.feature_groups()) == 394


def test_names_on_one_and_two_axes():
    line = FourierTransformer().fit(np.zeros((1, 6)))
    assert line.feature_groups().names == [
        "0.0 cycles",
        "1.0 cycles",
        "2.0 cycles",
        "3.0 cycles",
    ]
    assert_array_equal(
        line.get_feature_names_out(),
        [
            "0.0 cycles re",
            "1.0 cycles re",
            "1.0 cycles im",
            "2.0 cycles re",
            "2.0 cycles im",
            "3.0 cycles re",
        ],
    )
    image = FourierTransformer((8, 8)).fit(np.zeros((1, 8, 8)))
    assert "(2, -3) cycles" in image.feature_groups().names
    assert "(-2, 3) cycles" not in image.feature_groups().names
