"""Sensors are drawn where they are, in the colours of their values."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sktrim.inspection import SensorsDisplay

PLACES = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def test_every_map_has_a_dot_for_each_sensor():
    values = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]])
    display = SensorsDisplay.from_values(
        values, PLACES, ["left", "front"], names=list("LRFB"), title="components"
    )
    for ax, row, name in zip(display.axes_, values, ["left", "front"], strict=True):
        (dots,) = ax.collections
        np.testing.assert_array_equal(dots.get_offsets(), PLACES)
        np.testing.assert_array_equal(dots.get_array(), row)
        # one scale, zero at its centre
        assert dots.get_clim() == (-2, 2)
        assert ax.get_title() == name
        assert [text.get_text() for text in ax.texts] == list("LRFB")
    plt.close(display.figure_)
    one = SensorsDisplay.from_values(values[0], PLACES)
    assert one.titles == ["map 0"]
    plt.close(one.figure_)


@pytest.mark.parametrize(
    ("values", "options", "match"),
    [
        (np.ones(3), {}, r"positions has shape \(4, 2\) for 3 sensors"),
        (np.full(4, np.nan), {}, "NaN or infinity"),
        (np.ones(4), {"titles": ["a", "b"]}, "2 titles were given; expected 1"),
        (np.ones(4), {"names": ["a"]}, "1 names were given; expected 4"),
    ],
)
def test_what_does_not_fit_is_refused(values, options, match):
    with pytest.raises(ValueError, match=match):
        SensorsDisplay.from_values(values, PLACES, **options)
