"""Gradient scorers are autograd's gradients, times and along what they say."""

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

import sktrim
from sktrim import transform_importance
from sktrim.scorers import (
    ExpectedGradients,
    Gradient,
    IntegratedGradients,
    SmoothGrad,
)
from tests.nets import mlp, small_conv


class HandNet(nn.Module):
    def forward(self, x):
        x1, x2 = x[:, :1], x[:, 1:]
        return torch.relu(torch.relu(x1) - 1 - torch.relu(x2))


class HandNetTwin(nn.Module):
    def forward(self, x):
        x1, x2 = x[:, :1], x[:, 1:]
        return torch.relu(torch.relu(x1 - 1) - torch.relu(x2))


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((7, 12))


@pytest.mark.parametrize("net", [HandNet(), HandNetTwin()])
def test_hand_values_of_integrated_gradients(net):
    X = np.array([[3.0, 1.0]])
    found = transform_importance(
        net.double(), X, scorer=IntegratedGradients(n_steps=4000)
    )
    np.testing.assert_allclose(found.values, [[1.5, -0.5]], atol=2e-3)


def test_integrated_gradients_are_complete_up_to_the_reported_error(X):
    found = transform_importance(mlp(), X, scorer=IntegratedGradients(n_steps=500))
    total = found.base_values + found.values.sum(1)
    explained = found.explained
    np.testing.assert_allclose(total - explained, found.completeness_error, atol=1e-12)
    assert np.abs(found.completeness_error).max() < 1e-2


def test_too_few_steps_are_reported(X):
    with pytest.warns(UserWarning, match="More quadrature steps"):
        transform_importance(mlp(), 5 * X, scorer=IntegratedGradients(n_steps=1))


def test_captum_agrees_on_integrated_gradients_and_input_x_gradient():
    net = small_conv()
    X = np.random.default_rng(1).standard_normal((5, 1, 12, 12))
    x = torch.tensor(X)
    ours = transform_importance(
        net, X, scorer=IntegratedGradients(n_steps=50), target=1, output="logit"
    )
    theirs = captum.attr.IntegratedGradients(net).attribute(x, target=1, n_steps=50)
    np.testing.assert_allclose(
        ours.values, theirs.flatten(1).numpy(), rtol=1e-6, atol=1e-9
    )
    ours = transform_importance(
        net, X, scorer="input_x_gradient", target=1, output="logit"
    )
    theirs = captum.attr.InputXGradient(net).attribute(x.requires_grad_(), target=1)
    np.testing.assert_allclose(
        ours.values, theirs.detach().flatten(1).numpy(), rtol=1e-12, atol=1e-14
    )


def test_the_gradient_is_the_chain_rule_through_the_inverse(X):
    fourier = sktrim.FourierTransformer().fit(X)
    net = mlp()
    found = transform_importance(
        net, X, transformer=fourier, scorer="gradient", groups="coefficients", target=0
    )
    inverse = sktrim.inverse_module(fourier)
    model = sktrim.TrimModel(net, inverse)
    s = torch.tensor(fourier.transform(X), requires_grad=True)
    out = model(s)
    margin = out[:, 0] - out[:, 1:].mean(1)
    (expected,) = torch.autograd.grad(margin.sum(), s)
    np.testing.assert_allclose(found.values, expected.numpy(), atol=1e-12)
    squared = transform_importance(
        net,
        X,
        transformer=fourier,
        scorer="gradient_squared",
        target=0,
    )
    natural = fourier.feature_groups(by="natural")
    np.testing.assert_allclose(
        squared.values, natural.aggregate(expected.numpy() ** 2), atol=1e-12
    )


def test_smoothgrad_without_noise_is_the_gradient(X):
    plain = transform_importance(mlp(), X, scorer="gradient")
    smooth = transform_importance(
        mlp(), X, scorer=SmoothGrad(n_draws=3, noise_level=0), background=X
    )
    np.testing.assert_allclose(smooth.values, plain.values, atol=1e-12)


def test_smoothgrad_averages_gradients_over_the_noise(X):
    scorer = SmoothGrad(n_draws=4, noise_level=0.5)
    found = transform_importance(
        mlp(), X, scorer=scorer, background=X, target=2, random_state=3
    )
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    noise = np.random.default_rng(seed).standard_normal((4, 12)) * 0.5 * X.std(0)
    expected = np.mean(
        [
            transform_importance(mlp(), X + row, scorer="gradient", target=2).values
            for row in noise
        ],
        axis=0,
    )
    np.testing.assert_allclose(found.values, expected, atol=1e-12)


def test_expected_gradients_of_one_row_are_integrated_gradients(X):
    row = X[:1] * 0.5
    ours = transform_importance(
        mlp(), X, scorer=ExpectedGradients(n_steps=8), background=row
    )
    theirs = transform_importance(
        mlp(), X, scorer=IntegratedGradients(n_steps=8, baseline=row)
    )
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-12)


def test_absolute_is_taken_per_row_after_summing_a_group(X):
    background = np.random.default_rng(4).standard_normal((3, 12))
    groups = np.repeat(np.arange(3), 4)
    rows = [
        transform_importance(
            mlp(),
            X,
            scorer=IntegratedGradients(n_steps=16, baseline=row),
            groups=groups,
        ).values
        for row in background
    ]
    found = transform_importance(
        mlp(),
        X,
        scorer=ExpectedGradients(n_steps=16, absolute=True),
        background=background,
        groups=groups,
    )
    np.testing.assert_allclose(found.values, np.abs(rows).mean(0), atol=1e-12)


def test_the_mean_baseline_is_the_mean_of_the_background(X):
    ours = transform_importance(
        mlp(),
        X,
        scorer=IntegratedGradients(baseline="mean", n_steps=100),
        background=X,
    )
    theirs = transform_importance(
        mlp(), X, scorer=IntegratedGradients(baseline=X.mean(0), n_steps=100)
    )
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-12)


def test_x_equal_to_the_baseline_gives_zeros(X):
    for scorer in (IntegratedGradients(baseline=X[0]), "input_x_gradient"):
        start = X[:1] if scorer != "input_x_gradient" else np.zeros((1, 12))
        found = transform_importance(mlp(), start, scorer=scorer)
        np.testing.assert_array_equal(found.values, 0)


def test_every_target_has_its_own_gradient(X):
    every = transform_importance(mlp(), X, scorer="gradient", target="all")
    assert every.values.shape == (7, 12, 3)
    for column in range(3):
        one = transform_importance(mlp(), X, scorer="gradient", target=column)
        np.testing.assert_allclose(every.values[..., column], one.values, atol=1e-13)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (IntegratedGradients(n_steps=0), "n_steps=0"),
        (IntegratedGradients(baseline=None), "baseline=None"),
        (IntegratedGradients(baseline="median"), "baseline='median'"),
        (IntegratedGradients(baseline=np.zeros(5)), r"expected \(12,\)"),
        (IntegratedGradients(baseline=np.full(12, np.nan)), "NaN or infinity"),
        (IntegratedGradients(baseline="mean"), "background"),
        (ExpectedGradients(), "background"),
        (SmoothGrad(noise_level=-1), "noise_level=-1"),
    ],
)
def test_wrong_parameters_are_named(X, scorer, message):
    background = X if isinstance(scorer, SmoothGrad) else None
    with pytest.raises(ValueError, match=message):
        transform_importance(mlp(), X, scorer=scorer, background=background)


def test_the_number_of_backward_passes_is_the_number_of_outputs(monkeypatch, X):
    calls = []
    original = torch.autograd.grad

    def counted(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    fourier = sktrim.FourierTransformer().fit(X)
    for groups in ("natural", "coefficients"):
        calls.clear()
        transform_importance(
            mlp(), X, transformer=fourier, scorer=Gradient(), groups=groups, target=0
        )
        assert len(calls) == 1  # the gradient is brought to coefficients without


class Severed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(12, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.first(x).relu().detach())


@pytest.mark.parametrize(
    "scorer",
    "gradient integrated_gradients lrp_epsilon lrp_z_plus deep_taylor".split(),
)
def test_a_network_that_lets_no_gradient_through_is_refused(X, scorer):
    net = Severed().double().eval()
    with pytest.raises(ValueError, match="No gradient leads from"):
        transform_importance(net, X, scorer=scorer)


def test_deeplift_needs_no_gradient_of_the_networks_own(X):
    net = Severed().double().eval()
    found = transform_importance(net, X, scorer="deeplift")
    assert np.abs(found.values).max() > 0
    np.testing.assert_allclose(found.completeness_error, 0, atol=1e-12)


def test_integrated_gradients_from_rows_are_expected_gradients(X):
    given = {"background": X[:4], "target": 0}
    one = IntegratedGradients(n_steps=4, baseline="rows")
    found = transform_importance(mlp(), X, scorer=one, **given)
    other = ExpectedGradients(n_rows=4, n_steps=4)
    expected = transform_importance(mlp(), X, scorer=other, **given)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.base_values, expected.base_values)
