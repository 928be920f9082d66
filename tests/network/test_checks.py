"""What is explained is what the estimator predicts, row by row, or `fit` refuses."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import (
    NeuralNet,
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from skorch.dataset import Dataset
from torch import nn

from sktrim import TransformImportance, transform_importance
from tests.nets import mlp

X = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def module(n_out=2, *more):
    return nn.Sequential(mlp(6, n_out=n_out, dtype=torch.float32), *more)


def logits(net, rows=X):
    return net(torch.as_tensor(rows)).detach().numpy()


class Normalised(Dataset):
    def transform(self, X, y):
        return super().transform((X - 3) / 5, y)


class Scaling(NeuralNetClassifier):
    def infer(self, x, **options):
        return super().infer(x * 7, **options)


class Relabelling(NeuralNetClassifier):
    def predict(self, X):
        return 1 - super().predict(X)


def halved(x):
    return (x / 2).softmax(-1)


def cross_entropy(kind=NeuralNetClassifier, net=None, **options):
    options = {"criterion": nn.CrossEntropyLoss, "classes": [0, 1], **options}
    return kind(net or module(), **options).initialize()


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (cross_entropy(dataset=Normalised), "dataset=Normalised changes X"),
        (cross_entropy(Scaling), r"Scaling\.infer is overridden"),
        (cross_entropy(predict_nonlinearity=halved), "predict_nonlinearity="),
        (cross_entropy(net=module(2, nn.Softmax(1))), "ends in a softmax and"),
        (cross_entropy(Relabelling), "predict of Relabelling gives the label"),
        (
            NeuralNetRegressor(module(1), dataset=Normalised).initialize(),
            "dataset=Normalised changes X",
        ),
        (
            make_pipeline(StandardScaler().fit(X), cross_entropy(dataset=Normalised)),
            "dataset=Normalised changes X",
        ),
    ],
)
def test_estimators_that_do_not_predict_what_their_network_gives(net, message):
    with pytest.raises(ValueError, match=message):
        TransformImportance(net, scorer="gradient").fit(X)
    with pytest.raises(ValueError, match=message):
        transform_importance(net, X, scorer="gradient")


class SameInfer(NeuralNetClassifier):
    def infer(self, x, **options):
        return super().infer(x + 0, **options)


@pytest.mark.parametrize(
    "net",
    [
        cross_entropy(),
        cross_entropy(SameInfer),
        cross_entropy(predict_nonlinearity=None),
        NeuralNetClassifier(module(2, nn.Softmax(1)), classes=[0, 1]).initialize(),
        NeuralNetClassifier(module(2, nn.LogSoftmax(1)), classes=[0, 1]).initialize(),
        NeuralNet(module(), criterion=nn.CrossEntropyLoss).initialize(),
        NeuralNetBinaryClassifier(module(1)).initialize(),
        NeuralNetBinaryClassifier(
            module(1, nn.Sigmoid()), criterion=nn.BCELoss
        ).initialize(),
        make_pipeline(StandardScaler().fit(X), PCA(6).fit(X), cross_entropy()),
    ],
)
def test_estimators_that_do(net):
    trim = TransformImportance(net, scorer="gradient").fit(X)
    assert np.isfinite(trim.explain(X).values).all()
    if hasattr(net, "classes"):
        np.testing.assert_array_equal(trim.predict(X), net.predict(X))


def test_fitting_leaves_flags_and_generators_alone():
    net = cross_entropy()
    net.module_.train()
    net.module_[0][0].eval()
    before = [m.training for m in net.module_.modules()]
    torch.manual_seed(3)
    TransformImportance(net, scorer="gradient").fit(X)
    assert [m.training for m in net.module_.modules()] == before
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.rows = module(), []

    def forward(self, x):
        if isinstance(x, torch.Tensor):
            self.rows.append(len(x))
        return self.net(x)


def test_the_guards_of_fit_cost_three_small_passes():
    net = cross_entropy(net=Counting())
    trim = TransformImportance(net, scorer="gradient")
    trim.fit(X)
    inspection = 2
    assert len(net.module_.rows) <= inspection + 3
    assert max(net.module_.rows) <= 2


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_the_threshold_of_a_binary_net_is_its_own(threshold):
    net = NeuralNetBinaryClassifier(module(1), threshold=threshold).initialize()
    trim = TransformImportance(net, scorer="gradient").fit(X)
    expected = net.predict(X)
    np.testing.assert_array_equal(trim.predict(X), expected)
    np.testing.assert_array_equal(trim.explain(X).targets, expected)
    np.testing.assert_allclose(trim.predict_proba(X), net.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("threshold", [0.1, 0.9])
@pytest.mark.parametrize("labels", [Y, np.where(Y, "yes", "no")])
def test_the_threshold_of_a_wrapped_classifier_is_its_own(threshold, labels):
    rules = FixedThresholdClassifier(
        LogisticRegression(),
        threshold=threshold,
        pos_label=labels[Y == 1][0],
        response_method="predict_proba",
    ).fit(X, labels)
    expected = rules.predict(X)
    for model in (rules, make_pipeline(StandardScaler(), clone(rules)).fit(X, labels)):
        expected = model.predict(X)
        trim = TransformImportance(model, scorer="occlusion").fit(X)
        np.testing.assert_array_equal(trim.predict(X), expected)
        assert trim.explain(X).target_names == [str(label) for label in expected]
        for rows, _, target, _ in trim.composed_models(X):
            columns = target.weights.argmax(-1).numpy()
            found = trim.classes_[columns[:, 0]]
            np.testing.assert_array_equal(found, expected[rows])


def multi_label(kind, net):
    return kind(net, criterion=nn.BCEWithLogitsLoss).initialize()


@pytest.mark.parametrize("kind", [NeuralNet, NeuralNetClassifier])
@pytest.mark.parametrize("target", [0, 2])
def test_labels_that_do_not_exclude_each_other_have_logits_of_their_own(kind, target):
    net = multi_label(kind, module(3))
    trim = TransformImportance(net, scorer="cd", target=target).fit(X)
    expected = logits(net.module_)
    np.testing.assert_allclose(
        trim.explain(X).explained, expected[:, target], atol=1e-5
    )
    if kind is NeuralNetClassifier:
        shares = trim.set_params(output="probability").fit(X)
        sigmoid = 1 / (1 + np.exp(-expected))
        np.testing.assert_allclose(shares.predict_proba(X), sigmoid, atol=1e-5)
        np.testing.assert_allclose(
            shares.explain(X).explained, sigmoid[:, target], atol=1e-5
        )


def test_probabilities_of_several_sigmoids_are_those_of_the_network():
    net = module(3, nn.Sigmoid())
    trim = TransformImportance(net, scorer="gradient", target=1).fit(X)
    np.testing.assert_allclose(trim.predict_proba(X), logits(net), atol=1e-6)


def test_labels_are_those_that_the_estimator_predicts():
    net = cross_entropy(classes=["cat", "dog"])
    trim = TransformImportance(net, scorer="gradient", target="true").fit(X)
    labels = net.predict(X)
    np.testing.assert_array_equal(trim.predict(X), labels)
    np.testing.assert_array_equal(trim.explain(X, labels).targets, labels)

    class Named(NeuralNetClassifier):
        def predict(self, X):
            return np.asarray(self.classes)[super().predict(X)]

    net = cross_entropy(Named, classes=["cat", "dog"])
    trim = TransformImportance(net, scorer="gradient").fit(X)
    np.testing.assert_array_equal(trim.predict(X), net.predict(X))


FRAME = pd.DataFrame(X.astype(float), columns=list("abcdef"))


@pytest.mark.parametrize("other", [FRAME[list("fedcba")], FRAME.add_prefix("x")])
def test_columns_in_another_order_are_refused(other):
    line = LinearRegression().fit(FRAME, Y)
    pca = PCA(3).fit(FRAME)
    options = {"scorer": "occlusion"}
    for model in (line, make_pipeline(StandardScaler(), clone(line)).fit(FRAME, Y)):
        for estimator in (model, FrozenEstimator(model)):
            with pytest.raises(ValueError, match=r"fitted on|feature names"):
                TransformImportance(estimator, **options).fit(other)
            with pytest.raises(ValueError, match=r"fitted on|feature names"):
                transform_importance(estimator, other, **options)
    with pytest.raises(ValueError, match="PCA was fitted on a, b, c"):
        transform_importance(module(), other.astype("f4"), transformer=pca, scorer="cd")
    with pytest.raises(ValueError, match="background has other columns"):
        transform_importance(module(), FRAME, background=other, **options)
    trim = TransformImportance(module(), **options).fit(FRAME)
    with pytest.raises(ValueError, match="feature names"):
        trim.explain(other)


class Depending(nn.Module):
    """A network whose rows see each other, or chance."""

    def __init__(self, before):
        super().__init__()
        self.net = module()
        self.before = before() if before is Keeping else before

    def forward(self, x):
        return self.net(self.before(x))


class Keeping(nn.Module):
    """Adds what it was given before."""

    last = 0.0

    def forward(self, x):
        out = x + self.last
        self.last = float(x.sum())
        return out


ALONE = "for a row among others and .* for the row alone"


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (lambda x: x - x.mean(0), ALONE),
        (nn.BatchNorm1d(6, track_running_stats=False), "more than 1 value per"),
        (lambda x: x.softmax(0), ALONE),
        (lambda x: x.cumsum(0), ALONE),
        (lambda x: x / x.norm(), ALONE),
        (nn.functional.dropout, "draws random numbers"),
        (lambda x: nn.functional.dropout(x, 0.01), "draws random numbers"),
        (lambda x: x + torch.randn_like(x), "draws random numbers"),
        (Keeping, "among the same rows again"),
        (lambda x: x + np.random.rand(), "among the same rows again"),  # noqa: NPY002
        (lambda x: x.squeeze().unflatten(1, (2, 3)).flatten(1), "out of range|alone"),
    ],
)
@pytest.mark.parametrize("rows", [slice(None), slice(1), [0, 0, 0]])
def test_rows_that_depend_on_each_other_or_on_chance(before, message, rows):
    if before is Keeping and len(X[rows]) == 1:
        message = f"{message}|{ALONE}"
    net = Depending(before).eval()
    state = torch.get_rng_state()
    for explain in (
        lambda: TransformImportance(net, scorer="gradient").fit(X[rows]),
        lambda: transform_importance(net, X[rows], scorer="gradient"),
    ):
        with pytest.raises(ValueError, match=message):
            explain()
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_of_integers_and_of_constants_pass():
    class Embedding(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.table(x.long()).mean(1))

    tokens = np.arange(6, dtype=np.float32)[None] % 9
    trim = TransformImportance(Embedding().eval(), scorer="occlusion")
    assert trim.fit(tokens).predict(tokens).shape == (1,)
    flat = np.ones((3, 6), np.float32)
    assert TransformImportance(module()).fit(flat).predict(flat).shape == (3,)


@pytest.mark.parametrize(
    "scorer", ["cd", "gradient", "integrated_gradients", "deeplift", "occlusion"]
)
@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("ending", [nn.Sigmoid(), nn.Softmax(1), nn.LogSoftmax(1)])
def test_raw_is_the_output_as_it_is(scorer, n_out, ending):
    if n_out == 1 and not isinstance(ending, nn.Sigmoid):
        return
    net = nn.Sequential(mlp(6, n_out=n_out), ending).eval()
    rows = X[:5].astype(float)
    shares = net(torch.as_tensor(rows)).detach().numpy()
    found = transform_importance(net, rows, scorer=scorer, output="raw", target=0)
    np.testing.assert_allclose(found.explained, shares[:, 0])
    np.testing.assert_allclose(found.predictions, shares)
    trim = TransformImportance(net, scorer=scorer, output="raw", target=0).fit(rows)
    given = TransformImportance(net, scorer="gradient", target=0).fit(rows)
    np.testing.assert_array_equal(trim.predict(rows), given.predict(rows))
    np.testing.assert_allclose(trim.predict_proba(rows), given.predict_proba(rows))
    if scorer == "deeplift":
        np.testing.assert_allclose(found.completeness_error, 0, atol=1e-9)


@pytest.mark.parametrize("scorer", ["cd", "gradient", "deeplift"])
def test_a_regressor_that_ends_in_a_sigmoid_gives_its_value(scorer):
    net = NeuralNetRegressor(module(1, nn.Sigmoid())).initialize()
    trim = TransformImportance(net, scorer=scorer).fit(X)
    expected = net.predict(X)[:, 0]
    np.testing.assert_allclose(trim.predict(X), expected, atol=1e-6)
    np.testing.assert_allclose(trim.explain(X).explained, expected, atol=1e-6)


@pytest.mark.parametrize("wrap", [lambda p: p, FrozenEstimator])
def test_a_pipeline_may_end_in_a_bare_module(wrap):
    X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)).eval()
    scaler = StandardScaler().fit(X)
    pipeline = Pipeline([("scale", scaler), ("net", net)])
    found = TransformImportance(wrap(pipeline)).fit(X).explain(X)
    scaled = torch.as_tensor(scaler.transform(X))
    np.testing.assert_allclose(found.predictions, net(scaled).detach(), rtol=1e-5)
