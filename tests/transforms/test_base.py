"""Layouts: rows, images, channels, and the errors that guard them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils import get_tags

from sktrim.transforms import CosineTransformer, FourierTransformer, WaveletTransformer

BOTH = pytest.mark.parametrize("cls", [FourierTransformer, CosineTransformer])


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((100,), (-1,)),
        ((1, 28, 28), (-2, -1)),
        ((3, 28, 28), (-2, -1)),
        ((1, 8000), (-1,)),
        ((8000, 1), (-2,)),
        ((3, 1, 50), (-1,)),
        ((1,), (-1,)),
        ((1, 1), (-1,)),
    ],
)
def test_default_axes_are_the_last_two_but_for_length_one(shape, axes):
    assert FourierTransformer().fit(np.zeros((2, *shape))).axes_ == axes


@pytest.mark.parametrize(
    "cls", [FourierTransformer, CosineTransformer, WaveletTransformer]
)
def test_signals_of_two_axes_are_channels_or_images_as_is_said(cls):
    X = np.random.default_rng(0).normal(size=(2, 3, 16))
    with pytest.raises(ValueError, match=r"\(3, 16\).*axes=-1.*axes=\(-2, -1\)"):
        cls().fit(X)
    assert cls(axes=-1).fit(X).channel_shape_ == (3,)
    assert cls(axes=(-2, -1)).fit(X).channel_shape_ == ()
    image = cls(signal_shape=(3, 16))
    assert image.fit(X).axes_ == image.fit(X.reshape(2, 48)).axes_ == (-2, -1)


@BOTH
def test_flat_rows_and_signals_give_the_same_coefficients(cls, rng):
    X = rng.normal(size=(4, 2, 5, 6))
    flat = X.reshape(4, 60)
    from_flat = cls(signal_shape=(2, 5, 6)).fit(flat)
    from_signals = cls().fit(X)
    expected = from_signals.transform(X)
    for fitted in (from_flat, from_signals):
        assert_array_equal(fitted.transform(X), expected)
        assert_array_equal(fitted.transform(flat), expected)
    assert from_flat.inverse_transform(expected).shape == (4, 60)
    assert from_signals.inverse_transform(expected).shape == (4, 2, 5, 6)
    assert_allclose(from_flat.inverse_transform(expected), flat, atol=1e-12)


@BOTH
def test_channels_are_transformed_one_by_one(cls, rng):
    X = rng.normal(size=(3, 2, 4, 5))
    fitted = cls().fit(X)
    assert fitted.channel_shape_ == (2,)
    assert fitted.grid_shape_ == (4, 5)
    image = cls(axes=(-2, -1))
    alone = [image.fit_transform(X[:, c]) for c in range(2)]
    assert_allclose(fitted.transform(X), np.hstack(alone), atol=1e-14)


@BOTH
def test_channels_may_come_last(cls, rng):
    X = rng.normal(size=(3, 7, 2))
    last = cls(axes=0).fit(X)
    first = cls(axes=1).fit(X.transpose(0, 2, 1))
    coefficients = last.transform(X)
    assert_array_equal(coefficients, first.transform(X.transpose(0, 2, 1)))
    assert_allclose(last.inverse_transform(coefficients), X, atol=1e-12)


@BOTH
def test_order_of_axes_does_not_matter(cls, rng):
    X = rng.normal(size=(3, 4, 5, 6))
    assert_array_equal(
        cls(axes=(2, 0)).fit_transform(X), cls(axes=(-3, -1)).fit_transform(X)
    )


def test_an_axis_of_length_one_may_be_missing_or_added(rng):
    X = rng.normal(size=(3, 1, 8))
    fitted = FourierTransformer().fit(X)
    assert_array_equal(fitted.transform(X[:, 0]), fitted.transform(X))
    fitted = FourierTransformer(signal_shape=(8, 8)).fit(rng.normal(size=(3, 64)))
    assert fitted.transform(rng.normal(size=(3, 1, 8, 8))).shape == (3, 64)


def test_lists_and_torch_like_arrays_are_taken():
    fitted = FourierTransformer((2, 2)).fit([[[1, 2], [3, 4]]])
    assert fitted.signal_shape_ == (2, 2)
    assert fitted.n_features_in_ == 4


def test_refitting_on_another_layout_forgets_the_first(rng):
    fitted = FourierTransformer().fit(rng.normal(size=(3, 1, 4, 5)))
    fitted.fit(rng.normal(size=(3, 7)))
    assert (fitted.signal_shape_, fitted.axes_) == ((7,), (-1,))


def test_n_dimensional_input_is_announced():
    assert get_tags(FourierTransformer()).input_tags.three_d_array


def test_channels_are_named_and_pooled_or_separate(rng):
    fitted = FourierTransformer(axes=-1).fit(rng.normal(size=(2, 2, 3, 4)))
    names = fitted.get_feature_names_out()
    assert names[0] == "channel(0, 0) 0.0 cycles re"
    assert len(set(names)) == 24
    pooled = fitted.feature_groups()
    separate = fitted.feature_groups(channels="separate")
    assert (len(pooled), len(separate)) == (3, 18)
    assert separate.names[3] == "channel(0, 1) 0.0 cycles"
    assert_array_equal(separate.centers, np.tile(pooled.centers, 6))
    values = rng.normal(size=(5, 24))
    assert_allclose(
        separate.aggregate(values).reshape(5, 6, 3).sum(axis=1),
        pooled.aggregate(values),
        atol=1e-12,
    )
    with pytest.raises(ValueError, match="expected 'pool' or 'separate'"):
        fitted.feature_groups(channels="mean")


@pytest.mark.parametrize(
    ("signal_shape", "message"),
    [
        ((28, 28), r"signal_shape=\(28, 28\) has 784 values but X has 100 columns"),
        ((0, 100), "is no shape"),
        ((), "is no shape"),
        ((10.0, 10.0), "is no shape"),
        ("ten", "is no shape"),
        (99, r"signal_shape=\(99,\) has 99 values"),
    ],
)
def test_a_signal_shape_that_does_not_fit_is_an_error(signal_shape, message):
    with pytest.raises(ValueError, match=message):
        FourierTransformer(signal_shape=signal_shape).fit(np.zeros((2, 100)))


def test_a_transposed_signal_is_an_error(rng):
    with pytest.raises(ValueError, match="transpose X, or pass it flat"):
        FourierTransformer(signal_shape=(4, 5)).fit(rng.normal(size=(2, 5, 4)))
    fitted = FourierTransformer().fit(rng.normal(size=(2, 3, 4, 5)))
    with pytest.raises(ValueError, match="transpose X, or pass it flat"):
        fitted.transform(rng.normal(size=(2, 4, 5, 3)))
    with pytest.raises(ValueError, match=r"signals of shape \(3, 4, 5\) were expected"):
        fitted.transform(rng.normal(size=(2, 4, 5, 3)))


@pytest.mark.parametrize("axes", [2, -3, (0, 2), (), 0.5, "last"])
def test_axes_out_of_range_are_an_error(axes):
    with pytest.raises(ValueError, match=r"does not fit signals of shape \(4, 5\)"):
        FourierTransformer(axes=axes).fit(np.zeros((2, 4, 5)))


def test_an_axis_named_twice_is_an_error():
    with pytest.raises(ValueError, match="twice"):
        FourierTransformer(axes=(1, -1)).fit(np.zeros((2, 4, 5)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_n_dimensional_input_is_validated_too(bad):
    X = np.zeros((2, 3, 4))
    fitted = FourierTransformer((3, 4)).fit(X)
    X[0, 0, 0] = bad
    with pytest.raises(ValueError, match="contains"):
        fitted.transform(X)
    with pytest.raises(ValueError, match="Complex"):
        fitted.transform(np.zeros((2, 3, 4), dtype=complex))
    with pytest.raises(ValueError, match="0 sample"):
        fitted.transform(np.zeros((0, 3, 4)))
    with pytest.raises(ValueError, match="has 15 features, but"):
        fitted.transform(np.zeros((2, 3, 5)))
