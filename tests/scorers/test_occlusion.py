"""Occlusion is the output lost when a group is replaced."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer

import sktrim
from sktrim import transform_importance
from sktrim.scorers import Occlusion
from tests.nets import mlp


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((6, 12))


def lost(net, x, changed):
    """Margin of the class predicted at x, lost by a change."""
    with torch.no_grad():
        before, after = net(torch.tensor(x)), net(torch.tensor(changed))
    column = before.argmax(1)
    margins = []
    for out in (before, after):
        rows = torch.arange(len(out))
        top = out[rows, column]
        margins.append((top - (out.sum(1) - top) / (out.shape[1] - 1)).numpy())
    return margins[0] - margins[1]


def test_occlusion_is_the_output_lost_group_by_group(X):
    net = mlp()
    groups = np.array([0] * 4 + [1] * 5 + [-1] * 3)
    found = transform_importance(net, X, scorer="occlusion", groups=groups)
    for k in (0, 1):
        changed = np.where(groups == k, 0, X)
        np.testing.assert_allclose(found.values[:, k], lost(net, X, changed))


def test_soft_masks_move_part_of_the_way(X):
    net, row = mlp(), np.linspace(-1, 1, 12)
    masks = np.random.default_rng(1).uniform(0, 1, (3, 12))
    found = transform_importance(net, X, scorer=Occlusion(baseline=row), groups=masks)
    for k, mask in enumerate(masks):
        changed = (1 - mask) * X + mask * row
        np.testing.assert_allclose(found.values[:, k], lost(net, X, changed))


@pytest.mark.parametrize("absolute", [False, True])
def test_marginal_replacement_averages_over_background_rows(X, absolute):
    net = mlp()
    background = np.random.default_rng(2).standard_normal((5, 12))
    found = transform_importance(
        net,
        X,
        scorer=Occlusion(baseline="rows", n_rows=3, absolute=absolute),
        groups=np.repeat([0, 1], 6),
        background=background,
    )
    for k in (0, 1):
        changes = []
        for row in background[:3]:
            changed = X.copy()
            changed[:, 6 * k : 6 * k + 6] = row[6 * k : 6 * k + 6]
            changes.append(lost(net, X, changed))
        changes = np.abs(changes) if absolute else np.asarray(changes)
        np.testing.assert_allclose(found.values[:, k], changes.mean(0))


def test_any_inverse_transform_will_do(X):
    """Occlusion needs no gradient, so an inverse that is not affine works."""
    quantile = QuantileTransformer(n_quantiles=6).fit(X)
    net = mlp()
    found = transform_importance(
        net, X, transformer=quantile, scorer="occlusion", groups="coefficients"
    )
    s = quantile.transform(X)
    residual = X - quantile.inverse_transform(s)
    s[:, 3] = 0
    changed = quantile.inverse_transform(s) + residual
    np.testing.assert_allclose(found.values[:, 3], lost(net, X, changed), atol=1e-12)
    with pytest.raises(ValueError, match=r"inverse_module\.register"):
        transform_importance(net, X, transformer=quantile, scorer="gradient")


def test_occlusion_in_a_transformed_space_holds_the_residual(X):
    net = mlp()
    svd = sktrim.LinearDictionary(
        np.random.default_rng(3).standard_normal((4, 12))
    ).fit(X)
    found = transform_importance(net, X, transformer=svd, scorer="occlusion")
    s = svd.transform(X)
    residual = X - svd.inverse_transform(s)
    s[:, 2] = 0
    changed = svd.inverse_transform(s) + residual
    np.testing.assert_allclose(found.values[:, 2], lost(net, X, changed), atol=1e-12)
