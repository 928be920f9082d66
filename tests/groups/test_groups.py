"""Groups: the matrix they are, the forms they come in, and what they refuse."""

import copy
import pickle
import time

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrim.groups import FeatureGroups, check_groups
from sktrim.transforms import FourierTransformer, WaveletTransformer

sizes = st.tuples(st.integers(1, 7), st.integers(1, 9))
weights = sizes.flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1, width=32))
)
labels = st.lists(st.integers(-1, 5), min_size=1, max_size=20).filter(
    lambda values: max(values) >= 0
)


@settings(max_examples=60, deadline=None)
@given(masks=weights, seed=st.integers(0, 99))
def test_aggregate_is_the_matrix_product(masks, seed):
    values = np.random.default_rng(seed).normal(size=(2, 3, masks.shape[1]))
    groups = FeatureGroups(masks)
    assert_allclose(groups.aggregate(values), values @ masks.T, atol=1e-12)
    assert_allclose(groups.aggregate(values[0, 0]), values[0, 0] @ masks.T, atol=1e-12)
    assert_array_equal(groups.toarray(), masks)


@settings(max_examples=40, deadline=None)
@given(masks=weights, data=st.data())
def test_a_subset_is_the_rows_of_the_matrix(masks, data):
    n_groups, n = masks.shape
    centers = np.arange(n_groups) / 2
    places = np.stack([centers, -centers], axis=1)
    groups = FeatureGroups(masks, centers=centers, unit="Hz", coordinates=places)
    rows = data.draw(st.lists(st.integers(0, n_groups - 1), min_size=1, unique=True))
    values = np.random.default_rng(0).normal(size=(4, n))
    for index in (rows, np.array(rows), [f"group{i}" for i in rows]):
        part = groups[index]
        assert_array_equal(part.toarray(), masks[rows])
        assert_array_equal(part.centers, centers[rows])
        assert_array_equal(part.coordinates, places[rows])
        assert part.names == [f"group{i}" for i in rows]
        assert part.unit == "Hz"
        assert_allclose(part.aggregate(values), groups.aggregate(values)[:, rows])


@settings(max_examples=60, deadline=None)
@given(values=labels)
def test_labels_dict_and_matrix_agree(values):
    values = np.array(values)
    distinct = np.unique(values[values >= 0])
    matrix = (values == distinct[:, None]).astype(float)
    by_index = {str(k): np.flatnonzero(values == k) for k in distinct}
    by_mask = {str(k): values == k for k in distinct}
    for groups in (
        FeatureGroups.from_labels(values),
        FeatureGroups.from_dict(by_index, values.size),
        FeatureGroups.from_dict(by_mask),
        check_groups(values, None, values.size),
        check_groups(by_index, None, values.size),
    ):
        assert_array_equal(groups.toarray(), matrix)
        assert groups.names == [str(k) for k in distinct]
        assert groups.sums_to_one == (values.min() >= 0)


@pytest.mark.parametrize("kind", [sp.csr_array, sp.coo_matrix, sp.csc_array, np.array])
def test_masks_may_be_sparse_or_dense_and_are_copied(kind):
    dense = np.array([[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]])
    given_masks = kind(dense)
    groups = FeatureGroups(given_masks)
    assert isinstance(groups.masks, sp.csr_array)
    assert (groups.masks.dtype, groups.masks.nnz) == (np.float64, 4)
    given_masks *= 0
    assert_array_equal(groups.toarray(), dense)


def test_sums_to_one_takes_all_coefficients():
    assert FeatureGroups([[0.3, 1], [0.7, 0]]).sums_to_one
    assert not FeatureGroups([[0.3, 1], [0.6, 0]]).sums_to_one
    assert not FeatureGroups([[1, 0]]).sums_to_one
    assert not FeatureGroups([[1, 1], [1, 0]]).sums_to_one
    assert FeatureGroups(np.full((10, 3), 0.1)).sums_to_one


def test_aggregate_keeps_float32_and_sums_in_float64():
    values = np.full((1, 10_000), 0.1, dtype=np.float32)
    out = FeatureGroups(np.ones((1, 10_000))).aggregate(values)
    assert out.dtype == np.float32
    assert out[0, 0] == np.float32(values.astype(float).sum())


def test_a_value_that_is_not_finite_stays_in_its_groups():
    out = FeatureGroups([[1, 0], [0, 1]]).aggregate([np.nan, 2.0])
    assert_array_equal(out, [np.nan, 2.0])


def test_subsets_by_slice_mask_position_name_and_iteration():
    groups = FeatureGroups(np.eye(4), list("abcd"))
    assert groups[1:3].names == ["b", "c"]
    assert groups[[True, False, False, True]].names == ["a", "d"]
    assert groups[-1].names == ["d"]
    assert groups["c"].toarray().tolist() == [[0, 0, 1, 0]]
    assert [group.names[0] for group in groups] == list("abcd")
    with pytest.raises(IndexError):
        groups[4]
    with pytest.raises(KeyError, match="no group named 'e'"):
        groups["e"]


def test_pickles_copies_and_shows_itself():
    groups = FeatureGroups(np.eye(5), centers=range(5), unit="cycles")
    for again in (pickle.loads(pickle.dumps(groups)), copy.deepcopy(groups)):
        assert_array_equal(again.toarray(), groups.toarray())
        assert_array_equal(again.centers, groups.centers)
        assert (again.names, again.unit) == (groups.names, groups.unit)
    assert repr(groups) == (
        "FeatureGroups(5 groups over 5 coefficients [cycles]: "
        "'group0', 'group1', 'group2', ...)"
    )


def test_singletons_are_the_identity():
    groups = FeatureGroups.singletons(3)
    assert_array_equal(groups.toarray(), np.eye(3))
    assert groups.names == ["coefficient0", "coefficient1", "coefficient2"]
    assert (len(groups), groups.n_coefficients) == (3, 3)


def test_thousands_of_groups_over_thousands_of_coefficients_are_cheap():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(64, 50_000))
    start = time.perf_counter()
    groups = FeatureGroups.from_labels(rng.integers(0, 20_000, size=50_000))
    out = groups[: len(groups) // 2].aggregate(values)
    assert time.perf_counter() - start < 5
    assert groups.masks.data.nbytes < 1_000_000
    assert out.shape == (64, len(groups) // 2)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([[0.5, 1.5]], r"masks\[0, 1\] is 1.5; .* must lie in \[0, 1\]"),
        ([[1, 0], [0, -0.1]], r"masks\[1, 1\] is -0.1"),
        ([[0.5, np.nan]], r"masks\[0, 1\] is nan"),
        ([1, 0, 1], "expected \\(n_groups, n_coefficients\\)"),
        (np.ones((0, 3)), "at least one group"),
        (np.ones((3, 0)), "at least one group and one coefficient"),
        ([[1j, 0]], "expected real weights"),
        ([["a", "b"]], "expected real weights"),
    ],
)
def test_masks_that_are_none_are_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        FeatureGroups(masks)


def test_names_and_places_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="1 names were given for 2 groups"):
        FeatureGroups(np.eye(2), ["a"])
    with pytest.raises(ValueError, match="'a' occurs more than once"):
        FeatureGroups(np.eye(2), ["a", "a"])
    with pytest.raises(ValueError, match="pass a list"):
        FeatureGroups(np.eye(2), "ab")
    with pytest.raises(ValueError, match="centers has shape"):
        FeatureGroups(np.eye(2), centers=[1, 2, 3])
    for places in ([1, 2], [[1, 2]], np.zeros((3, 2))):
        with pytest.raises(ValueError, match="coordinates has shape"):
            FeatureGroups(np.eye(2), coordinates=places)
    with pytest.raises(ValueError, match="coordinates holds NaN"):
        FeatureGroups(np.eye(2), coordinates=[[0, 1], [np.nan, 1]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, -2], "smallest label is -2"),
        ([-1, -1], "there is no group"),
        ([], "1-D array of integers"),
        ([0.0, 1.0], "1-D array of integers"),
        ([True, False], "1-D array of integers"),
        ([[0, 1]], "1-D array of integers"),
    ],
)
def test_labels_that_are_none_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        FeatureGroups.from_labels(values)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "is empty"),
        ({"a": [0, 4]}, "indices from 0 to 4, but there are 4"),
        ({"a": [-5]}, "indices from -5"),
        ({"a": [True, False]}, r"shape \(2,\), expected \(4,\)"),
        ({"a": [[0, 1]]}, "1-D list"),
        ({"a": ["x"]}, "1-D list"),
        ({"a": [0.0, 2.0, 0.0, 0.0]}, r"must lie in \[0, 1\]"),
    ],
)
def test_dicts_that_do_not_fit_are_refused(members, message):
    with pytest.raises(ValueError, match=message):
        FeatureGroups.from_dict(members, 4)


def test_dict_takes_negative_indices_soft_masks_and_empty_groups():
    members = {"last": -1, "half": [0.5, 0, 0], "none": []}
    groups = FeatureGroups.from_dict(members)
    assert_array_equal(groups.toarray(), [[0, 0, 1], [0.5, 0, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match="pass n_coefficients"):
        FeatureGroups.from_dict({"last": [-1]})


def test_values_of_the_wrong_width_are_refused():
    with pytest.raises(ValueError, match="over 3 coefficients"):
        FeatureGroups(np.eye(3)).aggregate(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="over 1 coefficients"):
        FeatureGroups([[1]]).aggregate(3.0)


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(20, 6))


def test_natural_groups_are_the_transformers_own_or_one_per_column(X):
    fourier = make_pipeline(StandardScaler(), FourierTransformer()).fit(X)
    assert check_groups("natural", fourier, 6).names[1] == "1.0 cycles"
    assert check_groups("natural", fourier[-1], 6).names[1] == "1.0 cycles"
    pca = PCA(3).fit(X)
    assert check_groups("natural", pca, 3).names == ["pca0", "pca1", "pca2"]
    assert check_groups("natural", None, 2).names == ["coefficient0", "coefficient1"]


def test_coefficients_are_named_by_the_transformer(X):
    fourier = FourierTransformer().fit(X)
    names = check_groups("coefficients", fourier, 6).names
    assert names == list(fourier.get_feature_names_out())


def test_other_names_are_those_of_the_transformer(X):
    wavelet = make_pipeline(StandardScaler(), WaveletTransformer("haar")).fit(X)
    found = check_groups("level", wavelet, wavelet[-1].n_coefficients_)
    expected = wavelet[-1].feature_groups(by="level")
    assert found.names == expected.names
    assert_array_equal(found.toarray(), expected.toarray())
    fourier = FourierTransformer().fit(X)
    with pytest.raises(ValueError, match=r"'band' of .*n_bands=.*of the fitted"):
        check_groups("band", fourier, 6)


@pytest.mark.parametrize("kind", [np.array, sp.csr_array, list, FeatureGroups])
def test_matrices_resolve_to_themselves(kind):
    dense = np.array([[1.0, 0.5], [0.0, 0.5]])
    assert_array_equal(check_groups(kind(dense), None, 2).toarray(), dense)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("bands", "groups='bands' is not known"),
        (None, "the default is groups='natural'"),
        (3, "the default is groups='natural'"),
        (np.eye(5), "over 5 coefficients, but the transformer gives 6"),
        ([0, 1, 2], "over 3 coefficients"),
        (FeatureGroups(np.eye(7)), "over 7 coefficients"),
        (np.full((1, 6), 2.0), r"must lie in \[0, 1\]"),
        ([[1, 0], [1]], "ragged"),
        ({"a": [6]}, "there are 6"),
        ([], "integers"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        check_groups(groups, None, 6)
