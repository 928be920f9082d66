"""What `explanation.plot` draws is what the Explanation holds."""

import numpy as np
import pytest
import scipy.sparse as sp
from torch import nn

from sktrim import FourierTransformer, transform_importance
from sktrim.explanation import Explanation
from sktrim.groups import FeatureGroups

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(6, 12))
PARTS = RNG.normal(size=(6, 12, 3, 4))
NAMES = [f"x{index}" for index in range(12)]


def make(values=VALUES, **changes):
    fields = {
        "centers": np.arange(12),
        "unit": "cycles/image",
        "target_names": [f"digit {index}" for index in range(6)],
        "component_function": lambda rows, group: PARTS[rows, group],
        "signals": PARTS[:, 0],
        "signal_shape": (3, 4),
    }
    fields |= changes
    return Explanation(values, NAMES, **fields)


def test_the_bars_are_of_the_explanation():
    display = make().plot.bar(3)
    top = make().top_k(3, over="mean")
    assert display.names == top.names.tolist()
    np.testing.assert_allclose(display.lengths, top.values)
    assert display.label == "mean |importance| (cd, margin)"


def test_the_bars_of_a_sample_are_its_values_under_its_name():
    display = make().plot.bar(3, sample=-2)
    np.testing.assert_array_equal(display.lengths, make()[4].top_k(3).values[0])
    assert display.ax_.get_title() == "sample -2, target digit 4"
    errors = np.full(VALUES.shape, 0.5)
    display = make(std_errors=errors).plot.bar(3, sample=0)
    np.testing.assert_allclose(display.whiskers[1] - display.lengths, 0.5)


def test_the_curve_lies_over_the_centres():
    display = make().plot.curve()
    np.testing.assert_array_equal(display.centers, np.arange(12))
    assert display.xlabel == "spatial frequency (cycles/image)"
    names = ["a", "b", "a", "b", "a", "b"]
    for display in (
        make().plot.curve(by=names),
        make(target_names=names).plot.curve(by="target"),
    ):
        assert [curve.name for curve in display.curves] == ["a", "b"]
        np.testing.assert_array_equal(
            display.curves[1].heights, VALUES[1::2].mean(axis=0)
        )


@pytest.mark.parametrize(
    ("shape", "label"),
    [
        ((3, 4), "spatial frequency (cycles/image)"),
        ((1, 12), "frequency (cycles/signal)"),
        (None, "frequency (cycles/signal)"),
    ],
)
def test_bare_cycles_are_of_the_whole_signal(shape, label):
    display = make(unit="cycles", signal_shape=shape).plot.curve()
    assert display.xlabel == label


@pytest.mark.parametrize(
    ("axes", "label"), [(-1, "cycles/signal"), ((-2, -1), "cycles/image")]
)
def test_channels_are_no_axis_of_the_signal(axes, label):
    X = np.random.default_rng(0).standard_normal((4, 2, 6))
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    transformer = FourierTransformer(axes=axes).fit(X)
    explanation = transform_importance(net, X, transformer=transformer)
    assert label in explanation.plot.curve().xlabel


def test_the_heat_map_is_of_samples_unless_the_groups_are_the_signal():
    assert make().plot.heatmap().kind == "matrix"
    assert make().plot.heatmap(sample=1).kind == "groups"
    pixels = make(signal_space=True)
    assert pixels.plot.heatmap().kind == "matrix"
    for display in (
        pixels.plot.heatmap(sample=1),
        make()[1].plot.heatmap(kind="signal"),
    ):
        assert display.kind == "image"
        expected = VALUES[1].reshape(3, 4) / np.abs(VALUES[1]).max()
        np.testing.assert_allclose(display.values, expected)
        np.testing.assert_array_equal(display.signal, PARTS[1, 0])


def test_groups_of_one_sample_stand_beside_its_signal():
    display = make().plot.heatmap(sample=1, squared=True)
    expected = VALUES[1:2] ** 2 / (VALUES[1] ** 2).max()
    np.testing.assert_allclose(display.values, expected)
    np.testing.assert_array_equal(display.signal, PARTS[1, 0])
    assert len(display.axes_) == 2
    few = make(signal_space=True, signal_shape=(2, 3), signals=None)
    assert few.plot.heatmap(sample=1).kind == "groups"
    with pytest.raises(ValueError, match="one sample, not 6"):
        make().plot.heatmap(kind="groups")


def test_groups_in_a_plane_are_drawn_in_it():
    places = np.indices((3, 4)).reshape(2, -1).T
    groups = FeatureGroups(np.eye(12), NAMES, coordinates=places)
    explanation = make(feature_groups=groups)
    display = explanation.plot.heatmap(sample=1, squared=True)
    np.testing.assert_array_equal(display.coordinates, places)
    assert (display.kind, display.unit) == ("plane", "cycles/image")
    assert explanation.plot.heatmap(sample=1, kind="groups").kind == "groups"
    assert explanation.plot.heatmap().kind == "matrix"
    with pytest.raises(ValueError, match="two coordinates"):
        make().plot.heatmap(sample=1, kind="plane")


def test_a_map_over_the_signal_needs_one_sample_and_one_group_per_number():
    with pytest.raises(ValueError, match="one sample, not 6"):
        make().plot.heatmap(kind="signal")
    with pytest.raises(ValueError, match="one group per number"):
        make(signal_shape=(2, 3), signals=None).plot.heatmap(sample=0, kind="signal")
    with pytest.raises(ValueError, match="kind='picture'"):
        make().plot.heatmap(kind="picture")


def test_the_components_are_those_of_the_top_groups():
    display = make().plot.components(2, 4)
    top = make()[2].top_k(4)
    np.testing.assert_array_equal(display.parts, PARTS[2, top.indices[0]])
    np.testing.assert_array_equal(display.scores, top.values[0])
    np.testing.assert_array_equal(display.signal, PARTS[2, 0])
    given = make(signals=None).plot.components(2, 4, signal=np.ones(12))
    assert (given.signal == 1).all()
    assert make(signals=None).plot.components(2, 4).signal is None
    sparse = make(signals=sp.csr_array(PARTS[:, 0].reshape(6, 12)))
    np.testing.assert_array_equal(sparse.plot.components(2).signal, PARTS[2, 0])


def test_components_need_a_way_back():
    with pytest.raises(ValueError, match="no way back to signal space"):
        make(component_function=None).plot.components()


@pytest.mark.parametrize("method", ["bar", "curve", "heatmap", "components"])
def test_several_targets_need_one_to_be_named(method):
    several = np.stack([VALUES, -VALUES], axis=2)
    explanation = make(several, target_names=["up", "down"])
    with pytest.raises(ValueError, match=r"target= \(\['up', 'down'\]\)"):
        getattr(explanation.plot, method)()
    display = getattr(explanation.plot, method)(target="down")
    titles = [ax.get_title() for ax in display.figure_.axes]
    titles.append(display.figure_.get_suptitle())
    assert any("target down" in title for title in titles)
    one = getattr(make(-VALUES).plot, method)()
    assert vars(one).keys() == vars(display).keys()


def forecast(n_targets=5, **changes):
    values = RNG.normal(size=(6, 12, n_targets)) * np.arange(1, 13)[:, None]
    return make(values, **{"target_names": None, **changes})


@pytest.mark.parametrize("absolute", [True, False])
def test_the_horizon_has_a_curve_per_group_over_the_targets(absolute):
    explanation = forecast()
    times = [0.25, 0.5, 1.0, 2.0, 4.0]
    display = explanation.plot.horizon(times, absolute=absolute, xlabel="years")
    assert display.ax_.get_xlabel() == "years"
    lines = {line.get_label(): line for line in display.ax_.lines[:7]}
    rank = np.abs(explanation.values).mean(axis=(0, 2))
    assert list(lines) == [NAMES[i] for i in sorted(np.argsort(-rank)[:7])]
    taken = np.abs(explanation.values) if absolute else explanation.values
    for name, line in lines.items():
        expected = taken[:, NAMES.index(name)].mean(axis=0)
        np.testing.assert_allclose(line.get_ydata(), expected)
        np.testing.assert_array_equal(line.get_xdata(), times)


def test_targets_of_a_horizon_come_in_the_order_of_their_places():
    explanation = forecast()
    display = explanation.plot.horizon([4.0, 3.0, 2.0, 1.0, 0.0], k=12)
    expected = np.abs(explanation.values[:, 3, ::-1]).mean(axis=0)
    np.testing.assert_allclose(display.curves[3].heights, expected)


def test_a_horizon_of_one_sample_is_its_values_over_named_targets():
    names = [f"quarter {i}" for i in range(5)]
    explanation = forecast(target_names=names)
    display = explanation.plot.horizon(sample=2, k=2, absolute=False)
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == names
    assert display.ax_.get_title() == "sample 2"
    top = np.argsort(-np.abs(explanation.values[2]).mean(axis=1))[:2]
    for curve, group in zip(display.curves, sorted(top), strict=True):
        np.testing.assert_array_equal(curve.heights, explanation.values[2, group])


def test_a_horizon_needs_several_targets_in_places_of_their_own():
    with pytest.raises(ValueError, match="one target, so there is no horizon"):
        make().plot.horizon()
    with pytest.raises(ValueError, match=r"shape \(4,\) for 5 targets"):
        forecast().plot.horizon([1, 2, 3, 4])
    with pytest.raises(ValueError, match="same place"):
        forecast().plot.horizon([1, 2, 3, 4, 4])
    with pytest.raises(ValueError, match="k=0"):
        forecast().plot.horizon(k=0)
    with pytest.raises(ValueError, match="no samples"):
        forecast()[:0].plot.horizon()


@pytest.mark.parametrize("method", ["bar", "curve", "heatmap", "components"])
def test_no_samples_are_not_drawn(method):
    with pytest.raises(ValueError, match="no samples"):
        getattr(make()[:0].plot, method)()


def test_two_channels_with_peaks_of_their_own_keep_them():
    X = np.random.default_rng(0).standard_normal((4, 2, 16))
    fourier = FourierTransformer(axes=-1).fit(X)
    groups = fourier.feature_groups(channels="separate")
    values = np.zeros((4, len(groups)))
    values[:, [2, 12]] = 20.8, 20.2
    explanation = Explanation(
        values,
        groups.names,
        centers=groups.centers,
        unit="cycles",
        signal_shape=(2, 16),
    )
    lines = explanation.plot.curve().ax_.lines[:2]
    assert [line.get_label() for line in lines] == ["channel0", "channel1"]
    assert [line.get_ydata().max() for line in lines] == [20.8, 20.2]
