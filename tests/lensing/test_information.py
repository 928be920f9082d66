"""The information of bands is what modes give, and bounds what estimates reach."""

import numpy as np
import pytest

from sktrim.lensing import (
    Cosmology,
    fisher_information,
    shipped_cosmologies,
    simulate_convergence_maps,
)

LINE = shipped_cosmologies("line")
ARCMIN = np.deg2rad(1 / 60)


def _naive(n_pixels, pixel, edges, noise):
    """Sum over every mode of the full plane, each with its opposite one real pair."""
    from sktrim.lensing import convergence_spectra

    spectra = convergence_spectra(LINE[4:7])
    found, step = np.zeros(len(edges) - 1), pixel * ARCMIN
    k = 2 * np.pi * np.fft.fftfreq(n_pixels, step)
    for a in k:
        for b in k:
            length = np.hypot(a, b)
            if not edges[0] <= length < edges[-1]:
                continue
            half = step / (2 * np.pi)
            window = (np.sinc(a * half) * np.sinc(b * half)) ** 2
            low, middle, high = spectra.at([length])[:, 0] * window / step**2
            # a mode and its opposite are two real modes: one for each place
            slope = (high - low) / (0.32 - 0.28)
            at = np.searchsorted(edges, length, side="right") - 1
            found[at] += slope**2 / (2 * (middle + noise) ** 2)
    return found


@pytest.mark.parametrize("n_pixels", [16, 17])
@pytest.mark.parametrize("galaxies", [None, 30.0])
def test_bands_hold_the_information_of_their_modes(n_pixels, galaxies):
    edges = np.array([700, 3000, 6000, 13_000])
    noise = 0 if galaxies is None else 0.4**2 / (2 * galaxies * 0.8**2)
    found = fisher_information(
        *LINE[4:7], edges, n_pixels=n_pixels, galaxies_per_arcmin2=galaxies
    )
    np.testing.assert_allclose(found, _naive(n_pixels, 0.8, edges, noise), rtol=1e-6)


def test_smoothing_takes_no_information():
    options = {"n_pixels": 32, "galaxies_per_arcmin2": 30.0}
    plain = fisher_information(*LINE[4:7], [500, 4000], **options)
    smooth = fisher_information(
        *LINE[4:7], [500, 4000], smoothing_arcmin=1.0, **options
    )
    np.testing.assert_allclose(plain, smooth, rtol=1e-5)


def test_the_best_estimate_from_powers_reaches_the_bound():
    n_pixels = 32
    maps = simulate_convergence_maps(
        LINE[5], 2000, n_pixels=n_pixels, field="gaussian", random_state=0
    ).data[:, 0]
    k = 2 * np.pi * np.fft.fftfreq(n_pixels, 0.8 * ARCMIN)
    lengths = np.hypot(k[:, None], k)
    power = np.abs(np.fft.fft2(maps.astype(float))) ** 2
    from sktrim.lensing import convergence_spectra

    low, middle, high = convergence_spectra(LINE[4:7]).at(np.maximum(lengths, 300))
    inside = lengths >= 300
    # the first step from the truth: the score over the information
    score = ((high - low) / 0.04 / middle)[inside] * power[:, inside]
    mean_power = power.mean(axis=0)[inside]
    score = (score / mean_power).sum(axis=1) / 2
    information = fisher_information(*LINE[4:7], [300, 20_000], n_pixels=n_pixels)
    np.testing.assert_allclose(score.var(), information[0], rtol=0.1)


@pytest.mark.parametrize(
    ("edges", "options", "message"),
    [
        ([500], {}, "edges has shape"),
        ([4000, 500], {}, "increasing"),
        ([10, 20], {}, "no mode in 10 to 20"),
        ([500, 4000], {"parameter": "h"}, "parameter='h'"),
        ([500, 4000], {"parameter": "sigma_8"}, "sigma_8 is None"),
        ([500, 4000], {"parameter": "m_nu"}, "differ"),
        ([500, 4000], {"pixel_arcmin": -1}, "pixel_arcmin"),
    ],
)
def test_bad_questions_are_refused(edges, options, message):
    with pytest.raises(ValueError, match=message):
        fisher_information(*LINE[4:7], edges, n_pixels=32, **options)


def test_equal_neighbours_have_no_slope():
    same = Cosmology(0.3, 2.1)
    with pytest.raises(ValueError, match="differ"):
        fisher_information(same, same, same, [500, 4000])
