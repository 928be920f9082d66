"""Tests of the torch modules of inverses, and of the network on coefficients."""

import pickle
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context, decomposition
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import (
    NMF,
    PCA,
    DictionaryLearning,
    FastICA,
    KernelPCA,
    TruncatedSVD,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from torch.func import jvp, vjp, vmap

from sktrim.inverse import (
    InverseModule,
    InverseNotAvailableError,
    forward_module,
    inverse_module,
)
from sktrim.inverse._modules import IdentityTwin, MatrixTwin, ScaleTwin, SequentialTwin
from sktrim.transforms import (
    AlongAxis,
    CosineTransformer,
    FourierTransformer,
    LappedTransformer,
    LatentDirichletAllocation,
    LinearDictionary,
    ShortTimeFourierTransformer,
    WaveletPacketTransformer,
    WaveletTransformer,
)

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ATOMS = np.random.default_rng(5).normal(size=(7, 24))
TRANSFORMERS = {
    "fourier": FourierTransformer(signal_shape=(4, 6)),
    "fourier of channels": FourierTransformer(signal_shape=(4, 2, 3), axes=(0, 2)),
    "cosine": CosineTransformer(signal_shape=(2, 3, 4)),
    "wavelet": WaveletTransformer("db2", mode="symmetric"),
    "wavelet of images": WaveletTransformer("haar", signal_shape=(2, 3, 4)),
    "short-time": ShortTimeFourierTransformer(8, hop=3),
    "short-time of channels, not tight": ShortTimeFourierTransformer(
        6, 2, "hann", tight=False, signal_shape=(12, 2), axes=0
    ),
    "lapped": LappedTransformer(4, signal_shape=(2, 12)),
    "packets": WaveletPacketTransformer("db2", 2),
    "packets of channels, padded": WaveletPacketTransformer(
        "bior2.2", 3, signal_shape=(12, 2), axes=0
    ),
    "along an axis": AlongAxis(PCA(2), axis=1, signal_shape=(4, 6)),
    "dictionary": LinearDictionary(ATOMS),
    "topics": LatentDirichletAllocation(5, random_state=0),
    "pca": PCA(5),
    "whitened pca": PCA(5, whiten=True),
    "svd": TruncatedSVD(5, random_state=0),
    "nmf": NMF(5, random_state=0, max_iter=2000),
    "ica": FastICA(5, random_state=0, max_iter=2000, tol=1e-3),
    "dictionary learning": DictionaryLearning(5, max_iter=5, random_state=0),
    "standard scaler": StandardScaler(),
    "scaler in place": StandardScaler(copy=False),
    "min-max scaler": MinMaxScaler(),
    "max-abs scaler": MaxAbsScaler(),
    "robust scaler": RobustScaler(),
    "selection": VarianceThreshold(0.05),
    "identity": FunctionTransformer(),
    "halves": FunctionTransformer(lambda x: x / 2, lambda x: 2 * x),
    "frozen": FrozenEstimator(PCA(5)),
    "scaled pca": make_pipeline(StandardScaler(), PCA(5)),
    "pca of pca": make_pipeline(PCA(20), PCA(5)),
    "ica of pca": make_pipeline(PCA(6), FastICA(4, random_state=0, tol=1e-2)),
    "nmf of scaled": make_pipeline(
        MinMaxScaler(), NMF(5, random_state=0, max_iter=2000)
    ),
    "fourier of scaled": make_pipeline(StandardScaler(), FourierTransformer()),
    "pca of fourier": make_pipeline(
        FourierTransformer((4, 6)), PCA(5), StandardScaler()
    ),
    "nested": make_pipeline(make_pipeline("passthrough", MinMaxScaler()), None, PCA(3)),
}


def positive_rows(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, size=(n, 24)) * rng.uniform(0.2, 3, size=24)


def fitted(name, X):
    transformer = clone(TRANSFORMERS[name])
    if isinstance(transformer, FrozenEstimator):
        return FrozenEstimator(transformer.estimator.fit(X.copy()))
    return transformer.fit(X.copy())


@cache
def pieces(name, seed=0):
    """Return a transformer, its inverse module and coefficients as a tensor."""
    X = positive_rows(seed=seed)
    transformer = fitted(name, X)
    inverse = inverse_module(transformer, X=X)
    return transformer, inverse, torch.tensor(transformer.transform(X.copy()))


@pytest.fixture(params=TRANSFORMERS)
def name(request):
    return request.param


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_inverse_transform(name, seed):
    transformer, inverse, s = pieces(name, seed)
    expected = transformer.inverse_transform(s.numpy().copy())
    assert inverse(s).dtype == torch.float64
    np.testing.assert_allclose(inverse(s), expected, rtol=0, atol=1e-10)


def test_data_are_left_alone(name):
    X = positive_rows()
    transformer = fitted(name, X)
    given = X.copy()
    inverse_module(transformer, X=given)
    forward_module(transformer, given)
    np.testing.assert_array_equal(given, X)


def test_data_is_not_needed(name):
    transformer, inverse, s = pieces(name)
    blind = inverse_module(transformer)
    np.testing.assert_allclose(blind(s), inverse(s), rtol=0, atol=1e-12)


def test_linear_is_the_part_without_offset(name):
    _, inverse, s = pieces(name)
    assert inverse.is_affine
    offset = inverse(torch.zeros_like(s))
    torch.testing.assert_close(inverse.linear(s), inverse(s) - offset)
    t = torch.randn_like(s)
    torch.testing.assert_close(
        inverse.linear(2 * s - t), 2 * inverse.linear(s) - inverse.linear(t)
    )
    assert not inverse.linear(0 * s).any()


def test_gradient_is_the_adjoint(name):
    _, inverse, s = pieces(name)
    signals, pull = vjp(inverse.linear, s)
    x = torch.randn_like(signals)
    torch.testing.assert_close((signals * x).sum(), (s * pull(x)[0]).sum())
    adjoint = inverse.adjoint(x.reshape(len(s), -1), s.shape[1])
    torch.testing.assert_close(adjoint, pull(x)[0])


def test_gradients_agree_with_differences(name):
    _, inverse, s = pieces(name)
    assert torch.autograd.gradcheck(inverse, s[:2].clone().requires_grad_())


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_forward_mode_gives_the_linear_part(name):
    _, inverse, s = pieces(name)
    t = torch.randn_like(s)
    torch.testing.assert_close(jvp(inverse, (s,), (t,))[1], inverse.linear(t))


def test_vmap_equals_the_loop(name):
    _, inverse, s = pieces(name)
    masks = torch.rand(3, s.shape[1], dtype=s.dtype)
    mapped = vmap(lambda mask: inverse.linear(mask * s))(masks)
    looped = torch.stack([inverse.linear(mask * s) for mask in masks])
    torch.testing.assert_close(mapped, looped)
    torch.testing.assert_close(vmap(inverse)(s), inverse(s))


def test_leading_axes_are_kept(name):
    _, inverse, s = pieces(name)
    stacked = inverse(s.reshape(4, 10, -1))
    torch.testing.assert_close(stacked.flatten(0, 1), inverse(s))
    torch.testing.assert_close(inverse(s[0]), inverse(s)[0])


def test_dtype_follows_the_coefficients(name):
    _, inverse, s = pieces(name)
    assert inverse(s.float()).dtype == torch.float32
    size = inverse(s).abs().max().item()
    converted = pickle.loads(pickle.dumps(inverse)).to(torch.float32)
    for module in (inverse, converted):
        single = module(s.float()).double()
        torch.testing.assert_close(single, inverse(s), rtol=0, atol=1e-5 * size)


def test_wrong_width_is_named(name):
    _, inverse, s = pieces(name)
    if inverse.n_coefficients is not None:
        with pytest.raises(ValueError, match="lie on the last axis"):
            inverse(torch.ones(2, s.shape[1] + 1))


def test_integers_are_refused():
    _, inverse, s = pieces("pca")
    with pytest.raises(TypeError, match="floating"):
        inverse(s.long())


def test_scalings_and_products_are_folded():
    X = positive_rows()
    assert isinstance(inverse_module(StandardScaler().fit(X)), ScaleTwin)
    folded = inverse_module(
        make_pipeline(StandardScaler(), PCA(5), MaxAbsScaler()).fit(X)
    )
    assert isinstance(folded, MatrixTwin)
    two = make_pipeline(StandardScaler(), RobustScaler()).fit(X)
    assert isinstance(inverse_module(two), ScaleTwin)
    narrow = make_pipeline(PCA(2), FunctionTransformer(), PCA(2)).fit(X)
    assert isinstance(inverse_module(narrow), MatrixTwin)
    # a bottleneck: the product would be larger than its factors
    wide = Pipeline([("narrow", Widened(2)), ("wide", Widened(20))]).fit(X)
    assert isinstance(inverse_module(wide, X=X), SequentialTwin)


class Widened(TransformerMixin, BaseEstimator):
    """A linear map to `width` columns, with the transpose as its inverse."""

    def __init__(self, width):
        self.width = width

    def fit(self, X, y=None):
        self.matrix_ = np.random.default_rng(0).normal(size=(X.shape[1], self.width))
        return self

    def transform(self, X):
        return np.asarray(X) @ self.matrix_

    def inverse_transform(self, S):
        return S @ self.matrix_.T


class Logarithm(Widened):
    """A transformer whose inverse is not affine."""

    def transform(self, X):
        return np.log(X)

    def inverse_transform(self, S):
        return np.exp(S)


class Exponential(InverseModule):
    def forward(self, s):
        return self.check(s).exp()


def test_a_module_of_ones_own_can_be_registered():
    X = positive_rows()
    transformer = Logarithm(1).fit(X)
    with pytest.raises(InverseNotAvailableError, match="not affine"):
        inverse_module(transformer, X=X)
    inverse_module.register(Logarithm)(lambda transformer, *, X=None: Exponential(24))
    inverse = inverse_module(make_pipeline(StandardScaler(), Logarithm(1)).fit(X))
    assert not inverse.is_affine
    with pytest.raises(TypeError, match="not affine"):
        inverse.linear(torch.ones(1, 24))
    alone = inverse_module(transformer)
    np.testing.assert_allclose(alone(torch.tensor(transformer.transform(X))), X)


@pytest.mark.parametrize(
    "transformer",
    [
        QuantileTransformer(n_quantiles=10),
        QuantileTransformer(n_quantiles=10, output_distribution="normal"),
        PowerTransformer(),
        PowerTransformer("box-cox"),
        KernelPCA(3, kernel="rbf", fit_inverse_transform=True),
        KernelPCA(3, kernel="rbf"),
        KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf"),
        make_pipeline(StandardScaler(), PowerTransformer()),
    ],
    ids=str,
)
@pytest.mark.parametrize("with_data", [True, False])
def test_inverses_that_are_not_affine_name_the_way_out(transformer, with_data):
    X = positive_rows()
    transformer.fit(X)
    with pytest.raises(InverseNotAvailableError, match=r"inverse_module\.register"):
        inverse_module(transformer, X=X if with_data else None)


def test_missing_inverses_are_named():
    X = positive_rows()
    union = FeatureUnion([("pca", PCA(2)), ("svd", TruncatedSVD(2))]).fit(X)
    with pytest.raises(InverseNotAvailableError, match="no inverse_transform"):
        inverse_module(union)
    with pytest.raises(InverseNotAvailableError, match="no inverse_func"):
        inverse_module(FunctionTransformer(np.log1p).fit(X))
    with pytest.raises(InverseNotAvailableError, match=r"sktrim\.LatentDirichletA"):
        inverse_module(decomposition.LatentDirichletAllocation(2).fit(X))
    with pytest.raises(InverseNotAvailableError, match=r"inverse of Widened: .* X="):
        inverse_module(Widened(3).fit(X))
    texts = OneHotEncoder().fit([["a"], ["b"]])
    with pytest.raises(InverseNotAvailableError):
        inverse_module(texts)


@pytest.mark.parametrize(
    "transformer",
    [FourierTransformer(), PCA(2), LinearDictionary(), make_pipeline(PCA(2))],
    ids=str,
)
def test_unfitted_transformers_are_named(transformer):
    with pytest.raises(NotFittedError):
        inverse_module(transformer)
    with pytest.raises(TypeError, match="fitted instance"):
        inverse_module(PCA)
    with pytest.raises(ValueError, match="passthrough"):
        inverse_module("fourier")


def test_the_identity_takes_the_shape_of_the_data():
    X = np.random.default_rng(0).normal(size=(3, 2, 4))
    for nothing in (None, "passthrough", FunctionTransformer()):
        s = torch.tensor(X.reshape(3, 8))
        assert inverse_module(nothing)(s) is s
        np.testing.assert_array_equal(inverse_module(nothing, X=X)(s), X)
    assert isinstance(inverse_module(make_pipeline(None, "passthrough")), IdentityTwin)


def test_a_large_offset_does_not_drown_the_linear_part():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)) * [1, 1e-3, 1e6] + [1e9, 1e5, 0]
    scaler = StandardScaler().fit(X)
    inverse = inverse_module(scaler, X=X)
    s = torch.ones(1, 3, dtype=torch.float64)
    np.testing.assert_allclose(inverse.linear(s)[0], scaler.scale_, rtol=1e-13)
    turned = rng.normal(size=(50, 2)) @ [[1, 0.1], [0.1, 1]] + 1e10
    pca = PCA().fit(turned)
    np.testing.assert_allclose(
        inverse_module(pca).linear(torch.eye(2).double()), pca.components_, atol=1e-10
    )


@pytest.mark.parametrize("mean", [1, 1e4])
def test_a_component_without_variance_is_read_off_too(mean):
    X = np.random.default_rng(0).normal(size=(4, 6)) + mean
    whitened = PCA(whiten=True).fit(X[:3])
    inverse = inverse_module(whitened, X=X)
    s = whitened.transform(X)
    np.testing.assert_allclose(
        inverse(torch.tensor(s)), whitened.inverse_transform(s), rtol=1e-8
    )


def test_sparse_rows_data_frames_and_float32():
    X = sp.random(60, 24, 0.2, format="csr", random_state=0)
    for transformer in (
        make_pipeline(MaxAbsScaler(), TruncatedSVD(4, random_state=0)),
        NMF(4, random_state=0, max_iter=2000),
        MaxAbsScaler(),
    ):
        s = transformer.fit(X).transform(X)
        s = s.toarray() if sp.issparse(s) else s
        expected = transformer.inverse_transform(s)
        inverse = inverse_module(transformer, X=X)
        np.testing.assert_allclose(inverse(torch.tensor(s)), expected, atol=1e-10)
    frame = pd.DataFrame(X.toarray()).add_prefix("f")
    pipeline = make_pipeline(StandardScaler(), PCA(4)).set_output(transform="pandas")
    s = pipeline.fit(frame).transform(frame).to_numpy()
    expected = pipeline.inverse_transform(s)
    for rows in (frame, frame.to_numpy()):
        given = inverse_module(pipeline, X=rows)(torch.tensor(s))
        np.testing.assert_allclose(given, expected, atol=1e-10)
    single = frame.to_numpy().astype(np.float32)
    pca = PCA(4).fit(single)
    given = inverse_module(pca, X=single)(torch.tensor(pca.transform(single)))
    np.testing.assert_allclose(
        given, pca.inverse_transform(pca.transform(single)), atol=1e-5
    )


def test_a_matrix_beyond_working_memory_is_refused():
    X = np.random.default_rng(0).normal(size=(30, 400))
    pca = PCA(20).fit(X)
    with config_context(working_memory=0.05):
        with pytest.raises(InverseNotAvailableError, match="working_memory"):
            inverse_module(pca)
        assert forward_module(pca, X) is None
        assert isinstance(inverse_module(StandardScaler().fit(X)), ScaleTwin)
    assert isinstance(inverse_module(pca), MatrixTwin)


@pytest.mark.parametrize(
    "name",
    "pca|whitened pca|standard scaler|min-max scaler|selection|svd|scaled pca|nested|"
    "pca of fourier|fourier|wavelet of images|halves".split("|"),
)
def test_forward_equals_transform(name):
    X = positive_rows()
    transformer = fitted(name, X)
    module = forward_module(transformer, X)
    x = torch.tensor(X)
    np.testing.assert_allclose(module(x), transformer.transform(X), rtol=0, atol=1e-10)
    assert torch.autograd.gradcheck(module, x[:2].clone().requires_grad_())


def test_forward_is_none_where_transform_is_not_affine():
    X = positive_rows()
    for transformer in (
        Normalizer(),
        PowerTransformer(),
        NMF(3, max_iter=2000),
        MinMaxScaler(clip=True),
        Logarithm(1),
        FunctionTransformer(np.log1p),
    ):
        assert forward_module(transformer.fit(X), X) is None
    texts = [["a"], ["b"]]
    assert forward_module(OneHotEncoder().fit(texts), texts) is None
    assert forward_module(OneHotEncoder().fit(texts), [["a"], ["b", "c"]]) is None
    images = X.reshape(40, 4, 6)
    assert forward_module(FourierTransformer((4, 6)).fit(images), images) is None
    chosen = SelectKBest(k=3).fit(X, np.arange(40) % 2)
    np.testing.assert_allclose(
        forward_module(chosen, X)(torch.tensor(X)), chosen.transform(X)
    )
    assert forward_module(None, X)(torch.ones(1, 3)).shape == (1, 3)
    with pytest.raises(NotFittedError):
        forward_module(PCA(2), X)
