"""Transforms that are learned find what was planted, and can be undone."""

import warnings

import numpy as np
import pytest
import pywt
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from sktrim import TransformImportance, WaveletTransformer, inverse_module
from sktrim.exceptions import ExplanationFileError, NonFiniteLossError
from sktrim.learning import LearnedTransformer
from sktrim.learning._rounds import train
from sktrim.learning.bases import Dictionary, Wavelet
from sktrim.learning.bases._basis import variation
from sktrim.scorers import IntegratedGradients

SMALL = {
    "dictionary": {"n_components": 5},
    "orthogonal": {},
    "wavelet": {"wavelet": "db2"},
    "convolutional": {"n_components": 2, "atom_shape": 3},
    "autoencoder": {"n_components": 4, "n_hidden": 8},
}
bases = pytest.mark.parametrize("base", SMALL)


def small(base, **options):
    return LearnedTransformer(
        base, **{"max_epochs": 2, "random_state": 0, **SMALL[base], **options}
    )


@parametrize_with_checks([small(base) for base in SMALL])
def test_scikit_learn_checks(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)


def matched(found, planted):
    """Return the mean |cosine| of rows that belong together."""
    norms = [np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, planted)]
    cosines = np.abs((found / norms[0]) @ (planted / norms[1]).T)
    return cosines[linear_sum_assignment(-cosines)].mean()


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_dictionary_is_found(seed):
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(12, 10))
    codes = np.where(rng.random((1000, 12)) < 0.12, rng.normal(size=(1000, 12)) * 2, 0)
    X = codes @ atoms / np.linalg.norm(atoms, axis=1).mean()
    learned = LearnedTransformer(
        "dictionary", 12, n_starts=5, lr=0.01, max_epochs=40, random_state=seed
    ).fit(X)
    assert matched(learned.components_, atoms) > 0.95
    assert_allclose(np.linalg.norm(learned.components_, axis=1), 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_planted_small_atoms_are_found_wherever_they_are(seed):
    rng = np.random.default_rng(seed)
    atoms = np.stack([np.hanning(9), np.sin(np.linspace(0, 2 * np.pi, 9))])
    size = (300, 2, 64)
    maps = np.where(rng.random(size) < 0.02, 2 * rng.normal(size=size), 0)
    X = sum(
        np.stack([np.convolve(np.tile(m, 3), atom, "same")[64:128] for m in maps[:, k]])
        for k, atom in enumerate(atoms)
    )
    learned = LearnedTransformer(
        "convolutional",
        2,
        atom_shape=11,
        sparsity=0.1,
        n_starts=3,
        lr=0.02,
        max_epochs=30,
        random_state=seed,
    ).fit(X)
    cosines = np.array(
        [
            [np.abs(np.correlate(found, atom, "full")).max() for atom in atoms]
            for found in learned.components_
        ]
    ) / np.linalg.norm(atoms, axis=1)
    assert cosines[linear_sum_assignment(-cosines)].mean() > 0.95


def linear_trim(weights, X, scorer="gradient"):
    net = nn.Linear(len(weights), 1, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.as_tensor(weights)[None])
    return TransformImportance(net, scorer=scorer).fit(X)


@pytest.mark.parametrize("scorer", ["gradient", "integrated_gradients", "cd"])
def test_relevance_turns_an_atom_to_what_a_linear_network_reads(scorer):
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(200, 6)), rng.normal(size=6)
    learned = LearnedTransformer(
        "orthogonal",
        trim=linear_trim(w, X, scorer),
        sparsity=0.0,
        relevance=1.0,
        lr=0.02,
        batch_size=20,
        max_epochs=40,
        patience=None,
        random_state=0,
    ).fit(X)
    cosines = learned.components_ @ w / np.linalg.norm(w)
    assert np.abs(cosines).max() > 0.99
    assert learned.reconstruction_error_ < 1e-12


def test_contiguity_makes_scores_of_neighbours_alike():
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(100, 6)), rng.normal(size=6)
    learned = LearnedTransformer(
        "orthogonal",
        trim=linear_trim(w, X),
        sparsity=0.0,
        contiguity=1.0,
        lr=0.005,
        batch_size=10,
        max_epochs=100,
        patience=None,
        random_state=0,
    ).fit(X)
    scores = learned.components_ @ w
    assert_allclose(scores, np.full(6, scores.mean()), atol=0.1)
    assert_allclose(abs(scores.mean()), np.linalg.norm(w) / 6**0.5, atol=0.1)


def test_variation_is_that_of_a_loop():
    values = torch.randn(3, 2 * 10, 2, dtype=torch.float64)
    total = 0.0
    for row, channel, target in np.ndindex(3, 2, 2):
        own = values[row, 10 * channel : 10 * channel + 10, target].numpy()
        grid = own[4:].reshape(2, 3)
        total += np.abs(np.diff(own[:4])).sum()
        total += sum(np.abs(np.diff(grid, axis=axis)).sum() for axis in (0, 1))
    assert float(variation(values, [(4,), (2, 3)])) == pytest.approx(total / 6)


PLANTED = np.array(pywt.Wavelet("db5").dec_lo)  # pyright: ignore[reportAttributeAccessIssue]


def distance_to_planted(low):
    """Return the L2 distance, whatever the shift, the flip and the sign."""
    whole = np.zeros(60)
    whole[20:30] = PLANTED
    away = []
    for way in (low, low[::-1], -low, -low[::-1]):
        for shift in range(-12, 13):
            other = np.zeros(60)
            other[20 + shift : 20 + shift + len(low)] = way
            away.append(np.linalg.norm(whole - other))
    return min(away)


@pytest.mark.parametrize(
    ("start", "n_starts", "seed"), [("db5", 3, 1), ("sym5", 1, 30), ("coif2", 1, 0)]
)
def test_the_wavelet_that_a_network_reads_is_found(start, n_starts, seed):
    # of 40 starts around sym5 and coif2, 2 each end at the planted filter, and theirs
    # is the least loss; the seeds spare the others
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 64))
    planted = Wavelet((64,), PLANTED, 2)
    s = np.zeros(64)
    s[16 + 7 : 16 + 10] = 2.0
    with torch.no_grad():
        weights = planted.decode(torch.as_tensor(s)[None])[0].numpy()
    learned = LearnedTransformer(
        "wavelet",
        trim=linear_trim(weights, X),
        wavelet=start,
        noise=0.3,
        n_starts=n_starts,
        level=2,
        sparsity=0.0,
        relevance=0.1,
        lr=1e-2,
        batch_size=50,
        max_epochs=300 if n_starts == 1 else 800,
        patience=None,
        random_state=seed,
    ).fit(X)
    assert distance_to_planted(np.array(learned.wavelet_.dec_lo)) < 0.1
    back = learned.inverse_transform(learned.transform(X))
    assert_allclose(back, X, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "name", "level"), [((16, 32), "db2", 2), ((64,), "coif1", 3)]
)
def test_the_wavelet_basis_is_that_of_pywavelets(shape, name, level):
    X = np.random.default_rng(0).normal(size=(4, *shape))
    axes = tuple(range(-len(shape), 0))
    learned = LearnedTransformer(
        "wavelet", wavelet=name, level=level, max_epochs=3, lr=0.02, axes=axes
    )
    learned.set_params(random_state=0, sparsity=1.0).fit(X)
    plain = WaveletTransformer(learned.wavelet_, level=level, axes=axes).fit(X)
    assert_allclose(learned.transform(X), plain.transform(X), atol=1e-12)
    assert list(learned.get_feature_names_out()) == list(plain.get_feature_names_out())
    names = learned.feature_groups().names
    assert names == plain.feature_groups().names
    start = np.array(pywt.Wavelet(name).dec_lo)  # pyright: ignore[reportAttributeAccessIssue]
    assert np.abs(np.array(learned.wavelet_.dec_lo) - start).max() > 1e-3


@pytest.mark.parametrize("name", ["haar", "db3", "sym4", "coif2"])
def test_both_filters_start_at_those_of_pywavelets(name):
    X = np.random.default_rng(0).normal(size=(4, 32))
    learned = LearnedTransformer("wavelet", wavelet=name, level=1, max_epochs=0)
    found = learned.fit(X).wavelet_
    start = pywt.Wavelet(name)  # pyright: ignore[reportAttributeAccessIssue]
    assert_allclose(found.filter_bank, start.filter_bank, atol=1e-9)


def test_steps_that_are_followed_stay_at_the_codes():
    rng = np.random.default_rng(0)
    atoms, X = rng.normal(size=(7, 5)), torch.as_tensor(rng.normal(size=(20, 5)))
    basis = Dictionary((5,), atoms, 0.3).eval()
    with torch.no_grad():
        codes = basis.encode(X)
        off = basis.decode(codes) - X
        slopes = basis.adjoint(off)
    torch.testing.assert_close(basis.encode(X), codes, atol=1e-6, rtol=0)
    used = codes != 0
    assert_allclose(slopes[used], -0.3 * codes[used].sign(), atol=1e-6)
    assert (slopes[~used].abs() <= 0.3 + 1e-6).all()
    assert used.float().mean() < 0.9


def test_without_weight_the_network_changes_nothing():
    X = np.random.default_rng(0).normal(size=(100, 16))
    trim = linear_trim(np.ones(16), X)
    options = {"wavelet": "db2", "random_state": 0, "max_epochs": 3}
    alone = LearnedTransformer("wavelet", **options).fit(X)
    beside = LearnedTransformer("wavelet", trim=trim, **options).fit(X)
    assert alone.losses_ == beside.losses_
    loss = alone.losses_[0]
    expected = ("low-pass sum", "high-pass sum", "norm", "conjugate mirror")
    assert {*expected, "reconstruction", "even shifts", "sparsity"} < loss.keys()


@bases
def test_the_torch_inverse_is_the_inverse(base):
    X = np.random.default_rng(0).normal(size=(8, 2, 16))
    learned = small(base, axes=-1).fit(X)
    s = learned.transform(X)
    twin = inverse_module(learned)
    assert_allclose(twin(torch.as_tensor(s)), learned.inverse_transform(s), atol=1e-10)
    if not twin.is_affine:
        return
    g = torch.randn(3, 32, dtype=torch.float64)
    matrix = twin(torch.eye(s.shape[1], dtype=torch.float64)).flatten(1)
    assert_allclose(twin.adjoint(g, s.shape[1]), g @ matrix.T, atol=1e-10)


@bases
@pytest.mark.parametrize("scorer", ["input_x_gradient", "integrated_gradients", "cd"])
def test_scores_in_training_are_those_of_an_explanation(base, scorer):
    torch.manual_seed(0)
    X = np.random.default_rng(0).normal(size=(6, 16))
    net = nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    trim = TransformImportance(net, scorer=scorer).fit(X)
    options = {"trim": trim, "relevance": 1.0, "sparsity": 0.0, "lr": 1e-12}
    learned = small(base, max_epochs=1, **options).fit(X)
    inside = TransformImportance(
        net, learned, scorer=scorer, groups="coefficients", on_incomplete="ignore"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = inside.fit(X).explain(X).values
    per_scale = np.abs(scores).sum() / len(X) / learned.basis_.n_scales
    tolerance = {"dictionary": 0.05, "convolutional": 0.05}.get(base, 1e-6)
    assert learned.losses_[0]["relevance"] == pytest.approx(per_scale, rel=tolerance)


@pytest.mark.parametrize(
    "scorer",
    [IntegratedGradients(), IntegratedGradients(baseline=np.linspace(-1, 1, 16))],
    ids=["zeros", "a row"],
)
@pytest.mark.parametrize("base", ["dictionary", "orthogonal"])
def test_paths_are_those_of_an_explanation_in_spaces_of_full_width(base, scorer):
    torch.manual_seed(0)
    X = np.random.default_rng(0).normal(size=(6, 16))
    net = nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    trim = TransformImportance(net, scorer=scorer).fit(X)
    options = {"trim": trim, "relevance": 1.0, "lr": 1e-12, "sparsity": 0.5}
    learned = LearnedTransformer(base, max_epochs=1, random_state=0, **options).fit(X)
    inside = TransformImportance(
        net, learned, scorer=scorer, groups="coefficients", on_incomplete="ignore"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = inside.fit(X).explain(X).values
    expected = np.abs(scores).sum() / len(X)
    assert learned.losses_[0]["relevance"] == pytest.approx(expected, rel=0.01)


def test_a_checkpoint_is_of_one_network(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 6))
    options = {"relevance": 1.0, "checkpoint": tmp_path / "kept"}
    small("orthogonal", trim=linear_trim(np.ones(6), X), **options).fit(X)
    other = small("orthogonal", trim=linear_trim(np.arange(6.0), X), **options)
    with pytest.raises(ValueError, match="to another network"):
        other.fit(X)


def test_a_stopped_variational_training_goes_on_to_the_bit(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 6))
    options = {"n_components": 2, "variational": True, "patience": None}
    whole = small("autoencoder", **options, max_epochs=4).fit(X)
    stopped = small("autoencoder", **options, checkpoint=tmp_path / "kept")
    stopped.set_params(max_epochs=2).fit(X)
    stopped.set_params(max_epochs=4).fit(X)
    assert stopped.losses_ == whole.losses_


@bases
def test_files_hold_what_was_learned(base, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32)
    learned = small(base).fit(X)
    learned.save(tmp_path / "learned.npz")
    loaded = LearnedTransformer.load(tmp_path / "learned.npz")
    assert_array_equal(loaded.transform(X), learned.transform(X))
    assert loaded.feature_groups().names == learned.feature_groups().names
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(ExplanationFileError, match=r"other\.npz"):
        LearnedTransformer.load(tmp_path / "other.npz")


@bases
def test_a_training_that_was_stopped_goes_on_to_the_bit(base, tmp_path, monkeypatch):
    X = np.random.default_rng(0).normal(size=(60, 16))
    options = {"max_epochs": 5, "batch_size": 20, "patience": None}
    whole = small(base, **options).fit(X)
    stopped = small(base, checkpoint=tmp_path / "kept", **options)
    calls, terms = [], LearnedTransformer._terms

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return terms(*args)

    with monkeypatch.context() as context:
        context.setattr(LearnedTransformer, "_terms", interrupted)
        with pytest.warns(ConvergenceWarning, match="Interrupted after 2 of 5"):
            stopped.fit(X)
    stopped.fit(X)
    if base == "autoencoder":
        assert stopped.n_iter_ == 5
    assert stopped.losses_ == whole.losses_
    assert_array_equal(stopped.transform(X), whole.transform(X))
    with pytest.raises(ValueError, match="other data or other parameters"):
        clone(stopped).fit(X + 1)


def test_a_loss_that_is_no_number_is_named_and_the_last_epoch_kept():
    X = np.random.default_rng(0).normal(size=(20, 6))
    learned = small("orthogonal", lr=1e200, max_epochs=3)
    with pytest.raises((NonFiniteLossError, torch.linalg.LinAlgError)):
        learned.fit(X * 1e200)

    class Broken(nn.Module):
        def forward(self, x):
            return x.sum(1, keepdim=True).sqrt()

    trim = TransformImportance(Broken(), scorer="gradient").fit(np.abs(X))
    bad = np.abs(X)
    bad[0] = 0.0
    learned = small("orthogonal", trim=trim, relevance=1.0)
    with pytest.raises(NonFiniteLossError, match="'relevance'"):
        learned.fit(bad)
    assert np.isfinite(learned.basis_.atoms.numpy()).all()


def test_the_last_good_epoch_is_what_is_kept(monkeypatch):
    X = np.random.default_rng(0).laplace(size=(60, 6)) ** 3
    options = {"batch_size": 20, "patience": None, "lr": 0.01}
    first = small("orthogonal", max_epochs=1, **options).fit(X)
    calls, terms = [], LearnedTransformer._terms

    def breaking(*args):
        calls.append(1)
        parts = terms(*args)
        if len(calls) == 6:
            parts["sparsity"] = parts["sparsity"] * torch.nan
        return parts

    monkeypatch.setattr(LearnedTransformer, "_terms", breaking)
    learned = small("orthogonal", max_epochs=3, **options)
    with pytest.raises(NonFiniteLossError, match="'sparsity'"):
        learned.fit(X)
    assert_array_equal(learned.basis_.atoms.numpy(), first.components_)


def test_the_start_with_the_least_loss_goes_on(monkeypatch):
    X = np.random.default_rng(0).laplace(size=(60, 6)) ** 3
    losses = []

    def noted(*args):
        found = train(*args)
        losses.append(found[0]["loss"])
        return found

    monkeypatch.setattr("sktrim.learning._learned.train", noted)
    small("orthogonal", n_starts=5, lr=1e-12).fit(X)
    *starts, last = losses
    assert len(set(starts)) == 5
    assert last == pytest.approx(min(starts))


def test_what_does_not_fit_is_refused_with_reasons():
    X = np.random.default_rng(0).normal(size=(20, 6))
    trim = linear_trim(np.ones(6), X)
    cases = [
        (small("orthogonal", relevance=1.0), ValueError, "pass trim="),
        (small("orthogonal", n_components=7), ValueError, "at most 6"),
        (small("wavelet", level=2), ValueError, "divisible by 4"),
        (small("wavelet", wavelet="bior2.2"), ValueError, "not orthogonal"),
        (
            small("orthogonal", trim=clone(trim), relevance=1.0),
            NotFittedError,
            r"call trim\.fit",
        ),
        (small("orthogonal", trim="net", relevance=1.0), TypeError, "a str"),
        (
            small(
                "orthogonal",
                trim=linear_trim(np.ones(6), X, "deeplift"),
                relevance=1.0,
            ),
            TypeError,
            "cannot be differentiated",
        ),
        (
            small(
                "orthogonal",
                trim=linear_trim(np.ones(6), X, "expected_gradients"),
                relevance=1.0,
            ),
            TypeError,
            "compares with rows",
        ),
    ]
    for learned, kind, message in cases:
        with pytest.raises(kind, match=message):
            learned.fit(X)


def test_a_clone_keeps_the_network_fitted():
    X = np.random.default_rng(0).normal(size=(20, 6))
    learned = small("orthogonal", trim=linear_trim(np.ones(6), X), relevance=1.0)
    assert clone(learned).trim is learned.trim
    assert_array_equal(clone(learned).fit(X).components_, learned.fit(X).components_)


def test_a_variational_code_is_noisy_in_training_alone():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 6))
    options = {"n_components": 2, "max_epochs": 150, "lr": 5e-3, "sparsity": 0.0}
    learned = small("autoencoder", variational=True, beta=0.01, **options).fit(X)
    assert learned.reconstruction_error_ < 0.25
    assert "divergence" in learned.losses_[0]
    assert_array_equal(learned.transform(X), learned.transform(X))


def test_warm_starts_go_on_from_what_there_is():
    X = np.random.default_rng(0).laplace(size=(100, 6)) ** 3
    learned = small("orthogonal", warm_start=True, lr=0.01).fit(X)
    first = learned.losses_[-1]["loss"]
    for _ in range(5):
        learned.fit(X)
    assert learned.losses_[-1]["loss"] < first
