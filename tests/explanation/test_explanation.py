"""An Explanation keeps its arrays in step through slices, sums and questions."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sktrim.explanation import Explanation
from sktrim.groups import FeatureGroups
from tests.explanations import Parts, assert_same, make

# ---- what it is made of


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("centers", (3,)),
        ("targets", (4,)),
        ("targets", (5, 3)),
        ("target_names", (4,)),
        ("predictions", (4, 3)),
        ("base_values", (4,)),
        ("base_values", (5, 2)),
        ("residual_values", (5, 2)),
        ("completeness_error", (4,)),
        ("std_errors", (5, 3)),
        ("coefficients", (4, 6)),
        ("coefficients", (5, 7)),
        ("signals", (4, 2, 3)),
    ],
)
def test_a_shape_that_does_not_go_with_values_is_named(name, shape):
    with pytest.raises(ValueError, match=name):
        make(**{name: np.zeros(shape)})


def test_sparse_coefficients_of_the_wrong_length_are_named():
    with pytest.raises(ValueError, match="coefficients"):
        make(coefficients=sp.csr_array((4, 6)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_their_place(bad):
    values = np.zeros((5, 4))
    values[3, 2] = bad
    with pytest.raises(ValueError, match="sample 3, group 2"):
        make(values=values)


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros((5, 4, 1, 1))])
def test_values_of_other_than_two_or_three_axes_are_refused(values):
    with pytest.raises(ValueError, match="values has shape"):
        Explanation(values, list("abcd"))


@pytest.mark.parametrize("values", [np.zeros((2, 1), complex), [["a"]]])
def test_values_that_are_not_real_are_refused(values):
    with pytest.raises(TypeError, match="real"):
        Explanation(values, ["a"])


def test_group_names_are_distinct_and_one_per_group():
    with pytest.raises(ValueError, match="'a' occurs twice"):
        Explanation(np.zeros((1, 2)), ["a", "a"])
    with pytest.raises(ValueError, match="3 group_names"):
        Explanation(np.zeros((1, 2)), list("abc"))
    with pytest.raises(TypeError, match="one string"):
        Explanation(np.zeros((1, 2)), "ab")
    with pytest.raises(ValueError, match="at least one group"):
        Explanation(np.zeros((1, 0)), [])


def test_feature_groups_may_lack_the_residual_and_nothing_else():
    groups = FeatureGroups(np.eye(6)[:3])
    assert make(feature_groups=groups).feature_groups is groups
    with pytest.raises(ValueError, match="feature_groups has 2"):
        make(feature_groups=groups[:2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_values_is_kept(dtype):
    assert make(values=np.ones((5, 4), dtype)).values.dtype == dtype
    assert make(values=np.ones((5, 4), int)).values.dtype == np.float64


# ---- samples


@pytest.mark.parametrize("n_targets", [None, 3])
def test_an_explanation_is_its_samples_joined(n_targets):
    explanation = make(n_targets=n_targets)
    assert_same(Explanation.concatenate(list(explanation)), explanation)


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(5)), cut=st.integers(0, 4), seed=st.integers(0, 9))
def test_choosing_and_joining_samples_permutes_them(order, cut, seed):
    explanation = make(seed=seed)
    shuffled = explanation[np.array(order)]
    joined = shuffled[:cut] + shuffled[cut:] if cut else shuffled
    back = joined[np.argsort(order)]
    assert_same(back, explanation)


def test_the_kinds_of_index_agree():
    explanation = make()
    mask = np.array([False, True, False, True, False])
    assert_same(explanation[mask], explanation[[1, 3]])
    assert_same(explanation[1::2], explanation[mask])
    assert_same(explanation[-1], explanation[4:])
    assert len(explanation[[]]) == len(explanation[np.zeros(5, bool)]) == 0


NO_SAMPLES = [5, -6, [0, 5], "band 0", 1.0, [[0]], [True, False], (1, 2), ([0], 2), ()]


@pytest.mark.parametrize("key", NO_SAMPLES)
def test_an_index_that_chooses_no_samples_teaches(key):
    with pytest.raises(IndexError, match=r"sample .* out of range|indexed by samples"):
        make()[key]


def test_what_only_some_know_is_nan_for_the_others():
    known, unknown = make(), make(seed=1, base_values=None, completeness_error=None)
    joined = known + unknown
    assert np.isnan(joined.base_values[5:]).all()
    np.testing.assert_array_equal(joined.base_values[:5], known.base_values)
    assert np.isnan(joined.completeness_error[5:]).all()
    assert (known + make(predictions=None)).predictions is None
    assert (make(base_values=None) + make(base_values=None)).base_values is None


def test_components_are_unknown_once_one_part_has_none():
    joined = make() + make(component_function=None)
    with pytest.raises(ValueError, match="joined with one"):
        joined.component(0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"group_names": list("abcd")},
        {"unit": "Hz"},
        {"scorer": "cd"},
        {"output": "raw"},
        {"signal_shape": (3, 2)},
    ],
)
def test_explanations_of_different_things_are_not_joined(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Explanation.concatenate([make(), make(**change)])


def test_explanations_of_different_targets_are_not_joined():
    with pytest.raises(ValueError, match="shapes"):
        Explanation.concatenate([make(n_targets=2), make(n_targets=3)])
    with pytest.raises(ValueError, match="different targets"):
        Explanation.concatenate([make(n_targets=2), make(n_targets=2, targets=[7, 8])])
    with pytest.raises(ValueError, match="at least one"):
        Explanation.concatenate([])


def test_metadata_of_all_is_kept_and_of_some_is_dropped():
    joined = make(metadata={"a": 1, "b": 2}) + make(metadata={"a": 1, "b": 3})
    assert joined.metadata == {"a": 1}


@pytest.mark.parametrize("change", [1.0, 1e-12])
def test_long_metadata_that_differ_anywhere_are_dropped(change):
    first, other = np.ones(3000), np.ones(3000)
    other[1500] += change
    joined = make(metadata={"a": first}) + make(metadata={"a": other})
    assert joined.metadata == {}


# ---- targets


@pytest.mark.parametrize("target", [1, -2, "digit 1"])
def test_one_target_of_several_is_its_column(target):
    explanation = make(n_targets=3)
    chosen = explanation.for_target(target)
    np.testing.assert_array_equal(chosen.values, explanation.values[:, :, 1])
    np.testing.assert_array_equal(chosen.std_errors, explanation.std_errors[:, :, 1])
    np.testing.assert_array_equal(chosen.base_values, explanation.base_values[:, 1])
    np.testing.assert_array_equal(chosen.residual_values, explanation.residual_values)
    np.testing.assert_array_equal(chosen.explained, explanation.explained[:, 1])
    assert set(chosen.target_names) == {"digit 1"}
    assert (chosen.targets == explanation.targets[1]).all()


def test_a_target_that_is_not_there_is_refused():
    for target in (3, -4, "digit 9"):
        with pytest.raises(ValueError, match="target"):
            make(n_targets=3).for_target(target)
    with pytest.raises(ValueError, match="one target already"):
        make().for_target(0)


def test_contrasts_are_labelled_by_both_classes():
    explanation = make(n=2, targets=[[3, 5], [3, 8]], target_names=None)
    assert explanation.target_labels().tolist() == ["3 - 5", "3 - 8"]
    assert make(targets=None, target_names=None).target_labels() is None


# ---- means and the most important groups


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("n_targets", [None, 2])
def test_the_means_of_labels_weigh_up_to_the_mean(absolute, n_targets):
    explanation = make(n=20, n_targets=n_targets)
    labels = np.random.default_rng(0).integers(0, 3, 20)
    means = explanation.mean(by=labels, absolute=absolute)
    total = sum(means[label] * (labels == label).sum() for label in means)
    np.testing.assert_allclose(total / 20, explanation.mean(absolute=absolute))


def test_nan_is_a_label_like_others():
    explanation = make()
    means = explanation.mean(by=[0.0, np.nan, 0.0, np.nan, 1.0])
    assert len(means) == 3
    (unknown,) = (mean for label, mean in means.items() if np.isnan(label))
    np.testing.assert_allclose(unknown, explanation.values[[1, 3]].mean(axis=0))


def test_the_mean_by_target_is_that_of_its_samples():
    explanation = make(target_names=["x", "y", "x", "y", "y"])
    means = explanation.mean(by="target")
    assert list(means) == ["x", "y"]
    np.testing.assert_array_equal(means["x"], explanation.values[[0, 2]].mean(axis=0))


def test_labels_that_do_not_fit_the_samples_are_refused():
    with pytest.raises(ValueError, match="one label per sample"):
        make().mean(by=[1, 2])
    with pytest.raises(ValueError, match="needs one target per sample"):
        make(n_targets=2).mean(by="target")
    with pytest.raises(ValueError, match="no samples"):
        make()[:0].mean()


@pytest.mark.parametrize("by", ["abs", "signed"])
@pytest.mark.parametrize("k", [1, 3, 9])
def test_top_k_is_the_head_of_a_full_sort(by, k):
    explanation = make(n=6, n_groups=7)
    top = explanation.top_k(k, by=by)
    for sample, values in enumerate(explanation.values):
        rank = abs if by == "abs" else float
        expected = sorted(range(7), key=lambda g: -rank(values[g]))[:k]
        assert top.indices[sample].tolist() == expected
        np.testing.assert_array_equal(top.values[sample], values[expected])
        assert top.names[sample].tolist() == [f"band {g}" for g in expected]


def test_top_k_over_the_mean_ranks_magnitudes_before_they_cancel():
    explanation = Explanation([[3.0, 1.0], [-3.0, 1.0]], ["cancels", "steady"])
    assert explanation.top_k(1, over="mean").names.tolist() == ["cancels"]
    signed = explanation.top_k(1, by="signed", over="mean")
    assert signed.names.tolist() == ["steady"]


def test_equal_scores_keep_the_order_of_the_groups():
    explanation = Explanation(np.zeros((1, 3)), list("abc"))
    assert explanation.top_k(2).names.tolist() == [["a", "b"]]


@pytest.mark.parametrize("options", [{"k": 0}, {"by": "size"}, {"over": "all"}])
def test_unknown_options_of_top_k_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        make().top_k(**options)


def test_top_k_of_several_targets_says_how_to_choose_one():
    with pytest.raises(ValueError, match="for_target"):
        make(n_targets=2).top_k(1)


# ---- components


def test_components_are_found_by_name_and_index():
    explanation = make()
    part = explanation.component(3, "band 2")
    np.testing.assert_array_equal(part, np.full((2, 3), 203.0))
    np.testing.assert_array_equal(explanation.component(-2, -2), part)
    assert explanation.component([3, 1], 2).shape == (2, 2, 3)


@pytest.mark.parametrize("changes", [{}, {"signal_shape": None}])
def test_no_samples_have_components_of_their_shape(changes):
    explanation = make(**changes)
    for each in (explanation, explanation[:0], explanation[:2] + explanation[3:]):
        assert each.component([], 1).shape == (0, 2, 3)


def test_flat_components_are_laid_out_as_the_signal():
    def flat(rows, group):
        return Parts()(rows, group).reshape(-1, 6)

    parts = make(component_function=flat).component([1, 0], 2)
    np.testing.assert_array_equal(parts, make().component([1, 0], 2))
    unknown = make(component_function=flat, signal_shape=None)
    assert unknown.component(0, 0).shape == (6,)


def test_components_follow_their_samples_through_slices_and_joins():
    other = make(component_function=lambda rows, group: -Parts()(rows, group))
    joined = make()[3:][::-1] + other[[0, 2]] + make()[1]
    np.testing.assert_array_equal(
        joined.component([3, 0, 4, 1], 1)[:, 0, 0], [-102.0, 104.0, 101.0, 103.0]
    )


def test_a_component_of_nothing_known_is_refused():
    for group in ("band 9", 4, -5, 0.5, None):
        with pytest.raises(ValueError, match="group_names"):
            make().component(0, group)
    with pytest.raises(IndexError, match="out of range"):
        make().component(5, 0)
    with pytest.raises(ValueError, match="component_function gave shape"):
        make(component_function=lambda rows, group: np.zeros(3)).component(0, 0)
