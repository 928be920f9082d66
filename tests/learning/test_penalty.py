"""Penalties on explanations: right numbers, right gradients, any space, any loop."""

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from torch import nn

from sktrim import (
    CosineTransformer,
    FourierTransformer,
    TransformImportance,
    contextual_decomposition,
)
from sktrim.exceptions import NonFiniteLossError
from sktrim.learning import ExplanationPenalty
from sktrim.scorers import Occlusion

SCORERS = [
    "cd",
    "occlusion",
    "gradient",
    "gradient_squared",
    "input_x_gradient",
    "integrated_gradients",
    "expected_gradients",
    "gradient_shap",
    "smoothgrad",
]


def network(n_out=3, seed=0, n_hidden=6):
    torch.manual_seed(seed)
    layers = nn.Linear(8, n_hidden), nn.Tanh(), nn.Linear(n_hidden, n_out)
    return nn.Sequential(*layers).double()


def rows(n=5, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).normal(size=(n, 8)))


def penalty_of(scorer, transformer=None, **options):
    rng = np.random.default_rng(1)
    options = {"background": rng.normal(size=(6, 8)), "random_state": 0, **options}
    return ExplanationPenalty(transformer, scorer=scorer, **options)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("space", ["pixels", "fourier", "pca"])
def test_scores_are_those_of_an_explanation(scorer, space):
    x, net = rows(), network().eval()
    transformer = {
        "pixels": None,
        "fourier": FourierTransformer().fit(x),
        "pca": PCA(4).fit(x),
    }[space]
    penalty = penalty_of(scorer, transformer)
    scores = penalty.scores(net, x).detach().numpy()
    fitted = None if transformer is None else FrozenEstimator(transformer)
    trim = TransformImportance(
        net, fitted, scorer=scorer, target="all", on_incomplete="ignore"
    )
    background = penalty.background
    trim = trim.set_params(n_background=6, random_state=0).fit(background)
    trim.question_.seed = penalty._asked().seed
    assert_allclose(scores, trim.explain(x.numpy()).values, atol=1e-10)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_the_gradient_in_the_weights_is_right(scorer, loss):
    x, net = rows(3), network(n_hidden=2)
    penalty = penalty_of(scorer, CosineTransformer().fit(x), loss=loss)
    wanted = torch.full((8,), torch.nan)
    wanted[2:4] = 0.3
    penalty.set_params(wanted=wanted.numpy())

    def value(weight):
        weights = {"0.weight": weight}
        whole = dict(net.named_parameters()) | weights
        changed = copy.deepcopy(net)
        for name, parameter in whole.items():
            part, key = name.split(".")
            module = changed[int(part)]
            del module._parameters[key]
            setattr(module, key, parameter)
        return penalty(changed, x)

    start = net[0].weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(value, (start,), atol=1e-5)


def test_losses_are_written_out():
    x, net = rows(), network()
    parts = torch.zeros(2, 8, dtype=torch.float64)
    parts[0, :2] = parts[1, 4] = 1
    groups = parts.numpy()
    relevant, rest = contextual_decomposition(net.eval(), x, parts[:, None] * x)
    options = {"scorer": "cd", "groups": groups, "output": "logit"}
    for loss, each in (
        ("absolute", (relevant - 0.2).abs()),
        ("squared", (relevant - 0.2).square()),
        ("softmax", torch.stack([relevant, rest]).softmax(0)[0]),
    ):
        penalty = ExplanationPenalty(wanted=0.2, loss=loss, weight=3.0, **options)
        expected = 3 * each.mean((1, 2)).sum()
        torch.testing.assert_close(penalty(net, x), expected)


def test_rrr_is_the_squared_gradient_of_the_log_probabilities():
    x, net = rows(), network()
    mask = torch.zeros(5, 8, dtype=torch.float64)
    mask[:, 3] = mask[2, 5] = 1
    penalty = ExplanationPenalty(
        scorer="gradient_squared", target="log_probabilities", loss="absolute"
    )
    leaf = x.clone().requires_grad_()
    total = net(leaf).log_softmax(1).sum()
    [slope] = torch.autograd.grad(total, leaf)
    expected = (mask * slope).square().sum(1).mean()
    torch.testing.assert_close(penalty(net, x, masks=mask), expected)


def test_masks_of_samples_are_groups_of_their_own():
    x, net = rows(), network()
    masks = (torch.rand(5, 8, dtype=torch.float64) < 0.5).double()
    together = ExplanationPenalty(scorer="occlusion")(net, x, masks=masks)
    lost = net(x) - net(x * (1 - masks))
    margin = lost - (lost.sum(1, keepdim=True) - lost) / 2
    torch.testing.assert_close(together, margin.square().mean())


def test_only_groups_that_are_not_free_count():
    x, net = rows(), network()
    named = ExplanationPenalty(wanted={"coefficient3": 0.5}, scorer="cd")
    free = np.full(8, np.nan)
    free[3] = 0.5
    same = ExplanationPenalty(wanted=free, scorer="cd")
    expected = (named.scores(net, x)[:, 3] - 0.5).square().mean()
    torch.testing.assert_close(named(net, x), expected)
    torch.testing.assert_close(same(net, x), expected)


def test_groups_drawn_anew_are_all_of_them_on_average():
    x, net = rows(), network()
    every = ExplanationPenalty(scorer="cd")(net, x) / 8
    drawn = ExplanationPenalty(scorer="cd", n_drawn=1, random_state=0)
    values = torch.stack([drawn(net, x) for _ in range(400)])
    assert values.std() > 0
    assert_allclose(values.mean().item(), every.item(), rtol=0.15)
    likely = np.eye(8)[2]
    only = drawn.set_params(probabilities=likely)(net, x)
    third = ExplanationPenalty(wanted={"coefficient2": 0.0}, scorer="cd")(net, x)
    torch.testing.assert_close(only, third)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_is(training):
    torch.manual_seed(0)
    layers = nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5)
    net = nn.Sequential(*layers, nn.Linear(6, 2)).double().train(training)
    x = rows()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    penalty = penalty_of("cd")
    value = penalty(net, x)
    assert all(module.training is training for module in net.modules())
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    torch.testing.assert_close(penalty(net.eval(), x), value)


def test_a_fitted_trim_brings_its_question():
    x, net = rows(), network().eval()
    fourier = FourierTransformer()
    trim = TransformImportance(net, fourier, scorer="integrated_gradients", target=1)
    trim.fit(x.numpy())
    penalty = ExplanationPenalty(trim)
    scores = penalty.scores(net, x).detach().numpy()
    assert_allclose(scores[..., 0], trim.explain(x.numpy()).values, atol=1e-10)
    assert clone(penalty).transformer is trim


def test_outputs_of_several_axes_are_all_scored():
    x = rows()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 6), nn.Unflatten(1, (2, 3))).double()
    scores = ExplanationPenalty(scorer="cd", target="all").scores(net, x)
    trim = TransformImportance(net.eval(), target="all").fit(x.numpy())
    assert_allclose(scores.detach(), trim.explain(x.numpy()).values, atol=1e-10)


def test_a_layer_is_a_space_too():
    x, net = rows(), network()
    penalty = ExplanationPenalty(wanted={"coefficient0": 0.0}, scorer="cd", layer="1")
    hidden = net[:2](x)
    parts = net[2].weight[:, 0] * hidden[:, :1]
    margin = parts - (parts.sum(1, keepdim=True) - parts) / 2
    value = penalty(net, x)
    torch.testing.assert_close(value, margin.square().mean())
    value.backward()
    assert net[0].weight.grad is None


@pytest.mark.parametrize("perturbation", ["noise", "adversarial"])
def test_perturbed_penalties_look_around_the_sample(perturbation):
    x, net = rows(), network()
    options = {"scorer": "gradient_squared", "target": 0, "loss": "absolute"}
    options["wanted"] = {"coefficient1": 0.0}
    here = ExplanationPenalty(**options)(net, x)
    around = ExplanationPenalty(
        perturbation=perturbation, radius=2.0, random_state=0, **options
    )
    values = torch.stack([around(net, x) for _ in range(20)])
    assert values.std() > 0 or perturbation == "adversarial"
    if perturbation == "adversarial":
        noisy = clone(around).set_params(perturbation="noise")
        assert values.mean() > torch.stack([noisy(net, x) for _ in range(20)]).mean()
        assert values.mean() > here
    tiny = clone(around).set_params(radius=1e-9)(net, x)
    torch.testing.assert_close(tiny, here)


def test_what_the_penalty_is_for():
    """A penalised group is given up where another one tells as much."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    X = rng.normal(size=(300, 8)) * 0.5
    X[:, 0] += y
    X[:, 1] += 2 * y
    x, labels = torch.as_tensor(X), torch.as_tensor(y)
    penalty = ExplanationPenalty(wanted={"coefficient1": 0.0}, weight=1.0)
    lost = {}
    for used in (None, penalty):
        net = network(2)
        optimizer = torch.optim.Adam(net.parameters(), 0.02)
        for _ in range(150):
            loss = nn.functional.cross_entropy(net(x), labels)
            if used is not None:
                loss = loss + used(net, x, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        without = x.clone()
        without[:, 1] = 0
        lost[used] = float((net(x) - net(without)).abs().mean())
    assert lost[penalty] < 0.1 * lost[None]


def test_what_does_not_fit_is_refused_with_reasons():
    x, net = rows(), network()
    with pytest.raises(TypeError, match="cannot be differentiated"):
        ExplanationPenalty(scorer="deeplift")(net, x)
    with pytest.raises(ValueError, match="wanted names 'x'; the 8 groups"):
        ExplanationPenalty(wanted={"x": 0.0})(net, x)
    with pytest.raises(ValueError, match="wanted has shape"):
        ExplanationPenalty(wanted=[0.0, 1.0])(net, x)
    with pytest.raises(ValueError, match="nothing is penalised"):
        ExplanationPenalty(wanted=np.nan)(net, x)
    with pytest.raises(ValueError, match="masks has shape"):
        ExplanationPenalty()(net, x, masks=torch.ones(5, 3))
    with pytest.raises(ValueError, match="probabilities has shape"):
        ExplanationPenalty(n_drawn=1, probabilities=[1.0])(net, x)
    with pytest.raises(ValueError, match="background rows"):
        ExplanationPenalty(scorer=Occlusion(baseline="rows"))(net, x)
    broken = copy.deepcopy(net)
    with torch.no_grad():
        broken[2].bias.fill_(torch.nan)
    with pytest.raises(NonFiniteLossError, match="training diverges"):
        ExplanationPenalty()(broken, x)


def test_penalties_pickle():
    x, net = rows(), network()
    penalty = ExplanationPenalty(CosineTransformer().fit(x), scorer="cd")
    value = penalty(net, x)
    again = pickle.loads(pickle.dumps(penalty))
    torch.testing.assert_close(again(net, x), value)
