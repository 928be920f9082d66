"""Studies of networks that take several inputs, anywhere in the network."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.evaluation import (
    completeness_score,
    explanation_card,
    explanation_scores,
    faithfulness_curves,
    faithfulness_report,
    faithfulness_score,
    localisation_score,
    marginal_changes,
    randomisation_test,
    scorer_agreement,
    sparsity_score,
    stability_report,
    sufficient_fraction,
)
from sktrim.evaluation._perturbations import adversarial, noisy


class Gated(nn.Module):
    """A series gated by a second input, with a table that a third one looks up."""

    def __init__(self):
        super().__init__()
        self.series, self.gate = nn.Linear(6, 5), nn.Linear(3, 5)
        self.table, self.head = nn.Embedding(4, 5), nn.Linear(5, 2)

    def forward(self, series, gate, token):
        hidden = self.series(series).relu() * self.gate(gate).sigmoid()
        return self.head(hidden + self.table(token[:, 0]))


class Wide(nn.Module):
    """The same network, which takes them side by side."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x[:, :6], x[:, 6:9], x[:, 9:].long())


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Gated().double().eval()


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return {
        "series": rng.normal(size=(12, 6)),
        "gate": rng.normal(size=(12, 3)),
        "token": rng.integers(0, 4, (12, 1)),
    }


def as_frame(curves):
    return np.concatenate([curves.deletion, curves.insertion], axis=1)


STUDIES = {
    "curves": lambda t, X: as_frame(faithfulness_curves(t, X)),
    "score": lambda t, X: t.score(X),
    "score of rows": lambda t, X: faithfulness_score(t, X, baseline="rows"),
    "report": lambda t, X: str(faithfulness_report(t, X)),
    "sufficient": lambda t, X: sufficient_fraction(t, X),
    "sparse": lambda t, X: sparsity_score(t, X),
    "local": lambda t, X: localisation_score(t, X),
    "marginal": lambda t, X: marginal_changes(t, X, baseline="zero"),
    "scorers": lambda t, X: str(
        scorer_agreement(t, X, scorers=["shapley", "occlusion"])
    ),
    "data": lambda t, X: str(stability_report(t, X, perturbations=["bootstrap"])),
}


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("named", [True, False])
def test_a_study_is_that_of_the_network_that_takes_them_side_by_side(
    net, X, study, named
):
    options = {"target": 1, "scorer": "occlusion", "random_state": 0, "verbose": 0}
    given = X if named else tuple(X.values())
    context = ["gate", "token"] if named else [1, 2]
    several = TransformImportance(net, context=context, **options).fit(given)
    wide = np.hstack(list(X.values()))
    columns = {f"x{i}": [i] for i in range(6)}
    single = TransformImportance(Wide(net), groups=columns, **options).fit(wide)
    found, expected = STUDIES[study](several, given), STUDIES[study](single, wide)
    if isinstance(expected, str):
        assert found == expected
    else:
        assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("layer", [None, "series"])
@pytest.mark.parametrize("named", [True, False])
def test_studies_of_the_network_and_of_the_inputs_run(net, X, layer, named):
    given = X if named else tuple(X.values())
    context = ["gate", "token"] if named else [1, 2]
    options = {"layer": layer, "random_state": 0, "verbose": 0}
    options |= {"context": context, "scorer": "deeplift"}
    trim = TransformImportance(net, FourierTransformer(), **options).fit(given)
    assert completeness_score(trim, given) == pytest.approx(1)
    assert np.isfinite(list(explanation_scores(trim, given).values())).all()
    kinds = ["noise", "adversarial", "subsample"]
    report = stability_report(
        trim, given, perturbations=kinds, networks=[net], refit_transform=True
    )
    for kind in [*kinds, "networks", "transforms"]:
        assert 0 < report[kind].rank_stability <= 1
    assert report["networks"].rank_stability == pytest.approx(1)
    assert report.consensus.shape == (12, 4 if layer is None else 3)
    result = randomisation_test(trim, given, n_draws=2)
    assert np.isfinite(result.output_change).all()
    assert "faithful" in str(explanation_card(trim, given, n_draws=2)).lower()


class Product(nn.Module):
    def forward(self, x, weight):
        return (x * weight).sum(1, keepdim=True)


@pytest.mark.parametrize("reverse", [False, True])
def test_inputs_are_disturbed_with_the_others_as_they_are(reverse):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 9, 4))
    net = Product().double()
    given = (weight, x) if reverse else {"weight": weight, "x": x}
    context = 0 if reverse else "weight"
    trim = TransformImportance(net, context=context).fit(given)
    explanation = trim.explain(given)
    assert_allclose(explanation.values, x * weight)
    found = list(adversarial(trim, given, explanation, level=0.1))
    for share, moved in zip((0.5, 1.0), found, strict=True):
        step = share * 0.1 * x.std() * np.sign(weight)
        assert_allclose(moved.values, (x - step) * weight, atol=1e-6)
    draws = noisy(trim, given, explanation, 3, np.random.default_rng(1), 0.2)
    again = np.random.default_rng(1)
    for moved in draws:
        noise = 0.2 * x.std() * again.standard_normal(x.shape)
        assert_allclose(moved.values, (x + noise) * weight, atol=1e-6)


def test_there_is_no_small_step_between_tokens():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2))
    X = np.random.default_rng(0).integers(0, 7, (10, 3))
    trim = TransformImportance(net, layer="0", random_state=0).fit(X)
    with pytest.raises(ValueError, match="integers that name tokens"):
        stability_report(trim, X, perturbations=["noise"])
