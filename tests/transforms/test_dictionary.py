"""Dictionaries: least squares, the given analysis, and the linear synthesis."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sktrim.transforms import LinearDictionary


@settings(max_examples=50, deadline=None)
@given(
    n_atoms=st.integers(1, 12), n_features=st.integers(1, 8), seed=st.integers(0, 99)
)
def test_residual_is_orthogonal_to_the_atoms(n_atoms, n_features, seed):
    rng = np.random.default_rng(seed)
    atoms, X = rng.normal(size=(n_atoms, n_features)), rng.normal(size=(5, n_features))
    fitted = LinearDictionary(atoms).fit(X)
    s = fitted.transform(X)
    residual = X - fitted.inverse_transform(s)
    assert_allclose(residual @ atoms.T, np.zeros((5, n_atoms)), atol=1e-9)
    expected = np.linalg.lstsq(atoms.T, X.T)[0].T
    assert_allclose(s, expected, atol=1e-8 * max(1, np.abs(expected).max()))
    if n_atoms <= n_features:
        signals = fitted.inverse_transform(s)
        assert_allclose(fitted.transform(signals), s, atol=1e-8)


def test_synthesis_is_the_product_with_the_atoms():
    rng = np.random.default_rng(0)
    atoms, s = rng.normal(size=(3, 5)), rng.normal(size=(4, 3))
    fitted = LinearDictionary(atoms).fit(np.zeros((1, 5)))
    assert_array_equal(fitted.inverse_transform(s), s @ atoms)
    assert_array_equal(fitted.atoms_, atoms)


def test_transpose_of_orthonormal_atoms_is_their_least_squares():
    atoms = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 4)))[0].T
    X = np.random.default_rng(1).normal(size=(3, 6))
    transposed = LinearDictionary(atoms, analysis="transpose").fit_transform(X)
    assert_allclose(transposed, LinearDictionary(atoms).fit_transform(X), atol=1e-12)


def test_own_analysis_is_used_as_it_is():
    rng = np.random.default_rng(0)
    atoms, analysis = rng.normal(size=(3, 5)), rng.normal(size=(5, 3))
    X = rng.normal(size=(4, 5))
    fitted = LinearDictionary(atoms, analysis=analysis).fit(X)
    assert_allclose(fitted.transform(X), X @ analysis)


def test_callable_atoms_follow_the_number_of_features():
    X = np.random.default_rng(0).normal(size=(3, 8))
    fitted = LinearDictionary(scipy.linalg.hadamard).fit(X)
    s = fitted.transform(X)
    assert_allclose(s, X @ scipy.linalg.hadamard(8) / 8, atol=1e-12)
    assert_allclose(fitted.inverse_transform(s), X, atol=1e-12)


def test_sparse_rows_give_dense_coefficients():
    X = sp.random_array((6, 5), density=0.4, format="csr", random_state=0)
    fitted = LinearDictionary(np.ones((2, 5))).fit(X)
    out = fitted.transform(X)
    assert isinstance(out, np.ndarray)
    assert_allclose(out, fitted.transform(X.toarray()))


def test_atoms_are_named():
    X = np.zeros((1, 3))
    named = LinearDictionary(np.eye(3), atom_names=["a", "b", "c"]).fit(X)
    assert list(named.get_feature_names_out()) == ["a", "b", "c"]
    assert named.feature_groups().names == ["a", "b", "c"]
    plain = LinearDictionary(np.eye(3)[:2]).fit(X)
    assert plain.feature_groups().names == ["atom0", "atom1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"atoms": np.eye(4)}, r"atoms has shape \(4, 4\), expected \(any, 3\)"),
        ({"atoms": np.ones(3)}, r"atoms has shape \(3,\)"),
        ({"atoms": np.ones((0, 3))}, "atoms has shape"),
        ({"atoms": [[1, np.nan, 0]]}, "finite real"),
        ({"atoms": [[1, 1j, 0]]}, "finite real"),
        ({"atoms": [["a", "b", "c"]]}, "finite real"),
        ({"atoms": np.eye(3), "analysis": np.eye(4)}, "analysis has shape"),
        ({"atoms": np.eye(3), "analysis": "omp"}, "analysis='omp'; expected"),
        ({"atoms": 2 * np.eye(3), "analysis": "transpose"}, "off the identity by 3"),
        ({"atoms": np.eye(3), "atom_names": ["a"]}, "1 atom_names .* 3 atoms"),
    ],
)
def test_atoms_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LinearDictionary(**options).fit(np.zeros((2, 3)))
