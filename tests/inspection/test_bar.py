"""Bars have the lengths, colours and names of the groups."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from sktrim.inspection import BarDisplay
from sktrim.inspection._style import NEGATIVE, POSITIVE

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(50, 12)) ** 3 * np.arange(1, 13)
NAMES = [f"topic{index}: clinton emails server private inquiry" for index in range(12)]


def widths(display):
    return [bar.get_width() for bar in display.ax_.patches]


def colors(display):
    return [to_hex(bar.get_facecolor()).upper() for bar in display.ax_.patches]


def test_bars_are_the_largest_mean_magnitudes_in_order():
    display = BarDisplay.from_values(VALUES, NAMES, k=5)
    expected = np.sort(np.abs(VALUES).mean(axis=0))[::-1][:5]
    np.testing.assert_allclose(widths(display), expected)
    assert display.ax_.get_ylim()[0] > display.ax_.get_ylim()[1]
    assert "mean |importance|" in display.ax_.get_xlabel()


def test_colours_are_the_signs_of_the_means():
    display = BarDisplay.from_values(VALUES, NAMES, k=12)
    order = np.argsort(-np.abs(VALUES).mean(axis=0))
    signs = VALUES.mean(axis=0)[order]
    expected = [POSITIVE if sign > 0 else NEGATIVE for sign in signs]
    assert colors(display) == expected
    assert len(set(expected)) == 2


def test_one_sample_is_drawn_with_its_signs():
    display = BarDisplay.from_values([1.0, -3.0, 2.0], list("abc"))
    assert widths(display) == [-3.0, 2.0, 1.0]
    assert colors(display) == [NEGATIVE, POSITIVE, POSITIVE]
    assert display.whiskers is None


@pytest.mark.parametrize("spread", ["quantiles", "std"])
@pytest.mark.parametrize("by", ["abs", "signed"])
def test_whiskers_are_the_spread_of_what_the_bar_is_the_mean_of(spread, by):
    display = BarDisplay.from_values(VALUES, NAMES, k=12, spread=spread, by=by)
    heights = np.abs(VALUES) if by == "abs" else VALUES
    order = np.argsort(-heights.mean(axis=0))
    heights = heights[:, order]
    if spread == "std":
        low = heights.mean(axis=0) - heights.std(axis=0)
        high = heights.mean(axis=0) + heights.std(axis=0)
    else:
        low, high = np.quantile(heights, [0.1, 0.9], axis=0)
    assert (low < 0).any() or (spread, by) == ("quantiles", "abs")
    lower, upper, label = display.whiskers
    np.testing.assert_allclose(lower, low.clip(0) if by == "abs" else low)
    np.testing.assert_allclose(upper, high)
    texts = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert label in texts


def test_the_whiskers_of_one_sample_are_its_standard_errors():
    display = BarDisplay.from_values([1.0, -3.0], ["a", "b"], std_errors=[0.1, 0.2])
    np.testing.assert_allclose(display.whiskers[0], [-3.2, 0.9])
    assert "standard error" in display.whiskers[2]
    with pytest.raises(ValueError, match="std_errors has 3"):
        BarDisplay.from_values([1.0, -3.0], ["a", "b"], std_errors=[1, 2, 3])


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (4, 1), (4, 3)])
def test_all_zeros_are_drawn_without_a_warning(shape, recwarn):
    display = BarDisplay.from_values(np.zeros(shape), list("abc")[: shape[1]])
    display.figure_.canvas.draw()
    assert display.ax_.get_xlim() == (0, 1)
    assert not recwarn


@pytest.mark.parametrize("n_groups", [1, 20, 100])
@pytest.mark.parametrize("k", [5, 100])
def test_no_name_lies_on_another(n_groups, k, no_overlap):
    names = [
        f"{index} a rather long name of a feature group" for index in range(n_groups)
    ]
    values = np.random.default_rng(1).normal(size=(9, n_groups))
    display = BarDisplay.from_values(values, names, k=k, title="title")
    legend = display.figure_.legends[0].get_texts()
    ax = display.ax_
    no_overlap(
        display.figure_, [*ax.get_yticklabels(), ax.xaxis.label, *legend, ax.title]
    )


@pytest.mark.parametrize("options", [{"k": 0}, {"by": "size"}, {"spread": "iqr"}])
def test_unknown_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        BarDisplay.from_values(VALUES, NAMES, **options)


def test_groups_stand_under_their_parents():
    values = np.array([[3.0, -1.0, 2.0, 0.5], [1.0, -3.0, 4.0, 0.5]])
    display = BarDisplay.from_values(
        values, list("pqrs"), k=3, parents=["b", "a", "b", "c"]
    )
    assert display.names == ["b", "r", "p", "a", "q"]
    assert display.is_parent.tolist() == [True, False, False, True, False]
    np.testing.assert_allclose(display.lengths, [5.0, 3.0, 2.0, 2.0, 2.0])
    assert display.signs.tolist() == [1, 1, 1, -1, -1]
    weights = [label.get_fontweight() for label in display.ax_.get_yticklabels()]
    assert weights == ["bold", "normal", "normal", "bold", "normal"]
    plt.close(display.figure_)
    with pytest.raises(ValueError, match="1 parents were given for 4 groups"):
        BarDisplay.from_values(values, list("pqrs"), parents=["b"])
