"""Bad input: a clear error before any work starts."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import NMF, PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC
from torch import nn

import sktrim
from sktrim import (
    FourierTransformer,
    TransformImportance,
    inverse_module,
    transform_importance,
)
from tests.nets import classifier, mlp, regressor, small_conv

X = np.random.default_rng(0).standard_normal((8, 12))


class Counting(nn.Module):
    """Counts its calls, to see that no work was done."""

    def __init__(self):
        super().__init__()
        self.net, self.calls = mlp(), 0

    def forward(self, x):
        self.calls += 1
        return self.net(x)


def changed(value):
    bad = X.copy()
    bad[3, 4] = value
    return bad


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (changed(np.nan), "NaN"),
        (changed(np.inf), "infinity"),
        (X[:, :5], "5 features"),
        (X[:0], "0 sample"),
        (X + 1j, "Complex data"),
    ],
)
def test_signals(bad, message):
    net = Counting()
    trim = TransformImportance(net, FourierTransformer()).fit(X)
    calls = net.calls
    with pytest.raises(ValueError, match=message):
        trim.explain(bad)
    assert net.calls == calls
    if "features" not in message:
        with pytest.raises(ValueError, match=message):
            TransformImportance(net).fit(bad)
        assert net.calls == calls


def test_a_layout_that_the_network_cannot_eat():
    with pytest.raises(ValueError, match="The network failed on a signal of shape"):
        TransformImportance(small_conv()).fit(X)


@pytest.mark.parametrize("shape", [(4, 3), (12,), (1, 12), (3, 3)])
def test_signals_laid_out_otherwise_than_in_fit(shape):
    signals = np.random.default_rng(0).standard_normal((8, 3, 4))
    net = nn.Sequential(nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(6, 2))
    trim = TransformImportance(net.double(), PCA(2)).fit(signals)
    with pytest.raises(ValueError, match=r"fit saw signals of shape \(3, 4\)"):
        trim.explain(np.ones((2, *shape)))
    with pytest.raises(ValueError, match="fit saw signals of shape"):
        trim.explain(np.ones((2, 3, 5)).tolist())


def test_a_scorer_that_returns_no_tensor():
    class Flat(sktrim.Scorer):
        def attribute(self, model, s, groups, target):
            return np.zeros((len(s), len(groups), target.n_targets))

    with pytest.raises(TypeError, match="returned a ndarray; expected a torch tensor"):
        transform_importance(mlp(), X, scorer=Flat())


def test_a_signal_shape_that_does_not_fit():
    with pytest.raises(ValueError, match=r"signal_shape=\(5, 5\) has 25 values"):
        TransformImportance(mlp(), FourierTransformer(signal_shape=(5, 5))).fit(X)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.eye(5), "12"),
        (np.full((2, 12), 1.5), r"\[0, 1\]"),
        (np.full((2, 12), np.nan), r"\[0, 1\]"),
        (np.zeros(12), "integer"),
        ("bands", "groups='bands'"),
        ({"a": [40]}, "12 coefficients"),
        ({}, "empty"),
    ],
)
def test_groups(groups, message):
    with pytest.raises(ValueError, match=message):
        TransformImportance(mlp(), groups=groups).fit(X)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, "out of range"),
        (("label", "cat"), "does not know"),
        ("best", "expected 'predicted'"),
        ((0, 3), "out of range"),
        (1.5, "expected 'predicted'"),
    ],
)
def test_targets_fail_in_fit(target, message):
    with pytest.raises(ValueError, match=message):
        TransformImportance(mlp(), target=target).fit(X)


@pytest.mark.parametrize("target", ["true", np.array([0, 9]), np.arange(3)])
def test_targets_fail_before_the_network_is_run(target, monkeypatch):
    trim = TransformImportance(mlp(), target=target).fit(X)
    monkeypatch.setattr(trim.network_, "forward", None)
    with pytest.raises(ValueError, match=r"pass y|out of range|target has 3 entries"):
        trim.explain(X[:2])


def test_the_true_class_needs_y():
    trim = TransformImportance(mlp(), target="true").fit(X)
    with pytest.raises(ValueError, match="pass y"):
        trim.explain(X)
    assert len(trim.explain(X, np.zeros(8, dtype=int))) == 8
    with pytest.raises(ValueError, match="7 labels for 8 samples"):
        trim.explain(X, np.zeros(7, dtype=int))
    for bad in (np.eye(8, 3), np.zeros((8, 1)), 1):
        with pytest.raises(ValueError, match=r"expected one label per sample, \(8,\)"):
            trim.explain(X, bad)


@pytest.mark.parametrize("target", ["true", ("label", 1)])
def test_a_regressor_with_a_class_target(target):
    net = regressor(max_epochs=1)
    y = X[:, 0]
    with pytest.raises(ValueError, match="needs a classifier"):
        TransformImportance(net, target=target).fit(X, y)


def test_a_regressor_with_a_class_output():
    with pytest.raises(ValueError, match="needs a classifier"):
        TransformImportance(regressor(max_epochs=1), output="margin").fit(X, X[:, 0])


def test_an_unfitted_frozen_net():
    with pytest.raises(NotFittedError, match="not fitted"):
        TransformImportance(FrozenEstimator(classifier())).fit(X)


def test_an_unfitted_net_needs_y():
    with pytest.raises(ValueError, match="y"):
        TransformImportance(classifier()).fit(X)


def test_mixed_dtypes():
    net = mlp()
    net[0].float()
    with pytest.raises(ValueError, match=r"mixed dtypes: .*float32.*float64"):
        TransformImportance(net).fit(X)


def test_mixed_devices():
    net = mlp()
    net[0].to("meta")
    with pytest.raises(ValueError, match="mixed devices"):
        TransformImportance(net).fit(X)


@pytest.mark.parametrize("scorer", ["cd", "gradient", "integrated_gradients"])
def test_gradients_of_what_has_none(scorer):
    fitted = LogisticRegression().fit(X, np.arange(8) % 2)
    for estimator in (fitted, LogisticRegression(), make_pipeline(PCA(2), fitted)):
        with pytest.raises(TypeError, match=r"gradient.*'occlusion', 'shapley'"):
            TransformImportance(estimator, scorer=scorer).fit(X)
    with pytest.raises(TypeError, match=r"torch\.nn\.Module nor a skorch"):
        transform_importance(fitted, X, scorer=scorer)


def test_estimators_that_predict_nothing():
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, a skorch net"):
        transform_importance(PCA(2).fit(X), X, scorer="occlusion")
    machine = LinearSVC().fit(X, np.arange(8) % 2)
    with pytest.raises(TypeError, match="CalibratedClassifierCV"):
        transform_importance(machine, X, scorer="occlusion")
    with pytest.raises(NotFittedError):
        transform_importance(LogisticRegression(), X, scorer="occlusion")


@pytest.mark.parametrize("output", ["margin", "logit"])
def test_logits_of_what_gives_probabilities(output):
    fitted = LogisticRegression().fit(X, np.arange(8) % 2)
    with pytest.raises(ValueError, match="probabilities alone"):
        transform_importance(fitted, X, scorer="occlusion", output=output)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scorer": "ig"}, ValueError, "expected one of"),
        ({"scorer": object()}, TypeError, "attribute"),
        ({"scorer": sktrim.Scorer}, TypeError, "attribute"),
        ({"residual": "ignore"}, ValueError, "residual"),
        ({"output": "logits"}, ValueError, "output"),
        ({"n_background": 0}, ValueError, "n_background"),
    ],
)
def test_parameters(options, error, message):
    with pytest.raises(error, match=message):
        TransformImportance(mlp(), **options).fit(X)
    with pytest.raises(error, match=message):
        transform_importance(mlp(), X, background=X, **options)


def test_negative_input_to_nmf_raises_its_own_error():
    with pytest.raises(ValueError, match="Negative values in data"):
        TransformImportance(mlp(), NMF(2)).fit(X)
    lda = sktrim.LatentDirichletAllocation(2)
    with pytest.raises(ValueError, match="Negative values in data"):
        TransformImportance(mlp(), lda).fit(X)


@pytest.mark.parametrize("transformer", ["fourier", PCA, "passthrough", mlp()])
def test_what_is_no_transformer(transformer):
    with pytest.raises(TypeError, match=r"(?s)transformer=.*instance of a transformer"):
        TransformImportance(mlp(), transformer).fit(X)
    with pytest.raises(TypeError, match="instance"):
        transform_importance(mlp(), X, transformer=transformer)


@pytest.mark.parametrize("scorer", ["cd", "occlusion"])
@pytest.mark.parametrize("estimator", [None, abs, nn.Linear, LinearSVC, PCA(2)])
def test_what_is_no_network(estimator, scorer):
    with pytest.raises(TypeError, match=r"estimator is .*; expected a torch\.nn"):
        TransformImportance(estimator, scorer=scorer).fit(X)
    with pytest.raises(TypeError, match=r"estimator is .*; expected a torch\.nn"):
        transform_importance(estimator, X, scorer=scorer)


def test_an_unfitted_transformer_in_the_function():
    with pytest.raises(NotFittedError):
        transform_importance(mlp(), X, transformer=PCA(2))


def test_a_transformer_without_an_inverse():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    lda = LinearDiscriminantAnalysis().fit(X, np.arange(8) % 3)
    for scorer in ("cd", "occlusion"):
        with pytest.raises((ValueError, TypeError), match="inverse_transform"):
            transform_importance(mlp(), X, transformer=lda, scorer=scorer)


class Halved(FunctionTransformer):
    pass


@pytest.mark.parametrize("scorer", ["input_x_gradient", "shapley"])
def test_an_inverse_registered_as_a_plain_module(scorer):
    inverse_module.register(Halved)(lambda transformer, *, X=None: nn.Identity())
    with pytest.raises(TypeError, match=r"Identity for Halved.*InverseModule"):
        transform_importance(mlp(), X, transformer=Halved().fit(X), scorer=scorer)


def test_outputs_that_look_like_probabilities():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            e = self.net(x).exp()
            return e / e.sum(1, keepdim=True)

    net = Hidden().eval()
    for output in ("auto", "margin", "logit"):
        with pytest.raises(ValueError, match='output="probability"'):
            TransformImportance(net, output=output).fit(X)
    trim = TransformImportance(net, scorer="gradient", output="probability").fit(X)
    shares = net(torch.as_tensor(X)).detach().numpy()
    explained = trim.explain(X).explained
    np.testing.assert_allclose(explained, shares.max(axis=1))
    np.testing.assert_allclose(trim.predict_proba(X), shares)


@pytest.mark.parametrize("ending", [nn.Softmax(1), nn.LogSoftmax(1)])
def test_one_class_alone(ending):
    with pytest.raises(ValueError, match="one class alone"):
        TransformImportance(nn.Sequential(mlp(n_out=1), ending)).fit(X)
    fitted = RandomForestClassifier(2).fit(X, np.zeros(8))
    with pytest.raises(ValueError, match="one class alone"):
        TransformImportance(fitted, scorer="occlusion").fit(X)


def test_networks_that_diverged():
    net = mlp()
    with torch.no_grad():
        net[0].weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        transform_importance(net, X)


def test_gradients_that_are_not_finite():
    class Root(nn.Module):
        def forward(self, x):
            return x.clamp(min=0).sqrt().sum(1, keepdim=True)

    with pytest.raises(ValueError, match="NaN or infinite scores"):
        transform_importance(Root(), np.zeros((2, 3)), scorer="gradient")


def test_explain_before_fit():
    with pytest.raises(NotFittedError):
        TransformImportance(mlp()).explain(X)
