"""Several inputs: one is explained, the others are held for each sample."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sktrim import TransformImportance, layer_output, transform_importance
from sktrim.scorers import get_scorer_names

SCORERS = get_scorer_names()


class Two(nn.Module):
    """A series that is gated by a second input, and masked by a third."""

    def __init__(self):
        super().__init__()
        self.series, self.gate, self.head = (
            nn.Linear(6, 5),
            nn.Linear(3, 5),
            nn.Linear(5, 2),
        )

    def forward(self, series, gate, mask):
        hidden = self.series(series * mask).relu() * self.gate(gate).sigmoid()
        return self.head(hidden + gate.mean(1, keepdim=True))


class Alone(nn.Module):
    """The same network for one sample."""

    def __init__(self, net, gate, mask):
        super().__init__()
        self.net, self.gate, self.mask = net, torch.tensor(gate), torch.tensor(mask)

    def forward(self, series):
        n = len(series)
        return self.net(series, self.gate.expand(n, -1), self.mask.expand(n, -1))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Two().double().eval()


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return {
        "series": rng.normal(size=(5, 6)),
        "gate": rng.normal(size=(5, 3)),
        "mask": rng.integers(0, 2, (5, 6)),
    }


def explain(net, X, **options):
    options = {"random_state": 0, "target": 1, "output": "logit"} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TransformImportance(net, **options).fit(X).explain(X)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("named", [True, False])
def test_each_sample_is_explained_with_what_is_its_own(net, X, scorer, named):
    given = X if named else tuple(X.values())
    context = ["mask", "gate"] if named else (1, 2)
    found = explain(net, given, scorer=scorer, context=context)
    assert found.values.shape == (5, 6)
    expected = net(*map(torch.tensor, X.values())).detach().numpy()
    np.testing.assert_allclose(found.predictions, expected, atol=1e-12)
    drawn = scorer in ("lime", "smoothgrad", "gradient_shap", "expected_gradients")
    for i in range(1 if drawn else 5):
        alone = transform_importance(
            Alone(net, X["gate"][i], X["mask"][i]),
            X["series"][[i]],
            scorer=scorer,
            background=X["series"],
            target=1,
            output="logit",
            random_state=0,
        )
        np.testing.assert_allclose(found.values[i], alone.values[0], atol=1e-10)


def test_the_function_takes_several_inputs_and_a_background_of_them(net, X):
    options = {"scorer": "expected_gradients", "target": 0, "random_state": 0}
    context = ["gate", "mask"]
    found = transform_importance(net, X, context=context, background=X, **options)
    trim = TransformImportance(net, context=context, **options).fit(X)
    np.testing.assert_allclose(found.values, trim.explain(X).values, atol=1e-12)
    np.testing.assert_array_equal(trim.predict(X), found.predictions.argmax(1))


def test_a_layer_takes_them_all(net, X):
    inside = explain(net, X, layer="series")
    again = explain(net, X, layer="series", context=["gate", "mask"])
    np.testing.assert_allclose(inside.values, again.values)
    values = layer_output(net, X, "series")
    assert values.shape == (5, 5)

    class Rest(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, value, gate):
            hidden = value.relu() * net.gate(gate).sigmoid()
            return net.head(hidden + gate.mean(1, keepdim=True))

    rest = explain(Rest().double().eval(), (values, X["gate"]), context=1)
    np.testing.assert_allclose(inside.values, rest.values, atol=1e-12)


class Nets(Two):
    def forward(self, series, gate, mask):
        return super().forward(series, gate, mask.to(series.dtype))


@pytest.mark.parametrize("kind", [NeuralNetClassifier, NeuralNetRegressor])
def test_skorch_nets_take_dicts(X, kind):
    X = {k: v.astype("float32") if v.dtype.kind == "f" else v for k, v in X.items()}
    classifier = kind is NeuralNetClassifier
    options = {"criterion": nn.CrossEntropyLoss} if classifier else {}
    net = kind(Nets, max_epochs=2, train_split=None, verbose=0, **options)
    y = np.arange(5) % 2
    y = y if classifier else np.stack([y, 1 - y], 1).astype("float32")
    trim = TransformImportance(net, context=["gate", "mask"], target=0).fit(X, y)
    explanation = trim.explain(X)
    assert explanation.values.shape == (5, 6)
    fitted = TransformImportance(trim.estimator_, context=["gate", "mask"], target=0)
    np.testing.assert_allclose(
        fitted.fit(X).explain(X).values, explanation.values, rtol=1e-5
    )
    np.testing.assert_allclose(
        trim.predict(X), trim.estimator_.predict(X), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("given", "context", "error", "match"),
    [
        (lambda X: X, None, TypeError, "Say with context= which of them are held"),
        (lambda X: X, "gate", ValueError, "expected all of them but the one"),
        (lambda X: X, ["gate", "none"], ValueError, "'none'.* of the inputs"),
        (lambda X: X["series"], "gate", TypeError, "X is a ndarray; expected a dict"),
        (
            lambda X: X | {"gate": X["gate"][:4]},
            ["gate", "mask"],
            ValueError,
            r"'gate' has shape \(4, 3\) for 5 samples",
        ),
        (
            lambda X: X | {"gate": X["gate"] * np.nan},
            ["gate", "mask"],
            ValueError,
            "'gate' holds NaN",
        ),
        (
            lambda X: X | {"gate": np.array(list("abcde"))},
            ["gate", "mask"],
            ValueError,
            "'gate' has dtype",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(net, X, given, context, error, match):
    with pytest.raises(error, match=match):
        TransformImportance(net, context=context).fit(given(X))


def test_predictors_without_torch_take_one_input(X):
    forest = RandomForestRegressor(3).fit(X["series"], X["gate"][:, 0])
    given = {"a": X["series"], "b": X["gate"]}
    with pytest.raises(TypeError, match="RandomForestRegressor cannot take"):
        TransformImportance(forest, scorer="occlusion", context="b").fit(given)
