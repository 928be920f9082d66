"""Guided backpropagation, deconvnet and DeepLIFT in signal and other spaces."""

import warnings

import captum.attr
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from torch import nn

import sktrim
from sktrim import TransformImportance, transform_importance
from sktrim.exceptions import CancellationWarning, IncompleteError, QuadratureWarning
from sktrim.inverse import InverseModule, inverse_module
from sktrim.propagation import UnsupportedOperationError, register_operation
from sktrim.scorers import DeepLift, LRPComposite
from tests.nets import Twins, mlp, seeded

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def images(n=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 1, 12, 12))


class Plain(nn.Module):
    """Every ReLU a module of its own, as captum wants it."""

    def __init__(self, kernel=2, stride=2):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(kernel, stride),
            nn.Conv2d(4, 5, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(8),
            nn.ReLU(), nn.Linear(8, 3),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


def plain(kernel=2, stride=2, seed=0):
    def build():
        net = Plain(kernel, stride)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net(torch.zeros(1, 1, 12, 12))
        return net

    return seeded(build, seed).double().eval()


def explain(net, X, scorer, **options):
    options = {"target": 1, "output": "logit", **options}
    return transform_importance(net, X, scorer=scorer, **options)


@pytest.mark.parametrize(
    ("scorer", "peer"),
    [
        ("guided_backprop", captum.attr.GuidedBackprop),
        ("deconvnet", captum.attr.Deconvolution),
    ],
)
def test_relu_scorers_equal_captum_bit_for_bit(scorer, peer):
    net, X = plain(), images()
    found = explain(net, X, scorer).values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = peer(net).attribute(torch.tensor(X, requires_grad=True), target=1)
    np.testing.assert_array_equal(found, expected.detach().flatten(1))


def test_relu_scorers_pull_the_signal_gradient_back():
    net, X = plain(), images()
    fourier = sktrim.FourierTransformer().fit(X)
    for scorer in ("guided_backprop", "deconvnet"):
        at_signal = explain(net, X, scorer).values
        found = explain(net, X, scorer, transformer=fourier, groups="coefficients")
        # the transform is orthonormal, so that D^T is the transform itself
        expected = fourier.transform(at_signal.reshape(X.shape))
        np.testing.assert_allclose(found.values, expected, **EXACT)


def test_deeplift_equals_shap_where_shap_is_right():
    import shap

    net, X = plain(), images()
    background = images(4, seed=1)
    found = explain(net, X, DeepLift("rows"), background=background).values
    peer = shap.DeepExplainer(net, torch.tensor(background))
    expected = peer.shap_values(torch.tensor(X), check_additivity=False)[..., 1]
    np.testing.assert_allclose(found, expected.reshape(len(X), -1), atol=1e-6)


def test_deeplift_hand_value():
    class Hand(nn.Module):
        def forward(self, x):
            return 2 * torch.relu(x[:, :1]) + 2 * torch.relu(x[:, 1:] - 1.5)

    found = transform_importance(Hand(), np.array([[1.0, 2.0]]), scorer="deeplift")
    np.testing.assert_allclose(found.values, [[2, 1]], rtol=1e-6)


class Adjacent(nn.Module):
    """What captum 0.9 gets wrong: adjacent, overlapping, functional, reused, skip."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(243, 3)
        self.relu = nn.ReLU()

    def forward(self, x):
        h = torch.nn.functional.max_pool2d(self.relu(self.conv(x)), 3, 1, 1)
        h = torch.nn.functional.max_pool2d(h, 2, 1)
        h = torch.tanh(self.relu(h - 0.2) + h)
        return self.head(h.flatten(1))


@pytest.mark.parametrize("baseline", ["zero", "mean", "rows"])
@pytest.mark.parametrize("residual", ["constant", "component", "drop"])
def test_deeplift_is_complete_in_every_space(baseline, residual):
    net, X = seeded(Adjacent).double().eval(), images(6)
    spaces = [None, sktrim.FourierTransformer(), PCA(3)]
    for space in spaces:
        flat = X.reshape(6, -1) if isinstance(space, PCA) else X
        fitted = space if space is None else space.fit(flat)
        found = explain(
            net, X, DeepLift(baseline), transformer=fitted, residual=residual,
            background=images(3, seed=4), target="all",
        )  # fmt: skip
        np.testing.assert_allclose(found.completeness_error, 0, atol=1e-10)


def test_deeplift_explains_probabilities_completely():
    net, X = Twins.all()["Module"], images()
    found = transform_importance(net, X, scorer="deeplift", output="probability")
    np.testing.assert_allclose(found.completeness_error, 0, atol=1e-10)
    assert (found.explained < 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_ties_of_a_flat_baseline_do_not_depend_on_the_other_samples(seed):
    def build():
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.Softplus(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(144, 3),
        )  # fmt: skip

    net, X = seeded(build, seed).double().eval(), images(5, seed)
    fourier = sktrim.FourierTransformer().fit(X)
    options = {"transformer": fourier, "groups": np.arange(144) % 6}
    together = explain(net, X, "deeplift", **options).values
    for rows in (slice(1, 3), slice(4, 5)):
        some = explain(net, X[rows], "deeplift", **options).values
        np.testing.assert_allclose(some, together[rows], **EXACT)


def test_baselines_are_averaged():
    net, X, rows = mlp(), np.random.default_rng(0).standard_normal((4, 12)), []
    background = np.random.default_rng(1).standard_normal((3, 12))
    for row in background:
        rows.append(explain(net, X, DeepLift(row)).values)
    found = explain(net, X, DeepLift("rows"), background=background)
    np.testing.assert_allclose(found.values, np.mean(rows, axis=0), **EXACT)
    two = explain(net, X, DeepLift("rows", n_rows=2), background=background)
    np.testing.assert_allclose(two.values, np.mean(rows[:2], axis=0), **EXACT)


def test_x_equal_to_the_baseline_gives_zeros():
    net, X = Twins.all()["Module"], images(3)
    zero = explain(net, np.zeros_like(X), "deeplift").values
    same = explain(net, X[:1], DeepLift(X[0].ravel())).values
    assert not zero.any()
    assert not same.any()


SCORERS = [
    "guided_backprop", "deconvnet", "deeplift", "lrp_epsilon", "lrp_alpha_beta",
    "lrp_gamma", "lrp_z_plus", "lrp_z_box", "lrp_w_square", "lrp_flat",
    "lrp_composite", "deep_taylor",
]  # fmt: skip


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("space", [None, "cosine"])
def test_spellings_and_batches_agree(scorer, space):
    X = images(4)
    space = None if space is None else sktrim.CosineTransformer().fit(X)
    nets = Twins.all()
    base = explain(nets["Module"], X, scorer, transformer=space).values
    assert np.isfinite(base).all()
    assert np.abs(base).max() > 0
    for name in ("Functional", "InPlace"):
        found = explain(nets[name], X, scorer, transformer=space).values
        np.testing.assert_allclose(found, base, rtol=1e-9, atol=1e-12)
    alone = [explain(nets["Module"], X[i : i + 1], scorer, transformer=space).values
             for i in range(2)]  # fmt: skip
    np.testing.assert_allclose(np.concatenate(alone), base[:2], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scorer", ["cd", *SCORERS])
@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_a_softmax_without_an_axis_is_that_over_classes(scorer):
    def net(dim):
        def build():
            first = nn.Linear(6, 5), nn.Softmax(dim)
            return nn.Sequential(*first, nn.Linear(5, 4), nn.Softmax(dim))

        return seeded(build, 0).double().eval()

    X, found = np.random.default_rng(0).standard_normal((4, 6)), []
    for dim in (None, 1):
        try:
            found.append(explain(net(dim), X, scorer).values)
        except UnsupportedOperationError:
            found.append(None)
    if found[1] is None:
        assert found[0] is None
    else:
        np.testing.assert_allclose(found[0], found[1], **EXACT)


@pytest.mark.parametrize("scorer", SCORERS)
def test_silence_has_finite_scores(scorer):
    net = Twins.all()["Module"]
    X = np.zeros((2, 1, 12, 12))
    for space in (None, sktrim.FourierTransformer().fit(images(2))):
        found = explain(net, X, scorer, transformer=space)
        assert np.isfinite(found.values).all()
        if scorer in ("lrp_epsilon", "deeplift", "lrp_alpha_beta", "lrp_z_plus"):
            np.testing.assert_array_equal(found.values, 0)


@pytest.mark.parametrize("scorer", SCORERS)
def test_all_targets_at_once_are_each_one_alone(scorer):
    net, X = Twins.all()["Module"], images(3)
    every = transform_importance(net, X, scorer=scorer, target="all", output="logit")
    for column in (0, 3):
        one = explain(net, X, scorer, target=column)
        np.testing.assert_allclose(every.values[..., column], one.values, **EXACT)


def squared(x):
    if torch.overrides.has_torch_function_unary(x):
        return torch.overrides.handle_torch_function(squared, (x,), x)
    return x * x


# which it is not, so that it loses output
register_operation(squared, "affine")


class Misdeclared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x):
        h = self.layer(x)
        return h.tanh() * squared(h)


class Powers(BaseEstimator):
    """Coefficients are logarithms, scaled: an inverse that is not affine."""

    def fit(self, X, y=None):
        self.scale_ = np.linspace(1, 2, X.shape[1])
        return self

    def transform(self, X):
        return np.log(X) / self.scale_

    def inverse_transform(self, s):
        return np.exp(s * self.scale_)


class PowersTwin(InverseModule):
    def forward(self, s):
        return torch.exp(self.check(s) * torch.linspace(1, 2, 12, dtype=s.dtype))


class Composed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inverse, self.net = PowersTwin(12), mlp()

    def forward(self, s):
        return self.net(self.inverse(s))


@pytest.mark.parametrize("scorer", SCORERS)
def test_an_inverse_that_is_not_affine_is_a_part_of_the_network(scorer):
    X = np.random.default_rng(0).uniform(0.2, 2, (5, 12))
    powers = Powers().fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inverse_module.register(Powers)(lambda transformer, X=None: PowersTwin(12))
    found = explain(mlp(), X, scorer, transformer=powers)
    expected = explain(Composed().double(), powers.transform(X), scorer)
    # the residual is added, and relevance through a sum is stabilised by 1e-6
    relevance = scorer.startswith(("lrp", "deep"))
    rtol = 1e-4 if relevance else 1e-9
    np.testing.assert_allclose(found.values, expected.values, rtol=rtol, atol=1e-12)
    if scorer == "deeplift":
        np.testing.assert_allclose(found.completeness_error, 0, atol=1e-10)


def test_on_incomplete():
    net, X = seeded(Misdeclared), np.random.default_rng(0).standard_normal((5, 4))
    options = {"target": 0, "scorer": "deeplift"}
    with pytest.warns(QuadratureWarning, match=r"squared.*test_deeplift_guided\.py"):
        transform_importance(net, X, **options)
    with pytest.raises(IncompleteError, match=r"misses.*squared"):
        transform_importance(net, X, on_incomplete="raise", **options)
    trim = TransformImportance(net, scorer="deeplift", on_incomplete="ignore")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = trim.fit(X).explain(X).completeness_error
    assert np.abs(error).max() > 1e-3
    with pytest.raises(ValueError, match="on_incomplete='loudly'"):
        transform_importance(net, X, on_incomplete="loudly", **options)


def test_bad_parameters_raise():
    net, X = mlp(), np.ones((2, 12))
    with pytest.raises(ValueError, match="n_rows=0"):
        explain(net, X, DeepLift(n_rows=0))
    with pytest.raises(ValueError, match="background"):
        explain(net, X, DeepLift("rows"))


class Frequent(nn.Module):
    def forward(self, x):
        return x.mode(1, keepdim=True).values.expand(-1, 3)


def test_unsupported_operations_are_refused():
    with pytest.raises(UnsupportedOperationError, match="mode"):
        explain(Frequent(), np.ones((2, 12), "float32"), "deeplift")

    class Attentive(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(4, 1, 8, batch_first=True)

        def forward(self, x):
            return self.layer(x.unflatten(1, (3, 4))).mean(1)

    net, X = (
        seeded(Attentive).double(),
        np.random.default_rng(0).standard_normal((2, 12)),
    )
    assert np.isfinite(explain(net, X, LRPComposite()).values).all()
    found = explain(net, X, DeepLift(np.ones(12) * np.arange(12)))
    assert np.abs(found.completeness_error).max() < 1e-10


class Amplified(nn.Module):
    """Multiplies a difference that is 0 by a million."""

    def forward(self, x):
        return 1e6 * (x[:, :1] - x[:, 1:2]) + x[:, 2:].sum(1, keepdim=True)


def test_scores_that_dwarf_the_output_are_reported():
    X = np.ones((3, 12))
    with pytest.warns(CancellationWarning, match="sample 0, and nearly cancel"):
        explain(Amplified(), X, "deeplift", target=0, output="raw")
    # random signs cancel too, as far as such sums do
    large = np.random.default_rng(0).standard_normal((3, 5000))
    net = nn.Linear(5000, 2).double().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(net, large, "deeplift")
        trim = TransformImportance(
            Amplified(), scorer="deeplift", on_incomplete="ignore", output="raw"
        )
        trim.fit(X).explain(X)


def test_a_normalisation_at_the_zero_baseline_is_not_reported():
    def build():
        return nn.Sequential(
            *(
                layer
                for _ in range(6)
                for layer in (nn.LayerNorm(12), nn.Linear(12, 12))
            )
        )

    X = np.random.default_rng(0).standard_normal((4, 12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(seeded(build).double().eval(), X, "deeplift")
