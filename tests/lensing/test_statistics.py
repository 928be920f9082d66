"""Statistics of maps are those of their definitions, and of Gaussian theory."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import erfc
from sklearn.base import clone
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from sktrim.lensing import MinkowskiFunctionals, PeakCounts, PowerSpectrum

ARCMIN = np.deg2rad(1 / 60)
STATISTICS = {
    "power": PowerSpectrum(pixel_arcmin=1.0, n_bins=4, ell_min=300, ell_max=9000),
    "peaks": PeakCounts(n_bins=5, low=-2.0, high=3.0),
    "areas": MinkowskiFunctionals(n_bins=5, low=-2.0, high=2.0),
}


def _noise(n_maps=3, n_pixels=64, seed=0):
    return np.random.default_rng(seed).standard_normal((n_maps, n_pixels, n_pixels))


def _smooth_field(seed, n_pixels=512, scale=4.0):
    """A periodic Gaussian field, resolved by its pixels, and its moments s0, s1, s2."""
    k = 2 * np.pi * np.fft.fftfreq(n_pixels)
    squares = k[:, None] ** 2 + k**2
    window = np.exp(-squares * scale**2 / 2)
    white = np.random.default_rng(seed).standard_normal((n_pixels, n_pixels))
    field = np.fft.ifft2(np.fft.fft2(white) * window).real
    moments = [np.sqrt((squares**j * window**2).mean()) for j in range(3)]
    return field, moments


@pytest.mark.parametrize("n_pixels", [64, 65])
def test_the_spectrum_of_white_noise_is_flat(n_pixels):
    spectrum = PowerSpectrum(0.8, n_bins=6, ell_min=500, ell_max=15_000)
    found = spectrum.fit_transform(_noise(200, n_pixels)).mean(axis=0)
    error = np.sqrt(2 / (200 * spectrum.n_modes_))
    assert (np.abs(found / (0.8 * ARCMIN) ** 2 - 1) < 4 * error).all()


@pytest.mark.parametrize("n_pixels", [16, 17])
@pytest.mark.parametrize("seed", range(3))
def test_the_spectrum_is_the_mean_over_every_mode_of_the_plane(n_pixels, seed):
    field = _noise(1, n_pixels, seed)
    spectrum = PowerSpectrum(2.0, n_bins=3, ell_min=600, ell_max=7000).fit(field)
    power = np.abs(np.fft.fft2(field[0])) ** 2 * (2 * ARCMIN / n_pixels) ** 2
    k = 2 * np.pi * np.fft.fftfreq(n_pixels, 2 * ARCMIN)
    lengths = np.hypot(k[:, None], k)
    for at in range(3):
        low, high = spectrum.edges_[at : at + 2]
        inside = (lengths >= low) & (lengths < high)
        assert inside.sum() == spectrum.n_modes_[at]
        np.testing.assert_allclose(
            spectrum.transform(field)[0, at], power[inside].mean()
        )


def test_a_wave_has_all_its_power_in_its_bin():
    n, step = 64, 0.8 * ARCMIN
    wave = np.cos(2 * np.pi * 5 * np.arange(n) / n)[None, :, None] + np.zeros((1, n, n))
    spectrum = PowerSpectrum(0.8, n_bins=5, ell_min=400, ell_max=13_000)
    found = spectrum.fit_transform(wave)[0]
    at = np.searchsorted(spectrum.edges_, 2 * np.pi * 5 / (n * step)) - 1
    # a variance of 1/2 over the whole map
    np.testing.assert_allclose(found[at] * spectrum.n_modes_[at], (n * step) ** 2 / 2)
    assert np.abs(np.delete(found, at)).max() < 1e-20


def _naive_peaks(field, edges, periodic):
    n, heights = len(field), []
    for i in range(n):
        for j in range(n):
            around = [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
            if not periodic and any(min(p) < 0 or max(p) >= n for p in around):
                continue
            if all(field[i, j] > field[a % n, b % n] for a, b in around):
                heights.append(field[i, j])
    return [
        sum(low <= h < high or h == high == edges[-1] for h in heights)
        for low, high in pairwise(edges)
    ]


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_peaks_are_those_that_a_loop_finds(periodic, seed):
    # few values, so that there are ties
    field = np.round(_noise(1, 20, seed) * 2) / 2
    peaks = PeakCounts(n_bins=6, low=-1.0, high=2.0, periodic=periodic).fit(field)
    expected = _naive_peaks(field[0], peaks.edges_, periodic)
    np.testing.assert_array_equal(peaks.transform(field)[0], expected)


def test_peaks_of_gaussian_fields_are_as_many_as_bond_and_efstathiou_say():
    # 1987, appendix 1
    fields = [_smooth_field(seed) for seed in range(6)]
    s0, s1, s2 = fields[0][1]
    gamma, size = s1**2 / (s0 * s2), np.sqrt(2) * s1 / s2

    def density(nu):
        x, a, b = gamma * nu, 2 * (1 - gamma**2), 3 - 2 * gamma**2
        part = (x**2 - gamma**2) * (1 - erfc(x / np.sqrt(a)) / 2)
        part += x * (1 - gamma**2) * np.exp(-(x**2) / a) / np.sqrt(np.pi * a)
        rest = np.exp(-(x**2) / b) / np.sqrt(b)
        part += rest * (1 - erfc(x / np.sqrt(a * b)) / 2)
        return np.exp(-(nu**2) / 2) * part / ((2 * np.pi) ** 1.5 * size**2)

    statistic = PeakCounts(n_bins=8, low=-1.0, high=4.0, periodic=True)
    counts = statistic.fit_transform(np.array([f / s0 for f, _ in fields])).sum(axis=0)
    fine = np.linspace(-1, 4, 8 * 50 + 1)
    middles = (fine[1:] + fine[:-1]) / 2
    expected = density(middles).reshape(8, 50).sum(axis=1) * (5 / 400)
    expected *= 6 * 512**2
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected) + 0.02 * expected).all()
    whole = 6 * 512**2 / (4 * np.pi * np.sqrt(3) * size**2)
    everything = PeakCounts(n_bins=1, low=-9, high=9, periodic=True)
    total = everything.fit_transform(np.array([f / s0 for f, _ in fields])).sum()
    np.testing.assert_allclose(total, whole, rtol=0.03)


@pytest.mark.parametrize(("periodic", "error"), [(True, 0.03), (False, 0.07)])
def test_areas_of_gaussian_fields_are_those_of_theory(periodic, error):
    fields = [_smooth_field(seed) for seed in range(8)]
    s0, s1, _ = fields[0][1]
    statistic = MinkowskiFunctionals(
        n_bins=12, low=-3 * s0, high=3 * s0, pixel_arcmin=2.0, periodic=periodic
    )
    maps = np.array([field for field, _ in fields])
    found = statistic.fit_transform(maps).mean(axis=0).reshape(3, 12)
    n = statistic.centers_ / s0
    # two arcmin to a pixel
    slope = s1 / s0 / 2
    expected = [
        erfc(n / np.sqrt(2)) / 2,
        slope / (8 * np.sqrt(2)) * np.exp(-(n**2) / 2),
        n * slope**2 / (2 * (2 * np.pi) ** 1.5) * np.exp(-(n**2) / 2),
    ]
    for measured, theory in zip(found, expected, strict=True):
        # bins are half a standard deviation wide
        np.testing.assert_allclose(measured, theory, atol=error * np.abs(theory).max())


@pytest.mark.parametrize("seed", range(3))
def test_areas_are_those_of_their_definitions(seed):
    field = _noise(1, 12, seed)
    statistic = MinkowskiFunctionals(n_bins=4, low=-1.0, high=1.0).fit(field)
    found = statistic.transform(field)[0].reshape(3, 4)
    x, y = np.gradient(field[0])
    (xx, xy), yy = np.gradient(x), np.gradient(y)[1]
    for at, (low, high) in enumerate(pairwise(statistic.edges_)):
        values = np.zeros(3)
        for i in range(12):
            for j in range(12):
                k, p, q = field[0, i, j], x[i, j], y[i, j]
                values[0] += k >= (low + high) / 2
                if low <= k < high:
                    values[1] += np.hypot(p, q) / 4 / 0.5
                    curved = 2 * p * q * xy[i, j] - p**2 * yy[i, j] - q**2 * xx[i, j]
                    values[2] += curved / (p**2 + q**2) / (2 * np.pi) / 0.5
        np.testing.assert_allclose(found[:, at], values / 144)


def test_flat_maps_have_no_curvature():
    found = MinkowskiFunctionals(n_bins=2, low=-1, high=1).fit_transform(
        np.zeros((1, 8, 8))
    )
    np.testing.assert_array_equal(found, [[1, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_are_transformers(name):
    statistic, maps = clone(STATISTICS[name]), _noise()
    found = statistic.fit(maps).transform(maps)
    names = statistic.get_feature_names_out()
    assert found.shape == (3, len(names))
    assert len(set(names)) == len(names)
    np.testing.assert_array_equal(found[1:2], statistic.transform(maps[1:2]))
    np.testing.assert_array_equal(found, statistic.transform(maps[:, None]))
    frame = statistic.set_output(transform="pandas").transform(maps)
    assert list(frame.columns) == list(names)
    piped = make_pipeline(clone(STATISTICS[name]), StandardScaler()).fit_transform(maps)
    assert piped.shape == found.shape
    assert make_union(*map(clone, STATISTICS.values())).fit(maps).transform(
        maps
    ).shape == (3, 4 + 5 + 15)


def test_units_are_told():
    maps = _noise()
    assert STATISTICS["power"].unit_ == "sr"
    assert clone(STATISTICS["areas"]).fit(maps).unit_ == ("", "1/arcmin", "1/arcmin^2")
    chosen = MinkowskiFunctionals(("V2",), n_bins=3, low=-1, high=1).fit(maps)
    assert chosen.unit_ == ("1/arcmin^2",)
    assert chosen.transform(maps).shape == (3, 3)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (np.zeros((2, 8, 9)), "8 x 9 pixels; expected square"),
        (np.zeros((8, 8)), r"shape \(8, 8\)"),
        (np.zeros((0, 8, 8)), "expected"),
        (np.zeros((2, 2, 8, 8)), "expected"),
        (np.full((3, 8, 8), np.nan), "192 pixels that are NaN"),
        (np.array([[["a"] * 8] * 8]), "real numbers"),
    ],
)
def test_maps_that_are_none_are_refused(name, maps, message):
    with pytest.raises(ValueError, match=message):
        clone(STATISTICS[name]).fit(maps)


def test_masked_areas_are_counted():
    maps = _noise()
    maps[1, :4, :5] = np.nan
    with pytest.raises(
        ValueError, match=r"20 pixels .* in 1 of 3 maps, first in map 1"
    ):
        clone(STATISTICS["peaks"]).fit(maps)


def test_maps_of_another_size_are_refused():
    fitted = clone(STATISTICS["peaks"]).fit(_noise())
    with pytest.raises(ValueError, match="32 pixels to a side; those in fit had 64"):
        fitted.transform(_noise(n_pixels=32))


def test_bins_without_modes_are_named():
    with pytest.raises(ValueError, match=r"3 of 20 bins .* 128 pixels of 0.8 arcmin: "):
        PowerSpectrum(0.8).fit(_noise(1, 128))
    PowerSpectrum(0.8).fit(_noise(1, 256))
    PowerSpectrum(0.41).fit(_noise(1, 512))


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        (PowerSpectrum(-1.0), "pixel_arcmin=-1.0"),
        (PowerSpectrum(0.0002), "in arcmin"),
        (PowerSpectrum(None), "in arcmin"),
        (PowerSpectrum(1.0, n_bins=0), "n_bins=0"),
        (PowerSpectrum(1.0, ell_min=0), "ell_min=0"),
        (PowerSpectrum(1.0, ell_min=900, ell_max=100), "first below the second"),
        (PeakCounts(n_bins=2.5), "n_bins=2.5"),
        (PeakCounts(low=1, high=0), "low=1"),
        (PeakCounts(low=float("nan")), "low=nan"),
        (MinkowskiFunctionals(("V3",)), "V3"),
        (MinkowskiFunctionals(()), "functionals"),
        (MinkowskiFunctionals(("V1", "V1")), "each once"),
        (MinkowskiFunctionals(pixel_arcmin=0), "pixel_arcmin=0"),
    ],
)
def test_bins_that_are_none_are_refused(statistic, message):
    with pytest.raises(ValueError, match=message):
        statistic.fit(_noise(1, 16))
