"""Tests of the wavelet transform: round trip, layout, groups and errors."""

import pickle
from math import prod

import numpy as np
import pandas as pd
import pytest
import pywt
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktrim.transforms._wavelet import WaveletTransformer

WAVELETS = pywt.wavelist(kind="discrete")
MODES = pywt.Modes.modes
TOLERANCES = {"dmey": 1e-1}


def signals(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def assert_round_trip(transformer, X, atol):
    rebuilt = transformer.inverse_transform(transformer.fit(X).transform(X))
    assert rebuilt.shape == X.shape
    np.testing.assert_allclose(rebuilt, X, rtol=0, atol=atol * np.abs(X).max())


@parametrize_with_checks([WaveletTransformer(), WaveletTransformer(mode="symmetric")])
def test_scikit_learn_checks(estimator, check, monkeypatch):
    # without it one of the checks skips itself
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(200,), (101,), (30, 57), (1, 64)])
def test_round_trip_of_every_wavelet(mode, shape):
    for wavelet in WAVELETS:
        transformer = WaveletTransformer(wavelet, mode=mode, signal_shape=shape)
        assert_round_trip(
            transformer, signals(3, *shape), TOLERANCES.get(wavelet, 1e-10)
        )


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(1, 200),
    wavelet=st.sampled_from(WAVELETS),
    mode=st.sampled_from(MODES),
    data=st.data(),
)
def test_round_trip_of_every_length_and_level(n, wavelet, mode, data):
    highest = pywt.dwt_max_level(n, pywt.Wavelet(wavelet).dec_len)
    level = data.draw(st.one_of(st.none(), st.integers(0, highest)))
    transformer = WaveletTransformer(wavelet, level=level, mode=mode)
    assert_round_trip(transformer, signals(2, n), TOLERANCES.get(wavelet, 1e-10))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    wavelet=st.sampled_from(["haar", "db2", "sym4", "bior2.2", "rbio3.1"]),
    mode=st.sampled_from(MODES),
)
def test_round_trip_of_every_image_size(shape, wavelet, mode):
    transformer = WaveletTransformer(wavelet, mode=mode, axes=(0, 1))
    assert_round_trip(transformer, signals(2, *shape), 1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_equals_pywavelets_signal_by_signal(mode):
    X = signals(4, 45)
    S = WaveletTransformer("db3", level=2, mode=mode).fit(X).transform(X)
    for x, s in zip(X, S, strict=True):
        np.testing.assert_allclose(
            s, np.concatenate(pywt.wavedec(x, "db3", mode, 2)), atol=1e-12
        )


def test_equals_pywavelets_image_by_image():
    X = signals(2, 3, 17, 22)
    transformer = WaveletTransformer("sym4", level=1, mode="reflect").fit(X)
    S = transformer.transform(X).reshape(2, 3, -1)
    for i in range(2):
        for c in range(3):
            low, (horizontal, vertical, diagonal) = pywt.wavedec2(
                X[i, c], "sym4", "reflect", 1
            )
            expected = [low, vertical, horizontal, diagonal]
            flat = np.concatenate([band.ravel() for band in expected])
            np.testing.assert_allclose(S[i, c], flat, atol=1e-12)


def test_periodization_is_orthonormal_on_dyadic_sizes():
    transformer = WaveletTransformer("db4", signal_shape=(16, 32)).fit(signals(1, 512))
    D = transformer.inverse_transform(np.eye(512))
    np.testing.assert_allclose(D @ D.T, np.eye(512), atol=1e-10)


def test_inverse_is_linear():
    transformer = WaveletTransformer("bior2.4", mode="smooth").fit(signals(1, 50))
    S, R = signals(2, 3, transformer.n_coefficients_)
    inverse = transformer.inverse_transform
    np.testing.assert_allclose(
        inverse(2 * S - R), 2 * inverse(S) - inverse(R), atol=1e-12
    )
    np.testing.assert_array_equal(inverse(0 * S), 0)


def test_rows_do_not_depend_on_each_other():
    X = signals(7, 2, 19, 20)
    transformer = WaveletTransformer("db2").fit(X)
    alone = np.concatenate([transformer.transform(X[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(transformer.transform(X), alone, atol=1e-13)


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1,), None])
def test_axes_not_acted_upon_are_channels(axes):
    X = signals(2, 12, 9, 14)
    transformer = WaveletTransformer("haar", axes=axes)
    assert_round_trip(transformer, X, 1e-12)
    kept = [a for a in range(-3, 0) if a not in transformer.axes_]
    moved = np.moveaxis(X[1:], [a % 3 + 1 for a in kept], range(1, 1 + len(kept)))
    first = moved[(0,) + (0,) * len(kept)]
    bands = pywt.wavedecn(first, "haar", "periodization", transformer.level_)
    np.testing.assert_allclose(
        transformer.transform(X)[1, : bands[0].size], bands[0].ravel(), atol=1e-12
    )


def test_float32_is_kept():
    X = signals(3, 33).astype(np.float32)
    transformer = WaveletTransformer("db2").fit(X)
    S = transformer.transform(X)
    assert S.dtype == transformer.inverse_transform(S).dtype == np.float32
    np.testing.assert_allclose(S, transformer.transform(X.astype(float)), atol=1e-5)


def test_rounded_filters_reconstruct_perfectly_at_deep_levels():
    X = signals(1, 8000)
    for wavelet in WAVELETS:
        if wavelet != "dmey":
            assert_round_trip(WaveletTransformer(wavelet, mode="smooth"), X, 1e-11)


def test_corrected_filters_are_those_of_the_table_to_its_precision():
    for wavelet in WAVELETS:
        table = np.array(pywt.Wavelet(wavelet).filter_bank)
        fitted = WaveletTransformer(wavelet).fit(signals(1, 4)).wavelet_
        assert fitted.name == wavelet
        np.testing.assert_allclose(fitted.filter_bank, table, rtol=0, atol=1e-11)
        if wavelet.startswith(("db", "haar", "coif1", "dmey")):
            np.testing.assert_array_equal(fitted.filter_bank, table)


def test_clone_pickle_and_a_filter_bank_of_ones_own():
    own = pywt.Wavelet("mine", filter_bank=pywt.Wavelet("db3").filter_bank)
    X = signals(3, 40)
    transformer = clone(WaveletTransformer(own, mode="zero")).fit(X)
    again = pickle.loads(pickle.dumps(transformer))
    np.testing.assert_array_equal(again.transform(X), transformer.transform(X))
    reference = WaveletTransformer("db3", mode="zero").fit_transform(X)
    np.testing.assert_array_equal(transformer.transform(X), reference)
    assert transformer.feature_groups().names[-1] == "mine level 1"


def test_data_frames_get_named_columns():
    X = pd.DataFrame(signals(4, 8), columns=list("abcdefgh"))
    transformer = WaveletTransformer("haar", level=1).set_output(transform="pandas")
    frame = transformer.fit_transform(X)
    assert frame.columns[0] == "haar approximation [0]"
    assert frame.columns[-1] == "haar level 1 [3]"
    np.testing.assert_allclose(transformer.inverse_transform(frame), X, atol=1e-12)


def test_groups_by_level_and_orientation():
    X = signals(1, 28, 28)
    transformer = WaveletTransformer("db2", level=2, axes=(0, 1)).fit(X)
    groups = transformer.feature_groups()
    assert groups.names == [
        "db2 approximation",
        *(f"db2 level {k} {o}" for k in (2, 1) for o in ("HL", "LH", "HH")),
    ]
    assert groups.sums_to_one
    assert groups.centers is None
    sizes = [prod(band.shape) for band in transformer.bands_]
    np.testing.assert_array_equal(groups.masks.sum(axis=1), sizes)


@pytest.mark.parametrize(("axis", "name"), [(0, "LH"), (1, "HL")])
def test_the_first_letter_is_the_horizontal_axis(axis, name):
    stripes = np.indices((16, 16))[axis] % 2
    transformer = WaveletTransformer("haar", level=1, axes=(0, 1)).fit(stripes[None])
    S = transformer.transform(stripes[None])
    groups = transformer.feature_groups()
    energy = dict(zip(groups.names, groups.aggregate(S**2)[0], strict=True))
    assert energy.pop("haar approximation") > 1
    assert energy.pop(f"haar level 1 {name}") > 1
    assert max(energy.values()) < 1e-20


def test_groups_by_level_have_centers():
    transformer = WaveletTransformer("db2", level=2).fit(signals(1, 2, 28, 28))
    groups = transformer.feature_groups(by="level")
    assert groups.names == ["db2 approximation", "db2 level 2", "db2 level 1"]
    assert groups.unit == "level"
    np.testing.assert_array_equal(groups.centers, [3, 2, 1])
    scales = transformer.feature_groups(by="level", sample_spacing=0.5, unit="arcmin")
    assert scales.unit == "arcmin"
    np.testing.assert_array_equal(scales.centers, [4, 2, 1])
    separate = transformer.feature_groups(by="level", channels="separate")
    assert len(separate) == 6
    assert separate.names[0] == "channel0 db2 approximation"
    np.testing.assert_array_equal(
        separate.toarray()[:3] + separate.toarray()[3:], groups.toarray()
    )


def test_groups_by_coefficient():
    transformer = WaveletTransformer("db2", level=1).fit(signals(1, 10))
    groups = transformer.feature_groups(by="coefficient")
    np.testing.assert_array_equal(groups.toarray(), np.eye(10))
    assert groups.names == transformer.get_feature_names_out().tolist()


def test_one_dimensional_names():
    transformer = WaveletTransformer("db2", level=2).fit(signals(1, 30))
    groups = transformer.feature_groups()
    assert groups.names == ["db2 approximation", "db2 level 2", "db2 level 1"]
    np.testing.assert_array_equal(groups.centers, [3, 2, 1])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"wavelet": "db99"}, "no discrete wavelet"),
        ({"wavelet": "morl"}, "no discrete wavelet"),
        ({"wavelet": 3}, "no discrete wavelet"),
        ({"mode": "mirror"}, "expected one of zero"),
        ({"mode": None}, "expected one of zero"),
        ({"level": 4}, "at most 3"),
        ({"level": -1}, "integer from 0 to 3"),
        ({"level": True}, "integer from 0 to 3"),
        ({"level": 1.5}, "integer from 0 to 3"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        WaveletTransformer(**parameters).fit(signals(2, 28))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "band"}, "expected 'natural', 'level'"),
        ({"channels": "all"}, "expected 'pool'"),
        ({"unit": "Hz"}, "pass sample_spacing"),
        ({"sample_spacing": 0.0}, "must be positive"),
        ({"sample_spacing": [1, 1]}, "a single number"),
        ({"sample_spacing": 0.1, "unit": "Hz"}, "of wavelets are scales"),
    ],
)
def test_wrong_group_options_are_named(options, message):
    transformer = WaveletTransformer().fit(signals(2, 28))
    with pytest.raises(ValueError, match=message):
        transformer.feature_groups(**options)


def test_an_unfitted_transformer_says_so():
    with pytest.raises(NotFittedError):
        WaveletTransformer().feature_groups()
