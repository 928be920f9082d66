"""The pictures of the studies show the numbers of the studies."""

import numpy as np
import pytest

from sktrim.inspection import (
    AgreementDisplay,
    FailureDisplay,
    FaithfulnessDisplay,
    RandomisationDisplay,
)

RNG = np.random.default_rng(0)


def test_faithfulness_curves_and_their_gaps():
    fractions = np.linspace(0, 1, 5)
    high, low = np.tile(fractions, (3, 1)), np.tile(1 - fractions, (3, 1)) ** 2
    display = FaithfulnessDisplay.from_curves(
        fractions, {"scores": (low, high), "random order": (low, low)}, title="gap"
    )
    lines = display.ax_.get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), low[0])
    np.testing.assert_allclose(lines[1].get_ydata(), high[0])
    gap = np.trapezoid(high[0] - low[0], fractions)
    assert lines[0].get_label() == f"scores: gap {gap:.3f}"
    assert lines[2].get_label() == "random order: gap 0.000"
    with pytest.raises(ValueError, match="4 and 5 points for 5"):
        FaithfulnessDisplay.from_curves(fractions, {"a": (low[:, :4], high)})


def test_randomisation_curves_means_and_reference():
    rho = RNG.uniform(-1, 1, (3, 4))
    display = RandomisationDisplay.from_values(
        ["head", "conv2", "conv1"], {"spearman": rho}, absolute=rho, reference=0.9
    )
    np.testing.assert_allclose(display.ax_.get_lines()[1].get_ydata(), rho.mean(1))
    labels = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert labels == ["head", "conv2", "conv1"]
    names = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert names == ["spearman", "magnitudes", "data only"]
    with pytest.raises(ValueError, match=r"\(3, 4\) for 2 layers"):
        RandomisationDisplay.from_values(["a", "b"], {"spearman": rho})


def test_agreement_is_a_labelled_square():
    table = np.array([[1, 0.25], [0.25, 1]])
    display = AgreementDisplay.from_matrix(table, ["cd", "gradient"], title="two")
    assert [text.get_text() for text in display.ax_.texts][1] == "0.25"
    np.testing.assert_array_equal(display.ax_.images[0].get_array(), table)
    with pytest.raises(ValueError, match="for 3 names"):
        AgreementDisplay.from_matrix(table, list("abc"))


def test_failures_are_bars_with_the_mean_of_all():
    display = FailureDisplay.from_values(
        [0.5, 0.1], [10, 30], ["band 3", "band 1"], overall=0.2
    )
    assert [bar.get_width() for bar in display.ax_.patches] == [0.5, 0.1]
    colors = [bar.get_facecolor() for bar in display.ax_.patches]
    assert colors[0] != colors[1]
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == ["band 3 (n = 10)", "band 1 (n = 30)"]
    with pytest.raises(ValueError, match="one of each per cluster"):
        FailureDisplay.from_values([0.5], [10, 30], ["a"], overall=0.2)
