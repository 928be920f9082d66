"""Layer-wise relevance propagation against hand values, zennit and explicit folds."""

import warnings

import numpy as np
import pytest
import sklearn
import torch
from sklearn.decomposition import PCA
from torch import nn

import sktrim
from sktrim import transform_importance
from sktrim.scorers import (
    DeepTaylor,
    InputTimesGradient,
    LRPAlphaBeta,
    LRPComposite,
    LRPEpsilon,
    LRPFlat,
    LRPGamma,
    LRPWSquare,
    LRPZBox,
    LRPZPlus,
)
from tests import zennit_rules
from tests.nets import linear_net, mlp, seeded, small_conv
from tests.zennit_rules import rules

# weights, bias, x, and relevance by rule
UNITS = [
    (
        (1, -1), -1, (1, 1),
        {
            LRPEpsilon(0): (1, -1), LRPEpsilon(0.25): (0.8, -0.8),
            LRPAlphaBeta(1, 0): (-1, 0), LRPZPlus(): (-1, 0),
            LRPAlphaBeta(2, 1): (-2, 0.5), LRPGamma(0.25): (0.6667, -0.8333),
            LRPZBox(-3, 3): (-2 / 3, -1 / 3), LRPWSquare(): (-1 / 3, -1 / 3),
            LRPFlat(): (-0.5, -0.5),
        },
    ),
    (
        (2, -1, 0.5), 0.25, (1, -3, -2),
        {
            LRPEpsilon(0): (2, 3, -1), LRPAlphaBeta(1, 0): (1.61905, 2.42857, 0),
            LRPAlphaBeta(2, 1): (3.2381, 4.8571, -4.25),
            LRPGamma(0.25): (1.9101, 2.8652, -0.7640), LRPWSquare(): (3.2, 0.8, 0.2),
            DeepTaylor(): (3.2, 0.8, 0.2),
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("weight", "bias", "x", "scorer", "expected"),
    [(w, b, x, s, e) for w, b, x, table in UNITS for s, e in table.items()],
)
def test_hand_values(weight, bias, x, scorer, expected):
    found = transform_importance(
        linear_net(weight, bias), np.array([x], float), scorer=scorer
    )
    np.testing.assert_allclose(found.values[0], expected, atol=6e-5)


def layered():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.AvgPool2d(2, 1), nn.Flatten(),
        nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3),
    )  # fmt: skip


class EvenPool(nn.Module):
    """Max pooling by 2 whose gradient is shared by what ties."""

    def forward(self, x):
        return x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2).amax(-1)


def images(n=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 1, 12, 12))


_TINY = {"stabilizer": 1e-12}
PEERS = {
    "epsilon": (LRPEpsilon(0.01), rules.Epsilon(0.01), None),
    "alpha beta": (LRPAlphaBeta(2, 1), rules.AlphaBeta(2, 1, **_TINY), None),
    "gamma": (LRPGamma(0.25), rules.Gamma(0.25, **_TINY), None),
    "z plus": (LRPZPlus(), rules.ZPlus(**_TINY), None),
    "z box": (LRPZBox(-4, 4), rules.ZPlus(**_TINY), rules.ZBox(-4.0, 4.0, **_TINY)),
    "w square": (LRPWSquare(), rules.ZPlus(**_TINY), rules.WSquare(**_TINY)),
    "flat": (LRPFlat(), rules.ZPlus(**_TINY), rules.Flat(**_TINY)),
    "flat everywhere": (
        LRPComposite({"conv": "flat", "linear": "flat"}), rules.Flat(**_TINY), None,
    ),
    "first gamma": (
        LRPComposite({"first": ("gamma", {"gamma": 1}), "conv": "z_plus",
                      "linear": "z_plus"}),
        rules.ZPlus(**_TINY), rules.Gamma(1, **_TINY),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PEERS))
def test_rules_equal_zennit_without_a_transform(name):
    scorer, rule, first = PEERS[name]
    net, X = seeded(layered).double().eval(), images()
    found = transform_importance(net, X, scorer=scorer, target=1, output="logit").values
    # the zeros of the ReLU tie, and the flat rule gives them relevance
    net[2] = EvenPool()
    expected = zennit_rules.relevance(net, torch.tensor(X), rule, first, 1)
    expected = expected.flatten(1).numpy()
    assert np.abs(expected).max() > 1e-5
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def folded(net, transformer, X):
    """T^-1 and the first layer of an MLP as one linear layer."""
    s = transformer.transform(X)
    zero = transformer.inverse_transform(np.zeros((1, s.shape[1])))
    synthesis = transformer.inverse_transform(np.eye(s.shape[1])) - zero
    first = nn.Linear(s.shape[1], net[0].out_features).double()
    held = X[0] - s[0] @ synthesis
    with torch.no_grad():
        first.weight.copy_(net[0].weight @ torch.tensor(synthesis.T))
        first.bias.copy_(net[0].bias + net[0].weight @ torch.tensor(held))
    return nn.Sequential(first, *net[1:]).eval(), s


SCORERS = {
    "epsilon": LRPEpsilon(0.01),
    "alpha beta": LRPAlphaBeta(),
    "gamma": LRPGamma(),
    "z plus": LRPZPlus(),
    "z box": LRPZBox(-9, 9),
    "w square": LRPWSquare(),
    "flat": LRPFlat(),
    "deep taylor": DeepTaylor(),
    "composite": LRPComposite(),
}


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_the_inverse_is_folded_into_the_first_layer(name):
    """A residual is then part of the bias, sample by sample."""
    net, X = mlp(), np.random.default_rng(0).standard_normal((6, 12))
    for transformer in (sktrim.FourierTransformer(), PCA(4)):
        transformer.fit(X)
        found = transform_importance(
            net, X, transformer=transformer, scorer=SCORERS[name], target=2,
            groups="coefficients",
        )  # fmt: skip
        composed, s = folded(net, transformer, X)
        expected = transform_importance(composed, s[:1], scorer=SCORERS[name], target=2)
        np.testing.assert_allclose(found.values[:1], expected.values, atol=1e-10)


class Flipped(nn.Module):
    """Views, a normalisation and a batch norm about the first convolution."""

    def __init__(self):
        super().__init__()
        self.net = small_conv()

    def forward(self, x):
        x = (x.view(len(x), 1, 12, 12).flip(-1) - 0.3) / 1.7
        return self.net(x)


@pytest.mark.parametrize("space", [None, "cosine"])
@pytest.mark.parametrize("name", ["alpha beta", "z box", "flat", "composite"])
def test_a_convolution_is_folded_with_what_comes_before(name, space):
    """As a linear layer on coefficients would do it, in chunks that do not matter."""
    X = images(5)
    net = Flipped().double().eval()
    cosine = sktrim.CosineTransformer().fit(X) if space else None
    options = {"transformer": cosine, "groups": "coefficients", "target": 1}
    composite = LRPComposite({"conv": "z_plus", "linear": "epsilon"})
    scorer = composite if name == "composite" else SCORERS[name]
    found = transform_importance(net, X, scorer=scorer, **options)
    dense = _dense_first(net, cosine)
    s = cosine.transform(X) if space else X.reshape(5, -1)
    expected = transform_importance(dense, s, scorer=scorer, target=1)
    if name == "composite":
        rule = {"first": "z_plus", "conv": "z_plus", "linear": "epsilon"}
        expected = transform_importance(dense, s, scorer=LRPComposite(rule), target=1)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-8, atol=1e-11)


def _dense_first(net, cosine):
    """The same network with everything up to the batch norm as one linear layer."""
    inner = net.net
    n = 144

    def start(s):
        x = s if cosine is None else torch.tensor(cosine.inverse_transform(s.numpy()))
        x = (x.reshape(len(s), 1, 12, 12).flip(-1) - 0.3) / 1.7
        return inner.norm(inner.conv(x)).flatten(1)

    with torch.no_grad():
        zero = start(torch.zeros(1, n, dtype=torch.float64))
        weight = start(torch.eye(n, dtype=torch.float64)) - zero
    first = nn.Linear(n, zero.shape[1]).double()
    with torch.no_grad():
        first.weight.copy_(weight.T)
        first.bias.copy_(zero[0])
    return nn.Sequential(
        first, nn.ReLU(), nn.Unflatten(1, (5, 10, 10)), inner.pool, nn.Flatten(),
        inner.head,
    ).eval()  # fmt: skip


def test_the_residual_as_a_component_is_one_more_coefficient():
    net, X = mlp(), np.random.default_rng(0).standard_normal((9, 12))
    pca = PCA(4).fit(X)
    for scorer in (LRPAlphaBeta(), LRPWSquare(), LRPEpsilon()):
        found = transform_importance(
            net, X, transformer=pca, scorer=scorer, target=0, residual="component"
        )
        s = pca.transform(X)
        r = X - pca.inverse_transform(s)
        for i in range(2):
            first = nn.Linear(5, 16).double()
            columns = np.vstack([pca.components_, r[i]])
            with torch.no_grad():
                first.weight.copy_(net[0].weight @ torch.tensor(columns.T))
                first.bias.copy_(net[0].bias + net[0].weight @ torch.tensor(pca.mean_))
            composed = nn.Sequential(first, *net[1:])
            row = np.append(s[i], 1.0)[None]
            expected = transform_importance(composed, row, scorer=scorer, target=0)
            np.testing.assert_allclose(found.values[i], expected.values[0], atol=1e-10)


def test_epsilon_zero_is_input_times_gradient_in_relu_networks():
    X = images()
    net = small_conv()
    for space in (None, sktrim.FourierTransformer().fit(X)):
        a, b = (
            transform_importance(net, X, transformer=space, scorer=scorer)
            for scorer in (LRPEpsilon(0), InputTimesGradient())
        )
        np.testing.assert_allclose(a.values, b.values, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(a.completeness_error, b.completeness_error)


def test_batch_norm_is_merged_with_the_layer_before():
    net, X = small_conv(), images()
    fused = torch.nn.utils.fusion.fuse_conv_bn_eval(net.conv, net.norm)

    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = fused, net.head

        def forward(self, x):
            return self.head(net.pool(torch.relu(self.conv(x))).flatten(1))

    for scorer in ("lrp_alpha_beta", "lrp_gamma", "lrp_w_square", LRPEpsilon(0.1)):
        a, b = (
            transform_importance(module, X, scorer=scorer).values
            for module in (net, Fused().eval())
        )
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)


class Spelled(nn.Module):
    """A linear layer in other words."""

    def __init__(self, net, how):
        super().__init__()
        self.net, self.how = net, how

    def forward(self, x):
        w, b = self.net[0].weight, self.net[0].bias
        h = {
            "matmul": lambda: x @ w.t() + b,
            "addmm": lambda: torch.addmm(b, x, w.t()),
            "after": lambda: -(nn.functional.linear(x, -2 * w).add(-2 * b)) / 2,
        }[self.how]()
        return self.net[2](torch.relu(h))


@pytest.mark.parametrize("how", ["matmul", "addmm", "after"])
@pytest.mark.parametrize("name", sorted(SCORERS))
def test_constants_merge_with_the_layer_before(name, how):
    net, X = mlp(), np.random.default_rng(0).standard_normal((4, 12))
    base = transform_importance(net, X, scorer=SCORERS[name], target=1).values
    found = transform_importance(
        Spelled(net, how).eval(), X, scorer=SCORERS[name], target=1
    )
    np.testing.assert_allclose(found.values, base, rtol=1e-9, atol=1e-12)


def test_a_network_may_begin_with_a_nonlinearity():
    """Relevance of the signal is then divided by it, 0 where both are 0."""
    net, X = mlp(), np.random.default_rng(0).standard_normal((4, 12))
    net = nn.Sequential(nn.ReLU(), net)
    X[:, 3] = 0
    for space in (None, sktrim.FourierTransformer().fit(X)):
        a, b = (
            transform_importance(net, X, transformer=space, scorer=scorer).values
            for scorer in (LRPEpsilon(0), InputTimesGradient())
        )
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


class Shared(nn.Module):
    """Writes through two names of one storage, and through a view."""

    def __init__(self, shared):
        super().__init__()
        self.first, self.last = nn.Linear(12, 6), nn.Linear(6, 2)
        self.norm, self.shared = nn.BatchNorm1d(6), shared
        nn.init.uniform_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var)

    def forward(self, x):
        h = self.first(x)
        if not self.shared:
            return self.last(self.norm(torch.relu(torch.relu(h) * -2 + 0.7)))
        same = nn.functional.dropout(h, 0.5, training=False)
        h.relu_()
        same = same.mul_(-2) if self.shared == "all" else same * -2
        same.add_(0.7)
        same.view(-1).relu_()
        return self.last(self.norm(same))


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_writes_through_a_shared_storage_are_seen(name):
    X = np.random.default_rng(0).standard_normal((4, 12))
    a, b, c = (
        transform_importance(
            seeded(lambda s=shared: Shared(s)).double().eval(),
            X,
            scorer=SCORERS[name],
            target=1,
        ).values
        for shared in ("all", "some", "")
    )
    np.testing.assert_allclose(a, c, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b, c, rtol=1e-9, atol=1e-12)


def test_without_biases_relevance_is_conserved():
    def build():
        return nn.Sequential(
            nn.Linear(12, 9, bias=False), nn.ReLU(), nn.Linear(9, 3, bias=False)
        )

    net, X = (
        seeded(build).double().eval(),
        np.random.default_rng(1).normal(size=(5, 12)),
    )
    fourier = sktrim.FourierTransformer().fit(X)
    for scorer in ("lrp_gamma", LRPEpsilon(0)):
        for space in (None, fourier):
            found = transform_importance(
                net, X, scorer=scorer, transformer=space, target=0, output="logit"
            )
            explained = found.explained
            np.testing.assert_allclose(found.values.sum(1), explained, atol=1e-12)


def test_amplification_is_the_ratio_of_absolute_sums():
    net, X = mlp(), np.random.default_rng(0).standard_normal((4, 12))
    fourier = sktrim.FourierTransformer().fit(X)
    for scorer in (LRPEpsilon(0.01), LRPAlphaBeta()):
        options = {"scorer": scorer, "target": 1}
        plain = transform_importance(net, X, **options)
        found = transform_importance(
            net, X, transformer=fourier, groups="coefficients", **options
        )
        np.testing.assert_allclose(plain.metadata["amplification"], 1)
        ratio = np.abs(found.values).sum(1) / np.abs(plain.values).sum(1)
        np.testing.assert_allclose(found.metadata["amplification"], ratio)


def test_a_map_beyond_working_memory_is_refused():
    net, X = small_conv(), images()
    fourier = sktrim.FourierTransformer().fit(X)
    with sklearn.config_context(working_memory=1):
        with pytest.raises(ValueError, match=r"working_memory.*LRPEpsilon"):
            transform_importance(net, X, transformer=fourier, scorer="lrp_z_plus")
        transform_importance(net, X, transformer=fourier, scorer="lrp_epsilon")
        transform_importance(net, X, scorer="lrp_z_plus")


def test_deep_taylor_is_nonnegative_and_starts_where_it_is_told():
    net, X = small_conv(), images(6)
    for bounds in ({}, {"low": -5.0, "high": 5.0}):
        for target in ("predicted", 2):
            found = transform_importance(
                net, X, scorer=DeepTaylor(**bounds), target=target
            )
            assert (found.values >= 0).all()
            none = found.explained <= 0
            assert not found.values[none].any()
            one = transform_importance(
                net, X, scorer=DeepTaylor(**bounds, start="one"), target=target
            ).values
            assert (one.sum(1) > 0).all()
            scale = found.explained.clip(min=0)[:, None]
            np.testing.assert_allclose(found.values, one * scale, atol=1e-12)


def test_alpha_minus_beta_other_than_one_warns_and_is_done():
    net, X = mlp(), np.ones((2, 12))
    with pytest.warns(UserWarning, match="alpha - beta"):
        found = transform_importance(net, X, scorer=LRPAlphaBeta(1, 1))
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (LRPEpsilon(-1), "epsilon=-1"),
        (LRPGamma(-1), "gamma=-1"),
        (LRPZBox(1, 0), "low=1 is above high=0"),
        (LRPComposite({"conv": "gamma"}), "conv"),
        (LRPComposite({"conv": "gamma", "linear": "delta"}), "delta"),
        (LRPComposite({"conv": "z_box", "linear": "epsilon"}), "bounds"),
        (LRPComposite({"conv": "flat", "linear": "flat", "join": "flat"}), "join"),
        (DeepTaylor(low=0), "both"),
        (DeepTaylor(start="two"), "start='two'"),
    ],
)
def test_bad_parameters_raise(scorer, message):
    with pytest.raises(ValueError, match=message):
        transform_importance(mlp(), np.ones((2, 12)), scorer=scorer)


@pytest.mark.parametrize(("bound", "warned"), [(0.9, True), (1.0, False)])
@pytest.mark.parametrize("scorer", [LRPZBox, DeepTaylor])
def test_inputs_beyond_the_bounds_of_the_z_box_are_told(scorer, bound, warned):
    X = np.random.default_rng(0).uniform(-1, 1, (4, 12))
    X[0, 0] = 1
    for high in (bound, np.full(12, bound)):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            transform_importance(mlp(), X, scorer=scorer(low=-1, high=high))
        told = ["between low and high" in str(warning.message) for warning in found]
        assert any(told) == warned
