"""Curves run over the centres of the groups, one line per channel."""

import numpy as np
import pytest

from sktrim.inspection import CurveDisplay

RNG = np.random.default_rng(0)
CENTERS = np.arange(20) + 0.5
VALUES = RNG.gamma(1.0, size=(40, 20)) * np.sin(CENTERS)


def legend(display):
    return [text.get_text() for text in display.figure_.legends[0].get_texts()]


@pytest.mark.parametrize("statistic", ["mean", "median"])
@pytest.mark.parametrize("absolute", [False, True])
def test_the_line_is_the_statistic_over_samples(statistic, absolute):
    display = CurveDisplay.from_values(
        VALUES, CENTERS, statistic=statistic, absolute=absolute
    )
    taken = np.abs(VALUES) if absolute else VALUES
    line = display.ax_.lines[0]
    np.testing.assert_allclose(line.get_ydata(), getattr(np, statistic)(taken, 0))
    np.testing.assert_array_equal(line.get_xdata(), CENTERS)
    bars = "|importance|" if absolute else "importance"
    assert display.ax_.get_ylabel() == f"{statistic} {bars}"


def test_the_band_is_the_stated_spread():
    display = CurveDisplay.from_values(VALUES, CENTERS)
    low, high, label = display.curves[0].spread
    np.testing.assert_array_equal([low, high], np.quantile(VALUES, [0.1, 0.9], axis=0))
    assert label in legend(display)
    assert len(display.ax_.collections) == 1
    low, high, _ = (
        CurveDisplay.from_values(VALUES, CENTERS, spread="std").curves[0].spread
    )
    np.testing.assert_allclose((high - low) / 2, VALUES.std(axis=0))
    assert not CurveDisplay.from_values(VALUES, CENTERS, spread=None).ax_.collections


def test_the_order_of_the_groups_does_not_matter():
    order = RNG.permutation(20)
    display = CurveDisplay.from_values(VALUES[:, order], CENTERS[order])
    np.testing.assert_array_equal(display.centers, CENTERS)
    np.testing.assert_allclose(display.curves[0].heights, VALUES.mean(axis=0))


@pytest.mark.parametrize("absolute", [False, True])
def test_groups_at_one_place_are_averaged_in_each_sample(absolute):
    centers = np.r_[CENTERS, CENTERS + 1e-13]
    values = np.hstack([VALUES, RNG.standard_normal(VALUES.shape)])
    display = CurveDisplay.from_values(values, centers, absolute=absolute)
    np.testing.assert_array_equal(display.centers, CENTERS)
    taken = np.abs(values) if absolute else values
    merged = (taken[:, :20] + taken[:, 20:]) / 2
    np.testing.assert_allclose(display.curves[0].heights, merged.mean(axis=0))
    low, _, _ = display.curves[0].spread
    np.testing.assert_allclose(low, np.quantile(merged, 0.1, axis=0))


def test_whole_levels_have_whole_ticks():
    display = CurveDisplay.from_values(VALUES[:, :4], np.arange(4) + 1, unit="level")
    ticks = display.ax_.get_xticks()
    np.testing.assert_array_equal(ticks, ticks.round())


def test_groups_that_lie_nowhere_are_left_out():
    centers = CENTERS.copy()
    centers[3] = np.nan
    display = CurveDisplay.from_values(VALUES, centers)
    np.testing.assert_array_equal(display.centers, np.delete(CENTERS, 3))


@pytest.mark.parametrize("n_labels", [2, 3, 10])
def test_one_line_per_label_and_bands_while_they_can_be_told_apart(n_labels):
    by = np.arange(40) % n_labels
    display = CurveDisplay.from_values(VALUES, CENTERS, by=by)
    for label, line in zip(range(n_labels), display.ax_.lines, strict=False):
        expected = VALUES[by == label].mean(axis=0)
        np.testing.assert_array_equal(line.get_ydata(), expected)
    assert legend(display)[:n_labels] == [str(label) for label in range(n_labels)]
    assert len(display.ax_.collections) == (n_labels if n_labels <= 3 else 0)
    looks = {(line.get_color(), line.get_linestyle()) for line in display.ax_.lines}
    assert len(looks) == n_labels + 1  # and the line at zero


def test_every_sample_is_a_thin_line_when_asked_for():
    display = CurveDisplay.from_values(VALUES, CENTERS, samples=True)
    assert len(display.ax_.lines) == 40 + 2
    assert "one sample" in legend(display)


def test_one_sample_is_a_line_without_a_spread():
    display = CurveDisplay.from_values(VALUES[0], CENTERS, samples=True)
    np.testing.assert_array_equal(display.ax_.lines[0].get_ydata(), VALUES[0])
    assert not display.ax_.collections
    assert not display.figure_.legends


@pytest.mark.parametrize(
    ("centers", "scale"), [(CENTERS, "log"), (CENTERS - 0.5, "symlog")]
)
def test_a_logarithmic_axis_keeps_a_centre_at_zero(centers, scale):
    display = CurveDisplay.from_values(VALUES, centers, log=True, unit="cycles/image")
    display.figure_.canvas.draw()
    assert display.ax_.get_xscale() == scale
    low, high = display.ax_.get_xlim()
    assert low < centers.min() < centers.max() < high
    assert "cycles/image" in display.ax_.get_xlabel()


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (3, 4)])
@pytest.mark.parametrize("log", [False, True])
def test_all_zeros_are_drawn_without_a_warning(shape, log, recwarn):
    centers = np.arange(shape[1])
    display = CurveDisplay.from_values(np.zeros(shape), centers, log=log)
    display.figure_.canvas.draw()
    assert not recwarn


def test_texts_do_not_overlap(no_overlap):
    by = [f"class number {index % 10} with a long name" for index in range(40)]
    display = CurveDisplay.from_values(VALUES, CENTERS, by=by, log=True, title="title")
    ax = display.ax_
    display.figure_.canvas.draw()
    low, high = ax.get_xlim()
    ticks = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    ticks = [label for place, label in ticks if low <= place <= high]
    texts = [*display.figure_.legends[0].get_texts(), ax.title, ax.xaxis.label]
    no_overlap(display.figure_, [*texts, ax.yaxis.label, *ticks])


def test_the_longest_label_is_inside_the_figure(no_overlap):
    label = "importance (integrated_gradients, probability)"
    options = {"label": label, "statistic": "median", "absolute": True}
    display = CurveDisplay.from_values(VALUES, CENTERS, **options)
    no_overlap(display.figure_, [display.ax_.xaxis.label, display.ax_.yaxis.label])


@pytest.mark.parametrize(
    ("centers", "match"),
    [
        (None, "no axis"),
        (np.arange(3), "one centre"),
        (np.full(20, np.nan), "no centre is finite"),
    ],
)
def test_groups_without_an_axis_are_refused(centers, match):
    with pytest.raises(ValueError, match=match):
        CurveDisplay.from_values(VALUES, centers)


@pytest.mark.parametrize(
    "options", [{"statistic": "mode"}, {"spread": "iqr"}, {"by": [1, 2]}]
)
def test_unknown_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        CurveDisplay.from_values(VALUES, CENTERS, **options)


@pytest.mark.parametrize("by", [None, np.arange(40) % 2])
def test_channels_are_lines_of_their_own(by):
    channels = ["left"] * 10 + ["right"] * 10
    centers = np.r_[CENTERS[:10], CENTERS[3:13]]
    display = CurveDisplay.from_values(VALUES, centers, channels=channels, by=by)
    labels = [np.full(40, True)] if by is None else [by == 0, by == 1]
    expected = {
        (channel, k): (VALUES[rows][:, own].mean(axis=0), centers[own])
        for channel, own in (("left", slice(0, 10)), ("right", slice(10, 20)))
        for k, rows in enumerate(labels)
    }
    lines = display.ax_.lines[: len(expected)]
    for line, ((channel, k), (heights, places)) in zip(
        lines, expected.items(), strict=True
    ):
        assert line.get_label() == (channel if by is None else f"{k}, {channel}")
        np.testing.assert_allclose(line.get_ydata(), heights)
        np.testing.assert_array_equal(line.get_xdata(), places)


def test_numbers_colour_curves_in_their_order():
    by = np.repeat([0.4, 0.2, 1.0, 0.7], 10)
    display = CurveDisplay.from_values(VALUES, CENTERS, by=by, by_label="S_8")
    lines = display.ax_.lines[:4]
    expected = [VALUES[by == number].mean(axis=0) for number in (0.2, 0.4, 0.7, 1.0)]
    for line, heights in zip(lines, expected, strict=True):
        np.testing.assert_allclose(line.get_ydata(), heights)
    lightness = [np.dot(line.get_color()[:3], [0.3, 0.6, 0.1]) for line in lines]
    assert lightness == sorted(lightness)
    bar = display.figure_.axes[1]
    assert bar.get_ylabel() == "S_8"
    assert not display.figure_.legends


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"by": ["a"] * 40}, "finite numbers"),
        ({"by": None}, "finite numbers"),
        ({"by": np.full(40, np.nan)}, "finite numbers"),
        ({"by": np.arange(40), "channels": ["a", "b"] * 10}, "one channel"),
    ],
)
def test_labels_that_are_no_numbers_cannot_colour(options, match):
    with pytest.raises(ValueError, match=match):
        CurveDisplay.from_values(VALUES, CENTERS, by_label="S_8", **options)


def test_more_channels_than_can_be_told_apart_are_refused():
    centers, channels = np.ones(60), [str(index) for index in range(60)]
    with pytest.raises(ValueError, match="60 channels"):
        CurveDisplay.from_values(np.ones((2, 60)), centers, channels=channels)
