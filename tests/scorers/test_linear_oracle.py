"""Linear oracle: for f(x) = w.x + c every method gives s_k (D^T w)_k."""

import numpy as np
import pytest
from sklearn.decomposition import (
    NMF,
    PCA,
    DictionaryLearning,
    FastICA,
    MiniBatchNMF,
    TruncatedSVD,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import sktrim
from sktrim import transform_importance
from sktrim.scorers import (
    ContextualDecomposition,
    GradientShap,
    IntegratedGradients,
    KernelShap,
    Lime,
    LRPEpsilon,
    Shapley,
)
from tests.nets import linear_net

N, D = 20, 16


def signals(seed):
    return np.random.default_rng(seed).uniform(0.1, 2.0, (N, D))


TRANSFORMERS = {
    "identity": lambda: None,
    "fourier": lambda: sktrim.FourierTransformer(),
    "fourier 2-D": lambda: sktrim.FourierTransformer(signal_shape=(4, 4)),
    "cosine": lambda: sktrim.CosineTransformer(),
    "short-time": lambda: sktrim.ShortTimeFourierTransformer(6),
    "short-time, not tight": lambda: sktrim.ShortTimeFourierTransformer(
        6, 3, "hann", tight=False
    ),
    "lapped": lambda: sktrim.LappedTransformer(4),
    "lapped, longer": lambda: sktrim.LappedTransformer(6),
    "packets": lambda: sktrim.WaveletPacketTransformer("db2", 2),
    "wavelet db2": lambda: sktrim.WaveletTransformer("db2"),
    "wavelet 2-D": lambda: sktrim.WaveletTransformer(
        "bior1.1", level=1, signal_shape=(4, 4)
    ),
    "pca": lambda: PCA(5),
    "nmf": lambda: NMF(4, init="nndsvda", max_iter=600, tol=1e-3),
    "minibatch nmf": lambda: MiniBatchNMF(4, init="nndsvda"),
    "ica": lambda: FastICA(4, random_state=0, max_iter=2000, tol=1e-2),
    "svd": lambda: TruncatedSVD(4, random_state=0),
    "dictionary": lambda: DictionaryLearning(
        5, max_iter=5, transform_algorithm="lasso_lars", random_state=0
    ),
    "lda": lambda: sktrim.LatentDirichletAllocation(3, max_iter=2, random_state=0),
    "atoms": lambda: sktrim.LinearDictionary(
        np.random.default_rng(5).standard_normal((6, D))
    ),
    "pipeline": lambda: make_pipeline(StandardScaler(), PCA(6)),
    "scaled nmf": lambda: make_pipeline(
        MinMaxScaler(), NMF(3, init="nndsvda", max_iter=600, tol=1e-3)
    ),
}

SCORERS = {
    "input_x_gradient": "input_x_gradient",
    "integrated_gradients": "integrated_gradients",
    "gradient_shap": GradientShap(n_points=2, baseline="zero"),
    "few steps": IntegratedGradients(n_steps=2),
    "occlusion": "occlusion",
    "sampled shapley": Shapley(max_exact=0, n_permutations=4),
    "kernel_shap": KernelShap(n_subsets=100),
    "lime": Lime(n_selected=None, n_draws=128, ridge=0.0),
    "deeplift": "deeplift",
    "lrp_epsilon": LRPEpsilon(epsilon=0),
    "cd": ContextualDecomposition(bias="context"),
    "cd symmetric": ContextualDecomposition(bias="context", nonlinearity="symmetric"),
}


def oracle(transformer, X, weight):
    if transformer is None:
        return X * weight
    s = np.asarray(transformer.transform(X))
    eye = np.eye(s.shape[1])
    zero = transformer.inverse_transform(np.zeros((1, s.shape[1])))
    synthesis = transformer.inverse_transform(eye) - zero
    return s * (synthesis @ weight)


@pytest.fixture(params=sorted(TRANSFORMERS), scope="module")
def case(request):
    X = signals(0)
    transformer = TRANSFORMERS[request.param]()
    if transformer is not None:
        transformer.fit(X)
    return X, transformer


@pytest.mark.parametrize("scorer", sorted(SCORERS))
@pytest.mark.parametrize("residual", ["constant", "component", "drop"])
def test_linear_networks_give_the_same_scores_everywhere(case, scorer, residual):
    X, transformer = case
    weight = np.random.default_rng(1).standard_normal(D)
    explanation = transform_importance(
        linear_net(weight),
        X,
        transformer=transformer,
        scorer=SCORERS[scorer],
        groups="coefficients",
        residual=residual,
    )
    expected = oracle(transformer, X, weight)
    groups = explanation.without_residual()
    np.testing.assert_allclose(groups.values, expected, rtol=1e-10, atol=1e-10)
    if scorer != "occlusion":
        np.testing.assert_allclose(explanation.completeness_error, 0, atol=1e-10)


@pytest.mark.parametrize("scorer", sorted(SCORERS))
def test_the_residual_component_is_worth_w_times_r(scorer):
    X = signals(2)
    weight = np.random.default_rng(3).standard_normal(D)
    pca = PCA(3).fit(X)
    explanation = transform_importance(
        linear_net(weight),
        X,
        transformer=pca,
        scorer=SCORERS[scorer],
        residual="component",
    )
    r = X - pca.inverse_transform(pca.transform(X))
    np.testing.assert_allclose(explanation.residual_values, r @ weight, atol=1e-10)
    np.testing.assert_allclose(explanation.values[:, -1], r @ weight, atol=1e-10)


def test_groups_add_up_their_coefficients():
    X = signals(4)
    weight = np.random.default_rng(5).standard_normal(D)
    fourier = sktrim.FourierTransformer().fit(X)
    for scorer in ("input_x_gradient", "cd", "occlusion"):
        scorer = SCORERS[scorer]
        explanation = transform_importance(
            linear_net(weight), X, transformer=fourier, scorer=scorer
        )
        natural = fourier.feature_groups(by="natural")
        expected = natural.aggregate(oracle(fourier, X, weight))
        np.testing.assert_allclose(explanation.values, expected, atol=1e-10)


@pytest.mark.parametrize("scorer", [Shapley(), KernelShap()])
def test_all_subsets_of_soft_groups_give_their_coefficients(case, scorer):
    X, transformer = case
    weight = np.random.default_rng(1).standard_normal(D)
    expected = oracle(transformer, X, weight)
    masks = np.random.default_rng(6).uniform(0, 0.2, (5, expected.shape[1]))
    explanation = transform_importance(
        linear_net(weight), X, transformer=transformer, scorer=scorer, groups=masks
    )
    np.testing.assert_allclose(
        explanation.values, expected @ masks.T, rtol=1e-10, atol=1e-10
    )
