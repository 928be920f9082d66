"""Curves of replaced groups are what replacing them one by one gives."""

import numpy as np
import pytest
import torch

from sktrim import FourierTransformer, TransformImportance
from sktrim.evaluation import (
    faithfulness_curves,
    faithfulness_report,
    faithfulness_score,
    localisation_score,
    sufficient_fraction,
)
from sktrim.evaluation._trace import unit_of
from tests.nets import linear_net, mlp


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((40, 8))


def test_curves_of_a_linear_network_by_hand(X):
    weight = np.array([3.0, -2.0, 0, 0, 1.0, 0, 0, 0])
    trim = TransformImportance(linear_net(weight), scorer="input_x_gradient").fit(X)
    curves = faithfulness_curves(trim, X)
    scores = X * weight
    spread = (scores.sum(1) + 0.3).std()
    for i in (0, 7):
        ordered = -np.sort(-scores[i])
        removed = np.r_[0, np.cumsum(ordered)]
        deletion = (scores[i].sum() + 0.3 - removed) / spread
        np.testing.assert_allclose(curves.deletion[i], deletion, atol=1e-12)
        insertion = (0.3 + removed) / spread
        np.testing.assert_allclose(curves.insertion[i], insertion, atol=1e-12)
    np.testing.assert_allclose(curves.fractions, np.linspace(0, 1, 9))


def test_the_plot_says_what_the_output_is(X):
    regressor = TransformImportance(linear_net(np.ones(8)), scorer="gradient").fit(X)
    label = faithfulness_report(regressor, X).plot().ax_.get_ylabel()
    assert label == "explained output (standard deviations over samples)"
    classifier = TransformImportance(mlp(8)).fit(X)
    label = faithfulness_curves(classifier, X).plot().ax_.get_ylabel()
    assert label == "probability of the explained class"


def test_the_true_order_is_the_best_order(X):
    weight = np.random.default_rng(1).standard_normal(8)
    trim = TransformImportance(
        linear_net(weight), FourierTransformer(), "input_x_gradient"
    ).fit(X)
    best = faithfulness_score(trim, X)
    assert trim.score(X) == best
    scores = trim.transform(X)
    rng = np.random.default_rng(2)
    shuffled = [
        faithfulness_curves(trim, X, scores=rng.permuted(scores, axis=1)).gap.mean()
        for _ in range(10)
    ]
    assert best > max(shuffled)
    error = np.std(shuffled) / np.sqrt(10)
    assert abs(np.mean(shuffled)) < 4 * error
    worst = faithfulness_curves(trim, X, scores=-scores).gap.mean()
    assert worst == pytest.approx(-best)


def test_ends_of_the_curves(X):
    trim = TransformImportance(mlp(8)).fit(X)
    curves = faithfulness_curves(trim, X, max_steps=3)
    assert curves.deletion.shape == (40, 4)
    with torch.no_grad():
        p = mlp(8)(torch.tensor(X)).softmax(1).max(1).values
        zero = mlp(8)(torch.zeros(1, 8, dtype=torch.float64)).softmax(1)
    np.testing.assert_allclose(curves.deletion[:, 0], p, atol=1e-12)
    np.testing.assert_allclose(curves.insertion[:, -1], p, atol=1e-12)
    np.testing.assert_allclose(curves.insertion[:, 0], curves.deletion[:, -1])
    columns = trim.explain(X).targets
    np.testing.assert_allclose(curves.insertion[:, 0], zero[0].numpy()[columns])


def test_ungrouped_coefficients_stay(X):
    weight = np.ones(8)
    labels = np.array([0, 0, 1, 1, -1, -1, -1, -1])
    trim = TransformImportance(
        linear_net(weight), scorer="input_x_gradient", groups=labels
    ).fit(X)
    curves = faithfulness_curves(trim, X)
    spread = (X.sum(1) + 0.3).std()
    np.testing.assert_allclose(
        curves.deletion[:, -1], (X[:, 4:].sum(1) + 0.3) / spread, atol=1e-12
    )
    np.testing.assert_allclose(curves.insertion[:, 0], curves.deletion[:, -1])


def test_one_group_and_constant_outputs_are_defined(X):
    one = TransformImportance(mlp(8), groups=np.zeros(8, dtype=int)).fit(X)
    assert np.isfinite(faithfulness_score(one, X))
    flat = TransformImportance(linear_net(np.zeros(8))).fit(X)
    assert faithfulness_score(flat, X) == 0
    assert np.isfinite(faithfulness_score(one, X[:1]))


def test_overlapping_groups_remove_what_is_left(X):
    masks = np.zeros((2, 8))
    masks[0, :5], masks[1, 3:] = 0.5, 1.0
    trim = TransformImportance(
        linear_net(np.ones(8)), scorer="input_x_gradient", groups=masks
    ).fit(X)
    scores = np.tile([2.0, 1.0], (40, 1))
    curves = faithfulness_curves(trim, X, scores=scores)
    spread = (X.sum(1) + 0.3).std()
    after = (X * (1 - masks[0])).sum(1) + 0.3
    np.testing.assert_allclose(curves.deletion[:, 1], after / spread, atol=1e-12)
    final = (X * (1 - masks[0]) * (1 - masks[1])).sum(1) + 0.3
    np.testing.assert_allclose(curves.deletion[:, 2], final / spread, atol=1e-12)
    np.testing.assert_allclose(curves.insertion[:, 0], final / spread, atol=1e-12)


def test_several_targets_are_refused(X):
    trim = TransformImportance(mlp(8), target="all").fit(X)
    with pytest.raises(ValueError, match="one target"):
        trim.score(X)


def test_the_scale_of_a_transform_does_not_matter(X):
    """The score of an orthonormal change of basis compares with the identity's."""
    plain = TransformImportance(mlp(8), scorer="occlusion").fit(X).score(X)
    fourier = TransformImportance(mlp(8), FourierTransformer(), "occlusion").fit(X)
    assert -1 <= plain <= 1
    assert -1 <= fourier.score(X) <= 1


class CountingNet(torch.nn.Module):
    """Counts the rows that pass through it."""

    def __init__(self, net):
        super().__init__()
        self.net, self.n_rows = net, 0

    def forward(self, x):
        self.n_rows += len(x)
        return self.net(x)


@pytest.fixture
def bands():
    """A linear network on frequencies 3 and 7 of 32 samples, and white signals."""
    cosines = FourierTransformer().fit(np.zeros((1, 32)))
    weight = np.zeros(32)
    weight[[5, 6, 13, 14]] = 3.0, -2.0, 1.0, 2.0
    net = linear_net(cosines.inverse_transform(weight[None])[0])
    X = np.random.default_rng(3).standard_normal((300, 32))
    return TransformImportance(net, FourierTransformer(), "input_x_gradient").fit(X), X


def test_the_groups_a_linear_network_uses_are_near_the_maximum(bands):
    trim, X = bands
    report = faithfulness_report(trim, X)
    scores = trim.transform(X)
    upper = np.maximum(scores, 0).sum(1) - np.minimum(scores, 0).sum(1)
    possible = upper.mean() / trim.predict(X).std()
    assert report.scores.score > 0.85 * possible
    assert report.scores.score > report.magnitude.score + 0.1
    assert report.beats_controls
    assert abs(report.random.score) < 3 * report.random.std_error


def test_a_constant_score_is_a_random_order(bands):
    trim, X = bands
    flat = faithfulness_curves(trim, X, scores=np.ones((300, 17)))
    assert abs(flat.score) < 3 * flat.std_error
    report = faithfulness_report(trim, X, scores=np.zeros((300, 17)))
    assert not report.beats_controls
    assert "random order" in str(report)


def test_ties_are_ordered_at_random_but_repeatably(bands):
    trim, X = bands
    scores = np.zeros((300, 17))
    one = faithfulness_curves(trim, X, scores=scores).gap
    again = faithfulness_curves(trim, X, scores=scores).gap
    other = faithfulness_curves(trim, X, scores=scores, random_state=5).gap
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize("baseline", ["mean", "rows"])
def test_replacement_by_training_coefficients(X, baseline):
    X = X + 1
    weight = np.arange(8.0)
    trim = TransformImportance(linear_net(weight), scorer="input_x_gradient").fit(X)
    curves = faithfulness_curves(trim, X, baseline=baseline, n_rows=5)
    rows = trim.background_ if baseline == "mean" else trim.background_[-5:]
    emptied = (rows @ weight + 0.3).mean() / (X @ weight + 0.3).std()
    np.testing.assert_allclose(curves.deletion[:, -1], emptied)
    np.testing.assert_allclose(curves.insertion[:, 0], emptied)


def test_a_baseline_of_ones_own_is_what_is_left(X):
    weight = np.arange(8.0)
    trim = TransformImportance(linear_net(weight), scorer="input_x_gradient").fit(X)
    rows = trim.background_[-3:]
    given = faithfulness_curves(trim, X, baseline=rows)
    expected = faithfulness_curves(trim, X, baseline="rows", n_rows=3)
    np.testing.assert_allclose(given.deletion, expected.deletion, atol=1e-12)
    with pytest.raises(ValueError, match=r"expected \(8,\)"):
        faithfulness_curves(trim, X, baseline=np.zeros(5))


def test_scores_may_be_an_explanation(bands):
    trim, X = bands
    explanation = trim.explain(X)
    for study in (faithfulness_curves, sufficient_fraction):
        given = study(trim, X, scores=explanation)
        assert str(given) == str(study(trim, X, scores=explanation.values))


def test_no_more_forward_passes_than_needed(X):
    """20 groups: 21 + 21 points that share their two ends."""
    net = CountingNet(mlp(20)).eval()
    X = np.random.default_rng(0).standard_normal((1000, 20))
    trim = TransformImportance(net, scorer="input_x_gradient").fit(X)
    scores = trim.transform(X)
    net.n_rows = 0
    faithfulness_curves(trim, X, scores=scores)
    needed = 40 * 1000
    assert needed <= net.n_rows <= 1.2 * needed


def test_a_progress_bar_when_asked(X, capsys):
    trim = TransformImportance(mlp(8)).fit(X)
    faithfulness_score(trim, X)
    assert capsys.readouterr().err == ""
    faithfulness_score(trim, X, verbose=1)
    assert "sample" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "best"}, "order='best'"),
        ({"baseline": "noise"}, "baseline='noise'"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"baseline": "rows", "n_rows": 0}, "n_rows=0"),
        ({"scores": np.full((40, 8), np.nan)}, "NaN"),
        ({"scores": np.zeros((40, 7))}, "7 columns for 8 groups"),
    ],
)
def test_options_out_of_range_are_named(X, options, message):
    trim = TransformImportance(mlp(8)).fit(X)
    with pytest.raises(ValueError, match=message):
        faithfulness_curves(trim, X, **options)


@pytest.mark.parametrize("n_rows", [1, 39, 41])
def test_scores_of_other_samples_are_refused(X, n_rows):
    trim = TransformImportance(mlp(8)).fit(X)
    explanation = trim.explain(np.resize(X, (n_rows, 8)))
    for measure in (faithfulness_score, faithfulness_report, sufficient_fraction):
        with pytest.raises(ValueError, match=f"{n_rows} rows for 40 samples"):
            measure(trim, X, scores=explanation.values)
    with pytest.raises(ValueError, match=f"{n_rows} rows for 40 samples"):
        localisation_score(trim, X, explanation=explanation)


def test_round_off_between_equal_samples_is_no_unit(X):
    weight = torch.randn(8, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.float64):
        net = linear_net(weight).to(dtype)
        x = np.repeat(X[:1], 7, axis=0).astype(str(dtype).removeprefix("torch."))
        trim = TransformImportance(net, FourierTransformer(), "input_x_gradient")
        one, seven = (faithfulness_score(trim.fit(x), x[:n]) for n in (1, 7))
        assert seven == pytest.approx(one, rel=1e-5)


def test_the_unit_is_the_spread_beyond_round_off():
    outputs = np.float32(1e3) + np.array([0, 1, 2], np.float32)
    assert unit_of(outputs) == pytest.approx(outputs.std())
    assert unit_of(np.nextafter(outputs[:1], 2e3).repeat(3)) == 1
    assert unit_of(np.array([1, 1 + 2e-7, 1 - 2e-7], np.float32)) == 1
    # what is left where large terms cancel
    assert unit_of(np.array([1e-3, 1e-3 + 1e-16]), np.ones(2)) == 1
