"""Properties that hold for any length, any group matrix and any chunk size."""

from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sktrim import FourierTransformer, WaveletTransformer, transform_importance
from sktrim.scorers import ContextualDecomposition
from tests.nets import mlp

SCORERS = st.sampled_from(
    [
        "cd",
        ContextualDecomposition("proportional", "symmetric"),
        "integrated_gradients",
        "input_x_gradient",
        "occlusion",
    ]
)


@st.composite
def cases(draw):
    """Signals, a fitted transformer, a group matrix and a scorer."""
    length = draw(st.integers(1, 200))
    seed = draw(st.integers(0, 2**16))
    X = np.random.default_rng(seed).standard_normal((5, length))
    build = draw(st.sampled_from([FourierTransformer, WaveletTransformer]))
    transformer = build().fit(X)
    width = transformer.transform(X).shape[1]
    n_groups = draw(st.integers(1, 6))
    coarse = draw(arrays(float, (n_groups, 4), elements=st.sampled_from([0, 0.5, 1])))
    masks = np.repeat(coarse, -(-width // 4), axis=1)[:, :width]
    return X, transformer, masks, draw(SCORERS)


@settings(max_examples=25, deadline=None)
@given(cases(), st.permutations(range(5)), st.integers(1, 200_000))
def test_samples_do_not_know_of_each_other(case, order, budget):
    X, transformer, masks, scorer = case

    def explained(rows):
        found = transform_importance(
            mlp(X.shape[1]),
            rows,
            transformer=transformer,
            scorer=scorer,
            groups=masks,
            target=1,
        )
        return found.values

    whole = explained(X)
    scale = max(1, np.abs(whole).max())
    close = {"rtol": 1e-9, "atol": 1e-9 * scale}
    np.testing.assert_allclose(explained(X[order]), whole[order], **close)
    np.testing.assert_allclose(explained(X[2:3]), whole[2:3], **close)
    with mock.patch("sktrim._memory.CACHE_BYTES", budget):
        np.testing.assert_allclose(explained(X), whole, **close)


@settings(max_examples=25, deadline=None)
@given(cases(), st.integers(0, 5))
def test_groups_do_not_know_of_each_other(case, first):
    """A group's score is the same whatever the other groups are."""
    X, transformer, masks, scorer = case
    first = min(first, len(masks) - 1)
    common = {"transformer": transformer, "scorer": scorer, "target": 0}
    net = mlp(X.shape[1])
    every = transform_importance(net, X, groups=masks, **common).values
    alone = transform_importance(net, X, groups=masks[[first]], **common).values
    scale = max(1, np.abs(every).max())
    np.testing.assert_allclose(
        alone[:, 0], every[:, first], rtol=1e-9, atol=1e-9 * scale
    )


@settings(max_examples=25, deadline=None)
@given(cases())
def test_cd_of_all_and_of_nothing(case):
    """The full mask gives f for a lossless T without offset, the empty mask 0."""
    X, transformer, masks, _ = case
    X = X.copy()
    X[:, : X.shape[1] // 3] = 0
    width = masks.shape[1]
    for bias in ("channel", "proportional"):
        found = transform_importance(
            mlp(X.shape[1]),
            X,
            transformer=transformer,
            scorer=ContextualDecomposition(bias),
            groups=np.stack([np.ones(width), np.zeros(width)]),
        )
        explained = found.explained
        np.testing.assert_allclose(found.values[:, 0], explained, rtol=1e-8, atol=1e-9)
        np.testing.assert_array_equal(found.values[:, 1], 0)
