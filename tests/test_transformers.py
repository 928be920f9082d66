"""Transformers that need some care: pipelines of them, no names, odd shapes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA, SparsePCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sktrim import FourierTransformer, TransformImportance, transform_importance
from tests.nets import mlp


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((40, 16))


@pytest.fixture
def net():
    return mlp(16)


def test_components_of_a_pipeline_are_laid_out_as_the_signal(X, net):
    space = make_pipeline(PCA(6), FourierTransformer()).fit(X)
    explanation = transform_importance(net, X[:3], transformer=space)
    assert explanation.signal_shape == (16,)
    parts = sum(explanation.component([0, 2], name) for name in explanation.group_names)
    zero, s = np.zeros((1, 6)), space.transform(X[[0, 2]])
    whole = space.inverse_transform(s) - space.inverse_transform(zero)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_a_pipeline_without_names_has_coefficients(X, net):
    halved = FunctionTransformer(lambda x: x / 2, lambda x: x * 2)
    space = make_pipeline(halved, PCA(2)).fit(X)
    explanation = transform_importance(net, X[:3], transformer=space)
    assert explanation.group_names == ["coefficient0", "coefficient1"]
    named = pd.DataFrame(X).rename(columns=str)
    assert TransformImportance(net, space).fit(named).groups_.names[1] == "coefficient1"


@pytest.mark.parametrize("n_samples", [1, 3])
def test_a_transformer_that_gives_a_vector_for_one_row(n_samples, X, net):
    space = SparsePCA(2, max_iter=3, random_state=0).fit(X)
    found = transform_importance(net, X[:n_samples], transformer=space, scorer="cd")
    three = transform_importance(net, X[:3], transformer=space, scorer="cd")
    np.testing.assert_allclose(found.values, three.values[:n_samples], atol=1e-5)


@pytest.mark.filterwarnings("ignore:invalid value encountered in log1p")
def test_coefficients_that_are_not_finite_are_named(X, net):
    X = np.abs(X[:5])
    space = FunctionTransformer(np.log1p, np.expm1).fit(X)
    X[3, 2] = -2
    with pytest.raises(ValueError, match=r"FunctionTransformer gives NaN.* sample 3"):
        transform_importance(net, X, transformer=space, scorer="occlusion")
