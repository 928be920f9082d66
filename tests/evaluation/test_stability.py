"""Explanations of perturbed data and models are compared as their report says."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from skorch import NeuralNetBinaryClassifier
from torch import nn

from sktrim import Explanation, FourierTransformer, TransformImportance
from sktrim.evaluation import consensus, stability_report
from sktrim.evaluation._perturbations import adversarial, resamplings
from tests.nets import linear_net, mlp


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((60, 8))


def test_consensus_by_hand():
    values = [[1.0, -2, 3, 0], [2, -1, -3, 1], [3, -3, 3, 1]]
    np.testing.assert_array_equal(consensus(values), [1, -1, 0, 0])
    np.testing.assert_array_equal(consensus(values[:1]), values[0])
    explanations = [Explanation([row], list("abcd")) for row in values]
    np.testing.assert_array_equal(consensus(explanations), [[1, -1, 0, 0]])


@pytest.mark.parametrize("values", [[], [np.ones((2, 3)), np.ones((2, 4))]])
def test_a_consensus_is_of_the_same_groups(values):
    with pytest.raises(ValueError, match="expected one shape"):
        consensus(values)


def test_resamplings_are_what_they_are_called():
    rng = np.random.default_rng(0)
    for rows in resamplings("subsample", 21, 3, rng):
        assert len(set(rows)) == len(rows) == 10
    folds = resamplings("cross_validation", 20, 4, rng)
    left_out = np.concatenate([np.setdiff1d(np.arange(20), f) for f in folds])
    assert sorted(left_out) == list(range(20))
    for rows in resamplings("block_bootstrap", 20, 3, rng, block_size=5):
        assert len(rows) == 20
        assert (np.diff(rows.reshape(4, 5), axis=1) == 1).all()
    for rows in resamplings("bootstrap", 20, 3, rng):
        assert len(rows) == 20
        assert 0 <= rows.min()
        assert rows.max() < 20


def test_a_linear_network_is_stable_in_what_it_uses(X):
    weight = np.array([5.0, -3, 2, 1, 0.5, 0.25, 0.1, 0])
    trim = TransformImportance(linear_net(weight), scorer="gradient").fit(X)
    report = stability_report(trim, X, n_draws=4, groups=np.arange(60) % 3)
    for kind, found in report.kinds.items():
        assert found.rank_stability == pytest.approx(1), kind
        assert found.sign_agreement == pytest.approx(1), kind
        low, high = found.interval()
        np.testing.assert_allclose(low, np.abs(weight), atol=1e-12)
        np.testing.assert_allclose(high, np.abs(weight), atol=1e-12)
    assert len(report["environments"].importances) == 3
    assert "environments" in str(report)
    assert "bootstrap" in report.plot().ax_.figure.legends[0].get_texts()[-1].get_text()


def test_bootstrap_intervals_have_the_width_of_the_standard_error(X):
    trim = TransformImportance(linear_net(np.ones(8)), scorer="input_x_gradient").fit(X)
    report = stability_report(trim, X, perturbations=["bootstrap"], n_draws=400)
    low, high = report["bootstrap"].interval(0.6827)
    error = np.abs(X).std(axis=0) / np.sqrt(60)
    np.testing.assert_allclose((high - low) / 2, error, rtol=0.2)


def test_other_networks_and_what_they_agree_on(X):
    first, second = (linear_net(w) for w in np.array([[1.0, -2, 3], [2, -1, -3]]))
    X = X[:, :3]
    trim = TransformImportance(first, scorer="gradient").fit(X)
    report = stability_report(trim, X, perturbations=[], networks=[second])
    np.testing.assert_allclose(report.consensus, np.tile([1.0, -1, 0], (60, 1)))
    assert report["networks"].sign_agreement == pytest.approx(3 / 6)
    deeper = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)).double()
    two = stability_report(trim, X, perturbations=[], networks=[second, deeper])
    assert two["networks"].importances.shape == (2, 3)


def test_classes_of_other_networks_are_those_of_the_first(X):
    trim = TransformImportance(mlp(8), scorer="gradient").fit(X)
    other = mlp(8, seed=1)
    report = stability_report(trim, X, perturbations=[], networks=[other])
    columns = trim.explain(X).targets
    same = TransformImportance(other, scorer="gradient", target=columns).fit(X)
    np.testing.assert_allclose(
        report["networks"].signed[0], same.transform(X).mean(axis=0)
    )


def test_adversarial_inputs_lower_the_explained_output(X):
    trim = TransformImportance(mlp(8), FourierTransformer()).fit(X)
    explanation = trim.explain(X)
    half, whole = adversarial(trim, X, explanation, 0.1)
    before = explanation.explained
    assert (half.explained < before).all()
    assert whole.explained.mean() < half.explained.mean()
    step = np.abs(whole.signals - X)
    np.testing.assert_allclose(step, 0.1 * X.std())


def test_refitted_transforms(X):
    trim = TransformImportance(mlp(8), PCA(3), "input_x_gradient").fit(X)
    report = stability_report(
        trim, X, perturbations=[], refit_transform=True, n_draws=3
    )
    assert report["transforms"].importances.shape == (3, 3)
    assert report["transforms"].importances.std() > 0


def test_hard_cases_are_defined(X):
    flat = TransformImportance(linear_net(np.zeros(8))).fit(X)
    report = stability_report(flat, X[:1], n_draws=2)
    for found in report.kinds.values():
        assert found.sign_agreement == 1
        assert found.rank_stability == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"perturbations": ["earthquake"]}, "'earthquake' is not known"),
        ({"groups": [1, 2]}, "groups has shape"),
        ({"block_size": 100}, "block_size=100"),
    ],
)
def test_options_out_of_range_are_named(X, options, message):
    trim = TransformImportance(mlp(8)).fit(X)
    with pytest.raises(ValueError, match=message):
        stability_report(trim, X, **options)


class OneLogit(nn.Module):
    """A classifier so sure of itself that float32 probabilities are 1."""

    def __init__(self):
        super().__init__()
        self.body = mlp(8, 16, 1, dtype=torch.float32)

    def forward(self, x):
        return 1e3 * self.body(x)


def test_adversarial_steps_follow_the_explained_output(X):
    X = X.astype("f4")
    net = NeuralNetBinaryClassifier(OneLogit(), max_epochs=1, lr=0.0, verbose=0)
    net.fit(X, (X[:, 0] > 0).astype("f4"))
    trim = TransformImportance(net, scorer="gradient").fit(X)
    explanation = trim.explain(X)
    x = torch.tensor(X, requires_grad=True)
    outputs = net.module_(x)
    (outputs.abs().sum()).backward()
    moved = (X - 0.05 * X.std() * x.grad.sign().numpy()).astype("f4")
    *_, found = adversarial(trim, X, explanation, 0.05)
    np.testing.assert_allclose(found.signals, moved, atol=1e-6)


def test_an_estimator_without_gradient_is_told(X):
    forest = RandomForestClassifier(5, random_state=0).fit(X, X[:, 0] > 0)
    trim = TransformImportance(forest, scorer="occlusion").fit(X)
    with pytest.raises(ValueError, match='leave "adversarial" out'):
        stability_report(trim, X, perturbations=["adversarial"])


def test_transforms_are_refitted_to_sparse_rows(X):
    counts = np.maximum(X, 0)
    trim = TransformImportance(mlp(8), TruncatedSVD(3, random_state=0), random_state=0)
    options = {"perturbations": (), "refit_transform": True, "n_draws": 2}
    dense = stability_report(trim.fit(counts), counts, **options)
    for kind in (sp.csr_array, sp.coo_array):
        rows = kind(counts)
        found = stability_report(trim.fit(rows), rows, **options)["transforms"]
        expected = dense["transforms"].importances
        np.testing.assert_allclose(found.importances, expected, rtol=1e-5)


def test_misuse_of_a_report_is_told(X):
    trim = TransformImportance(mlp(8)).fit(X)
    with pytest.raises(ValueError, match="n_draws=0"):
        stability_report(trim, X, n_draws=0)
    empty = stability_report(trim, X, perturbations=())
    with pytest.raises(ValueError, match="measured were"):
        empty.plot()


def test_missing_labels_are_an_environment(X):
    trim = TransformImportance(mlp(8)).fit(X)
    labels = np.r_[np.full(20, np.nan), np.ones(40)]
    report = stability_report(trim, X, perturbations=(), groups=labels)
    sizes = np.abs(trim.explain(X).values)
    expected = [sizes[20:].mean(axis=0), sizes[:20].mean(axis=0)]
    np.testing.assert_allclose(report["environments"].importances, expected)
