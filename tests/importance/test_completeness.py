"""Baselines at which the network has no value, and reports row by row."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from sktrim import Scorer, TransformImportance, transform_importance
from sktrim.exceptions import IncompleteError, QuadratureWarning
from sktrim.scorers import (
    Attribution,
    DeepLift,
    IntegratedGradients,
    KernelShap,
    Occlusion,
    Shapley,
)
from tests.nets import mlp

X = np.random.default_rng(0).standard_normal((6, 8))


class Normalising(nn.Module):
    """Has no value at 0."""

    def __init__(self):
        super().__init__()
        self.net = mlp(8, n_out=1)

    def forward(self, x):
        return self.net(x / x.square().sum(1, keepdim=True).sqrt())


@pytest.mark.parametrize("kind", [IntegratedGradients, DeepLift, Shapley, KernelShap])
def test_a_baseline_without_a_value_is_named(kind):
    net = Normalising().eval()
    for scorer in (kind(), kind(baseline=np.zeros(8))):
        with pytest.raises(ValueError, match=r"baseline=.*(NaN|infinite).*sample 0"):
            transform_importance(net, X, scorer=scorer, background=X)
    # a residual keeps every point away from 0, whatever the coefficients
    spaced = TransformImportance(net, PCA(3), kind(), on_incomplete="ignore").fit(X)
    assert np.isfinite(spaced.explain(X).values).all()


def test_a_baseline_with_a_value_is_none_of_it():
    net = Normalising().eval()
    ones = IntegratedGradients(baseline=np.ones(8), n_steps=64)
    found = transform_importance(net, X, scorer=ones, on_incomplete="ignore")
    assert np.isfinite(found.values).all()
    single = Occlusion(baseline="rows", n_rows=2)
    found = transform_importance(net, X, scorer=single, background=X + 9)
    assert np.isfinite(found.values).all()


class Reporting(Scorer):
    """Knows the base value of some rows, and misses the output of one."""

    complete = True

    def __init__(self, unknown=(), off=3):
        self.unknown = unknown
        self.off = off

    def attribute(self, model, s, groups, target):
        explained = target(model(s))
        values = torch.zeros(len(s), len(groups), target.n_targets).to(s)
        values[:, 0] = explained - 1
        values[self.off, 0] += 5
        base = torch.ones_like(explained)
        base[list(self.unknown)] = float("nan")
        return Attribution(values, base)


@pytest.mark.parametrize("unknown", [(), (0,), (0, 1, 5)])
def test_a_row_without_a_base_value_does_not_silence_the_others(unknown):
    net = mlp(8, n_out=1)
    scorer = Reporting(unknown)
    with pytest.warns(QuadratureWarning, match="by up to 5 .*most for sample 3"):
        found = transform_importance(net, X, scorer=scorer)
    np.testing.assert_array_equal(
        np.flatnonzero(np.isnan(found.completeness_error)), unknown
    )
    with pytest.raises(IncompleteError, match="sample 3"):
        transform_importance(net, X, scorer=scorer, on_incomplete="raise")


def test_rows_that_are_all_unknown_are_reported_as_such(recwarn):
    transform_importance(mlp(8, n_out=1), X, scorer=Reporting(range(6)))
    assert not [w for w in recwarn if issubclass(w.category, QuadratureWarning)]
