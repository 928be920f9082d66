"""Randomised weights change what an explanation says, and by how much is told."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from sktrim import FourierTransformer, TransformImportance
from sktrim.evaluation import randomisation_test, randomised_explanations
from sktrim.evaluation._correlation import map_correlations, textbook_p
from sktrim.evaluation._variants import layers_in_order, redraw
from sktrim.network import Network
from sktrim.scorers import DeepTaylor, LRPEpsilon, Scorer
from tests.nets import mlp, seeded, small_conv


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X = np.kron(X.reshape(-1, 1, 8, 8) / 16, np.ones((1, 1, 3, 3)))
    return X.astype("f4"), y


class Residual(nn.Module):
    """A block of a small ResNet."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.first = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for _ in range(2))
        self.skip = nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x):
        hidden = self.norms[0](self.first(x)).relu()
        return (self.norms[1](self.second(hidden)) + self.skip(x)).relu()


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(144, 40),
        nn.ReLU(),
        nn.Linear(40, 10),
    )


def resnet():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 1, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        Residual(8, 8, 1),
        Residual(8, 16, 2),
        Residual(16, 32, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


@pytest.fixture(scope="module", params=[lenet, resnet])
def trained(request, digits):
    X, y = (torch.as_tensor(a) for a in digits)
    net = seeded(request.param)
    optimiser = torch.optim.Adam(net.parameters(), lr=4e-3)
    for rows in torch.arange(1400).split(35):
        optimiser.zero_grad()
        F.cross_entropy(net(X[rows]), y[rows]).backward()
        optimiser.step()
    net.eval()
    assert (net(X[1400:]).argmax(1) == y[1400:]).float().mean() > 0.7
    return net


def ask(net, X, scorer, **options):
    trim = TransformImportance(net, scorer=scorer, output="logit").fit(X[:100])
    options = {"depths": [-1], "n_draws": 8} | options
    return randomisation_test(trim, X[1400:1412], **options)


@pytest.mark.parametrize("scorer", ["gradient", "input_x_gradient", LRPEpsilon(1e-9)])
def test_what_was_learned_passes(trained, digits, scorer):
    result = ask(trained, digits[0], scorer)
    assert result.passes_effect
    for kind in ("pearson", "spearman", "kendall"):
        assert abs(result.mean(kind)[-1]) < 0.05
    assert not result.is_data_only
    assert result.output_change[-1].mean() > 0.3


@pytest.mark.parametrize(
    "scorer", ["guided_backprop", "deconvnet", DeepTaylor(start="one")]
)
def test_what_was_not_learned_fails(trained, digits, scorer):
    result = ask(trained, digits[0], scorer)
    assert not result.passes_effect
    assert result.effect > 0.1


def test_lrp_epsilon_shares_the_verdict_of_input_times_gradient(trained, digits):
    # without ties, of which torch's gradient gives all to the first
    noise = np.random.default_rng(0).standard_normal(digits[0].shape).astype("f4")
    X = digits[0] + 1e-3 * noise
    lrp = ask(trained, X, LRPEpsilon(1e-9), n_draws=3)
    plain = ask(trained, X, "input_x_gradient", n_draws=3)
    np.testing.assert_allclose(lrp.effect, plain.effect, atol=1e-3)


class Size(Scorer):
    """|s|: what the data say alone."""

    def attribute(self, model, s, groups, target):
        return groups.aggregate(s.abs())[..., None].expand(-1, -1, target.n_targets)


def test_a_data_only_score_is_caught(digits):
    X = digits[0] + np.random.default_rng(0).standard_normal(digits[0].shape) * 0.1
    result = ask(seeded(lenet).double().eval(), X, Size(), n_draws=2)
    assert result.is_data_only
    assert result.effect == pytest.approx(1, abs=1e-3)
    assert not result.passes_effect
    assert not result.passes_significance
    assert "data alone" in str(result)


@pytest.mark.parametrize("mode", ["cascade", "independent"])
def test_the_model_is_never_touched(mode):
    net = small_conv()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    X = np.random.default_rng(0).standard_normal((6, 1, 12, 12))
    trim = TransformImportance(net, FourierTransformer(), "input_x_gradient").fit(X)
    values = trim.transform(X)
    state = torch.random.get_rng_state()
    result = randomisation_test(trim, X, mode=mode, n_draws=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    np.testing.assert_array_equal(trim.transform(X), values)
    assert result.layers == ["head", "norm", "conv"]
    assert result.signed["pearson"].shape == (3, 2)
    assert str(result).count("\n") == 5


def test_layers_come_in_the_order_of_execution():
    class Reversed(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(3, 2)
            self.unused = nn.Linear(3, 2)
            self.first = nn.Linear(4, 3)

        def forward(self, x):
            hidden = F.linear(x, self.first.weight, self.first.bias)
            return self.last(hidden.relu())

    x = torch.zeros(2, 4)
    network = Network(Reversed().eval()).inspect(x)
    assert layers_in_order(network, x) == ["unused", "first", "last"]


def test_a_cascade_goes_down_and_independent_layers_stay_alone():
    X = np.random.default_rng(0).standard_normal((20, 12))
    trim = TransformImportance(mlp(), scorer="gradient").fit(X)
    cascade = randomisation_test(trim, X, n_draws=3)
    alone = randomisation_test(trim, X, mode="independent", n_draws=3)
    assert cascade.layers == ["2", "0"]
    np.testing.assert_allclose(cascade.signed["pearson"][0], alone.signed["pearson"][0])
    assert (
        np.abs(cascade.signed["pearson"][1] - alone.signed["pearson"][1]).max() > 0.01
    )


def test_redrawn_layers_keep_their_scale_and_pair_their_vectors():
    layer = nn.BatchNorm1d(50)
    layer.running_mean.copy_(torch.arange(50))
    layer.weight.data.copy_(torch.arange(50) * 2)
    redraw(layer, torch.Generator().manual_seed(0))
    assert torch.equal(layer.weight, 2 * layer.running_mean)
    assert not torch.equal(layer.running_mean, torch.arange(50.0))
    dense = nn.Linear(200, 200)
    before = dense.weight.detach().clone()
    redraw(dense, torch.Generator().manual_seed(0))
    after = dense.weight.detach()
    assert after.std() == pytest.approx(before.std().item(), rel=0.05)
    assert abs(torch.corrcoef(torch.stack([before, after]).flatten(1))[0, 1]) < 0.1


def test_correlations_are_those_of_scipy():
    a, b = np.random.default_rng(0).integers(0, 5, (2, 3, 12)).astype(float)
    found = map_correlations(a, b)
    for kind, reference in (
        ("pearson", stats.pearsonr),
        ("spearman", stats.spearmanr),
        ("kendall", stats.kendalltau),
    ):
        each = [reference(x, y).statistic for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(found[kind], each)
    flat = map_correlations(np.zeros((2, 4)), np.ones((2, 4)))
    np.testing.assert_array_equal(list(flat.values()), 0)


@pytest.mark.parametrize("kind", ["pearson", "spearman", "kendall"])
def test_textbook_p_values_are_uniform_where_nothing_is_related(kind):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        a, b = rng.standard_normal((2, 4, 15))
        found.append(textbook_p(kind, map_correlations(a, b)[kind].mean(), 4, 15))
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert textbook_p(kind, np.float64(0.3), 5, 1) == 1


@pytest.mark.parametrize("n_draws", [1, 2])
def test_hard_cases_are_defined(n_draws):
    X = np.random.default_rng(0).standard_normal((1, 12))
    one = TransformImportance(mlp(), groups=np.zeros(12, dtype=int)).fit(X)
    result = randomisation_test(one, X, n_draws=n_draws)
    assert result.effect == 0
    assert result.significance == 1
    assert np.isfinite(result.interval()).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "all"}, "mode='all'"),
        ({"n_draws": 0}, "n_draws=0"),
        ({"depths": [3]}, "from 1 to 2"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    X = np.zeros((2, 12))
    with pytest.raises(ValueError, match=message):
        randomisation_test(TransformImportance(mlp()).fit(X), X, **options)


def test_kinds_of_correlation_are_named():
    X = np.random.default_rng(0).standard_normal((5, 12))
    result = randomisation_test(TransformImportance(mlp()).fit(X), X, n_draws=2)
    for method in ("mean", "p_values", "redraw_p_values", "interval"):
        with pytest.raises(ValueError, match=r"kind='rank' is not known; use.*pearson"):
            getattr(result, method)("rank")


def test_several_targets_are_refused():
    X = np.ones((2, 12))
    trim = TransformImportance(mlp(), target="all").fit(X)
    with pytest.raises(ValueError, match="one target"):
        randomisation_test(trim, X)


@pytest.mark.parametrize("weight", [[[2.0]], [[0.25, 0.25], [0.25, 0.25]]])
def test_equal_weights_are_drawn_as_large_as_they_are(weight):
    layer = nn.Linear(len(weight), len(weight), bias=False)
    generator, drawn = torch.Generator().manual_seed(0), []
    for _ in range(500):
        layer.weight.data = torch.tensor(weight)
        redraw(layer, generator)
        drawn.append(layer.weight.detach().numpy().copy())
    assert np.std(drawn) == pytest.approx(weight[0][0], rel=0.1)


def test_a_depth_asked_for_twice_is_run_once():
    X = np.random.default_rng(0).standard_normal((5, 12))
    trim = TransformImportance(mlp(), scorer="gradient").fit(X)
    found = randomisation_test(trim, X, depths=[1, 1, -2], n_draws=2)
    assert found.layers == ["2"]


def test_randomised_explanations_are_those_whose_correlations_are_told(digits):
    X, _ = digits
    trim = TransformImportance(seeded(lenet), scorer="gradient", target=3).fit(X[:5])
    before = trim.explain(X[:5]).values
    last, everything = randomised_explanations(
        trim, X[:5], depths=[1, -1], random_state=2
    )
    result = randomisation_test(trim, X[:5], n_draws=1, depths=[1, -1], random_state=2)
    for other, depth in ((last, 0), (everything, 1)):
        expected = map_correlations(before, other.values)["pearson"].mean()
        np.testing.assert_allclose(result.signed["pearson"][depth, 0], expected)
    np.testing.assert_array_equal(trim.explain(X[:5]).values, before)
    with pytest.raises(ValueError, match="depths run from 1 to 4"):
        randomised_explanations(trim, X[:5], depths=[9])
