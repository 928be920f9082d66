"""What a transform leaves out: as a group of its own, and told where it is large."""

import sys
import types
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA, TruncatedSVD

from sktrim import FourierTransformer, TransformImportance, transform_importance
from sktrim.evaluation import (
    explanation_scores,
    faithfulness_curves,
    randomisation_test,
)
from sktrim.exceptions import ReconstructionWarning
from sktrim.explanation import Explanation
from tests.explanations import assert_same
from tests.nets import linear_net, mlp

X = np.random.default_rng(0).standard_normal((9, 12))


def fitted(scorer="integrated_gradients", transformer=None, **options):
    options = {"residual": "component", "target": 0, **options}
    transformer = PCA(4) if transformer is None else transformer
    return TransformImportance(mlp(), transformer, scorer, **options).fit(X)


@pytest.mark.parametrize("target", [0, "all"])
def test_the_residual_is_a_row_of_scores_names_and_tables(target):
    explanation = fitted("deeplift", target=target).explain(X)
    assert explanation.group_names[-1] == "residual"
    assert explanation.values.shape[:2] == (9, 5)
    np.testing.assert_array_equal(
        explanation.values[:, -1], explanation.residual_values
    )
    assert set(explanation.to_frame().group) == set(explanation.group_names)
    total = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(total, explanation.explained, atol=1e-10)


def test_names_and_scores_go_together_in_pipelines():
    trim = fitted(groups={"residual": [0, 1], "rest": [2, 3]})
    names = trim.get_feature_names_out().tolist()
    assert len(set(names)) == trim.transform(X).shape[1] == 3
    assert names == trim.explain(X).group_names


def test_the_part_of_the_residual_is_what_the_transform_leaves_out(tmp_path):
    svd = TruncatedSVD(3).fit(X)
    explanation = transform_importance(
        mlp(), sp.csr_array(X), transformer=svd, residual="component", target=0
    )
    expected = X - svd.inverse_transform(svd.transform(X))
    found = explanation.component(np.arange(9), "residual")
    np.testing.assert_allclose(found, expected, atol=1e-12)
    explanation.save(tmp_path / "a", components=True)
    loaded = Explanation.load(tmp_path / "a")
    assert_same(loaded, explanation)
    assert loaded.residual_is_group
    assert_same(explanation[:4] + explanation[4:], explanation)


def test_shap_gets_the_residual_once(monkeypatch):
    fake = types.SimpleNamespace(Explanation=types.SimpleNamespace)
    monkeypatch.setitem(sys.modules, "shap", fake)
    explanation = fitted("deeplift").explain(X)
    given = explanation.to_shap()
    total = given.base_values + given.values.sum(axis=1)
    np.testing.assert_allclose(total, explanation.explained, atol=1e-10)


def test_the_evaluation_holds_the_residual():
    trim, held = fitted("deeplift"), fitted("deeplift", residual="constant")
    scores = trim.transform(X)[:, :-1]
    found = faithfulness_curves(trim, X)
    expected = faithfulness_curves(held, X, scores=scores)
    np.testing.assert_allclose(found.deletion, expected.deletion, atol=1e-10)
    assert explanation_scores(trim, X)["completeness"] == pytest.approx(1)
    assert randomisation_test(trim, X, n_draws=1).n_groups == 4


def test_maps_leave_out_what_has_no_place():
    images = np.random.default_rng(0).standard_normal((2, 3, 4))
    fourier = FourierTransformer(signal_shape=(3, 4))
    flat = images.reshape(2, 12)
    common = {"residual": "component", "target": 0, "scorer": "gradient"}
    explanation = transform_importance(
        mlp(), flat, transformer=fourier.fit(flat), **common
    )
    assert explanation.plot.heatmap(sample=0).coordinates is not None
    plain = transform_importance(
        linear_net(np.ones(12)), flat, **common | {"output": "raw"}
    )
    assert plain.plot.heatmap(sample=0).values.size == 12
    assert plain.plot.bar(20).names.count("residual") == 1


def test_a_transform_that_leaves_out_most_is_told_of():
    with pytest.warns(ReconstructionWarning, match=r"PCA leaves out .* residual="):
        explanation = fitted(transformer=PCA(1), residual="constant").explain(X)
    error = explanation.reconstruction_errors.mean()
    assert error > 0.5
    assert f"reconstruction_error={error:.2f}" in repr(explanation)
    assert f"error {error:.2f}" in explanation.plot.bar().ax_.get_title()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ReconstructionWarning)
        shown = fitted(transformer=PCA(1)).explain(X)
        fine = fitted(transformer=PCA(8), residual="constant").explain(X)
    assert "reconstruction error" in shown.plot.bar().ax_.get_title()
    assert "reconstruction" not in fine.plot.bar().ax_.get_title()
