"""Maps have the spectra, the distribution and the noise that they were asked for."""

from itertools import pairwise

import numpy as np
import pytest

from sktrim.lensing import (
    ConvergenceSimulator,
    shipped_cosmologies,
    simulate_convergence_maps,
)

ARCMIN = np.deg2rad(1 / 60)
TRIM = shipped_cosmologies("trim")
FIDUCIAL = shipped_cosmologies("design")[0]


def _grid(n_pixels, pixel_arcmin):
    k = 2 * np.pi * np.fft.fftfreq(n_pixels, pixel_arcmin * ARCMIN)
    return k[:, None], k[None], np.hypot(k[:, None], k[None])


def _bins(values, lengths, edges):
    return [values[(lengths >= a) & (lengths < b)].sum() for a, b in pairwise(edges)]


@pytest.mark.parametrize("field", ["lognormal", "gaussian"])
@pytest.mark.parametrize(("n_pixels", "pixel"), [(128, 0.8), (65, 1.7)])
def test_the_power_of_maps_is_that_of_the_sky_times_the_pixel_window(
    field, n_pixels, pixel
):
    maps = simulate_convergence_maps(
        TRIM[1], 400, n_pixels=n_pixels, pixel_arcmin=pixel, field=field, random_state=0
    )
    rows, columns, lengths = _grid(n_pixels, pixel)
    half = pixel * ARCMIN / (2 * np.pi)
    window = np.sinc(rows * half) * np.sinc(columns * half)
    spectra = np.abs(np.fft.fft2(maps.data[:, 0].astype(float))) ** 2
    measured = spectra.mean(axis=0) * (pixel * ARCMIN / n_pixels) ** 2
    expected = maps.spectra.at(lengths)[0] * window**2
    edges = np.geomspace(500, 0.99 * np.pi / (pixel * ARCMIN), 6)
    ratio = np.divide(_bins(measured, lengths, edges), _bins(expected, lengths, edges))
    np.testing.assert_allclose(ratio, 1, atol=0.03)


def test_lognormal_maps_have_a_floor_and_a_tail():
    maps = simulate_convergence_maps(TRIM[0], 50, n_pixels=64, random_state=0)
    field, floor = maps.data.astype(float), maps.spectra.floors[0]
    assert -floor <= field.min() < -0.9 * floor
    skewness = (field**3).mean() / field.std() ** 3
    # of 3 (s / floor) + (s / floor)^3 with the same standard deviation
    ratio = field.std() / floor
    np.testing.assert_allclose(skewness, 3 * ratio + ratio**3, rtol=0.15)


def test_gaussian_maps_have_neither():
    field = simulate_convergence_maps(
        TRIM[0], 50, n_pixels=64, field="gaussian", random_state=0
    ).data.astype(float)
    assert abs((field**3).mean() / field.std() ** 3) < 0.1
    assert field.min() < -0.05


def test_smoothed_noise_has_the_published_scatter():
    options = {"n_pixels": 512, "pixel_arcmin": 0.41, "smoothing_arcmin": 1.0}
    noisy, clean = (
        simulate_convergence_maps(
            FIDUCIAL, 4, galaxies_per_arcmin2=density, random_state=3, **options
        ).data
        for density in (30.0, None)
    )
    # the same fields, so that what differs is the noise
    assert abs((noisy - clean).std() - 0.0146) < 0.0003
    assert abs(noisy.std() - 0.0187) < 0.0006


def test_smoothing_is_a_gaussian_in_multipoles():
    options = {"n_pixels": 64, "pixel_arcmin": 0.8, "random_state": 0}
    raw = simulate_convergence_maps(TRIM[0], 1, **options).data[0, 0]
    smooth = simulate_convergence_maps(TRIM[0], 1, smoothing_arcmin=1.5, **options)
    *_, lengths = _grid(64, 0.8)
    window = np.exp(-((lengths * 1.5 * ARCMIN) ** 2) / 2)
    expected = np.fft.ifft2(np.fft.fft2(raw.astype(float)) * window).real
    np.testing.assert_allclose(smooth.data[0, 0], expected, atol=1e-7)


@pytest.mark.parametrize("field", ["lognormal", "gaussian"])
def test_a_map_is_the_same_however_many_are_made(field):
    options = {"n_pixels": 16, "field": field, "random_state": 7}
    few = simulate_convergence_maps(TRIM[:2], 3, **options)
    many = simulate_convergence_maps(TRIM[:3], 5, **options)
    np.testing.assert_array_equal(few.data[:3], many.data[:3])
    np.testing.assert_array_equal(few.data[3:], many.data[5:8])
    simulator = ConvergenceSimulator(TRIM[:3], 5, **options)
    np.testing.assert_array_equal(simulator.maps([6]), many.data[[6]])
    assert len(simulator) == 15


def test_maps_differ_from_each_other_and_between_seeds():
    data = simulate_convergence_maps(TRIM[:2], 3, n_pixels=16, random_state=0).data
    other = simulate_convergence_maps(TRIM[:2], 3, n_pixels=16, random_state=1).data
    flat = np.concatenate([data, other]).reshape(12, -1)
    correlation = np.corrcoef(flat) - np.eye(12)
    assert np.abs(correlation).max() < 0.6


def test_targets_are_the_parameters_of_each_map():
    maps = simulate_convergence_maps(TRIM, 2, n_pixels=16, random_state=0)
    assert maps.target_names == ("m_nu", "Omega_m", "1e9 A_s", "sigma_8")
    np.testing.assert_allclose(maps.target[2, :3], [0.06271, 0.3815, 2.2004], rtol=1e-6)
    np.testing.assert_array_equal(maps.cosmology, np.repeat(np.arange(10), 2))
    assert maps.data.dtype == maps.target.dtype == np.float32


def test_random_states_of_all_kinds_are_taken():
    drawn = [
        simulate_convergence_maps(TRIM[0], 1, n_pixels=16, random_state=state).data
        for state in (np.random.RandomState(0), np.random.RandomState(0), None)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_maps": 0}, "n_maps=0"),
        ({"n_pixels": 4}, "n_pixels=4"),
        ({"n_pixels": 64.0}, "n_pixels=64.0"),
        ({"pixel_arcmin": 0.0002}, "side of a pixel in arcmin"),
        ({"pixel_arcmin": float("nan")}, "side of a pixel in arcmin"),
        ({"pixel_arcmin": "0.8"}, "side of a pixel in arcmin"),
        ({"pixel_arcmin": 20.0, "n_pixels": 256}, "flat"),
        ({"field": "nbody"}, "'lognormal', 'gaussian'"),
        ({"galaxies_per_arcmin2": 0}, "galaxies_per_arcmin2=0"),
        ({"ellipticity": None}, "ellipticity=None"),
        ({"smoothing_arcmin": -1}, "smoothing_arcmin=-1"),
        ({"random_state": "a"}, "cannot be used to seed"),
        ({"random_state": -1}, "cannot be used to seed|Seed must be"),
    ],
)
def test_bad_input_is_refused_before_work(changed, message):
    options = {"cosmologies": TRIM, "n_maps": 10**9, **changed}
    with pytest.raises(ValueError, match=message):
        ConvergenceSimulator(**options)
