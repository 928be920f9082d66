"""What the developer guide adds in a few lines each works as the library's own."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from sktrim import (
    FourierTransformer,
    TransformImportance,
    UnsupportedOperationError,
    contextual_decomposition,
    transform_importance,
)
from sktrim.propagation import registry
from sktrim.scorers import LRPComposite
from tests.add_one.picture import StemDisplay
from tests.add_one.relevance_rule import SQUARED_CONTRIBUTIONS
from tests.add_one.scorer import Inclusion
from tests.add_one.transform import IncrementTransformer

DOCS = Path(__file__).parents[1] / "docs"
ADDED = Path(__file__).parent / "add_one"
LINES = {"operation": 1, "relevance_rule": 5, "scorer": 20, "transform": 40}
LINES["picture"] = 40


@pytest.fixture
def signals():
    return np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


def _statements(name):
    text = (ADDED / f"{name}.py").read_text()
    lines = [line for line in text.splitlines()[1:] if line.strip()]
    imports = ("import ", "from ")
    return [line for line in lines if not line.startswith(imports)]


@pytest.mark.parametrize(("name", "most"), LINES.items())
def test_it_takes_no_more_lines_than_the_guide_says(name, most):
    assert 0 < len(_statements(name)) <= most
    page = (DOCS / "add_one.rst").read_text()
    assert f"literalinclude:: ../tests/add_one/{name}.py" in page


def test_an_operation_has_a_rule_once_it_is_declared(monkeypatch):
    def model(x):
        return torch.special.erfcx(x).sum(1, keepdim=True)

    x = torch.tensor([[0.3, 1.2]], dtype=torch.float64)
    parts = torch.stack([torch.zeros_like(x), x, x * torch.tensor([1.0, 0.0])])
    # whoever imported the file has declared it
    known = registry._by_function.items()
    unknown = {func: op for func, op in known if func is not torch.special.erfcx}
    monkeypatch.setattr(registry, "_by_function", unknown)
    with pytest.raises(UnsupportedOperationError, match="erfcx"):
        contextual_decomposition(model, x, parts)
    runpy.run_path(str(ADDED / "operation.py"))
    rel, rest = contextual_decomposition(model, x, parts, bias="proportional")
    torch.testing.assert_close(rel + rest, model(x).expand(3, 1, 1))
    torch.testing.assert_close(rel[0], torch.zeros(1, 1, dtype=torch.float64))
    torch.testing.assert_close(rel[1], model(x))


def test_a_relevance_rule_shares_as_it_says(signals):
    torch.manual_seed(0)
    layer = nn.Linear(6, 1, bias=False).double()
    x = signals.astype(np.float64)
    rules = dict.fromkeys(("conv", "linear"), SQUARED_CONTRIBUTIONS)
    scorer = LRPComposite(rules)
    explanation = transform_importance(layer, x, scorer=scorer, output="raw")
    shares = (x * layer.weight.detach().numpy()) ** 2
    shares /= shares.sum(1, keepdims=True)
    whole = layer(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(explanation.values, shares * whole, atol=1e-12)


def test_a_scorer_goes_where_a_name_goes(signals):
    layer = nn.Linear(6, 1)
    explanation = transform_importance(
        layer,
        signals,
        transformer=IncrementTransformer().fit(signals),
        scorer=Inclusion(),
        output="raw",
    )
    assert explanation.values.shape == (30, 6)
    assert np.abs(explanation.completeness_error).max() < 1e-5


def test_a_transform_passes_the_checks_of_scikit_learn():
    check_estimator(IncrementTransformer())


@pytest.mark.parametrize("scorer", ["cd", "deeplift", "occlusion"])
def test_a_transform_is_explained_in_and_searched_over(signals, scorer):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    trim = TransformImportance(net, IncrementTransformer(), scorer=scorer)
    trim.set_params(groups="start")
    assert trim.fit(signals).explain(signals).group_names == ["start", "steps"]
    spaces = [IncrementTransformer(), FourierTransformer()]
    trim.set_params(groups="natural", on_incomplete="ignore")
    search = GridSearchCV(trim, {"transformer": spaces}, cv=2, error_score="raise")
    assert search.fit(signals).best_params_["transformer"] in spaces


def test_a_picture_is_drawn_from_an_explanation(signals):
    explanation = transform_importance(
        nn.Linear(6, 1),
        signals,
        transformer=FourierTransformer().fit(signals),
        output="raw",
    )
    display = StemDisplay.from_values(
        explanation.values[0], explanation.centers, unit="cycles per sample"
    )
    assert display.ax_.get_xlabel() == "cycles per sample"
    with pytest.raises(ValueError, match="Take one sample"):
        StemDisplay.from_values(explanation.values, explanation.centers)
