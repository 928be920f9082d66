"""Components are drawn in the shape of the signal they are part of."""

import numpy as np
import pytest

from sktrim.inspection import ComponentsDisplay
from sktrim.inspection._style import NEGATIVE, POSITIVE

RNG = np.random.default_rng(0)


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


def seen(bar):
    """Tick labels of a colour bar; those outside its limits are not drawn."""
    low, high = bar.get_ylim()
    labels = zip(bar.get_yticks(), bar.get_yticklabels(), strict=True)
    return [label for place, label in labels if low <= place <= high]


def test_the_signal_comes_first_and_the_parts_with_name_and_score():
    parts, signal = RNG.normal(size=(2, 1, 4, 6)), RNG.random((1, 4, 6))
    display = ComponentsDisplay.from_components(
        parts, ["low", "high"], [1.25, -0.5], signal=signal
    )
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == ["signal", "low\n+1.25", "high\n-0.5"]
    np.testing.assert_array_equal(drawn(display.axes_[0]), signal[0])
    np.testing.assert_array_equal(drawn(display.axes_[2]), parts[1, 0])


@pytest.mark.parametrize("shared", [False, True])
def test_zero_is_the_centre_of_every_picture(shared):
    parts = RNG.normal(size=(3, 4, 6)) * np.array([1, 10, 100])[:, None, None]
    display = ComponentsDisplay.from_components(
        parts, list("abc"), [1, 2, 3], shared_scale=shared
    )
    largest = np.abs(parts).max(axis=(1, 2))
    expected = [largest.max()] * 3 if shared else largest
    limits = [ax.images[0].get_clim() for ax in display.axes_]
    np.testing.assert_allclose(limits, [(-limit, limit) for limit in expected])


def test_flat_rows_are_laid_out_by_the_signal_shape():
    parts = RNG.normal(size=(2, 24))
    display = ComponentsDisplay.from_components(
        parts, list("ab"), [1, 2], signal_shape=(4, 6), signal=parts[0]
    )
    np.testing.assert_array_equal(drawn(display.axes_[1]), parts[0].reshape(4, 6))


def test_channels_are_averaged_and_that_is_said():
    parts = RNG.normal(size=(1, 3, 4, 6))
    display = ComponentsDisplay.from_components(parts, ["a"], [1])
    np.testing.assert_allclose(drawn(display.ax_), parts[0].mean(axis=0))
    assert "mean of 3 channels" in [ax.get_ylabel() for ax in display.ax_.child_axes]


def test_one_dimensional_parts_are_lines_in_the_colour_of_their_sign():
    parts = RNG.normal(size=(3, 1, 50))
    display = ComponentsDisplay.from_components(
        parts, list("abc"), [2, -1, 0], signal=parts[0]
    )
    lines = [ax.lines[0] for ax in display.axes_]
    np.testing.assert_array_equal(lines[2].get_ydata(), parts[1, 0])
    assert [line.get_color() for line in lines[1:3]] == [POSITIVE, NEGATIVE]
    assert display.axes_[1].get_title() == "a: +2"
    assert display.axes_[-1].get_xlabel() == "position in the signal"


def test_atoms_without_negative_values_are_ink_and_others_diverge():
    atoms = RNG.random((3, 16))
    display = ComponentsDisplay.from_atoms(atoms, list("abc"), signal_shape=(4, 4))
    assert display.ax_.images[0].get_cmap().name == "Greys"
    display = ComponentsDisplay.from_atoms(
        atoms - 0.5, list("abc"), signal_shape=(4, 4)
    )
    assert display.ax_.images[0].get_cmap().name == "RdBu_r"
    low, high = display.ax_.images[0].get_clim()
    assert low == -high


@pytest.mark.parametrize("n_atoms", [1, 7, 30])
@pytest.mark.parametrize("size", [(28, 28), (1, 60)])
def test_no_label_lies_on_another(n_atoms, size, no_overlap):
    atoms = RNG.random((n_atoms, *size))
    labels = [f"nmf{index}: the digit {index % 10}, mostly" for index in range(n_atoms)]
    display = ComponentsDisplay.from_atoms(
        atoms, labels, np.linspace(-1, 1, n_atoms), title="NMF parts"
    )
    titles = [ax.title for ax in display.axes_]
    no_overlap(display.figure_, [*titles, display.figure_._suptitle])


@pytest.mark.parametrize("k", [1, 5])
def test_no_part_lies_on_another(k, no_overlap):
    parts = RNG.normal(size=(k, 28, 28))
    names = [f"12.0 - 13.{index} cycles/image and more" for index in range(k)]
    display = ComponentsDisplay.from_components(
        parts, names, RNG.normal(size=k), signal=parts[0], title="sample 3"
    )
    display.figure_.canvas.draw()
    bars = [ax.child_axes[0] for ax in display.axes_]
    numbers = [label for bar in bars for label in seen(bar)]
    titles = [ax.title for ax in display.axes_]
    no_overlap(display.figure_, [*titles, *numbers, display.figure_._suptitle])


@pytest.mark.parametrize("shape", [(1, 1), (2, 4, 4), (2, 30)])
def test_all_zeros_are_drawn_without_a_warning(shape, recwarn):
    zeros, names = np.zeros(shape), [str(index) for index in range(shape[0])]
    display = ComponentsDisplay.from_components(zeros, names, np.zeros(shape[0]))
    display.figure_.canvas.draw()
    ComponentsDisplay.from_atoms(zeros, names).figure_.canvas.draw()
    assert not recwarn


def test_numbers_that_do_not_fit_are_refused():
    parts = np.ones((2, 4, 4))
    with pytest.raises(ValueError, match="3 names"):
        ComponentsDisplay.from_components(parts, list("abc"), [1, 2])
    with pytest.raises(ValueError, match="scores has shape"):
        ComponentsDisplay.from_components(parts, list("ab"), [1])
    with pytest.raises(ValueError, match="1 labels"):
        ComponentsDisplay.from_atoms(parts, ["a"])
    with pytest.raises(ValueError, match="signal_shape"):
        ComponentsDisplay.from_atoms(parts, list("ab"), signal_shape=(3, 3))
    with pytest.raises(ValueError, match="at least one part"):
        ComponentsDisplay.from_atoms(parts[:0], [])
    with pytest.raises(ValueError, match="NaN"):
        ComponentsDisplay.from_atoms(parts * np.nan, list("ab"))
