"""Torch modules as a transformer: sparse autoencoders and their kin."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from sktrim import AlongAxis, TransformImportance, inverse_module
from sktrim.learning import TorchTransformer


class Maker:
    """Makes a module of a width; its name is the same everywhere."""

    def __init__(self, name, make):
        self.name, self.make = name, make

    def __call__(self, width):
        return self.make(width)

    def __repr__(self):
        return self.name

    def __reduce__(self):
        return self.name


encoder = Maker("encoder", lambda w: nn.Sequential(nn.Linear(w, 6), nn.ReLU()))
decoder = Maker("decoder", lambda w: nn.Linear(6, w))


def bent(width):
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, width))


def autoencoder(**options):
    return TorchTransformer(encoder, decoder, random_state=0, **options)


@pytest.fixture(autouse=True)
def _prepare(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


@parametrize_with_checks([autoencoder(), autoencoder(max_epochs=2, l1=0.1)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(3, 5))
    return (rng.exponential(size=(200, 3)) * (rng.random((200, 3)) < 0.5)) @ atoms


def test_modules_as_they_are_are_fitted_and_left_alone(X):
    torch.manual_seed(0)
    first, second = encoder(5).double(), decoder(5).double()
    before = [p.clone() for p in (*first.parameters(), *second.parameters())]
    modules = TorchTransformer(first, second).fit(X)
    x = torch.tensor(X)
    assert_allclose(modules.transform(X), first(x).detach())
    assert_allclose(
        modules.inverse_transform(modules.transform(X)), second(first(x)).detach()
    )
    assert modules.is_affine_
    assert modules.encoder_ is first
    trained = TorchTransformer(first, second, max_epochs=3).fit(X)
    assert trained.encoder_ is not first
    for old, new in zip(
        before, (*first.parameters(), *second.parameters()), strict=True
    ):
        assert torch.equal(old, new)


def test_training_lowers_the_loss_and_l1_makes_it_sparse(X):
    state = torch.get_rng_state()
    options = {"max_epochs": 60, "lr": 1e-2, "batch_size": 50}
    dense = autoencoder(**options).fit(X)
    assert dense.losses_[-1] < 0.1 * dense.losses_[0]
    sparse = autoencoder(l1=2.0, **options).fit(X)
    assert np.abs(sparse.transform(X)).mean() < 0.7 * np.abs(dense.transform(X)).mean()
    again = clone(dense).fit(X)
    assert_allclose(again.transform(X), dense.transform(X))
    assert torch.equal(state, torch.get_rng_state())
    copied = pickle.loads(pickle.dumps(dense))
    assert_allclose(copied.transform(X), dense.transform(X))


@pytest.mark.parametrize(("back", "affine"), [(decoder, True), (bent, False)])
def test_the_inverse_is_the_decoder_affine_where_that_is(X, back, affine):
    modules = TorchTransformer(encoder, back, random_state=0).fit(X)
    inverse = inverse_module(modules)
    assert inverse.is_affine == modules.is_affine_ == affine
    s = modules.transform(X)
    found = inverse(torch.tensor(s))
    assert_allclose(found, modules.inverse_transform(s), atol=1e-6)
    if affine:
        zero = modules.inverse_transform(np.zeros((1, 6)))
        expected = modules.inverse_transform(s) - zero
        assert_allclose(inverse.linear(torch.tensor(s)), expected, atol=1e-6)


class Variational(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.mean, self.spread = nn.Linear(width, 2), nn.Linear(width, 2)

    def forward(self, x):
        return self.mean(x), self.spread(x)


def test_a_variational_encoder_gives_its_mean(X):
    modules = TorchTransformer(Variational, lambda width: nn.Linear(2, width)).fit(X)
    expected = modules.encoder_.mean(torch.tensor(X).float()).detach()
    assert_allclose(modules.transform(X), expected, atol=1e-6)


@pytest.mark.parametrize("scorer", ["cd", "deeplift", "occlusion", "shapley"])
def test_units_at_a_layer_with_what_they_miss(X, scorer):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    trim = TransformImportance(
        net, autoencoder(), scorer, layer="1", residual="component", output="logit",
        target=0,
    ).fit(X)  # fmt: skip
    explanation = trim.explain(X[:5])
    weight = net[2].weight[0].detach().numpy()
    atoms = trim.transformer_.decoder_.weight.detach().numpy().astype(float)
    s = explanation.coefficients
    assert_allclose(explanation.values[:, :6], s * (weight @ atoms), atol=1e-5)
    left = trim.signals(X[:5]).x - trim.transformer_.inverse_transform(s)
    assert_allclose(explanation.values[:, 6], left @ weight, atol=1e-5)


def test_units_at_every_position_of_a_layer():
    torch.manual_seed(0)
    X = np.random.default_rng(0).normal(size=(6, 1, 9, 9)).astype("float32")
    net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(245, 2))
    units = AlongAxis(autoencoder(max_epochs=2), axis=1)
    trim = TransformImportance(net, units, layer="1", residual="component").fit(X)
    assert trim.explain(X).group_names == [*(f"unit{k}" for k in range(6)), "residual"]


@pytest.mark.parametrize(
    ("modules", "error", "match"),
    [
        ((3, decoder), TypeError, "encoder=3 is no torch.nn.Module; expected one"),
        ((lambda w: w, decoder), TypeError, "but made a int"),
        ((encoder, lambda w: nn.Linear(6, w + 1)), ValueError, "6 values for a row of"),
        ((encoder, lambda w: nn.Linear(7, w)), ValueError, "decoder failed on the 6"),
        ((lambda w: nn.Unflatten(1, (5, 1)), decoder), ValueError, r"\(2, 5, 1\)"),
    ],
)  # fmt: skip
def test_modules_that_do_not_fit_are_refused(X, modules, error, match):
    with pytest.raises(error, match=match):
        TorchTransformer(*modules).fit(X)
