"""Files from strangers, killed saves, and what a save leaves as it was."""

import os
import signal
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp

from sktrim.explanation import Explanation, ExplanationFileError
from sktrim.explanation._files import write_arrays
from tests.explanations import assert_same, make
from tests.mutations import try_many


def saved(path, **changes):
    explanation = make(coefficients=sp.csr_array(np.eye(5, 6)), **changes)
    explanation.save(path, components=True)
    return path


def edit(path, **changes):
    """Put arrays in place of those of a file, with right checksums; None leaves out."""
    with np.load(path) as file:
        arrays = {**file, **changes}
    write_arrays(path, {k: v for k, v in arrays.items() if v is not None})


# ---- loading


def test_damaged_and_forged_files_are_refused_or_read_as_they_are():
    counts = try_many(40, seed=1)
    assert counts["refused"] > counts["read"] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"coefficients_indices": np.full(5, 10**6)},
        {"coefficients_indices": np.full(5, -1)},
        {"masks_indptr": np.array([0, 24, 1, 1, 24])},
        {"masks_indptr": np.array([0, 6, 12, 18, 0])},
        {"masks_shape": np.array([4, 2])},
        {"coefficients_shape": np.array([2**62, 6])},
        {"coefficients_indices": np.zeros(5)},
        {"coefficients_indptr": None},
        {"masks_data": None},
        {"group_names": np.array("one")},
        {"signal_shape": np.array([-2, 3])},
        {"signal_shape": np.array([3, 3])},
        {"components": np.zeros((5, 3, 2, 3))},
        {"signals": np.zeros((4, 2, 3))},
        {"metadata": np.array("{")},
        {"metadata": np.array("[]")},
        {"metadata": np.array("[" * 10**5)},
        {"metadata": None},
        {"values": None},
        {"values": np.zeros((5, 4), "M8[s]")},
        {"base_values": np.array(["a"] * 5)},
        {"version": np.array("2")},
        {"kind": np.array(["a", "b"])},
        {"n_axes": np.array([1, 2])},
        {"signal_space": np.array(1)},
        {"explained": np.zeros(4)},
        {"unit": np.array([0x110000], "u4").view("U1")[0:1].reshape(())},
    ],
)
def test_arrays_that_do_not_go_together_are_refused(tmp_path, changes):
    path = saved(tmp_path / "a.npz")
    edit(path, **changes)
    with pytest.raises(ExplanationFileError, match="not a file that"):
        Explanation.load(path)


def test_an_array_is_not_larger_than_its_file(tmp_path):
    path = saved(tmp_path / "a.npz")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    old, new = b"(5, 4), }", b"(5, 99999999999), }"
    header = members["values.npy"]
    assert old in header
    grown = header.replace(old + b" " * (len(new) - len(old)), new)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, grown if name == "values.npy" else content)
    with pytest.raises(ExplanationFileError, match="does not take"):
        Explanation.load(path)


def test_a_compressed_member_is_refused_before_it_is_unpacked(tmp_path):
    path = saved(tmp_path / "a.npz")
    with np.load(path) as file:
        arrays = dict(file)
    np.savez_compressed(tmp_path / "bomb", **{**arrays, "values": np.zeros((5, 10**6))})
    with pytest.raises(ExplanationFileError, match="compressed"):
        Explanation.load(tmp_path / "bomb.npz")


def test_members_of_the_same_shape_do_not_change_places(tmp_path):
    path = saved(tmp_path / "a.npz")
    with np.load(path) as file:
        arrays = dict(file)
    base, residual = arrays["base_values"], arrays["residual_values"]
    arrays |= {"base_values": residual, "residual_values": base}
    np.savez(path, **arrays)
    with pytest.raises(ExplanationFileError, match="checksum"):
        Explanation.load(path)


def test_members_that_no_version_writes_are_not_read(tmp_path):
    path = saved(tmp_path / "a.npz")
    whole = Explanation.load(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("other.npy", b"no array")
    assert_same(Explanation.load(path), whole)


def test_files_of_the_first_version_are_read(tmp_path):
    path = saved(tmp_path / "a.npz")
    whole = Explanation.load(path)
    with np.load(path) as file:
        arrays = {**file, "version": 1}
    del arrays["checksum"]
    np.savez(path, **arrays)
    assert_same(Explanation.load(path), whole)
    np.savez(path, **arrays | {"version": 2})
    with pytest.raises(ExplanationFileError, match="checksum"):
        Explanation.load(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_arrays_are_read_in_any_order_of_bytes_and_axes(tmp_path, order, byte_order):
    values = np.arange(6.0).reshape(2, 3).astype(byte_order + "f8", order=order)
    dates = np.array(["2026-01-01"], "M")
    given = {"predictions": values, "metadata": {"dates": dates}}
    Explanation(values, list("abc"), **given).save(tmp_path / "a")
    loaded = Explanation.load(tmp_path / "a")
    np.testing.assert_array_equal(loaded.values, values)
    np.testing.assert_array_equal(loaded.predictions, values)
    assert loaded.values.dtype == np.float64
    assert loaded.metadata["dates"].dtype == dates.dtype


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"rows": np.zeros(2, [("a", float), ("b", object)])}},
        {"predictions": np.zeros((5, 3), complex)},
    ],
)
def test_what_would_not_be_read_is_not_written(tmp_path, changes):
    with pytest.raises(TypeError, match="a file does not keep"):
        make(**changes).save(tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


# ---- saving


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o644])
def test_the_mode_and_the_link_of_a_file_are_kept(tmp_path, mode):
    path, link = tmp_path / "a.npz", tmp_path / "latest.npz"
    make().save(path)
    path.chmod(mode)
    link.symlink_to("a.npz")
    make(seed=1).save(link)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.readlink(link) == "a.npz"
    assert_same(Explanation.load(path), make(seed=1, signals=None), components=False)
    assert sorted(tmp_path.iterdir()) == [path, link]


def test_a_new_file_has_the_mode_of_new_files(tmp_path):
    make().save(tmp_path / "a.npz")
    (tmp_path / "other").touch()
    modes = {file.stat().st_mode for file in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_read_only_file_and_what_is_no_file_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    make().save(path)
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="read-only"):
        make(seed=1).save(path)
    assert_same(Explanation.load(path), make(signals=None), components=False)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(OSError, match="is no file"):
            make().save(other)


def test_a_save_clears_what_a_killed_one_left(tmp_path):
    path = tmp_path / "a[1].npz"
    code = f"""
import os, signal
import numpy as np
from tests.explanations import make
np.savez = lambda file, **arrays: os.kill(os.getpid(), signal.SIGKILL)
make().save({str(path)!r})
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    other = tmp_path / ".b.npz.part"
    other.touch()
    make().save(path)
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_a_save_leaves_the_part_of_another_that_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    savez, steps = np.savez, []

    def meanwhile(file, **arrays):
        steps.append(file.name)
        if len(steps) == 1:
            make(seed=1).save(path)
        savez(file, **arrays)

    monkeypatch.setattr(np, "savez", meanwhile)
    make().save(path)
    assert len(steps) == 2
    assert_same(Explanation.load(path), make(signals=None), components=False)
    assert list(tmp_path.iterdir()) == [path]
