"""An Explanation becomes tables and shap's own without losing a number."""

import json
import pickle
import sys
import types

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sktrim.explanation import Explanation
from sktrim.groups import FeatureGroups
from tests.explanations import assert_same, make

# ---- tables


@pytest.mark.parametrize("n_targets", [None, 3])
def test_the_tidy_table_holds_every_value_once(n_targets):
    explanation = make(n_targets=n_targets)
    table = explanation.to_frame()
    assert list(table.columns) == ["sample", "group", "center", "target", "value"]
    assert len(table) == explanation.values.size
    for row in table.itertuples():
        group = explanation.group_names.index(row.group)
        assert row.center == explanation.centers[group]
        place = row.sample, group
        if n_targets is None:
            assert row.target == explanation.target_names[row.sample]
        else:
            place += (explanation.target_names.index(row.target),)
        assert row.value == explanation.values[place]


def test_the_wide_table_is_the_matrix():
    explanation = make()
    table = explanation.to_frame(wide=True)
    np.testing.assert_array_equal(table.to_numpy(), explanation.values)
    assert list(table.columns) == explanation.group_names
    table = make(n_targets=2).to_frame(wide=True)
    values = table.xs("digit 1", level="target").to_numpy()
    np.testing.assert_array_equal(values, make(n_targets=2).values[:, :, 1])


def test_a_table_without_targets_and_centers_has_the_same_columns():
    table = Explanation([[1.0, 2.0]], ["a", "b"]).to_frame()
    assert isinstance(table, pd.DataFrame)
    assert table.center.isna().all()
    assert table.target.isna().all()


@pytest.mark.parametrize(
    ("module", "method"), [("pandas", "to_frame"), ("shap", "to_shap")]
)
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, module, method):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"{module}.*pip install"):
        getattr(make(), method)()


def test_shap_gets_base_values_that_add_up(monkeypatch):
    fake = types.SimpleNamespace(Explanation=types.SimpleNamespace)
    monkeypatch.setitem(sys.modules, "shap", fake)
    explanation = make()
    given = explanation.to_shap()
    total = explanation.base_values + explanation.residual_values
    np.testing.assert_array_equal(given.base_values, total)
    assert given.feature_names == explanation.group_names
    assert given.data is None
    singles = FeatureGroups(np.eye(4))
    coefficients = sp.csr_array(np.arange(20.0).reshape(5, 4))
    given = make(feature_groups=singles, coefficients=coefficients).to_shap()
    np.testing.assert_array_equal(given.data, coefficients.toarray())
    swapped = FeatureGroups(np.eye(4)[::-1])
    assert (
        make(feature_groups=swapped, coefficients=coefficients).to_shap().data is None
    )


# ---- files


@pytest.mark.parametrize("n_targets", [None, 3])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_file_gives_back_what_was_saved(tmp_path, n_targets, sparse):
    explanation = make(n_targets=n_targets)
    if sparse:
        explanation.coefficients = sp.csr_array(explanation.coefficients)
        explanation.signals = sp.csr_array(explanation.signals.reshape(5, 6))
    path = tmp_path / "kept.anything"
    explanation.save(path, components=True)
    loaded = Explanation.load(path)
    assert_same(loaded, explanation)
    assert sp.issparse(loaded.coefficients) == sparse
    assert sp.issparse(loaded.signals) == sparse
    groups, kept = explanation.feature_groups, loaded.feature_groups
    np.testing.assert_array_equal(kept.toarray(), groups.toarray())
    np.testing.assert_array_equal(kept.centers, groups.centers)
    assert (kept.names, kept.unit) == (groups.names, groups.unit)
    for some in (slice(1, None), slice(0, 0)):
        loaded[some].save(path, components=True)
        assert_same(Explanation.load(path), explanation[some])


def test_the_places_of_the_groups_are_kept(tmp_path):
    places = np.arange(6.0).reshape(3, 2)
    groups = FeatureGroups(np.eye(3), coordinates=places)
    Explanation(np.ones((1, 3)), groups.names, feature_groups=groups).save(
        tmp_path / "places.npz"
    )
    kept = Explanation.load(tmp_path / "places.npz").feature_groups
    np.testing.assert_array_equal(kept.coordinates, places)


def test_the_least_explanation_is_given_back(tmp_path):
    Explanation([[1.0]], ["only ünïcode"]).save(tmp_path / "least.npz")
    loaded = Explanation.load(str(tmp_path / "least.npz"))
    assert loaded.group_names == ["only ünïcode"]
    for name in ("unit", "centers", "targets", "target_names", "feature_groups"):
        assert getattr(loaded, name) is None
    assert loaded.metadata == {}


def test_components_are_kept_only_when_asked_for(tmp_path):
    make().save(tmp_path / "a.npz")
    loaded = Explanation.load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="components=True"):
        loaded.component(0, 0)
    with pytest.raises(ValueError, match="no way back"):
        loaded.save(tmp_path / "b.npz", components=True)
    assert not (tmp_path / "b.npz").exists()


def test_a_failed_save_leaves_the_old_file_whole_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    make().save(path)

    def half(file, **arrays):
        file.write(b"PK half a file")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="disk full"):
        make(seed=1).save(path)
    monkeypatch.undo()
    assert_same(Explanation.load(path)[:], make(signals=None), components=False)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_a_file_is_replaced_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    make().save(path)
    steps = []

    def replace(source, destination):
        Explanation.load(source)
        steps.append(destination)
        raise OSError("not now")

    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(OSError, match="not now"):
        make(seed=1).save(path)
    assert steps == [path]
    assert_same(Explanation.load(path), make(signals=None), components=False)


def test_metadata_that_no_file_can_keep_is_refused_before_writing(tmp_path):
    with pytest.raises(TypeError, match="metadata holds a set"):
        make(metadata={"a": {1}}).save(tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


def test_saving_into_no_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="make it before"):
        make().save(tmp_path / "none" / "a.npz")


def test_files_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / "other.npz"
    make().save(path)
    whole = path.read_bytes()
    np.savez(tmp_path / "plain.npz", values=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", values=np.array([{}], dtype=object))
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text(json.dumps({}))
    (tmp_path / "empty.npz").touch()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    path.unlink()
    for other in tmp_path.iterdir():
        with pytest.raises(ValueError, match="not a file that"):
            Explanation.load(other)
    with pytest.raises(FileNotFoundError):
        Explanation.load(tmp_path / "nowhere.npz")


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    np.savez(tmp_path / "new.npz", format="sktrim.Explanation", version=99)
    with pytest.raises(ValueError, match="upgrade sktrim"):
        Explanation.load(tmp_path / "new.npz")


def test_an_explanation_pickles_with_its_components():
    explanation = make()
    assert_same(pickle.loads(pickle.dumps(explanation)), explanation)


# ---- how it shows itself


def test_the_repr_is_one_short_line():
    assert repr(make(n=1000, n_groups=20)) == (
        "Explanation(1000 samples x 20 groups, scorer='shapley', output='logit', "
        "unit='cycles/image')"
    )
    assert "x 3 targets" in repr(make(n_targets=3))


@pytest.mark.parametrize("n_targets", [None, 2])
def test_the_html_is_escaped_and_small(n_targets):
    names = ["<script>alert(1)</script>", *(f"band {index}" for index in range(29))]
    explanation = make(
        n_groups=30, n_targets=n_targets, group_names=names, unit="<b>Hz</b>"
    )
    explanation.values[:, 0] = 9.0
    html = explanation._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<tr>") == 11
    assert "and 20 more groups" in html
    assert "0 samples" in explanation[:0]._repr_html_()
