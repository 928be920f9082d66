"""The examples in the documentation run as printed."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

from sktrim import datasets, evaluation, stimuli, transforms
from sktrim.scorers import check_scorer, get_scorer_names

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.rst"))
WITH_CODE = ["own_scorer.rst", "scorers.rst", "torch_tools.rst"]
METHODS = [
    *(type(check_scorer(name)) for name in get_scorer_names()),
    *(getattr(transforms, name) for name in transforms.__all__),
    evaluation.completeness_score,
    evaluation.consensus,
    evaluation.faithfulness_curves,
    evaluation.faithfulness_score,
    evaluation.importance_by_value,
    evaluation.localisation_score,
    evaluation.marginal_changes,
    evaluation.randomisation_test,
    evaluation.scorer_agreement,
    evaluation.sparsity_score,
    evaluation.stability_report,
    evaluation.sufficient_fraction,
    datasets.simulate_neurons,
    datasets.texture_images,
    stimuli.ActivationMaximizer,
    stimuli.DeepTune,
    stimuli.layer_embedding,
    stimuli.max_activating,
]


def test_the_pages_with_code_are_known():
    with_code = [page.name for page in PAGES if ">>> " in page.read_text()]
    assert with_code == WITH_CODE


@pytest.mark.parametrize("page", WITH_CODE)
def test_the_code_of_a_page_gives_what_is_printed(page):
    path = next(known for known in PAGES if known.name == page)
    results = doctest.testfile(
        str(path), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert results.attempted > 0
    assert results.failed == 0


def test_the_guide_knows_every_scorer():
    page = (ROOT / "docs" / "scorers.rst").read_text()
    listed = re.findall(r'\* - `"(\w+)"`', page)
    assert sorted(listed) == get_scorer_names()


@pytest.mark.parametrize("name", get_scorer_names())
def test_the_guide_tells_what_a_scorer_promises(name):
    page = (ROOT / "docs" / "scorers.rst").read_text()
    row = re.search(rf'\* - `"{name}"`\n +- .*\n +- (\w+).*\n +- (\w+)', page)
    scorer = check_scorer(name)
    assert row is not None
    assert (row[1] == "yes") == scorer.additive
    assert (row[2] == "yes") == scorer.complete


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_a_method_has_its_formula_relatives_and_an_example(method):
    text = inspect.cleandoc(method.__doc__)
    wanted = (".. math::", "See Also\n--------", "Examples\n--------", ">>> ")
    assert [part for part in wanted if part not in text] == []


@pytest.mark.parametrize("name", get_scorer_names())
def test_a_scorer_names_its_source(name):
    text = type(check_scorer(name)).__doc__
    known = re.findall(
        r"^@\w+\{(\w+),", (ROOT / "docs/references.bib").read_text(), re.M
    )
    cited = re.findall(r":footcite:[tp]:`([\w,]+)`", text)
    assert cited
    assert {key for keys in cited for key in keys.split(",")} <= set(known)
    assert ".. footbibliography::" in text


def test_the_example_in_the_readme_draws_its_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "frequencies.png").stat().st_size > 0


def test_the_page_on_lensing_explains_a_network_by_scale(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    page = (ROOT / "docs" / "lensing.rst").read_text()
    block = re.search(r"code-block:: python\n\n((?:    .*\n|\n)+)", page)
    assert block is not None
    code = inspect.cleandoc(block[1])
    # fewer maps and epochs than on the page
    small = code.replace(", 200, ", ", 4, ").replace("verbose=1", "max_epochs=1")
    assert small.count("max_epochs=1") == small.count(", 4, ") == 1
    names: dict = {}
    exec(compile(small, "lensing.rst", "exec"), names)
    assert names["explanation"].values.shape == (20, 100)
