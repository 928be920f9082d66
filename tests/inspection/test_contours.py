"""Contours enclose what they say, in the colours and lines that the legend names."""

import numpy as np
import pytest

from sktrim.inspection import ContoursDisplay
from sktrim.lensing import Posterior


def _posterior(width=1.0):
    x = np.linspace(-6, 6, 121)
    density = np.exp(-(x**2 + x[:, None] ** 2) / (2 * width**2))
    density /= density.sum() * 0.01
    return Posterior(x, x, density, density >= 0, ("Omega_m", "sigma_8"))


def _panels(n=6):
    names = ("network", "statistic", "both")
    panel = {name: _posterior(1.5 - at / 2) for at, name in enumerate(names)}
    return {f"panel {i}": panel for i in range(n)}


def test_six_panels_have_the_three_posteriors_in_two_lines_each():
    display = ContoursDisplay.from_posteriors(
        _panels(), points=np.zeros((4, 2)), truth=(0, 0)
    )
    assert len(display.axes_) == 6
    for ax in display.axes_:
        assert len(ax.collections) == 6
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == ["network", "statistic", "both", "68 %", "95 %", "simulated"]
    assert display.axes_[3].get_xlabel() == "Omega_m"
    assert display.axes_[0].get_ylabel() == "sigma_8"


def test_contours_lie_at_the_radii_of_their_probabilities():
    display = ContoursDisplay.from_posteriors({"one": {"normal": _posterior()}})
    for contour, probability in zip(
        display.axes_[0].collections, (0.68, 0.95), strict=True
    ):
        points = contour.get_paths()[0].vertices
        radius = np.hypot(*points.T)
        np.testing.assert_allclose(
            radius, np.sqrt(-2 * np.log(1 - probability)), rtol=0.02
        )


def test_panels_that_do_not_fill_the_last_row_keep_their_labels():
    display = ContoursDisplay.from_posteriors(_panels(4), title="contours")
    assert [ax.get_visible() for ax in display.axes_] == [True] * 4 + [False] * 2
    assert [bool(ax.get_xlabel()) for ax in display.axes_[:4]] == [
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("panels", "levels"),
    [({}, (0.68,)), ({"a": {}}, (0.68,)), (_panels(1), ()), (_panels(1), (0.1,) * 4)],
)
def test_what_cannot_be_told_apart_is_refused(panels, levels):
    with pytest.raises(ValueError, match="expected one to three"):
        ContoursDisplay.from_posteriors(panels, levels=levels)
