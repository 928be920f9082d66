"""Shapley, kernel SHAP and LIME: what scorers of group amounts must satisfy."""

import os
from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import QuantileTransformer

import sktrim
from sktrim import transform_importance
from sktrim.scorers import KernelShap, Lime, Occlusion, Shapley
from tests.nets import mlp, small_conv

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # shap compiles for 12 s

SCORERS = {
    "shapley": Shapley(),
    "sampled shapley": Shapley(max_exact=2, n_permutations=8),
    "kernel": KernelShap(),
    "sampled kernel": KernelShap(n_subsets=10),
    "lime": Lime(n_selected=2, n_draws=64),
}
EXACT = ("shapley", "kernel")
LABELS = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, -1])


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((6, 12))


def explained(net, x, column):
    with torch.no_grad():
        return net(torch.as_tensor(x))[:, column].numpy()


def naive_shapley(value, n_players):
    """Mean gain over all orders, one by one."""
    scores = np.zeros((n_players, *np.shape(value(set()))))
    orders = list(permutations(range(n_players)))
    for order in orders:
        inside = set()
        for player in order:
            before = value(inside)
            inside = inside | {player}
            scores[player] += value(inside) - before
    return scores / len(orders)


def group_values(net, X, row, masks, column):
    """The output where groups outside a set are replaced, as far as they weigh."""

    def value(inside):
        outside = [k for k in range(len(masks)) if k not in inside]
        share = np.minimum(1, masks[outside].sum(0))
        return explained(net, X - share * (X - row), column)

    return value


MASKS = {
    "labels": (LABELS == np.arange(5)[:, None]).astype(float),
    "soft": np.random.default_rng(1).uniform(0, 0.2, (5, 12)),
    "overlapping": np.random.default_rng(2).uniform(0, 1, (5, 12)),
}


@pytest.mark.parametrize("scorer", EXACT)
@pytest.mark.parametrize("masks", sorted(MASKS))
def test_scores_are_mean_gains_over_all_orders(X, scorer, masks):
    net, row, masks = mlp(), np.linspace(-1, 1, 12), MASKS[masks]
    scorer = clone(SCORERS[scorer]).set_params(baseline=row)
    found = transform_importance(
        net, X, scorer=scorer, groups=masks, target=1, output="logit"
    )
    value = group_values(net, X, row, masks, 1)
    np.testing.assert_allclose(found.values.T, naive_shapley(value, 5), atol=1e-10)
    np.testing.assert_allclose(found.base_values, value(set()), atol=1e-12)


def test_shap_agrees_on_exact_and_kernel_values(X):
    import shap

    net, background = mlp(6), np.random.default_rng(1).standard_normal((4, 6))
    X = X[:3, :6]
    with torch.no_grad():

        def f(x):
            return net(torch.as_tensor(x))[:, 2].detach().numpy()

        masker = shap.maskers.Independent(background)
        exact = shap.explainers.ExactExplainer(f, masker)(X)
        kernel = shap.KernelExplainer(f, background)
        kernel = kernel.shap_values(X, silent=True, l1_reg=False)
    options = {"target": 2, "output": "logit", "background": background}
    for scorer, theirs in ((Shapley, exact.values), (KernelShap, kernel)):
        ours = transform_importance(net, X, scorer=scorer(baseline="rows"), **options)
        np.testing.assert_allclose(ours.values, theirs, atol=1e-9)
        np.testing.assert_allclose(ours.base_values, exact.base_values, atol=1e-12)


@pytest.mark.parametrize("scorer", sorted(SCORERS))
@pytest.mark.parametrize("residual", ["constant", "component", "drop"])
def test_base_plus_scores_is_the_output(X, scorer, residual):
    found = transform_importance(
        mlp(),
        X,
        transformer=PCA(5).fit(X),
        scorer=SCORERS[scorer],
        residual=residual,
        target="all",
    )
    if scorer != "lime":
        np.testing.assert_allclose(found.completeness_error, 0, atol=1e-12)
    sampled = scorer == "sampled shapley"
    assert (found.std_errors is not None) == sampled
    if sampled:
        assert found.std_errors.shape == found.values.shape


@pytest.mark.parametrize("scorer", sorted(SCORERS))
def test_neither_chunks_nor_neighbours_nor_repetition_matter(X, scorer, monkeypatch):
    fourier = sktrim.FourierTransformer().fit(X)
    options = {"transformer": fourier, "scorer": SCORERS[scorer], "random_state": 5}
    whole = transform_importance(mlp(), X, **options)
    again = transform_importance(mlp(), X, **options)
    np.testing.assert_array_equal(whole.values, again.values)
    one = transform_importance(mlp(), X[4:5], **options)
    np.testing.assert_allclose(whole.values[4:5], one.values, rtol=1e-9, atol=1e-12)
    monkeypatch.setattr("sktrim._memory.CACHE_BYTES", 2**13)
    small = transform_importance(mlp(), X, **options)
    np.testing.assert_allclose(whole.values, small.values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scorer", sorted(SCORERS))
def test_x_equal_to_the_baseline_gives_zeros(X, scorer):
    scorer = clone(SCORERS[scorer]).set_params(baseline=X[0])
    found = transform_importance(mlp(), X[:1], scorer=scorer, groups=LABELS)
    np.testing.assert_allclose(found.values, 0, atol=1e-15)


@pytest.mark.parametrize("scorer", sorted(SCORERS))
def test_one_group_is_worth_the_whole_difference(X, scorer):
    groups = np.zeros(12, dtype=int)
    scorer = SCORERS[scorer]
    found = transform_importance(mlp(), X, scorer=scorer, groups=groups)
    lost = transform_importance(mlp(), X, scorer="occlusion", groups=groups)
    if not isinstance(scorer, Lime):
        np.testing.assert_allclose(found.values, lost.values, atol=1e-12)
    assert found.values.shape == (6, 1)


@pytest.mark.parametrize("scorer", sorted(SCORERS))
def test_no_gradient_is_needed(X, scorer):
    """An inverse that is not affine works; scores of the exact ones are exact."""
    quantile = QuantileTransformer(n_quantiles=6).fit(X)
    groups = np.array([0] * 6 + [1] * 6)
    found = transform_importance(
        mlp(), X, transformer=quantile, scorer=SCORERS[scorer], groups=groups
    )
    if scorer in EXACT:
        both = [
            transform_importance(
                mlp(), X, transformer=quantile, scorer=Occlusion(), groups=masks
            ).values
            for masks in (groups, np.zeros(12, dtype=int))
        ]
        first = (both[0][:, 0] + both[1][:, 0] - both[0][:, 1]) / 2
        np.testing.assert_allclose(found.values[:, 0], first, atol=1e-12)


def test_sampled_scores_come_as_close_as_their_errors_say(X):
    groups = np.arange(12)
    exact = transform_importance(mlp(), X, scorer=Shapley(), groups=groups)
    rough = transform_importance(
        mlp(),
        X,
        scorer=Shapley(max_exact=0, n_permutations=60),
        groups=groups,
        random_state=0,
    )
    off = (rough.values - exact.values) / rough.std_errors
    assert 0.6 < np.sqrt((off**2).mean()) < 1.6
    assert np.abs(rough.values - exact.values).max() < 0.2 * np.abs(exact.values).max()


def test_drawn_subsets_come_close_to_all_of_them(X):
    exact = transform_importance(mlp(), X, scorer=KernelShap(n_subsets=5000))
    rough = transform_importance(
        mlp(), X, scorer=KernelShap(n_subsets=600), random_state=0
    )
    off = np.abs(rough.values - exact.values).max()
    assert 0 < off < 0.05 * np.abs(exact.values).max()


def test_more_groups_than_parts_take_the_same_values(X, monkeypatch):
    options = {"scorer": Shapley(), "groups": LABELS}
    by_parts = transform_importance(mlp(), X, **options)
    monkeypatch.setattr("sktrim.scorers._coalitions._MOST_PARTS", 2)
    by_coefficients = transform_importance(mlp(), X, **options)
    np.testing.assert_allclose(by_parts.values, by_coefficients.values, atol=1e-12)


@pytest.mark.parametrize("transformer", [None, sktrim.FourierTransformer()])
def test_lime_tends_to_input_x_gradient(X, transformer):
    if transformer is not None:
        transformer.fit(X)
    options = {"transformer": transformer, "groups": np.arange(12) % 5, "target": 0}
    gradient = transform_importance(mlp(), X, scorer="input_x_gradient", **options)
    off = []
    for radius in (1.0, 1e-5):
        lime = Lime(n_selected=None, radius=radius, ridge=1e-6)
        found = transform_importance(mlp(), X, scorer=lime, random_state=0, **options)
        off.append(np.abs(found.values - gradient.values).max())
    scale = np.abs(gradient.values).max()
    assert off[0] > 1e-3 * scale
    assert off[1] < 1e-6 * scale


def test_lime_keeps_the_groups_that_matter(X):
    net = torch.nn.Linear(12, 1).double()
    weight = np.array([5, 0.1, 4, 0.1, -3, *[0.1] * 7])
    with torch.no_grad():
        net.weight.copy_(torch.tensor(weight)[None])
    x = np.ones((1, 12))
    for penalty in (None, 0.0):
        lime = Lime(n_selected=3, penalty=penalty, ridge=1e-9, n_draws=4096)
        values = transform_importance(net, x, scorer=lime, random_state=0).values[0]
        assert np.flatnonzero(values).tolist() == [0, 2, 4]
        np.testing.assert_allclose(values[[0, 2, 4]], [5, 4, -3], rtol=0.05)
    lime = Lime(n_selected=None, penalty=0.3, ridge=1e-9, n_draws=4096)
    values = transform_importance(net, x, scorer=lime, random_state=0).values[0]
    assert np.flatnonzero(values).tolist() == [0, 2, 4]
    lime.set_params(penalty=100.0)
    assert not transform_importance(net, x, scorer=lime).values.any()


def test_images_in_float32_are_complete():
    X = np.random.default_rng(0).standard_normal((3, 1, 12, 12)).astype("float32")
    fourier = sktrim.FourierTransformer().fit(X)
    found = transform_importance(
        small_conv(dtype=torch.float32),
        X,
        transformer=fourier,
        groups=fourier.feature_groups(by="band", n_bands=5),
        scorer="shapley",
    )
    assert found.values.dtype == np.float32
    scale = np.abs(found.values).max()
    np.testing.assert_allclose(found.completeness_error, 0, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (Shapley(n_permutations=5), "n_permutations=5"),
        (Shapley(n_permutations=2), "two pairs"),
        (Shapley(max_exact=40), "max_exact=40"),
        (Shapley(baseline="rows"), "background"),
        (Shapley(n_rows=0), "n_rows=0"),
        (KernelShap(n_subsets=0), "n_subsets=0"),
        (Lime(n_selected=0), "n_selected=0"),
        (Lime(n_draws=20), "n_draws=20"),
        (Lime(radius=0), "radius=0"),
        (Lime(ridge=-1), "ridge=-1"),
    ],
)
def test_wrong_parameters_are_named(X, scorer, message):
    with pytest.raises(ValueError, match=message):
        transform_importance(mlp(), X, scorer=scorer)


class Viewing(torch.nn.Module):
    """Its view needs the usual layout of channels."""

    def __init__(self):
        super().__init__()
        self.net = small_conv(dtype=torch.float32)
        self.pool = torch.nn.MaxPool2d(2)

    def forward(self, x):
        h = self.pool(torch.relu(self.net.conv(x)))
        return self.net.head(h.view(len(h), -1))


@pytest.mark.parametrize("build", [Viewing, lambda: small_conv(dtype=torch.float32)])
def test_the_layout_of_the_weights_changes_nothing(build, monkeypatch):
    X = np.random.default_rng(0).standard_normal((3, 1, 12, 12)).astype("float32")
    net = build().eval()
    strides = [p.stride() for p in net.parameters()]
    options = {"scorer": "shapley", "groups": np.arange(144) % 4}
    fast = transform_importance(net, X, **options)
    assert [p.stride() for p in net.parameters()] == strides
    monkeypatch.setattr(
        "sktrim.scorers._coalitions.in_channels_last", lambda model: model
    )
    plain = transform_importance(net, X, **options)
    np.testing.assert_allclose(fast.values, plain.values, atol=1e-6)


def test_an_old_name_of_the_baseline_is_answered_by_the_new_ones(X):
    with pytest.raises(ValueError, match="'marginal'; expected 'zero', 'mean', 'rows'"):
        transform_importance(mlp(), X, scorer=Shapley(baseline="marginal"))
