"""The studies of cosmology run from maps to a page, and go on where they stopped."""

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "cosmology"


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Import modules of the example, with a folder of their own for results."""
    monkeypatch.syspath_prepend(FOLDER)
    names = [path.stem for path in FOLDER.glob("*.py")]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.import_module("stages").stages.keep_in(tmp_path / "kept")
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


def _tiny(load, **changed):
    sizes = {"a_maps": 4, "a_epochs": 1, "a_explained": 3, "a_pixels": 64}
    small = load("settings").SMALL
    return dataclasses.replace(small, a_test_size=0.5, **{**sizes, **changed})


def test_study_a_makes_findings_figures_and_a_page(load, tmp_path):
    findings = load("findings_a").findings(_tiny(load), tmp_path)
    page = load("page").write(findings, "small", tmp_path / "index.html")
    text = page.read_text()
    assert len(findings) == 7
    for finding in findings:
        assert finding.verdict in text
        for name, _ in finding.figures:
            assert (tmp_path / name).stat().st_size > 5000
            assert f'src="{name}"' in text


def test_a_lattice_lies_in_the_band_that_is_looked_at(load):
    settings = _tiny(load)
    study, networks = load("study_a"), load("networks")
    source = networks.simulator(settings, "A")
    maps, targets = source.maps(slice(0, 2)), source.target[:2]
    planted = networks.altered(maps, targets, ("lattice",), settings)
    from sktrim.lensing import without_band

    edges = study.narrow(settings)["edges"]
    at = study.lattice_band(settings)
    difference = planted - maps
    rest = without_band(
        difference, edges[at], edges[at + 1], pixel_arcmin=settings.a_pixel_arcmin
    )
    assert np.abs(rest).max() < 1e-3 * np.abs(difference).max()


def test_training_and_test_maps_of_study_b_are_different_ones(load):
    settings = _tiny(load, b_pixels=32, b_maps=2, b_test_maps=2, b_fiducial=3)
    networks, study = load("networks"), load("study_b")
    used = networks.simulator(settings, "B").maps([0, 1])
    for fiducial in (False, True):
        fresh = study.suite(settings, False, fiducial).maps([0, 1])
        correlation = np.corrcoef(used.reshape(2, -1), fresh.reshape(2, -1))[:2, 2:]
        assert np.abs(correlation).max() < 0.5


def test_what_was_computed_is_read_back(load, capsys):
    stages = load("stages").stages
    first = stages("Drawing", np.random.default_rng(0).random, 3)
    assert "Drawing" in capsys.readouterr().out
    from sklearn.utils import shuffle

    found = [stages("Shuffling", shuffle, np.arange(9)) for _ in range(2)]
    assert capsys.readouterr().out.count("Shuffling ...") == 1
    np.testing.assert_array_equal(*found)
    assert first.shape == (3,)


def test_findings_say_whether_they_hold(load):
    Finding = load("page").Finding
    verdicts = [Finding("a", "b", "c", holds).verdict for holds in (None, True, False)]
    assert verdicts == ["new", "reproduced", "not reproduced"]
    assert "because" in str(Finding("a", "b", "c", False, "because"))
