"""The host's checks and what every transform of ours promises beyond them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktrim.transforms import (
    CosineTransformer,
    FourierTransformer,
    LappedTransformer,
    LatentDirichletAllocation,
    LinearDictionary,
    ShortTimeFourierTransformer,
    WaveletPacketTransformer,
)


class DriftingSines:
    """Atoms neither orthonormal nor square; its name is the same everywhere."""

    def __call__(self, n_features):
        grid = np.arange(n_features)
        return np.array([np.cos(0.3 + f * grid) for f in (0.0, 0.4, 1.1)])

    def __repr__(self):
        return "DriftingSines()"


drifting_sines = DriftingSines()


ESTIMATORS = [
    FourierTransformer(),
    CosineTransformer(),
    ShortTimeFourierTransformer(4),
    LappedTransformer(2),
    WaveletPacketTransformer("haar", 1),
    LinearDictionary(),
    LinearDictionary(drifting_sines),
    LatentDirichletAllocation(n_components=3, random_state=0),
]
every = pytest.mark.parametrize(
    "transformer", ESTIMATORS, ids=lambda t: type(t).__name__
)


@parametrize_with_checks(ESTIMATORS)
def test_host_checks(estimator, check, monkeypatch):
    # without it the host skips one of its checks
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


@pytest.fixture
def X():
    return np.random.default_rng(0).integers(0, 9, size=(12, 6)).astype(float)


@every
def test_pandas_output_is_named_and_unchanged(transformer, X):
    frame = pd.DataFrame(X, columns=list("abcdef"), index=np.arange(12) + 100)
    plain = clone(transformer).fit(frame)
    named = clone(transformer).set_output(transform="pandas").fit(frame)
    out = named.transform(frame)
    assert list(out.columns) == list(named.get_feature_names_out())
    assert_array_equal(out.index, frame.index)
    assert_allclose(out.to_numpy(), plain.transform(frame), rtol=1e-12)
    assert len(set(out.columns)) == out.shape[1]
    assert isinstance(named.inverse_transform(out), np.ndarray)


@every
def test_fitted_transformers_pickle(transformer, X):
    fitted = clone(transformer).fit(X)
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.transform(X), fitted.transform(X))
    coefficients = fitted.transform(X)
    assert_array_equal(
        again.inverse_transform(coefficients), fitted.inverse_transform(coefficients)
    )


@every
def test_float32_is_kept_and_other_types_become_float64(transformer, X):
    fitted = clone(transformer).fit(X.astype(np.float32))
    coefficients = fitted.transform(X.astype(np.float32))
    assert coefficients.dtype == np.float32
    assert fitted.inverse_transform(coefficients).dtype == np.float32
    fitted = clone(transformer).fit(X)
    assert fitted.transform(X.astype(np.int64)).dtype == np.float64
    assert fitted.inverse_transform(coefficients.astype(np.float64)).dtype == np.float64


@every
def test_inverse_is_linear(transformer, X):
    fitted = clone(transformer).fit(X)
    a, b = fitted.transform(X[:4]), fitted.transform(X[4:8])
    inverse = fitted.inverse_transform
    assert_allclose(inverse(2 * a - 3 * b), 2 * inverse(a) - 3 * inverse(b), atol=1e-12)
    assert_array_equal(inverse(np.zeros_like(a)), np.zeros((4, 6)))


@every
@pytest.mark.parametrize("by", ["natural", "coefficient"])
def test_groups_cover_every_coefficient_once(transformer, by, X):
    fitted = clone(transformer).fit(X)
    groups = fitted.feature_groups(by=by)
    assert groups.n_coefficients == fitted.transform(X).shape[1]
    assert groups.sums_to_one


@every
def test_coefficient_groups_are_named_as_the_columns(transformer, X):
    fitted = clone(transformer).fit(X)
    names = fitted.feature_groups(by="coefficient").names
    assert names == list(fitted.get_feature_names_out())


@every
def test_unknown_grouping_is_an_error(transformer, X):
    with pytest.raises(ValueError, match="by='loudness'; expected"):
        clone(transformer).fit(X).feature_groups(by="loudness")


@every
def test_names_of_other_inputs_are_refused(transformer, X):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    fitted = clone(transformer).fit(frame)
    assert len(fitted.get_feature_names_out(list("abcdef"))) > 0
    with pytest.raises(ValueError, match="input_features is not equal"):
        fitted.get_feature_names_out(list("uvwxyz"))


@every
def test_samples_do_not_influence_each_other(transformer, X):
    fitted = clone(transformer).fit(X)
    together = fitted.transform(X)
    alone = np.concatenate([fitted.transform(row[None]) for row in X])
    assert_allclose(alone, together, rtol=1e-9, atol=1e-9)


@every
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite_coefficients_are_an_error(transformer, bad, X):
    fitted = clone(transformer).fit(X)
    coefficients = fitted.transform(X)
    coefficients[0, 0] = bad
    with pytest.raises(ValueError, match="contains"):
        fitted.inverse_transform(coefficients)


@every
def test_wrong_number_of_coefficients_is_an_error(transformer, X):
    fitted = clone(transformer).fit(X)
    with pytest.raises(ValueError, match=r"X has 9 columns, but .* coefficients"):
        fitted.inverse_transform(np.zeros((2, 9)))


@every
def test_complex_and_empty_input_are_errors(transformer, X):
    with pytest.raises(ValueError, match="Complex data not supported"):
        clone(transformer).fit(X + 1j)
    with pytest.raises(ValueError, match="0 sample"):
        clone(transformer).fit(X[:0])


@every
def test_sparse_is_taken_where_the_tags_say_so(transformer, X):
    if get_tags(transformer).input_tags.sparse:
        fitted = clone(transformer).fit(sp.csr_array(X))
        dense = clone(transformer).fit(X)
        assert_allclose(
            fitted.transform(sp.csr_array(X)), dense.transform(X), rtol=1e-9
        )
    else:
        with pytest.raises(TypeError, match="dense data is required"):
            clone(transformer).fit(sp.csr_array(X))


def test_works_in_a_pipeline_with_named_columns(X):
    pipeline = make_pipeline(StandardScaler(), FourierTransformer())
    out = pipeline.set_output(transform="pandas").fit_transform(X)
    assert list(out.columns)[:2] == ["0.0 cycles re", "1.0 cycles re"]
    assert_allclose(pipeline.inverse_transform(out), X, atol=1e-12)
