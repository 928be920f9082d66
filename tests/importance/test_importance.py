"""The meta-estimator fits, explains and searches as scikit-learn's do."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.decomposition import NMF, PCA
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

import sktrim
from sktrim import (
    FeatureGroups,
    FourierTransformer,
    TransformImportance,
    WaveletTransformer,
    transform_importance,
)
from sktrim.exceptions import IncompleteError
from sktrim.scorers import IntegratedGradients
from tests.nets import classifier, linear_net, mlp, regressor, small_conv

warnings.filterwarnings("ignore", message="Lazy modules are a new feature")


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(120, 16, n_informative=8, n_classes=3, random_state=0)
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def net(data):
    X, y = data
    return classifier().fit(X, y)


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((9, 1, 12, 12))


def test_the_main_job(data, net):
    X, y = data
    trim = TransformImportance(FrozenEstimator(net), FourierTransformer())
    explanation = trim.fit(X, y).explain(X)
    assert explanation.values.shape == (120, 9)
    assert explanation.unit is not None
    assert explanation.group_names == trim.get_feature_names_out().tolist()
    np.testing.assert_array_equal(explanation.targets, net.predict(X))
    np.testing.assert_array_equal(trim.predict(X), net.predict(X))
    np.testing.assert_allclose(
        trim.predict_proba(X), torch.as_tensor(explanation.predictions).softmax(1)
    )
    np.testing.assert_allclose(trim.transform(X), explanation.values)


def test_class_and_function_agree(data, net):
    X, _ = data
    pca = PCA(4).fit(X)
    trim = TransformImportance(net, pca, "integrated_gradients").fit(X)
    function = transform_importance(
        net, X, transformer=trim.transformer_, scorer="integrated_gradients"
    )
    np.testing.assert_allclose(trim.transform(X), function.values, rtol=1e-5)


def test_a_fitted_net_is_used_as_it_is(data, net):
    X, y = data
    trim = TransformImportance(net).fit(X, y)
    assert trim.estimator_ is net
    module = net.module_
    assert TransformImportance(module).fit(X).network_.module is module


def test_an_unfitted_net_is_cloned_and_fitted(data):
    X, y = data
    labels = np.array(["red", "green", "blue"])[y]
    net = classifier()
    trim = TransformImportance(net, PCA(3)).fit(X, labels)
    assert not hasattr(net, "module_") or not net.initialized_
    assert set(trim.predict(X)) <= {"red", "green", "blue"}
    assert (trim.predict(X) == labels).mean() > 0.6
    named = TransformImportance(trim.estimator_, target="true")
    assert set(trim.explain(X).target_names) <= {"red", "green", "blue"}
    assert clone(named).target == "true"


def test_regression_targets_take_the_shape_of_the_output(data):
    X, _ = data
    y = X @ np.linspace(0, 1, 16)
    trim = TransformImportance(regressor(max_epochs=60), output="raw").fit(X, y)
    assert np.corrcoef(trim.predict(X), y)[0, 1] > 0.9


def test_images_go_to_the_transformer_flat_or_as_they_are(images):
    net = small_conv()
    for transformer in (
        PCA(3),
        FourierTransformer(),
        FourierTransformer(signal_shape=(12, 12)),
        WaveletTransformer("haar", level=1),
        NMF(2, init="nndsvda", max_iter=1000, tol=1e-2),
        make_pipeline(StandardScaler(), PCA(2)),
    ):
        trim = TransformImportance(net, transformer).fit(np.abs(images))
        explanation = trim.explain(np.abs(images))
        assert len(explanation) == 9
        part = explanation.component(0, 0)
        assert part.size == 144


def test_components_add_up_to_the_signal(images):
    trim = TransformImportance(small_conv(), FourierTransformer()).fit(images)
    explanation = trim.explain(images)
    n_groups = explanation.values.shape[1]
    total = sum(explanation.component(2, g).reshape(12, 12) for g in range(n_groups))
    np.testing.assert_allclose(total, images[2, 0], atol=1e-10)
    assert explanation.component(2, 0).shape == (1, 12, 12)


@pytest.mark.parametrize("space", [PCA(3), QuantileTransformer(n_quantiles=20)])
def test_components_outlive_the_fit_of_their_transformer(space, data):
    X, options = data[0], {"transformer": clone(space).fit(data[0]), "target": 0}
    first, second = (
        transform_importance(mlp(16), X[:3], scorer="occlusion", **options)
        for _ in range(2)
    )
    expected = first.component(0, 1)
    options["transformer"].fit(5 * X[::-1] ** 2)
    np.testing.assert_array_equal(second.component(0, 1), expected)


def test_batch_chunk_order_and_jobs_do_not_matter(images, monkeypatch):
    scorers = ["cd", "integrated_gradients", "occlusion", "smoothgrad"]
    for scorer in scorers:
        trim = TransformImportance(
            small_conv(), FourierTransformer(), scorer, random_state=0
        ).fit(images)
        whole = trim.transform(images)
        order = np.random.default_rng(1).permutation(9)
        np.testing.assert_allclose(
            trim.transform(images[order]), whole[order], rtol=1e-9, atol=1e-12
        )
        alone = np.concatenate([trim.transform(images[i : i + 1]) for i in range(9)])
        np.testing.assert_allclose(alone, whole, rtol=1e-9, atol=1e-12)
        with monkeypatch.context() as patch:
            patch.setattr("sktrim._memory.CACHE_BYTES", 60_000)
            np.testing.assert_allclose(
                trim.transform(images), whole, rtol=1e-9, atol=1e-12
            )
        threaded = trim.set_params(n_jobs=2).transform(images)
        np.testing.assert_allclose(threaded, whole, rtol=1e-9, atol=1e-12)


def test_cd_of_everything_is_the_output(images):
    images[:, :, :3] = 0
    for bias in ("channel", "proportional"):
        scorer = sktrim.scorers.ContextualDecomposition(bias=bias)
        found = transform_importance(
            small_conv(),
            images,
            transformer=FourierTransformer().fit(images),
            scorer=scorer,
            groups={"all": np.ones(144), "none": np.zeros(144)},
        )
        np.testing.assert_allclose(found.values[:, 0], found.explained, rtol=1e-10)
        np.testing.assert_array_equal(found.values[:, 1], 0)
        np.testing.assert_allclose(found.base_values, 0, atol=1e-10)


def test_residual_policies(data, net):
    X, _ = data
    pca = PCA(3).fit(X)
    outputs = net.forward(X).numpy()
    common = {"transformer": pca, "target": 1, "output": "logit"}
    constant = transform_importance(net, X, **common)
    np.testing.assert_allclose(constant.explained, outputs[:, 1], rtol=1e-4, atol=1e-5)
    component = transform_importance(net, X, residual="component", **common)
    assert component.values.shape == (120, constant.values.shape[1] + 1)
    assert component.residual_values.shape == (120,)
    dropped = transform_importance(net, X, residual="drop", **common)
    represented = pca.inverse_transform(pca.transform(X)).astype(np.float32)
    np.testing.assert_allclose(
        dropped.explained,
        net.forward(represented).numpy()[:, 1],
        rtol=1e-4,
        atol=1e-5,
    )
    predicted = transform_importance(net, X, transformer=pca, residual="drop")
    np.testing.assert_array_equal(predicted.targets, outputs.argmax(1))


def test_residual_and_scores_are_complete_for_integrated_gradients(data, net):
    X, _ = data
    found = transform_importance(
        net,
        X,
        transformer=PCA(3).fit(X),
        scorer=sktrim.scorers.IntegratedGradients(n_steps=400),
        residual="component",
    )
    total = found.base_values + found.values.sum(1)
    explained = found.explained
    assert np.abs(total - explained).max() < 0.01 * np.abs(explained).max()


def test_groups_in_every_form(data, net):
    X, _ = data
    fourier = FourierTransformer().fit(X)
    bands = fourier.feature_groups(by="band", n_bands=3)
    forms = {
        "groups": bands,
        "callable": lambda t: t.feature_groups(by="band", n_bands=3),
        "matrix": bands.toarray(),
        "labels": bands.toarray().argmax(0),
        "dict": dict(zip("abc", bands.toarray(), strict=True)),
    }
    scores = [
        transform_importance(net, X, transformer=fourier, groups=form).values
        for form in forms.values()
    ]
    for other in scores[1:]:
        np.testing.assert_array_equal(other, scores[0])


def test_completeness_is_undefined_where_groups_do_not_cover(data, net):
    X, _ = data
    labels = np.r_[0, 0, 1, 1, [-1] * 12]
    found = transform_importance(net, X, groups=labels, scorer="integrated_gradients")
    assert np.isnan(found.completeness_error).all()


def test_a_pipeline_keeps_its_scaler_inside_the_network(data):
    X, y = data
    X = X * 30 + 5
    frame = pd.DataFrame(X, columns=[f"gene{i}" for i in range(16)])
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(frame, y)
    trim = TransformImportance(pipeline).fit(frame)
    assert not trim.network_.preprocessing
    explanation = trim.explain(frame)
    assert explanation.group_names[3] == "gene3"
    by_function = transform_importance(pipeline, frame)
    assert by_function.group_names == explanation.group_names
    np.testing.assert_array_equal(trim.predict(frame), pipeline.predict(frame))


def test_a_pipeline_keeps_its_vectorizer_outside(data):
    texts = ["good fine day", "bad day", "fine good good", "bad awful bad day"] * 10
    y = np.array([1, 0, 1, 0] * 10)

    class ToFloat(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.LazyLinear(2)

        def forward(self, x):
            return self.linear(x.float())

    net = NeuralNetClassifier(
        ToFloat, criterion=nn.CrossEntropyLoss, verbose=0, train_split=None
    )
    counts = CountVectorizer(dtype=np.float32)
    pipeline = make_pipeline(counts, net)
    dense = counts.fit_transform(texts).toarray()
    net.fit(dense, y)
    lda = sktrim.LatentDirichletAllocation(2, random_state=0)
    trim = TransformImportance(pipeline, lda).fit(texts)
    np.testing.assert_array_equal(trim.signals(texts).toarray(), dense)
    explanation = trim.explain(texts)
    assert explanation.values.shape == (40, 2)
    named = trim.transformer_.feature_groups(vocabulary=counts.vocabulary_).names
    assert explanation.group_names == named
    assert trim.get_feature_names_out()[0].startswith("topic0: ")
    words = TransformImportance(pipeline).fit(texts).get_feature_names_out()
    assert words.tolist() == counts.get_feature_names_out().tolist()
    shares = TfidfTransformer().fit(counts.transform(texts))
    pipeline = Pipeline([("counts", counts), ("tfidf", shares), ("net", net)])
    weighted = TransformImportance(pipeline).fit(texts).get_feature_names_out()
    assert weighted.tolist() == words.tolist()


def test_sparse_rows_are_explained_like_dense_ones(data, net):
    X, _ = data
    X = np.where(np.abs(X) > 1, X, 0)
    dense = TransformImportance(net).fit(X)
    sparse = TransformImportance(net).fit(sp.csr_array(X))
    np.testing.assert_allclose(
        sparse.transform(sp.csr_array(X)), dense.transform(X), rtol=1e-5, atol=1e-6
    )


def test_grid_search_over_transforms_groups_and_scorers(data, net):
    X, y = data
    trim = TransformImportance(FrozenEstimator(net), PCA(2))
    search = GridSearchCV(
        trim,
        {
            "transformer": [
                PCA(4),
                FourierTransformer(),
                WaveletTransformer("haar", level=1),
                FourierTransformer(signal_shape=(4, 4)),
            ]
        },
        cv=2,
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(np.unique(scores.round(12))) == 4
    search = GridSearchCV(
        trim,
        {"transformer__n_components": [1, 6], "scorer": ["cd", "gradient"]},
        cv=2,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.best_estimator_.explain(X)) == 120


def test_grid_search_fits_an_unfitted_net(data):
    X, y = data
    trim = TransformImportance(classifier(max_epochs=5), PCA(2))
    search = GridSearchCV(trim, {"transformer__n_components": [2, 5]}, cv=2)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()
    accuracy = GridSearchCV(
        trim, {"transformer__n_components": [2]}, cv=2, scoring="accuracy"
    ).fit(X, y)
    assert 0 < accuracy.best_score_ <= 1


def test_clones_share_the_module(net):
    module = net.module_
    trim = TransformImportance(module, PCA(2))
    assert clone(trim).estimator is module


def test_named_columns_in_a_pipeline(data):
    X, y = data
    pipeline = make_pipeline(
        StandardScaler(), TransformImportance(classifier(), PCA(3))
    )
    pipeline.set_output(transform="pandas")
    table = pipeline.fit(X, y).transform(X)
    assert table.columns.tolist() == ["pca0", "pca1", "pca2"]
    assert pipeline[-1].explain(pipeline[:-1].transform(X)).values.shape == (120, 3)


def test_a_fitted_trim_pickles(data, net):
    X, _ = data
    trim = TransformImportance(FrozenEstimator(net), PCA(3)).fit(X)
    copied = pickle.loads(pickle.dumps(trim))
    np.testing.assert_array_equal(copied.transform(X), trim.transform(X))


@pytest.mark.parametrize("ending", [nn.Softmax(1), nn.LogSoftmax(1)])
def test_logits_before_a_final_softmax_are_explained(data, ending):
    X, _ = data
    X = X[:, :12].astype(float)
    logits = mlp()
    whole = nn.Sequential(logits, ending).eval()
    for scorer in ("cd", "input_x_gradient", "occlusion"):
        ours = transform_importance(whole, X, scorer=scorer)
        plain = transform_importance(logits, X, scorer=scorer)
        np.testing.assert_allclose(ours.values, plain.values, atol=1e-10)


@pytest.mark.parametrize("shape", ["flat", "column"])
def test_one_output(data, shape):
    X = data[0][:, :12].astype(float)
    net = mlp(n_out=1)
    if shape == "flat":
        net = nn.Sequential(net, nn.Flatten(0)).eval()
    binary = nn.Sequential(net, nn.Sigmoid()).eval()
    raw = transform_importance(net, X, scorer="input_x_gradient")
    assert raw.output == "raw"
    margin = transform_importance(binary, X, scorer="input_x_gradient")
    assert margin.output == "margin"
    sign = np.where(margin.targets == 1, 1, -1)[:, None]
    np.testing.assert_allclose(margin.values, sign * raw.values, atol=1e-12)


def test_probabilities_add_up_for_integrated_gradients(data):
    X = data[0][:, :12].astype(float)
    found = transform_importance(
        mlp(),
        X,
        scorer=sktrim.scorers.IntegratedGradients(n_steps=300),
        output="probability",
    )
    p = torch.as_tensor(found.predictions).softmax(1).max(1).values.numpy()
    np.testing.assert_allclose(found.explained, p)
    assert np.abs(found.completeness_error).max() < 1e-2


def test_cd_of_a_probability_is_full_for_the_full_mask(data):
    X = data[0][:, :12].astype(float)
    found = transform_importance(
        mlp(),
        X,
        scorer=sktrim.scorers.ContextualDecomposition("channel"),
        groups=np.zeros(12, dtype=int),
        output="probability",
    )
    np.testing.assert_allclose(found.values[:, 0] + 1 / 3, found.explained, atol=1e-10)


def test_a_scorer_of_ones_own(data):
    class Sensitivity(sktrim.Scorer):
        additive = True

        def attribute(self, model, s, groups, target):
            s = s.clone().requires_grad_()
            scalars = target(model(s))
            scores = [
                torch.autograd.grad(scalars[:, t].sum(), s, retain_graph=True)[0]
                for t in range(scalars.shape[1])
            ]
            return groups.aggregate(torch.stack(scores) ** 2).movedim(0, -1)

    X = data[0][:, :12].astype(float)
    ours = transform_importance(mlp(), X, scorer=Sensitivity())
    theirs = transform_importance(mlp(), X, scorer="gradient_squared")
    np.testing.assert_allclose(ours.values, theirs.values)
    assert ours.scorer == "Sensitivity"


def test_progress_is_silent_by_default(data, net, capsys):
    X, _ = data
    trim = TransformImportance(net).fit(X)
    trim.explain(X)
    assert capsys.readouterr().err == ""
    trim.set_params(verbose=1).explain(X)
    assert "120/120" in capsys.readouterr().err


def test_background_is_seeded_and_bounded(data, net):
    X, _ = data
    trims = [
        TransformImportance(net, n_background=7, random_state=seed).fit(X)
        for seed in (0, 0, 1)
    ]
    assert trims[0].background_.shape == (7, 16)
    np.testing.assert_array_equal(trims[0].background_, trims[1].background_)
    assert not np.array_equal(trims[0].background_, trims[2].background_)


def test_target_all_has_no_transform(data, net):
    X, _ = data
    trim = TransformImportance(net, target="all").fit(X)
    assert trim.explain(X).values.shape == (120, 16, 3)
    with pytest.raises(ValueError, match="2-D arrays"):
        trim.transform(X)


def test_feature_groups_are_checked_against_the_width(data, net):
    X, _ = data
    with pytest.raises(ValueError, match="16"):
        TransformImportance(net, groups=FeatureGroups(np.eye(5))).fit(X)


def test_reconstruction_error(data, net):
    X, _ = data
    lossless = TransformImportance(net, FourierTransformer()).fit(X)
    assert lossless.reconstruction_error_ < 1e-5
    lossy = TransformImportance(net, PCA(2)).fit(X)
    assert 0.3 < lossy.reconstruction_error_ < 1


def test_linear_nets_sum_to_the_output(data):
    X = data[0].astype(float)
    found = transform_importance(linear_net(np.ones(16)), X)
    assert np.isfinite(found.completeness_error).all()


def test_incomplete_scores_may_be_refused_after_fit(data, net):
    X, _ = data
    rough = IntegratedGradients(n_steps=1)
    trim = TransformImportance(mlp(16), scorer=rough, on_incomplete="ignore").fit(X)
    trim.explain(X)
    with pytest.raises(IncompleteError):
        trim.set_params(on_incomplete="raise").explain(X)


def test_explain_leaves_the_question_as_fit_put_it(images):
    X = images.reshape(9, -1)[:, :12]
    trim = TransformImportance(mlp(), scorer="gradient").fit(X)
    before = dict(vars(trim.question_))
    trim.set_params(verbose=1, n_jobs=2, on_incomplete="ignore").explain(X)
    assert vars(trim.question_) == before
