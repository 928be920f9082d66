"""Maps from files are those that were written, or an error says what is wrong."""

import sys

import numpy as np
import pytest
from astropy.io import fits

from sktrim.lensing import load_convergence_maps

MAPS = np.random.default_rng(0).standard_normal((3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 1, 8, 8)])
def test_arrays_come_back(tmp_path, shape):
    path = tmp_path / "maps.npy"
    np.save(path, MAPS.reshape(shape))
    np.testing.assert_array_equal(load_convergence_maps(path)[:, 0], MAPS)


@pytest.mark.parametrize("suffix", ["fits", "fits.gz"])
def test_fits_files_are_read_in_order(tmp_path, suffix):
    paths = []
    for at, field in enumerate(MAPS):
        paths.append(tmp_path / f"map{at}.{suffix}")
        # the second has its image in an extension
        units = [fits.PrimaryHDU(), fits.ImageHDU(field)]
        fits.HDUList(units if at == 1 else [fits.PrimaryHDU(field)]).writeto(paths[-1])
    found = load_convergence_maps(paths)
    assert found.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(found[:, 0], MAPS)


def _written(tmp_path, array, name="maps.npy"):
    path = tmp_path / name
    np.save(path, array)
    return path


def test_files_that_hold_no_maps_are_refused(tmp_path):
    cases = {
        "8 x 9 pixels": _written(tmp_path, np.zeros((2, 8, 9)), "a.npy"),
        "NaN or infinite": _written(tmp_path, np.full((2, 8, 8), np.nan), "b.npy"),
        "no array of numbers": _written(tmp_path, np.array([None]), "c.npy"),
        r"expected a file \.npy": tmp_path / "d.txt",
        "holds no image": tmp_path / "e.fits",
        "is damaged": tmp_path / "f.fits",
    }
    (tmp_path / "d.txt").write_text("0")
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "e.fits")
    (tmp_path / "f.fits").write_text("SIMPLE")
    for message, path in cases.items():
        with pytest.raises(ValueError, match=message):
            load_convergence_maps(path)


def test_maps_of_several_sizes_are_refused(tmp_path):
    paths = [_written(tmp_path, np.zeros((n, n)), f"{n}.npy") for n in (8, 16)]
    with pytest.raises(ValueError, match=r"\[8, 16\] pixels"):
        load_convergence_maps(paths)


def test_missing_files_and_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"1 of 1 files .*nothing\.npy"):
        load_convergence_maps(tmp_path / "nothing.npy")
    with pytest.raises(ValueError, match="empty"):
        load_convergence_maps([])


def test_without_astropy_numpy_files_are_still_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    assert load_convergence_maps(_written(tmp_path, MAPS)).shape == (3, 1, 8, 8)
    fits.HDUList([fits.PrimaryHDU(MAPS[0])]).writeto(tmp_path / "map.fits")
    with pytest.raises(ImportError, match="pip install astropy"):
        load_convergence_maps(tmp_path / "map.fits")
