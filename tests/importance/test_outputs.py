"""Outputs of any shape: an index into them, or a function of them, is explained."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import TransformImportance, transform_importance
from sktrim.evaluation import faithfulness_report, randomisation_test
from sktrim.scorers import get_scorer_names


class Forecast(nn.Module):
    """Gives 4 steps of 3 series."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 12))

    def forward(self, x):
        return self.body(x).unflatten(1, (4, 3))


class Flat(nn.Module):
    """The same outputs in one row."""

    def __init__(self, net, pick):
        super().__init__()
        self.net, self.pick = net, pick

    def forward(self, x):
        return self.pick(self.net(x)).reshape(len(x), -1)


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(5, 6))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Forecast().double().eval()


def explain(net, X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trim = TransformImportance(net, random_state=0, output="raw", **options)
        return trim.fit(X).explain(X)


def agree(one, other):
    np.testing.assert_allclose(
        one.values.reshape(other.values.shape), other.values, atol=1e-12
    )
    np.testing.assert_allclose(one.predictions, other.predictions, atol=1e-12)


@pytest.mark.parametrize("scorer", get_scorer_names())
@pytest.mark.parametrize("target", [(2, 1), "function"])
def test_an_index_or_a_function_is_a_network_of_one_output(net, X, scorer, target):
    if target == "function":

        def target(out):
            return out[:, 3, 0] - out[:, :, 1].mean(1)

        flat = Flat(net, target)
    else:
        flat = Flat(net, lambda out: out[:, 2, 1])
    found = explain(net, X, scorer=scorer, target=target)
    agree(found, explain(flat, X, scorer=scorer, target=0))


@pytest.mark.parametrize("scorer", ["cd", "deeplift", "occlusion", "shapley"])
@pytest.mark.parametrize(
    ("target", "names"),
    [
        ((slice(None), 1), ["(0, 1)", "(1, 1)", "(2, 1)", "(3, 1)"]),
        ((-1, ...), ["(3, 0)", "(3, 1)", "(3, 2)"]),
        (1, ["(1, 0)", "(1, 1)", "(1, 2)"]),
        ("all", None),
    ],
)
def test_slices_are_explained_side_by_side(net, X, scorer, target, names):
    index = ... if target == "all" else target
    flat = Flat(net, lambda out: out[(slice(None), *np.atleast_1d(index))])
    if target == "all":
        flat = Flat(net, lambda out: out)
    elif isinstance(target, tuple):
        flat = Flat(net, lambda out: out[(slice(None), *target)])
    found = explain(net, X, scorer=scorer, target=target)
    agree(found, explain(flat, X, scorer=scorer, target="all"))
    assert names is None or found.target_names == names
    assert found.values.ndim == 3


def test_a_classifier_may_be_asked_by_a_function(X):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 3), nn.Softmax(1)).double()
    trim = TransformImportance(net, target=lambda out: out[:, 0].log()).fit(X)
    explanation = trim.explain(X)
    probability = net(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(explanation.explained, np.log(probability[:, 0]))
    np.testing.assert_allclose(trim.predict_proba(X), probability)
    np.testing.assert_array_equal(trim.predict(X), probability.argmax(1))
    assert trim.classes_.tolist() == [0, 1, 2]


def test_predictions_keep_their_shape_and_studies_go_on(net, X):
    trim = TransformImportance(net, target=(0, 2), random_state=0).fit(X)
    assert trim.predict(X).shape == (5, 4, 3)
    assert np.isfinite(trim.score(X))
    assert faithfulness_report(trim, X)
    assert randomisation_test(trim, X, n_draws=1).layers == ["body.2", "body.0"]
    row = transform_importance(net, X[0:1], target=(0, 2), random_state=0)
    np.testing.assert_allclose(row.values[0], trim.explain(X).values[0])


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("predicted", r"target='predicted' does not fit outputs of shape \(4, 3\)"),
        ((4, 0), r"an index into them, such as \(0, 0\)"),
        ((0, 0, 0), "does not fit"),
        ((0.5, 0), "does not fit"),
        (np.array([0, 1, 2, 0, 1]), "does not fit"),
        ((slice(2, 2), 0), "picks nothing"),
        (lambda out: out[:, 0], r"shape \(2, 3\) for outputs of shape \(2, 4, 3\)"),
        (lambda out: out.sum(), "returned Tensor"),
        (lambda out: out.detach().numpy(), "returned .*; expected a tensor of shape"),
    ],
)
def test_targets_that_do_not_fit_are_refused_at_fit(net, X, target, match):
    with pytest.raises(ValueError, match=match):
        TransformImportance(net, target=target).fit(X)


def test_a_rule_for_classes_is_none_for_other_outputs(net, X):
    with pytest.raises(ValueError, match="output='margin' reads a class off"):
        TransformImportance(net, target=(0, 0), output="margin").fit(X)


def test_more_outputs_than_can_lie_side_by_side_are_refused():
    net = nn.Sequential(nn.Linear(6, 9000), nn.Unflatten(1, (2, 4500))).double()
    X = np.ones((2, 6))
    target = (slice(None), slice(None))
    with pytest.raises(ValueError, match="picks 9000 outputs of every sample"):
        TransformImportance(net, target=target).fit(X)
