"""Heat maps lie on the signal, or in the plane of its frequencies."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sktrim.inspection import HeatmapDisplay

RNG = np.random.default_rng(0)


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_zero_is_the_centre_of_the_colours(scale):
    values = RNG.normal(size=(6, 8)) * scale + scale
    display = HeatmapDisplay.from_matrix(values, [str(index) for index in range(8)])
    low, high = display.ax_.images[0].get_clim()
    assert low == -high == -np.abs(values).max()
    np.testing.assert_array_equal(drawn(display.ax_), values)


@pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6), (3, 4, 6)])
def test_the_map_is_summed_over_channels_and_its_largest_magnitude_is_one(shape):
    values = RNG.normal(size=shape)
    display = HeatmapDisplay.from_signal(values.ravel(), shape)
    expected = values.reshape(-1, 4, 6).sum(axis=0)
    expected /= np.abs(expected).max()
    np.testing.assert_allclose(drawn(display.ax_), expected)
    assert display.ax_.images[0].get_clim() == (-1, 1)


def test_the_signal_stands_beside_its_map():
    signal = RNG.random((1, 4, 6))
    display = HeatmapDisplay.from_signal(signal - 0.5, (1, 4, 6), signal=signal)
    assert len(display.axes_) == 2
    np.testing.assert_array_equal(drawn(display.axes_[0]), signal[0])
    assert display.ax_ is display.axes_[1]


@pytest.mark.parametrize("shape", [(3, 4, 6), (2, 50), (50,)])
def test_the_square_is_taken_before_channels_are_summed(shape):
    values = RNG.normal(size=shape)
    display = HeatmapDisplay.from_signal(values, shape, squared=True)
    n_channels = 1 if len(shape) == 1 else shape[0]
    expected = (values**2).reshape(n_channels, -1).sum(axis=0)
    np.testing.assert_allclose(display.values.ravel(), expected / expected.max())
    assert "squared importance" in display.label


@pytest.mark.parametrize("shape", [(1, 4, 6), (50,)])
def test_the_signal_lies_under_its_map(shape):
    values = RNG.normal(size=shape)
    display = HeatmapDisplay.from_signal(values, shape, signal=values, place="under")
    assert display.axes_ == [display.ax_]
    heat = display.ax_.images[-1]
    assert heat.get_clim() == (-1, 1)
    np.testing.assert_allclose(np.asarray(heat.get_array()), display.values)
    if len(shape) == 3:
        np.testing.assert_allclose(heat.get_alpha(), np.abs(display.values))
    else:
        assert heat.get_zorder() < display.ax_.lines[0].get_zorder()
    display.figure_.canvas.draw()
    with pytest.raises(ValueError, match="place='over'"):
        HeatmapDisplay.from_signal(values, shape, place="over")


@pytest.mark.parametrize("place", ["beside", "under"])
@pytest.mark.parametrize("shape", [(28, 28), (20, 40), (1, 100)])
def test_the_label_of_the_colours_is_inside_the_figure(shape, place, no_overlap):
    values = RNG.normal(size=shape)
    display = HeatmapDisplay.from_signal(
        values,
        shape,
        signal=values,
        place=place,
        label="importance (integrated_gradients, probability)",
        title="sample 3, target 1",
    )
    bars = [bar.yaxis.label for ax in display.axes_ for bar in ax.child_axes]
    labels = [ax.yaxis.label for ax in display.axes_]
    no_overlap(display.figure_, [*bars, *labels, display.ax_.title])


@pytest.mark.parametrize("shape", [(1, 4, 6), (50,), None])
@pytest.mark.parametrize("n_groups", [1, 8, 100])
def test_groups_of_one_sample_are_a_strip(shape, n_groups):
    values = RNG.normal(size=n_groups)
    names = [f"band {index}" for index in range(n_groups)]
    signal = None if shape is None else RNG.normal(size=shape)
    display = HeatmapDisplay.from_groups(values, names, signal=signal)
    np.testing.assert_allclose(display.values, values[None] / np.abs(values).max())
    strip = display.ax_.images[0]
    assert strip.get_clim() == (-1, 1)
    assert len(display.axes_) == (1 if shape is None else 2)
    display.figure_.canvas.draw()


@pytest.mark.parametrize("shape", [(1, 4, 6), (50,), None])
def test_groups_lie_where_their_coordinates_say(shape):
    places = np.array([[0, 0], [0, 0.2], [0.1, -0.2], [0.1, 0.2]])
    values = np.array([1.0, -4.0, 2.0, 3.0])
    signal = None if shape is None else RNG.normal(size=shape)
    display = HeatmapDisplay.from_groups(
        values, list("abcd"), coordinates=places, unit="1/mm", signal=signal
    )
    assert display.kind == "plane"
    assert len(display.axes_) == (1 if shape is None else 2)
    (mesh,) = display.ax_.collections
    shown = mesh.get_array().reshape(2, 3)
    np.testing.assert_allclose(
        shown.filled(9), [[9, 0.25, -1], [0.5, 9, 0.75]], err_msg="9 is no group"
    )
    assert mesh.get_clim() == (-1, 1)
    lowest, highest = display.ax_.get_ylim()
    assert lowest > highest
    assert display.ax_.get_xlabel() == "horizontal spatial frequency\n(1/mm)"
    display.figure_.canvas.draw()


def test_coordinates_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 1\) for 2 groups"):
        HeatmapDisplay.from_groups([1, 2], ["a", "b"], coordinates=[[0], [1]])
    with pytest.raises(ValueError, match="the same coordinates"):
        HeatmapDisplay.from_groups([1, 2], ["a", "b"], coordinates=[[0, 1], [0, 1]])


def test_a_colour_image_stands_in_its_colours():
    signal = RNG.random((3, 4, 6))
    display = HeatmapDisplay.from_signal(signal, (3, 4, 6), signal=signal)
    np.testing.assert_array_equal(drawn(display.axes_[0]), np.moveaxis(signal, 0, -1))
    # outside [0, 1] it has no colours of its own
    display = HeatmapDisplay.from_signal(signal, (3, 4, 6), signal=signal * 9)
    np.testing.assert_allclose(drawn(display.axes_[0]), 9 * signal.mean(axis=0))


@pytest.mark.parametrize("shape", [(50,), (1, 50), (2, 50)])
def test_one_dimensional_signals_are_lines_over_signed_areas(shape):
    values = RNG.normal(size=shape)
    display = HeatmapDisplay.from_signal(values, shape, signal=values)
    assert display.kind == "lines"
    assert np.abs(display.values).max() == 1
    n_channels = 1 if len(shape) == 1 else shape[0]
    assert len(display.axes_[0].lines) == n_channels
    assert len(display.ax_.collections) == 2


@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (1, 100), (30, 1)])
def test_all_zeros_are_drawn_without_a_warning(shape, recwarn):
    names = [str(index) for index in range(shape[1])]
    HeatmapDisplay.from_matrix(np.zeros(shape), names).figure_.canvas.draw()
    display = HeatmapDisplay.from_signal(np.zeros(shape), shape, signal=np.zeros(shape))
    display.figure_.canvas.draw()
    assert np.isfinite(display.values).all()
    assert not recwarn


@pytest.mark.parametrize("n_groups", [3, 20, 100, 784])
@pytest.mark.parametrize("n_samples", [1, 60])
def test_names_are_thinned_until_none_lies_on_another(n_groups, n_samples):
    names = [f"component {index}" for index in range(n_groups)]
    rows = [f"digit {index}" for index in range(n_samples)]
    values = np.zeros((n_samples, n_groups))
    display = HeatmapDisplay.from_matrix(values, names, row_names=rows)
    display.figure_.canvas.draw()
    labels = display.ax_.get_xticklabels()
    assert len(labels) == n_groups or len(labels) <= 40
    boxes = [label.get_window_extent() for label in labels]
    # slanted names are parallel: their right ends must be a line of text apart
    gaps = np.diff([box.x1 for box in boxes])
    slanted = labels[0].get_rotation() != 0
    room = [box.width for box in boxes[1:]] if not slanted else labels[0].get_size()
    assert (gaps > room).all()
    heights = [label.get_window_extent() for label in display.ax_.get_yticklabels()]
    assert all(a.y0 >= b.y1 for a, b in pairwise(heights))


def test_row_names_are_one_per_sample():
    with pytest.raises(ValueError, match="2 row names"):
        HeatmapDisplay.from_matrix(np.zeros((3, 1)), ["a"], row_names=["x", "y"])


@pytest.mark.parametrize("shape", [(3, 3), (2, 2, 2, 2)])
def test_a_signal_that_cannot_be_laid_out_is_refused(shape):
    values = np.zeros(16)
    with pytest.raises(ValueError, match=r"signal_shape|cannot be drawn"):
        HeatmapDisplay.from_signal(values, shape)


def test_two_given_axes_are_used_as_they_are():
    _, axes = plt.subplots(1, 2)
    display = HeatmapDisplay.from_signal(np.ones(4), (2, 2), signal=np.ones(4), ax=axes)
    assert display.axes_ == list(axes)
