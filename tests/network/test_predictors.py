"""Predictors without torch: forests, pipelines and regressors in any space."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from sktrim import FourierTransformer, TransformImportance, transform_importance
from sktrim.scorers import KernelShap, Lime, Shapley

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 8))
Y = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
SCORERS = ["occlusion", "shapley", KernelShap(), Lime(n_selected=3)]


@pytest.fixture(scope="module")
def forest():
    return RandomForestClassifier(10, random_state=0).fit(X, Y)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("transformer", [None, FourierTransformer(), PCA(4)])
def test_a_forest_end_to_end(forest, scorer, transformer):
    trim = TransformImportance(forest, transformer, scorer, random_state=0).fit(X)
    found = trim.explain(X[:5])
    assert found.output == "probability"
    chosen = forest.predict_proba(X[:5]).max(axis=1)
    np.testing.assert_allclose(found.explained, chosen)
    assert found.target_names == forest.predict(X[:5]).tolist()
    if scorer in ("shapley", SCORERS[2]):
        np.testing.assert_allclose(found.completeness_error, 0, atol=1e-12)
    np.testing.assert_array_equal(trim.predict(X), forest.predict(X))
    np.testing.assert_array_equal(trim.predict_proba(X), forest.predict_proba(X))


def test_the_score_of_a_forest_is_faithfulness(forest):
    trim = TransformImportance(FrozenEstimator(forest), None, "shapley").fit(X, Y)
    assert 0 < trim.score(X[:10]) < 1


def test_an_unfitted_predictor_is_fitted():
    trim = TransformImportance(LogisticRegression(), PCA(3), "occlusion").fit(X, Y)
    assert trim.classes_.tolist() == ["no", "yes"]
    alone = LogisticRegression().fit(X, Y)
    np.testing.assert_allclose(trim.predict_proba(X), alone.predict_proba(X))
    assert not hasattr(trim.estimator, "coef_")


def test_a_linear_regression_gives_the_linear_oracle():
    line = LinearRegression().fit(X, X @ np.arange(8.0) + 1)
    found = transform_importance(line, X, scorer=Shapley())
    np.testing.assert_allclose(found.values, X * np.arange(8.0), atol=1e-10)
    assert found.output == "raw"


def test_several_outputs_of_a_regressor():
    targets = np.stack([X[:, 0], X[:, 1] ** 2], axis=1)
    forest = RandomForestRegressor(5, random_state=0).fit(X, targets)
    found = transform_importance(forest, X[:4], scorer="occlusion", target="all")
    assert found.values.shape == (4, 8, 2)
    np.testing.assert_allclose(found.predictions, forest.predict(X[:4]))


@pytest.mark.parametrize("step", [StandardScaler(), QuantileTransformer(n_quantiles=9)])
def test_a_pipeline_splits_as_it_does_before_a_net(step):
    pipeline = make_pipeline(step, RandomForestClassifier(5, random_state=0)).fit(X, Y)
    found = transform_importance(pipeline, X[:6], scorer="occlusion", target=1)
    inside = isinstance(step, StandardScaler)
    signals = X[:6] if inside else step.fit(X).transform(X[:6])
    model = pipeline if inside else pipeline[-1]
    changed = signals.copy()
    changed[:, 0] = 0
    lost = model.predict_proba(signals) - model.predict_proba(changed)
    np.testing.assert_allclose(found.values[:, 0], lost[:, 1], atol=1e-12)


def test_named_columns_reach_a_predictor_that_knows_them(recwarn):
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    forest = RandomForestClassifier(5, random_state=0).fit(frame, Y)
    trim = TransformImportance(forest, scorer="occlusion").fit(frame)
    assert trim.explain(frame).group_names == list("abcdefgh")
    assert not [w for w in recwarn if "feature names" in str(w.message)]


def test_signals_with_several_axes_reach_the_predictor_as_they_are():
    class Flattening(LogisticRegression):
        def predict_proba(self, X):
            return super().predict_proba(X.reshape(len(X), -1))

    images = X.reshape(60, 2, 4)
    model = Flattening().fit(X, Y)
    fourier = FourierTransformer((2, 4)).fit(images)
    found = transform_importance(model, images, transformer=fourier, scorer="shapley")
    np.testing.assert_allclose(found.completeness_error, 0, atol=1e-12)


@pytest.mark.parametrize("groups", ["natural", "coefficients"])
@pytest.mark.parametrize(
    "transformer",
    [
        StandardScaler(),
        make_pipeline(StandardScaler(), QuantileTransformer(n_quantiles=9)),
    ],
)
def test_named_columns_keep_their_names_through_a_scaler(transformer, groups, recwarn):
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    line = LinearRegression().fit(X, X[:, 0])
    trim = TransformImportance(line, transformer, "occlusion", groups=groups)
    assert trim.fit(frame).get_feature_names_out().tolist() == list("abcdefgh")
    fitted = clone(transformer).fit(frame)
    found = transform_importance(
        line, frame, transformer=fitted, scorer="occlusion", groups=groups
    )
    assert found.group_names == list("abcdefgh")
    np.testing.assert_array_equal(found.values, trim.transform(frame))
    assert not [w for w in recwarn if "feature names" in str(w.message)]
