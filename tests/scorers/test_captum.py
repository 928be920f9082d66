"""captum's methods in coefficient space agree with ours where both are right."""

import captum.attr
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier

import sktrim
from sktrim import TransformImportance, transform_importance
from sktrim.scorers import CaptumScorer, IntegratedGradients, Occlusion, Shapley
from tests.nets import mlp, small_conv

X = np.random.default_rng(0).standard_normal((5, 12))
LABELS = np.array([0, 1, 2, 0, 1, 2, 3, 3, 3, 0, 1, -1])


@pytest.mark.parametrize(
    "transformer",
    [None, sktrim.FourierTransformer(), PCA(4), sktrim.WaveletTransformer()],
)
@pytest.mark.parametrize("residual", ["constant", "component"])
def test_integrated_gradients_are_ours(transformer, residual):
    if transformer is not None:
        transformer.fit(X)
    theirs = CaptumScorer(captum.attr.IntegratedGradients, n_steps=20)
    options = {"transformer": transformer, "residual": residual, "target": "all"}
    ours = transform_importance(
        mlp(), X, scorer=IntegratedGradients(n_steps=20), **options
    )
    found = transform_importance(mlp(), X, scorer=theirs, **options)
    np.testing.assert_allclose(found.values, ours.values, atol=1e-8)
    np.testing.assert_allclose(
        found.completeness_error, ours.completeness_error, atol=1e-8
    )


def test_images_and_per_sample_targets():
    images = np.random.default_rng(1).standard_normal((6, 1, 12, 12))
    fourier = sktrim.FourierTransformer().fit(images)
    options = {"transformer": fourier, "target": np.array([0, 1, 2, 3, 0, 1])}
    pairs = [
        (captum.attr.InputXGradient, {}, "input_x_gradient"),
        (captum.attr.Saliency, {"abs": False}, "gradient"),
        (captum.attr.FeatureAblation, {}, "occlusion"),
    ]
    for captum_class, more, name in pairs:
        scorer = CaptumScorer(captum_class, **more)
        found = transform_importance(small_conv(), images, scorer=scorer, **options)
        ours = transform_importance(small_conv(), images, scorer=name, **options)
        np.testing.assert_allclose(found.values, ours.values, atol=1e-10)


@pytest.mark.parametrize(
    ("captum_class", "ours"),
    [
        (captum.attr.FeatureAblation, Occlusion),
        (captum.attr.ShapleyValues, Shapley),
    ],
)
@pytest.mark.parametrize("baseline", ["zero", "mean", np.ones((2, 12))])
def test_groups_are_the_feature_mask(captum_class, ours, baseline):
    options = {"groups": LABELS, "background": X}
    theirs = CaptumScorer(captum_class, baseline=baseline)
    found = transform_importance(mlp(), X, scorer=theirs, **options)
    expected = transform_importance(mlp(), X, scorer=ours(baseline), **options)
    # captum adds up Shapley values in float32
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)


@pytest.mark.parametrize(
    "scorer",
    [
        CaptumScorer(captum.attr.KernelShap, n_samples=40),
        CaptumScorer(captum.attr.Lime, n_samples=40),
        CaptumScorer(captum.attr.ShapleyValueSampling, n_samples=5),
        CaptumScorer(captum.attr.GradientShap, baseline="rows", stdevs=0.1),
    ],
)
def test_draws_are_seeded_and_leave_the_global_generators_alone(scorer):
    options = {"groups": LABELS, "background": X, "scorer": scorer, "random_state": 1}
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    found = transform_importance(mlp(), X, **options)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(after, before[1])
    one = transform_importance(mlp(), X[3:4], **options)
    np.testing.assert_allclose(one.values, found.values[3:4], atol=1e-12)


def test_it_is_an_estimator_like_others():
    scorer = CaptumScorer(captum.attr.IntegratedGradients, n_steps=7, baseline="mean")
    copied = clone(scorer).set_params(n_steps=9)
    assert scorer.get_params()["n_steps"] == 7
    assert copied.get_params() == {**scorer.get_params(), "n_steps": 9}
    assert "n_steps=7" in repr(scorer)
    trim = clone(TransformImportance(mlp(), scorer=scorer)).fit(X)
    trim.set_params(scorer__n_steps=5)
    assert trim.explain(X).values.shape == (5, 12)


def test_a_forest_through_a_method_without_gradient():
    forest = RandomForestClassifier(5, random_state=0).fit(X, np.arange(5) % 2)
    scorer = CaptumScorer(captum.attr.FeatureAblation)
    found = transform_importance(forest, X, scorer=scorer)
    ours = transform_importance(forest, X, scorer="occlusion")
    np.testing.assert_allclose(found.values, ours.values)
    with pytest.raises(TypeError, match="gradient"):
        transform_importance(forest, X, scorer=CaptumScorer(captum.attr.Saliency))


@pytest.mark.parametrize(
    ("captum_class", "reason"),
    [
        (captum.attr.LRP, "inverse transform.*'lrp_epsilon'"),
        (captum.attr.DeepLift, "two nonlinearities meet.*'deeplift'"),
        (captum.attr.DeepLiftShap, "two nonlinearities meet"),
        (captum.attr.GuidedBackprop, "module hooks.*'guided_backprop'"),
        (captum.attr.Deconvolution, "module hooks.*'deconvnet'"),
        (captum.attr.FeaturePermutation, "other samples"),
        (captum.attr.LayerConductance, "asks for layer"),
        (captum.attr.NoiseTunnel, "asks for attribution_method"),
    ],
)
def test_what_is_wrong_or_something_else_is_refused(captum_class, reason):
    with pytest.raises(ValueError, match=reason):
        transform_importance(mlp(), X, scorer=CaptumScorer(captum_class))


def test_bad_options():
    method = captum.attr.IntegratedGradients
    for options in (
        {"n_step": 3},
        {"baselines": 0},
        {"target": 1},
        {"forward_func": abs},
    ):
        with pytest.raises(ValueError, match="expected options of its own"):
            transform_importance(mlp(), X, scorer=CaptumScorer(method, **options))
    with pytest.raises(TypeError, match="not an object of it"):
        transform_importance(mlp(), X, scorer=CaptumScorer(method(mlp())))
    ablation = CaptumScorer(captum.attr.FeatureAblation)
    with pytest.raises(ValueError, match="overlap or have weights"):
        transform_importance(mlp(), X, scorer=ablation, groups=np.full((2, 12), 0.5))


def test_complex_networks_are_refused():
    class Complex(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(12, dtype=torch.complex128))

        def forward(self, x):
            return (x * self.weight).abs().sum(1, keepdim=True)

    with pytest.raises(ValueError, match="complex parameters"):
        transform_importance(Complex(), X, scorer=CaptumScorer(captum.attr.Saliency))
