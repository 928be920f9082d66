"""The recovery benchmark trains, asks and counts as its table says."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from sktrim.datasets import _simulated as simulation
from sktrim.datasets._simulated import get_regime, simulate
from sktrim.evaluation import RecoverySetting, recovery_benchmark
from sktrim.evaluation.recovery import _benchmark as recovery
from sktrim.evaluation.recovery.__main__ import main
from sktrim.evaluation.recovery._benchmark import default_settings
from sktrim.evaluation.recovery._networks import StackedNetworks, train_networks
from sktrim.scorers import GradientShap, Occlusion, Scorer


@pytest.fixture
def short(monkeypatch):
    """Smaller networks' training, for tests of the machinery."""
    monkeypatch.setattr("sktrim.evaluation.recovery._networks.N_STEPS", 40)
    monkeypatch.setattr(simulation, "N_TEST", 300)


class Constant(Scorer):
    """The same score for all groups."""

    def attribute(self, model, s, groups, target):
        return torch.ones(len(s), len(groups), target.n_targets)


class Oracle(Scorer):
    """Knows that the magnitude of a given group decides."""

    def __init__(self, truth):
        self.truth = truth

    def attribute(self, model, s, groups, target):
        values = torch.zeros(len(s), len(groups), 1)
        values[:, self.truth] = 1
        return values


def test_stacked_training_is_training_one_by_one():
    """Each of the networks trained at once is what torch.optim.SGD makes of it."""
    rng = np.random.default_rng(0)
    X = torch.as_tensor(rng.standard_normal((2, 50, 6)), dtype=torch.float32)
    y = (X[:, :, 0] > 0).long()
    stack = StackedNetworks(2, [6, 5, 2], torch.Generator().manual_seed(0))
    alone = stack.modules()
    stack.fit(X, y, n_steps=30, batch_size=16)
    generator = torch.Generator().manual_seed(0)
    again = StackedNetworks(2, [6, 5, 2], generator)
    batches = list(again._batches(50, 16, 30))
    for index, net in enumerate(alone):
        net.requires_grad_().train()
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        for rows in batches:
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(X[index, rows]), y[index, rows]).backward()
            optimiser.step()
        for mine, reference in zip(
            stack.modules()[index].parameters(), net.parameters(), strict=True
        ):
            torch.testing.assert_close(mine, reference.detach())


def test_batches_cover_an_epoch():
    stack = StackedNetworks(1, [3, 2], torch.Generator().manual_seed(0))
    batches = list(stack._batches(37_500, 128, 3516))
    assert len(batches) == 3516
    epoch = torch.cat(batches[:293])
    assert torch.equal(epoch.sort().values, torch.arange(37_500))


@pytest.mark.parametrize("name", simulation.REGIMES)
def test_labels_are_halves_and_come_from_the_true_group(name):
    regime = get_regime(name, n_train=3000)
    problem = simulate(regime, np.random.default_rng(1))
    assert problem.X.shape == (6000, 100)
    assert problem.X.dtype == np.float32
    assert abs(problem.y.mean() - 0.5) < 0.03
    s = problem.transformer.transform(problem.train)
    part = s[:, problem.groups.masks[[problem.truth]].indices]
    size = part[:, 0] if regime.label == "real" else np.linalg.norm(part, axis=1)
    right = (problem.y == (size > np.median(size))).mean()
    assert right == pytest.approx(1 - regime.flips, abs=0.03)


@pytest.mark.parametrize("name", ["reference", "pca", "nmf"])
def test_a_seed_gives_the_same_problem(name):
    regime = get_regime(name, n_train=500)
    first, second = (simulate(regime, np.random.default_rng(4)) for _ in range(2))
    s = [each.transformer.transform(first.test[:20]) for each in (first, second)]
    np.testing.assert_array_equal(*s)
    np.testing.assert_array_equal(first.y, second.y)


def test_networks_learn_and_the_default_finds_the_frequency():
    """The protocol itself, on two networks and few rows."""
    first, *_, rows = default_settings()[:4]
    table = recovery_benchmark(
        ["input_x_gradient", first, rows], n_networks=2, n_rows=100
    )
    simple, best, rows = table
    assert simple.error < 8
    assert best.error == 0
    assert rows.error == 0
    assert np.mean(best.locality) > 0.4
    assert not best.circular


def test_oracle_and_constant_scores_are_what_they_are(short):
    regime = get_regime("reference")
    _, problems = train_networks(regime, 0, 1)
    settings = [Constant(), Oracle(problems[0].truth), Oracle(0)]
    constant, right, wrong = recovery_benchmark(settings, n_networks=1, n_rows=20)
    assert right.error == 0
    assert wrong.error == 100
    assert constant.error == 100, "a tie is not a find"
    assert np.mean(constant.locality) == 0
    assert right.std_error == np.inf


class Recorder(Constant):
    """Keeps what it is given."""

    needs_background = True

    def attribute(self, model, s, groups, target, *, background=None):
        self.seen = s, background
        return super().attribute(model, s, groups, target)


def test_the_background_is_held_out_from_all_else(short):
    """Neither trained on, nor explained, nor what locality is measured with."""
    recorder = Recorder()
    recovery_benchmark([recorder], n_networks=1, n_rows=92)
    explained, background = (rows.numpy() for rows in recorder.seen)
    _, (problem,) = train_networks(get_regime("reference"), 0, 1)
    everything = problem.transformer.transform(problem.test)
    np.testing.assert_allclose(explained, everything[:92], atol=1e-5)
    np.testing.assert_allclose(background, everything[92:-8], atol=1e-5)


def test_published_conventions_stand_in_the_table():
    """GradientSHAP as in the paper: zero baseline, probability, magnitude."""
    [shap] = [s for s in default_settings() if s.name == "gradient_shap, zero"]
    assert shap.scorer.get_params() == GradientShap(5, "zero").get_params()
    assert (shap.output, shap.ranking) == ("probability", "magnitude")


def test_results_grow_with_the_number_of_networks(short, monkeypatch):
    monkeypatch.setattr(recovery, "_AT_ONCE", 2)
    regimes = {"regimes": ["n1000"], "n_rows": 20}
    (few,) = recovery_benchmark(["gradient"], n_networks=2, **regimes)
    (more,) = recovery_benchmark(["gradient"], n_networks=4, **regimes)
    assert more.errors[:2] == few.errors
    assert len(set(more.locality)) == 4


@pytest.mark.parametrize("regime", ["wavelet", "pca", "nmf"])
def test_other_spaces(short, regime):
    table = recovery_benchmark(
        ["cd", "integrated_gradients"], regimes=[regime], n_networks=1, n_rows=10
    )
    assert all(np.isfinite(r.error) for r in table)


def test_the_table_says_what_is_circular(short, capsys):
    setting = RecoverySetting(Occlusion("rows", absolute=True), label="rows")
    assert setting.is_circular
    main(["--networks", "1", "--rows", "5", "--scorer", "cd", "gradient"])
    printed = capsys.readouterr()
    assert "cd" in printed.out
    assert "circular" not in printed.out
    assert "network" in printed.err
    table = recovery_benchmark([setting], n_networks=1, n_rows=5)
    assert "circular" in str(table)
    assert len(table.to_frame()) == 1


def test_json_holds_every_network(short, capsys):
    main("--networks 2 --rows 5 --regime n1000 --scorer cd --json --seed 3".split())
    (result,) = json.loads(capsys.readouterr().out)
    assert result["regime"] == "n1000"
    assert len(result["errors"]) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recovery_benchmark(["cd"], regimes=["n3"]), "regime='n3'"),
        (lambda: recovery_benchmark(["best"]), "scorer='best'"),
        (lambda: recovery_benchmark([RecoverySetting("cd", "odds")]), "output='odds'"),
        (
            lambda: recovery_benchmark([RecoverySetting("cd", ranking="magnitude")]),
            "scores of coefficients",
        ),
        (lambda: recovery_benchmark(["cd"], n_networks=0), "n_networks=0"),
        (lambda: recovery_benchmark(["cd"], n_rows=2793), "expected 1 to 2792"),
        (lambda: recovery_benchmark(["cd"], n_rows=0), "n_rows=0"),
    ],
)
def test_unknown_options_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "arguments",
    [["--networks", "0"], ["--rows", "5000"], ["--scorer", "tea"], ["--seed", "-1"]],
)
def test_bad_values_on_the_command_line_are_told_in_a_line(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "expected" in capsys.readouterr().err.splitlines()[-1]
