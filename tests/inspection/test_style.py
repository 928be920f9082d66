"""Every display draws where it is told, shows nothing and says what is wrong."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sktrim.inspection import (
    BarDisplay,
    ComponentsDisplay,
    CurveDisplay,
    HeatmapDisplay,
)
from sktrim.inspection import _style as style

DRAW = {
    "bar": lambda **k: BarDisplay.from_values([[1.0, -2.0]], ["a", "b"], **k),
    "curve": lambda **k: CurveDisplay.from_values([[1.0, -2.0]], [1, 2], **k),
    "matrix": lambda **k: HeatmapDisplay.from_matrix([[1.0, -2.0]], ["a", "b"], **k),
    "signal": lambda **k: HeatmapDisplay.from_signal(np.ones(4), (2, 2), **k),
    "components": lambda **k: ComponentsDisplay.from_components(
        np.ones((2, 3, 3)), ["a", "b"], [1, -1], **k
    ),
    "atoms": lambda **k: ComponentsDisplay.from_atoms(np.ones((2, 9)), ["a", "b"], **k),
}
every_display = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


@every_display
def test_a_display_draws_into_a_new_figure_and_shows_nothing(draw, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("plt.show was called"))
    display = draw()
    assert display.figure_.number in plt.get_fignums()
    assert display.ax_ in display.figure_.axes
    assert display.figure_.get_layout_engine() is not None


@every_display
def test_a_display_draws_into_given_axes_and_its_title_with_it(draw):
    figure, ax = plt.subplots()
    display = draw(ax=ax, title="what it is")
    assert display.figure_ is figure
    assert len(plt.get_fignums()) == 1
    assert any("what it is" in each.get_title() for each in figure.axes)
    assert not figure.get_suptitle()


@every_display
def test_a_display_draws_again(draw):
    display = draw()
    first = display.figure_
    assert display.plot() is display
    assert display.figure_ is not first


@every_display
def test_without_matplotlib_the_extra_is_named(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(
        ImportError, match=r"'plot' extra: pip install 'sktrim\[plot\]'"
    ):
        draw()


def test_names_are_cut_with_an_ellipsis_and_never_read_as_mathematics():
    assert style.shorten("a" * 28) == "a" * 28
    assert style.shorten("a" * 29) == "a" * 27 + "…"
    assert style.shorten("a\nb $c$") == r"a b \$c\$"


@pytest.mark.parametrize(
    ("unit", "label"),
    [
        ("cycles/image", "spatial frequency (cycles/image)"),
        ("cycles/pixel", "spatial frequency (cycles/pixel)"),
        ("cycles per signal", "frequency (cycles per signal)"),
        ("kHz", "frequency (kHz)"),
        ("multipole", "multipole"),
        ("level", "level"),
        ("arcmin", "centre of the group (arcmin)"),
        (None, "centre of the group"),
    ],
)
def test_the_axis_is_named_from_the_unit(unit, label):
    assert style.axis_label(unit) == label


def test_labels_become_magnitudes_and_break_where_the_scorer_begins():
    assert style.magnitude_of("importance (cd, margin)") == "|importance| (cd, margin)"
    lines = style.in_lines("importance (cd, margin), largest = 1").splitlines()
    assert lines == ["importance", "(cd, margin)", "largest = 1"]


def test_the_largest_magnitude_of_zeros_divides_without_harm():
    assert style.largest(np.zeros(3)) == 1
    assert style.largest(np.array([1.0, -3.0])) == 3


@pytest.mark.parametrize(
    "values", [np.zeros((0, 2)), np.zeros((2, 2, 2)), [[np.nan, 0.0]], [[1.0] * 3]]
)
def test_values_that_cannot_be_drawn_are_refused(values):
    with pytest.raises(ValueError, match=r"values|names"):
        BarDisplay.from_values(values, ["a", "b"])


def test_too_few_axes_are_refused():
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="2 axes, but 3"):
        ComponentsDisplay.from_atoms(np.ones((3, 4)), list("abc"), ax=axes)
    display = ComponentsDisplay.from_atoms(np.ones((2, 4)), list("ab"), ax=axes)
    assert display.axes_ == list(axes)
