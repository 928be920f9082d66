"""What is taken away is gone, what is scrambled keeps its size, and the rest stays."""

import numpy as np
import pytest

from sktrim.lensing import PowerSpectrum, plant_lattice, without_band, without_values

ARCMIN = np.deg2rad(1 / 60)


def _maps(n=4, n_pixels=64, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n_pixels, n_pixels))


EDGES = np.geomspace(1000, 27_000, 4)


def _spectrum(maps):
    edges = {"n_bins": 3, "ell_min": EDGES[0], "ell_max": EDGES[-1]}
    return PowerSpectrum(0.8, **edges).fit(maps).transform(maps)


@pytest.mark.parametrize("n_pixels", [64, 63])
def test_a_removed_band_has_no_power_and_the_others_keep_theirs(n_pixels):
    maps = _maps(n_pixels=n_pixels)
    before, after = (
        _spectrum(maps),
        _spectrum(without_band(maps, *EDGES[1:3], pixel_arcmin=0.8)),
    )
    assert (after[:, 1] < 1e-12 * before[:, 1]).all()
    np.testing.assert_allclose(after[:, [0, 2]], before[:, [0, 2]])


@pytest.mark.parametrize("n_pixels", [64, 63])
def test_a_scrambled_band_keeps_its_power_and_loses_its_phases(n_pixels):
    maps = _maps(n_pixels=n_pixels)
    scrambled = without_band(
        maps, *EDGES[1:3], pixel_arcmin=0.8, how="scramble", random_state=0
    )
    np.testing.assert_allclose(_spectrum(scrambled), _spectrum(maps))
    band = maps - without_band(maps, *EDGES[1:3], pixel_arcmin=0.8)
    other = scrambled - without_band(scrambled, *EDGES[1:3], pixel_arcmin=0.8)
    correlation = (band * other).sum(axis=(1, 2)) / (band**2).sum(axis=(1, 2))
    assert np.abs(correlation).max() < 0.15
    again = without_band(
        maps, *EDGES[1:3], pixel_arcmin=0.8, how="scramble", random_state=0
    )
    np.testing.assert_array_equal(scrambled, again)


def test_removed_values_are_zero_and_the_others_stay():
    maps = 0.02 * _maps()
    rms = np.sqrt((maps**2).mean(axis=(1, 2), keepdims=True))
    inside = (maps >= -rms) & (maps < rms)
    altered = without_values(maps, -1, 1)
    np.testing.assert_array_equal(altered, np.where(inside, 0, maps))


def test_scrambled_values_change_places_with_each_other():
    maps = _maps()
    altered = without_values(maps, 0.5, np.inf, how="scramble", random_state=0)
    np.testing.assert_array_equal(
        np.sort(altered, axis=None).reshape(maps.shape),
        np.sort(maps, axis=None).reshape(maps.shape),
    )
    below = maps < 0.4
    np.testing.assert_array_equal(altered[below], maps[below])
    assert (altered != maps)[maps > 0.6].mean() > 0.99


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_lattice_lies_at_one_multipole_and_looks_alike_from_all_sides(period):
    lattice = plant_lattice(np.zeros((1, 32, 32)), 1.0, period=period)[0]
    power = np.abs(np.fft.fft2(lattice)) ** 2
    k = 2 * np.pi * np.fft.fftfreq(32, 0.8 * ARCMIN)
    at = 2 * np.pi / (period * 0.8 * ARCMIN)
    # at the Nyquist frequency a lattice of half-way phase vanishes
    if period > 2:
        there = np.isclose(np.hypot(k[:, None], k), at)
        np.testing.assert_allclose(power[there].sum(), power.sum())
    for turned in (np.rot90(lattice), lattice.T, lattice[::-1]):
        np.testing.assert_allclose(turned, lattice, atol=1e-12)


def test_each_map_has_its_own_amplitude():
    maps = _maps(2, 8).astype(np.float32)[:, None]
    planted = plant_lattice(maps, [0.0, 2.0])
    assert planted.dtype == np.float32
    assert planted.shape == maps.shape
    np.testing.assert_array_equal(planted[0], maps[0])
    np.testing.assert_allclose(np.ptp(planted[1] - maps[1]), 8 / np.sqrt(2), rtol=1e-5)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda x: without_band(x, 5, 9, pixel_arcmin=0.8), "no multipole in"),
        (lambda x: without_band(x, 9000, 3000, pixel_arcmin=0.8), "no multipole in"),
        (lambda x: without_band(x, 0, 9000, pixel_arcmin=0), "pixel_arcmin=0"),
        (lambda x: without_band(x, 0, 9000, pixel_arcmin=1, how="mask"), "how='mask'"),
        (lambda x: without_values(x, 1, 0), "low=1 and high=0"),
        (lambda x: without_values(x, np.nan, 0), "low=nan"),
        (lambda x: without_values(x, 0, 1, how="mask"), "how='mask'"),
        (lambda x: without_values(x * np.nan, 0, 1), "NaN"),
        (lambda x: plant_lattice(x, 1.0, period=3), "does not divide the 64"),
        (lambda x: plant_lattice(x, 1.0, period=1), "period=1"),
        (lambda x: plant_lattice(x, 1.0, period=2.5), "period=2.5"),
        (lambda x: plant_lattice(x, [1.0, 2.0]), "amplitudes has shape"),
        (lambda x: plant_lattice(x, np.nan), "finite"),
    ],
)
def test_bad_input_is_refused(alter, message):
    with pytest.raises(ValueError, match=message):
        alter(_maps())
