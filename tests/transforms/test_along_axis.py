"""A transformer along one axis is itself, applied position by position."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import NMF, PCA, FastICA, TruncatedSVD
from sklearn.feature_selection import VarianceThreshold
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from sktrim import AlongAxis, FourierTransformer, TransformImportance, inverse_module
from sktrim.inverse import InverseNotAvailableError


@pytest.fixture(autouse=True)
def _prepare(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


@parametrize_with_checks([AlongAxis(PCA(1, random_state=0))])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def signals(shape, seed=0):
    return np.random.default_rng(seed).normal(size=(5, *shape))


INNER = [
    PCA(2, random_state=0),
    PCA(2, whiten=True, random_state=0),
    TruncatedSVD(2, random_state=0),
    FastICA(2, random_state=0, max_iter=1000, tol=1e-2),
    make_pipeline(StandardScaler(), PCA(3, random_state=0)),
]


@pytest.mark.parametrize("inner", INNER, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((4, 7), 1), ((7, 4), 2), ((7, 4), -1), ((4,), 1), ((3, 4, 5), 2), ((4, 3, 5), 1)],
)
def test_each_position_is_transformed_by_itself(inner, shape, axis):
    X = signals(shape)
    along = AlongAxis(inner, axis=axis).fit(X)
    rows = np.moveaxis(X, axis, -1)
    expected = along.transformer_.transform(rows.reshape(-1, rows.shape[-1]))
    s = along.transform(X)
    np.testing.assert_allclose(s, expected.reshape(5, -1), atol=1e-12)
    back = along.transformer_.inverse_transform(expected).reshape(rows.shape)
    np.testing.assert_allclose(
        along.inverse_transform(s), np.moveaxis(back, -1, axis), atol=1e-12
    )
    module = inverse_module(along, X=X)
    assert module.is_affine
    given = torch.tensor(signals((s.shape[1],), 1))
    np.testing.assert_allclose(
        module(given), along.inverse_transform(given.numpy()), atol=1e-10
    )
    zero = along.inverse_transform(np.zeros((1, s.shape[1])))
    np.testing.assert_allclose(
        module.linear(given), module(given).numpy() - zero, atol=1e-10
    )
    gradients = torch.tensor(signals(shape, 2)).flatten(1)
    matrix = module.linear(torch.eye(s.shape[1], dtype=torch.float64)).flatten(1)
    np.testing.assert_allclose(
        module.adjoint(gradients, s.shape[1]), gradients @ matrix.T, atol=1e-10
    )


def test_flat_rows_and_single_precision_are_kept():
    X = signals((4, 6)).astype(np.float32)
    along = AlongAxis(PCA(2, random_state=0), axis=1, signal_shape=(4, 6))
    flat = along.fit(X.reshape(5, -1)).transform(X.reshape(5, -1))
    assert flat.dtype == np.float32
    assert along.inverse_transform(flat).shape == (5, 24)
    own = AlongAxis(PCA(2, random_state=0), axis=1).fit(X)
    np.testing.assert_allclose(own.transform(X), flat, atol=1e-5)


def test_groups_are_components_positions_or_both():
    along = AlongAxis(PCA(2, random_state=0), axis=1).fit(signals((4, 2, 3)))
    s = np.arange(12).reshape(2, 3, 2)
    natural = along.feature_groups()
    assert natural.names == ["pca0", "pca1"]
    np.testing.assert_array_equal(
        natural.masks @ s.ravel(), s.reshape(-1, 2).sum(axis=0)
    )
    places = along.feature_groups(by="position")
    assert places.names[4] == "at (1, 1)"
    np.testing.assert_array_equal(places.masks @ s.ravel(), s.sum(axis=2).ravel())
    np.testing.assert_array_equal(places.coordinates[4], [1, 1])
    both = along.feature_groups(by="coefficient")
    assert both.names[9] == "at (1, 1) pca1"
    assert both.masks.nnz == 12
    line = AlongAxis(PCA(2, random_state=0), axis=1).fit(signals((4, 3)))
    np.testing.assert_array_equal(
        line.feature_groups(by="position").centers, [0.0, 1.0, 2.0]
    )
    with pytest.raises(ValueError, match="by='band'; expected one of"):
        along.feature_groups(by="band")


def test_scores_of_a_linear_network_are_those_in_closed_form():
    X = signals((4, 7))
    net = nn.Sequential(nn.Flatten(), nn.Linear(28, 1)).double()
    along = AlongAxis(PCA(3, random_state=0), axis=1)
    weight = net[1].weight.detach().numpy().reshape(4, 7)
    for scorer in ("cd", "deeplift", "shapley", "occlusion", "integrated_gradients"):
        trim = TransformImportance(net, along, scorer=scorer).fit(X)
        explanation = trim.explain(X)
        s = explanation.coefficients.reshape(5, 7, 3)
        atoms = trim.transformer_.transformer_.components_
        expected = np.einsum("npk,kc,cp->nk", s, atoms, weight)
        np.testing.assert_allclose(explanation.values, expected, atol=1e-10)


def test_concepts_act_at_the_layer_of_an_image_network():
    torch.manual_seed(0)
    X = signals((1, 9, 9)).astype(np.float32)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 3)
    )
    concepts = AlongAxis(NMF(4, random_state=0, max_iter=1000), axis=1)
    trim = TransformImportance(
        net, concepts, layer="1", scorer="shapley", residual="component"
    ).fit(X)
    explanation = trim.explain(X)
    assert explanation.group_names == ["nmf0", "nmf1", "nmf2", "nmf3", "residual"]
    np.testing.assert_allclose(explanation.completeness_error, 0, atol=1e-5)


def test_what_cannot_act_along_an_axis_is_refused():
    X = signals((4, 7))
    with pytest.raises(ValueError, match=r"axis=0; .* 0 are the samples"):
        AlongAxis(PCA(2), axis=0).fit(X)
    with pytest.raises(ValueError, match=r"axis=3 .* 2 axes; expected 1 to 2"):
        AlongAxis(PCA(2), axis=3).fit(X)
    with pytest.raises(TypeError, match="expected an instance of a transformer"):
        AlongAxis(PCA).fit(X)
    assert AlongAxis(VarianceThreshold(), axis=1).fit(X)
    with pytest.raises(TypeError, match="Nystroem has no inverse_transform"):
        AlongAxis(Nystroem(n_components=3)).fit(X)
    power = AlongAxis(PowerTransformer(), axis=1).fit(X)
    with pytest.raises(InverseNotAvailableError, match="PowerTransformer"):
        inverse_module(power, X=X)
    net = nn.Sequential(nn.Flatten(), nn.Linear(28, 2)).double()
    trim = TransformImportance(net, power, scorer="occlusion").fit(X)
    assert np.isfinite(trim.explain(X).values).all()


def test_it_is_a_step_like_any_other():
    X = signals((4, 6))
    first = AlongAxis(PCA(2, random_state=0), axis=1)
    second = FourierTransformer(signal_shape=(6, 2), axes=-2)
    both = make_pipeline(first, second).fit(X)
    np.testing.assert_allclose(
        both.inverse_transform(both.transform(X)),
        first.fit(X).inverse_transform(first.transform(X)),
        atol=1e-10,
    )
