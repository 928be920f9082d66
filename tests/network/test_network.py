"""Whatever a user hands over becomes one module with its labels and its dtype."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sktrim import TransformImportance, transform_importance
from sktrim._memory import ByteCounter
from sktrim.scorers import IntegratedGradients
from tests.nets import classifier, mlp


def test_columns_of_a_net_that_saw_some_labels_only_are_the_labels():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 6)).astype(np.float32)
    y = np.where(X[:, 0] > 0, 3, 1)
    net = NeuralNetClassifier(
        mlp(6, n_out=5, dtype=torch.float32),
        criterion=nn.CrossEntropyLoss,
        max_epochs=1,
        train_split=None,
        verbose=0,
    ).fit(X, y)
    trim = TransformImportance(FrozenEstimator(net), target="true").fit(X)
    explanation = trim.explain(X, y)
    np.testing.assert_array_equal(explanation.targets, y)
    assert explanation.target_names == [str(label) for label in y]
    np.testing.assert_array_equal(trim.predict(X), net.predict(X))
    assert trim.classes_.tolist() == [0, 1, 2, 3, 4]


def test_labels_that_are_no_columns_are_kept_where_the_net_is_fitted_here():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 6)).astype(np.float32)
    y = np.where(X[:, 0] > 0, 30, 10)
    trim = TransformImportance(classifier(), target=("label", 30)).fit(X, y)
    assert trim.classes_.tolist() == [10, 30]
    assert (trim.explain(X).targets == 1).all()


def test_read_only_frames_are_fitted_without_a_warning():
    X = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    X.flags.writeable = False
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The given NumPy array is not writ")
        TransformImportance(classifier()).fit(pd.DataFrame(X), np.arange(20) % 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scorer", ["cd", "gradient", "occlusion"])
def test_networks_in_half_precision(dtype, scorer):
    X = np.random.default_rng(0).standard_normal((5, 6))
    net = nn.Linear(6, 2)
    expected = transform_importance(net, X, scorer=scorer).values
    found = transform_importance(copy.deepcopy(net).to(dtype), X, scorer=scorer)
    np.testing.assert_allclose(found.values, expected, atol=0.05)


def test_views_take_no_memory():
    with ByteCounter() as counter:
        torch.zeros(10).view(2, 5).t()
    assert counter.total == 40


def backwards(X):
    return X[:, ::-1]


def cubed(X):
    return X**3


def rooted(X):
    return np.cbrt(X)[:, ::-1][:, ::-1]


@pytest.mark.parametrize(
    ("transformer", "scorer"),
    [
        (None, "cd"),
        (None, IntegratedGradients(baseline=np.arange(6.0)[::-1])),
        (FunctionTransformer(backwards, backwards), "expected_gradients"),
        (FunctionTransformer(cubed, rooted), "occlusion"),
    ],
)
def test_views_that_run_backwards_are_explained_like_copies(transformer, scorer):
    X = np.random.default_rng(0).standard_normal((5, 6))
    options = {"scorer": scorer, "random_state": 0, "on_incomplete": "ignore"}
    trim = TransformImportance(mlp(6), transformer, **options)
    view = X[::-1, ::-1]
    expected = trim.fit(view.copy()).explain(view.copy()).values
    np.testing.assert_array_equal(trim.fit(view).explain(view).values, expected)
    assert trim.score(view) == trim.score(view.copy())


def test_a_module_of_several_outputs_is_made_a_regressor_by_skorch():
    X = np.random.default_rng(0).standard_normal((7, 6)).astype(np.float32)
    module = mlp(6, n_out=2, dtype=torch.float32)
    outputs = module(torch.as_tensor(X)).detach().numpy()
    classifier = TransformImportance(module, target=0).fit(X)
    margin = outputs[:, 0] - outputs[:, 1]
    np.testing.assert_allclose(classifier.explain(X).explained, margin)
    net = NeuralNetRegressor(module).initialize()
    trim = TransformImportance(net, target=0).fit(X)
    np.testing.assert_allclose(trim.explain(X).explained, outputs[:, 0])
    np.testing.assert_allclose(trim.predict(X), outputs)
    with pytest.raises(ValueError, match="target= is required"):
        TransformImportance(net).fit(X)


class Viewed(nn.Module):
    """Lays its features out by a view, which takes one order of axes alone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, x):
        return self.conv(x).view(len(x), -1)[:, :2]


@pytest.mark.parametrize("scorer", ["cd", "occlusion", "integrated_gradients"])
def test_an_image_with_new_axes_is_laid_out_as_any_other(scorer):
    image = np.random.default_rng(0).normal(size=(8, 8))
    net = Viewed().double().eval()
    trim = TransformImportance(net, scorer=scorer, target=0)
    found = trim.fit(image[None, None]).explain(image[None, None])
    same = trim.explain(image.reshape(1, 1, 8, 8).copy())
    np.testing.assert_allclose(found.values, same.values)
    assert trim.explain_sets(image[None, None], np.ones((1, 64))).shape == (1, 1)
