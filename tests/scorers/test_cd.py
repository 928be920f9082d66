"""The scorer `cd` gives what contextual decomposition of each group gives."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from sktrim import (
    FourierTransformer,
    contextual_decomposition,
    inverse_module,
    transform_importance,
)
from sktrim.scorers import ContextualDecomposition
from tests.nets import mlp, small_conv


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((30, 12))


def by_hand(net, X, transformer, masks, origin, **options):
    """Margins of class 0 decomposed mask by mask, in matrix form."""
    inverse = inverse_module(transformer)
    s = torch.tensor(transformer.transform(X))
    zero = inverse(torch.zeros_like(s))
    columns = []
    for mask in torch.tensor(masks):
        rel = inverse(mask * (s - origin)) - zero
        rel = rel.reshape(X.shape)
        with torch.no_grad():
            out, _ = contextual_decomposition(net, torch.tensor(X), rel, **options)
        columns.append((out[:, 0] - out[:, 1:].mean(1)).numpy())
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("bias", ["channel", "proportional", "context"])
@pytest.mark.parametrize("n_samples", [2, 30])
def test_scores_are_those_of_one_mask_at_a_time(X, bias, n_samples):
    """Few samples are decomposed part by part, many by a basis pushed once."""
    X = X[:n_samples]
    for transformer in (FourierTransformer().fit(X), PCA(2).fit(X)):
        masks = np.eye(transformer.transform(X).shape[1])
        found = transform_importance(
            mlp(),
            X,
            transformer=transformer,
            scorer=ContextualDecomposition(bias),
            groups=masks,
            target=0,
        )
        expected = by_hand(mlp(), X, transformer, masks, 0, bias=bias)
        np.testing.assert_allclose(found.values, expected, atol=1e-11)


def test_a_basis_is_pushed_through_a_convolution():
    X = np.random.default_rng(1).standard_normal((40, 1, 12, 12))
    X[:, :, :3] = 0
    fourier = FourierTransformer().fit(X)
    masks = np.random.default_rng(2).uniform(0, 1, (50, 144))
    masks[:, 6:] = 0
    common = {"transformer": fourier, "groups": masks, "target": 0}
    many = transform_importance(small_conv(), X, **common)
    few = transform_importance(small_conv(), X[:2], **common)
    np.testing.assert_allclose(many.values[:2], few.values, atol=1e-11)


@pytest.mark.parametrize(
    "net", [torch.nn.Identity(), torch.nn.Flatten(), torch.nn.Softmax(1)]
)
def test_networks_without_any_weight(X, net):
    """A basis that no operation takes up is multiplied out at the end."""
    X = np.tile(X, (4, 1))
    fourier = FourierTransformer().fit(X)
    found = transform_importance(net, X, transformer=fourier, target=0, output="logit")
    bands = fourier.feature_groups()
    s = fourier.transform(X)
    for k, mask in enumerate(bands.toarray()):
        part = fourier.inverse_transform(mask * s)[:, 0]
        np.testing.assert_allclose(found.values[:, k], part, rtol=1e-5, atol=1e-6)


def test_a_baseline_decomposes_the_difference(X):
    fourier = FourierTransformer().fit(X)
    masks = fourier.feature_groups().toarray()
    row = np.random.default_rng(3).standard_normal(12)
    mean = fourier.transform(X).mean(0)
    for origin, expected in ((row, row), ("mean", mean)):
        found = transform_importance(
            mlp(),
            X,
            transformer=fourier,
            scorer=ContextualDecomposition(baseline=origin),
            background=X,
            target=0,
        )
        expected = by_hand(mlp(), X, fourier, masks, torch.tensor(expected))
        np.testing.assert_allclose(found.values, expected, atol=1e-11)


@pytest.mark.parametrize("absolute", [False, True])
def test_baseline_rows_averages_over_them(X, absolute):
    background = np.random.default_rng(4).standard_normal((5, 12))
    common = {"groups": np.repeat([0, 1, 2], 4), "target": 1}
    each = [
        transform_importance(
            mlp(), X, scorer=ContextualDecomposition(baseline=row), **common
        ).values
        for row in background[:3]
    ]
    scorer = ContextualDecomposition(baseline="rows", n_rows=3, absolute=absolute)
    found = transform_importance(
        mlp(), X, scorer=scorer, background=background, **common
    )
    expected = np.mean(np.abs(each) if absolute else each, axis=0)
    np.testing.assert_allclose(found.values, expected, atol=1e-11)


def test_a_sample_relative_to_itself_scores_zero(X):
    found = transform_importance(
        mlp(), X[:1], scorer=ContextualDecomposition(baseline=X[0])
    )
    np.testing.assert_array_equal(found.values, 0)


def test_base_value_and_one_group_of_all_are_complete(X):
    for transformer, width in ((None, 12), (PCA(3).fit(X), 3)):
        found = transform_importance(
            mlp(), X, transformer=transformer, groups=np.ones((1, width))
        )
        np.testing.assert_allclose(found.completeness_error, 0, atol=1e-10)


def test_a_probability_is_split_by_the_symmetric_rule(X):
    groups = np.repeat([0, 1, 2], 4)
    found = transform_importance(
        mlp(), X, groups=groups, target=1, output="probability"
    )
    full = mlp()(torch.tensor(X)).detach()
    base = torch.zeros_like(full)
    for k in range(3):
        rel, _ = contextual_decomposition(
            mlp(), torch.tensor(X), torch.tensor(X * (groups == k))
        )
        p, q, r, o = (
            v.detach().softmax(1)[:, 1] for v in (rel, full, full - rel, base)
        )
        expected = (p - o + q - r) / 2
        np.testing.assert_allclose(found.values[:, k], expected, atol=1e-12)


@pytest.mark.parametrize("nonlinearity", ["relevant", "symmetric"])
@pytest.mark.parametrize("transformer", [None, FourierTransformer(), PCA(4)])
def test_a_partition_sums_to_the_output(X, nonlinearity, transformer):
    transformer = None if transformer is None else transformer.fit(X)
    scorer = ContextualDecomposition(nonlinearity=nonlinearity, partition=True)
    for target, output in (("predicted", "margin"), ("all", "logit")):
        found = transform_importance(
            mlp(),
            X,
            transformer=transformer,
            scorer=scorer,
            target=target,
            output=output,
            on_incomplete="raise",
        )
        np.testing.assert_allclose(found.completeness_error, 0, atol=1e-10)
    several = transform_importance(
        mlp(), X, transformer=transformer, scorer=scorer, residual="component"
    )
    np.testing.assert_allclose(several.completeness_error, 0, atol=1e-10)


def test_interactions_are_what_pairs_give_beyond_their_sum(X):
    groups = np.repeat([0, 1, 2], 4)
    common = {"target": 0}
    found = transform_importance(
        mlp(),
        X,
        scorer=ContextualDecomposition(interactions=True),
        groups=groups,
        **common,
    )
    single = transform_importance(mlp(), X, groups=groups, **common).values
    pairs = found.metadata["interactions"]
    assert pairs.shape == (30, 3, 3)
    np.testing.assert_allclose(found.values, single, atol=1e-12)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        union = ((groups == i) | (groups == j)).astype(float)[None]
        both = transform_importance(mlp(), X, groups=union, **common).values[:, 0]
        expected = both - single[:, i] - single[:, j]
        np.testing.assert_allclose(pairs[:, i, j], expected, atol=1e-11)
        np.testing.assert_array_equal(pairs[:, j, i], pairs[:, i, j])
        np.testing.assert_array_equal(pairs[:, i, i], 0)


def test_partitions_refuse_what_they_cannot_split(X):
    scorer = ContextualDecomposition(partition=True)
    with pytest.raises(ValueError, match="overlap"):
        transform_importance(mlp(), X, scorer=scorer, groups=np.ones((2, 12)))
    with pytest.raises(ValueError, match="splits logits"):
        transform_importance(mlp(), X, scorer=scorer, output="probability")
    both = ContextualDecomposition(partition=True, interactions=True)
    with pytest.raises(ValueError, match="separate decompositions"):
        transform_importance(mlp(), X, scorer=both)


@pytest.mark.parametrize(
    ("scorer", "background", "message"),
    [
        (ContextualDecomposition(baseline="mean"), False, "background"),
        (ContextualDecomposition(baseline="rows", n_rows=0), True, "n_rows=0"),
        (ContextualDecomposition("equal"), True, "bias"),
        (ContextualDecomposition(nonlinearity="odd"), True, "nonlinearity"),
    ],
)
def test_wrong_options_are_named(X, scorer, background, message):
    with pytest.raises(ValueError, match=message):
        transform_importance(
            mlp(), X, scorer=scorer, background=X if background else None
        )
