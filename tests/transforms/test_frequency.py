"""Bands and units: which frequencies a group takes, and where it lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sktrim.transforms import CosineTransformer, FourierTransformer
from sktrim.transforms._bands import format_numbers, interval_masks

BOTH = pytest.mark.parametrize("cls", [FourierTransformer, CosineTransformer])


def fitted(*shape, cls=FourierTransformer):
    return cls(shape).fit(np.zeros((1, *shape)))


def members(groups, transformer):
    """Return the set of frequency rows in every group."""
    return [set(transformer.frequency_of_[row > 0]) for row in groups.toarray()]


@settings(max_examples=60, deadline=None)
@given(
    radii=st.lists(st.integers(0, 40), min_size=1, max_size=30),
    starts=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    width=st.integers(1, 12),
)
def test_band_is_closed_below_and_open_above_but_for_the_last(radii, starts, width):
    radii = np.array(radii) / 4
    lows = np.array(sorted(set(starts))) / 4
    highs = lows + width / 4
    inside = (radii >= lows[:, None]) & (radii < highs[:, None])
    inside |= (radii == highs[:, None]) & (highs == highs.max())[:, None]
    intervals = np.stack([lows, highs], axis=1)
    if inside.any(axis=1).all():
        masks, _ = interval_masks(radii, intervals, "cycles")
        assert_array_equal(masks.toarray(), inside)
    else:
        with pytest.raises(ValueError, match="contain no frequency"):
            interval_masks(radii, intervals, "cycles")


@BOTH
@pytest.mark.parametrize("shape", [(50,), (51,), (9, 12), (28, 28)])
def test_equal_bands_take_every_coefficient_once(cls, shape):
    transformer = fitted(*shape, cls=cls)
    groups = transformer.feature_groups("band", n_bands=4)
    assert len(groups) == 4
    assert groups.sums_to_one
    top = transformer.feature_groups().centers.max()
    assert_allclose(groups.centers, top * (np.arange(4) + 0.5) / 4)


@BOTH
def test_bands_are_sums_of_natural_groups(cls):
    transformer = fitted(3, 8, 9, cls=cls)
    natural = transformer.feature_groups()
    values = np.random.default_rng(0).normal(size=(5, transformer.n_coefficients_))
    bands = transformer.feature_groups("band", edges=[0, 1, 2.5, 4])
    lows, highs = np.array([0, 1, 2.5]), np.array([1, 2.5, 4])
    inside = (natural.centers >= lows[:, None]) & (natural.centers < highs[:, None])
    inside |= (natural.centers == 4) & (highs == 4)[:, None]
    expected = natural.aggregate(values) @ inside.T
    assert_allclose(bands.aggregate(values), expected, atol=1e-12)


def test_frequencies_outside_the_edges_are_ungrouped():
    transformer = fitted(20)
    groups = transformer.feature_groups("band", edges=[2, 4, 6])
    assert members(groups, transformer) == [{2, 3}, {4, 5, 6}]
    assert not groups.sums_to_one


def test_overlapping_bands_by_rows_and_by_centers_agree():
    transformer = fitted(20)
    by_rows = transformer.feature_groups("band", edges=[[1, 5], [3, 7], [5, 9]])
    by_centers = transformer.feature_groups("band", centers=[3, 5, 7], width=4)
    each = transformer.feature_groups("band", centers=[3, 5, 7], width=[4, 4, 4])
    for groups in (by_rows, by_centers, each):
        assert members(groups, transformer) == [
            {1, 2, 3, 4},
            {3, 4, 5, 6},
            {5, 6, 7, 8, 9},
        ]
        assert_array_equal(groups.centers, [3, 5, 7])
        assert groups.names[0] == "1.0 to 5.0 cycles"


def test_round_off_does_not_move_a_frequency_over_an_edge():
    """The spacing 0.1 + 0.2 is not 0.3, so neither are the frequencies."""
    transformer = FourierTransformer().fit(np.zeros((1, 1000)))
    spacing = 0.1 + 0.2
    frequencies = transformer.feature_groups(sample_spacing=spacing).centers
    edges = np.arange(0, 501, 50) / (1000 * 0.3)
    assert (frequencies[::50] != edges).any()
    groups = transformer.feature_groups("band", edges=edges, sample_spacing=spacing)
    sizes = [len(rows) for rows in members(groups, transformer)]
    assert sizes == [50] * 9 + [51]


def test_hertz_of_a_recording():
    transformer = fitted(1, 8000)
    groups = transformer.feature_groups(sample_spacing=1 / 8000, unit="Hz")
    assert groups.unit == "Hz"
    assert_allclose(groups.centers, np.arange(4001))
    assert groups.names[440] == "440.0 Hz"
    half = transformer.feature_groups(sample_spacing=1 / 4000)
    assert half.unit == "1/sample unit"
    assert_allclose(half.centers, np.arange(4001) / 2)


def test_multipole_of_a_map_reaches_pi_over_the_spacing():
    """At 0.8 arcmin the Nyquist multipole is 180 * 60 / 0.8 = 13500."""
    spacing = np.deg2rad(0.8 / 60)
    transformer = fitted(256, 256)
    groups = transformer.feature_groups(sample_spacing=spacing, unit="multipole")
    axis = groups.centers[transformer.frequencies_[:, 0] == 0]
    assert_allclose(axis.max(), 13_500, rtol=1e-12)
    assert groups.unit == "multipole"


def test_spacing_per_axis_and_images_that_are_not_square():
    transformer = fitted(4, 8)
    per_signal = transformer.feature_groups()
    assert_allclose(
        per_signal.centers, np.hypot(*np.abs(transformer.frequencies_).T), rtol=1e-12
    )
    per_pixel = transformer.feature_groups(sample_spacing=[0.5, 2.0])
    expected = np.hypot(
        transformer.frequencies_[:, 0] / 2, transformer.frequencies_[:, 1] / 16
    )
    assert_allclose(per_pixel.centers, expected)


def test_a_unit_alone_is_a_label():
    groups = fitted(8, 8).feature_groups("band", n_bands=2, unit="cycles/image")
    assert groups.unit == "cycles/image"
    assert groups.names == ["0.0 to 2.828 cycles/image", "2.828 to 5.657 cycles/image"]


def test_constant_part_is_a_group_of_its_own():
    groups = fitted(9).feature_groups()
    assert groups.names[0] == "0.0 cycles"
    assert_array_equal(groups.toarray()[0], np.eye(9)[0])


def test_coefficients_lie_at_their_frequency():
    groups = fitted(5).feature_groups("coefficient")
    assert_array_equal(groups.centers, [0, 1, 1, 2, 2])
    assert groups.names[2] == "1.0 cycles im"


def test_a_constant_signal_of_length_one_has_one_band():
    assert len(fitted(1).feature_groups("band", n_bands=1)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of n_bands=, edges= or centers="),
        ({"n_bands": 2, "edges": [0, 1]}, "exactly one of"),
        ({"n_bands": 0}, "expected a positive integer"),
        ({"n_bands": 2.5}, "expected a positive integer"),
        ({"edges": [0, 2, 2]}, "from 2 to 2 is none"),
        ({"edges": [3, 2, 4]}, "from 3 to 2 is none"),
        ({"edges": [0, np.nan]}, "must be finite"),
        ({"edges": [0, np.inf]}, "must be finite"),
        ({"edges": [1]}, "edges has shape"),
        ({"edges": [[1, 2, 3]]}, "edges has shape"),
        ({"edges": []}, "edges has shape"),
        ({"centers": [1, 2]}, "go together"),
        ({"n_bands": 2, "width": 1}, "go together"),
        ({"centers": [1, 2], "width": 0}, "width must be positive"),
        ({"n_bands": 40}, "bands contain no frequency: '0.25 to 0.5 cycles'"),
        ({"edges": [0, 5, 20, 30]}, r"1 of 3 bands .*: '20.0 to 30.0 cycles'"),
        ({"n_bands": 2, "unit": "Hz"}, "needs sample_spacing=.* in seconds"),
        ({"n_bands": 2, "unit": "multipole"}, "in radians"),
        ({"n_bands": 2, "sample_spacing": 0}, "must be positive"),
        ({"n_bands": 2, "sample_spacing": np.nan}, "must be positive"),
        ({"n_bands": 2, "sample_spacing": [1, 2]}, "one per axis acted upon"),
    ],
)
def test_bands_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fitted(20).feature_groups("band", **options)


def test_band_options_without_bands_are_refused():
    with pytest.raises(ValueError, match="need by='band'"):
        fitted(20).feature_groups(n_bands=3)


def test_numbers_have_a_point_and_four_digits():
    assert format_numbers([3, 1 / 3]) == ["3.0", "0.3333"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_different_numbers_are_written_differently(values):
    values = np.unique(np.array(values) + 0.0)
    texts = format_numbers(values)
    assert len(set(texts)) == len(values)
    assert_allclose([float(text) for text in texts], values, rtol=1e-3)
