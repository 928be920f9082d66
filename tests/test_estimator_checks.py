"""scikit-learn's own checks of the meta-estimator, with no expected failures."""

import warnings

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktrim import FourierTransformer, TransformImportance
from tests.nets import classifier, regressor


@pytest.fixture(autouse=True)
def _prepare(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Lazy modules are a new feature")
        yield


@parametrize_with_checks(
    [
        TransformImportance(classifier()),
        TransformImportance(regressor(), scorer="input_x_gradient"),
        TransformImportance(classifier(), FourierTransformer(), scorer="occlusion"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
