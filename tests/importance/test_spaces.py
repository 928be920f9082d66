"""One call for several transformers: the same scores, fewer backward passes."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import QuantileTransformer
from torch import nn

import sktrim
from sktrim import transform_importance
from sktrim.scorers import (
    ExpectedGradients,
    GradientShap,
    IntegratedGradients,
    get_scorer_names,
)
from tests.nets import mlp

X = np.random.default_rng(0).standard_normal((7, 12))


class Passes(nn.Module):
    """Counts the backward passes through a network."""

    def __init__(self):
        super().__init__()
        self.net, self.count = mlp(), 0

    def forward(self, x):
        if x.requires_grad:
            x.register_hook(self._counted)
        return self.net(x)

    def _counted(self, gradient):
        self.count += 1


def lossless():
    transformers = [
        sktrim.FourierTransformer(),
        sktrim.CosineTransformer(),
        sktrim.WaveletTransformer("db2"),
        sktrim.FourierTransformer(signal_shape=(3, 4)),
    ]
    return [None, *(t.fit(X) for t in transformers)]


SHARED = {
    "gradient": "gradient",
    "gradient_squared": "gradient_squared",
    "input_x_gradient": "input_x_gradient",
    "integrated_gradients": "integrated_gradients",
    "own row": None,
    "expected_gradients": ExpectedGradients(n_rows=1),
    "gradient_shap": GradientShap(n_points=1),
}


@pytest.mark.parametrize("name", sorted(SHARED))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lossless_spaces_cost_the_backward_passes_of_one(name, dtype):
    torch_dtype = torch.float32 if dtype == np.float32 else torch.float64
    scorer = SHARED[name] or IntegratedGradients(baseline=np.zeros(12))
    options = {"scorer": scorer, "background": X[:1], "target": "all"}
    options["random_state"] = 0
    counts, net = [], Passes().to(torch_dtype)
    for transformer in (None, lossless()):
        net.count = 0
        transform_importance(net, X.astype(dtype), transformer=transformer, **options)
        counts.append(net.count)
    assert counts[0] == counts[1] == 3


@pytest.mark.parametrize("residual", ["constant", "component", "drop"])
@pytest.mark.parametrize("scorer", ["gradient", "integrated_gradients", "smoothgrad"])
def test_lossy_spaces_share_what_they_may(scorer, residual):
    transformers = [PCA(3).fit(X), sktrim.FourierTransformer().fit(X), PCA(5).fit(X)]
    options = {"scorer": scorer, "residual": residual, "background": X}
    options["random_state"] = 0
    net = Passes()
    found = transform_importance(net, X, transformer=transformers, **options)
    # with the residual at 0, both paths of PCA start at its mean
    same = {("gradient", "drop"): 3, ("integrated_gradients", "component"): 2}
    assert net.count == same.get((scorer, residual), 1 if scorer == "gradient" else 3)
    for transformer, one in zip(transformers, found, strict=True):
        alone = transform_importance(net, X, transformer=transformer, **options)
        np.testing.assert_allclose(one.values, alone.values, atol=1e-12)


@pytest.mark.parametrize("scorer", get_scorer_names())
def test_every_scorer_gives_what_it_gives_for_one_transformer(scorer):
    transformers = [None, PCA(4).fit(X), sktrim.CosineTransformer().fit(X)]
    options = {"scorer": scorer, "background": X, "random_state": 3, "target": 1}
    found = transform_importance(mlp(), X, transformer=transformers, **options)
    assert len(found) == 3
    for transformer, one in zip(transformers, found, strict=True):
        alone = transform_importance(mlp(), X, transformer=transformer, **options)
        np.testing.assert_allclose(one.values, alone.values, atol=1e-12)
        np.testing.assert_allclose(one.completeness_error, alone.completeness_error)
        assert one.group_names == alone.group_names


def test_small_chunks_do_not_mix(monkeypatch):
    whole = transform_importance(
        mlp(), X, transformer=lossless(), scorer="integrated_gradients"
    )
    monkeypatch.setattr("sktrim._memory.CACHE_BYTES", 2**10)
    parts = transform_importance(
        mlp(), X, transformer=lossless(), scorer="integrated_gradients"
    )
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a.values, b.values, atol=1e-12)


def test_a_space_without_gradient_stands_beside_others():
    transformers = [QuantileTransformer(n_quantiles=6).fit(X), None]
    found = transform_importance(mlp(), X, transformer=transformers, scorer="occlusion")
    alone = transform_importance(mlp(), X, scorer="occlusion")
    np.testing.assert_array_equal(found[1].values, alone.values)


def test_groups_are_one_rule_or_one_each():
    fourier, wavelet = sktrim.FourierTransformer().fit(X), lossless()[3]
    bands = fourier.feature_groups(by="band", n_bands=3)
    found = transform_importance(
        mlp(),
        X,
        transformer=[fourier, wavelet],
        groups=[bands, "natural"],
        scorer="gradient",
    )
    assert found[0].values.shape == (7, 3)
    assert found[1].group_names == wavelet.feature_groups(by="natural").names
    with pytest.raises(ValueError, match="list of 1 for 2 transformers"):
        transform_importance(mlp(), X, transformer=[fourier, wavelet], groups=[bands])
    with pytest.raises(ValueError, match="empty list"):
        transform_importance(mlp(), X, transformer=[])
