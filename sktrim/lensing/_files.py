"""Maps of one's own, from files."""

from pathlib import Path
from typing import Any

import numpy as np

from sktrim.lensing._validation import check_maps

_FITS = (".fits", ".fit", ".fits.gz")


def load_convergence_maps(paths: Any) -> np.ndarray:
    """Read maps from NumPy or FITS files.

    Parameters
    ----------
    paths : str or path or sequence of these
        Files ``.npy`` of shape (n_pixels, n_pixels), (n_maps, n_pixels, n_pixels) or
        (n_maps, 1, n_pixels, n_pixels); or ``.fits``, of which the first image is read.

    Returns
    -------
    ndarray of float32 of shape (n_maps, 1, n_pixels, n_pixels)
        In the order of the files.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ImportError
        If a FITS file is given and astropy is not installed.
    ValueError
        If a file holds no map, maps are not square or of one size, or pixels are NaN.

    See Also
    --------
    simulate_convergence_maps : Maps made on the spot.
    split_maps : Keeps maps of one run or box together.

    Examples
    --------
    >>> from sktrim.lensing import load_convergence_maps
    >>> maps = load_convergence_maps(["WLconv_z1.00_0001r.fits"])  # doctest: +SKIP
    """
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not listed:
        raise ValueError("paths is empty; name at least one file.")
    missing = [path for path in map(Path, listed) if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(listed)} files are not there: {missing[0]}."
        )
    read = [_read(Path(path)) for path in listed]
    sizes = {maps.shape[-1] for maps in read}
    if len(sizes) > 1:
        raise ValueError(
            f"maps have {sorted(sizes)} pixels to a side; cut them to one size."
        )
    return np.concatenate(read)


def _read(path: Path) -> np.ndarray:
    name = path.name.lower()
    if name.endswith(".npy"):
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path} is no array of numbers: {error}.") from error
    elif name.endswith(_FITS):
        array = _read_fits(path)
    else:
        raise ValueError(f"{path}: expected a file .npy or {', '.join(_FITS)}.")
    array = array[None] if array.ndim == 2 else array
    return check_maps(array, str(path))[:, None].astype(np.float32)


def _read_fits(path: Path) -> np.ndarray:
    try:
        from astropy.io import fits  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "FITS files are read by astropy (pip install astropy); NumPy files need "
            "nothing."
        ) from error
    try:
        with fits.open(path) as units:
            unit: Any
            for unit in units:
                if unit.is_image and unit.data is not None:
                    # in the byte order of the machine
                    return np.asarray(unit.data, dtype=np.float32)
    except OSError as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    raise ValueError(f"{path} holds no image.")
