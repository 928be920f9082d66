"""Maps with something taken away, or planted: truths to compare explanations with."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sktrim.lensing._maps import analyse, is_number, multipole_grid, synthesise
from sktrim.lensing._validation import check_maps, check_pixel

HOWS = ("remove", "scramble")


def without_band(
    maps: Any,
    low: float,
    high: float,
    *,
    pixel_arcmin: float,
    how: str = "remove",
    random_state: Any = None,
) -> np.ndarray:
    """Remove a band of multipoles from maps, or scramble it.

    Parameters
    ----------
    maps : array-like of shape (n_maps, n_pixels, n_pixels) or (n_maps, 1, ...)
    low, high : float
        Multipoles in [low, high) are altered.
    pixel_arcmin : float
        Side of a pixel, in arcmin.
    how : {"remove", "scramble"}, default="remove"
        "scramble" draws the phases anew and leaves the power as it is: what is lost is
        how the band goes together with others.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    ndarray
        Of the shape and type of `maps`.

    Raises
    ------
    ValueError
        If the maps are not square or not finite, or the band holds no multipole.

    See Also
    --------
    without_values : The same for ranges of convergence.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import without_band
    >>> maps = np.random.default_rng(0).standard_normal((2, 64, 64))
    >>> rest = without_band(maps, 0, 20_000, pixel_arcmin=0.8)
    >>> bool(np.abs(rest).max() < 1e-12)
    True
    """
    signals = check_maps(maps)
    _check_how(how)
    *_, lengths = multipole_grid(signals.shape[-1], check_pixel(pixel_arcmin))
    inside = (lengths >= low) & (lengths < high)
    if not inside.any():
        raise ValueError(
            f"no multipole in [{low!r}, {high!r}); those of these maps go up to "
            f"{lengths.max():.5g}. Is pixel_arcmin right?"
        )
    half = analyse(signals)
    if how == "remove":
        half[:, inside] = 0
    else:
        half[:, inside] = _other_phases(half, random_state)[:, inside]
    altered = synthesise(half, signals.shape[1:])
    return altered.astype(signals.dtype).reshape(np.shape(maps))


def _other_phases(half: np.ndarray, random_state: Any) -> np.ndarray:
    """Return half spectra of the same sizes and the phases of white noise."""
    rng = check_random_state(random_state)
    n_pixels = half.shape[1]
    phases = np.empty_like(half)
    for row in phases:
        noise = analyse(rng.standard_normal((n_pixels, n_pixels)))
        row[...] = noise / np.abs(noise)
    return np.abs(half) * phases


def without_values(
    maps: Any,
    low: float,
    high: float,
    *,
    how: str = "remove",
    random_state: Any = None,
) -> np.ndarray:
    """Remove the pixels of a range of convergence from maps, or scramble them.

    Parameters
    ----------
    maps : array-like of shape (n_maps, n_pixels, n_pixels) or (n_maps, 1, ...)
    low, high : float
        Pixels in [low, high) are altered, in units of each map's r.m.s. Infinite ends
        are allowed.
    how : {"remove", "scramble"}, default="remove"
        "remove" sets them to zero, the mean convergence; "scramble" has them change
        places with each other, which leaves their distribution as it is.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    ndarray
        Of the shape and type of `maps`.

    Raises
    ------
    ValueError
        If the maps are not square or not finite, or `low` is not below `high`.

    See Also
    --------
    without_band : The same for scales.
    sktrim.evaluation.importance_by_value : What a network makes of such ranges.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import without_values
    >>> maps = np.random.default_rng(0).standard_normal((2, 64, 64))
    >>> bool(without_values(maps, -np.inf, 0).min() == 0)
    True
    """
    signals = check_maps(maps)
    _check_how(how)
    if not low < high:
        raise ValueError(f"low={low!r} and high={high!r}; low must be below high.")
    rng = check_random_state(random_state)
    altered = signals.copy()
    for field in altered:
        rms = np.sqrt((field.astype(float) ** 2).mean())
        inside = (field >= low * rms) & (field < high * rms)
        field[inside] = 0 if how == "remove" else rng.permutation(field[inside])
    return altered.reshape(np.shape(maps))


def _check_how(how: str) -> None:
    if how not in HOWS:
        raise ValueError(f"how={how!r}; expected one of {HOWS}.")


def plant_lattice(maps: Any, amplitudes: Any, *, period: int = 4) -> np.ndarray:
    r"""Add a faint lattice to maps, as tiles of a detector or of a simulation leave it.

    .. math::

       a \left[ \cos \frac{2 \pi (i + 1/2)}{p} + \cos \frac{2 \pi (j + 1/2)}{p} \right],

    at the pixel (i, j). It lies at a single multipole, :math:`2 \pi / (p \Delta)` for
    pixels of :math:`\Delta` radians, always at the same place, and looks the same from
    all sides.

    Parameters
    ----------
    maps : array-like of shape (n_maps, n_pixels, n_pixels) or (n_maps, 1, ...)
    amplitudes : float or array-like of shape (n_maps,)
        The amplitude a in each map, in the unit of the maps.
    period : int, default=4
        The period p, in pixels; the side of the maps must be a multiple of it.

    Returns
    -------
    ndarray
        Of the shape and type of `maps`.

    Raises
    ------
    ValueError
        If the maps are not square or not finite, or an argument does not fit.

    See Also
    --------
    without_band : Takes a band away.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import plant_lattice
    >>> planted = plant_lattice(np.zeros((1, 8, 8)), 1.0)
    >>> np.round(planted[0, 0], 3) + 0.0
    array([1.414, 0.   , 0.   , 1.414, 1.414, 0.   , 0.   , 1.414])
    """
    signals = check_maps(maps)
    n_maps, n_pixels, _ = signals.shape
    if not is_number(period) or period != int(period) or not 2 <= period <= n_pixels:
        raise ValueError(
            f"period={period!r}; expected an integer from 2 to {n_pixels}."
        )
    if n_pixels % period:
        raise ValueError(
            f"period={period} does not divide the {n_pixels} pixels of a side, so that "
            "the lattice would lie at several multipoles."
        )
    a = np.asarray(amplitudes, dtype=float)
    if a.shape not in ((), (n_maps,)) or not np.isfinite(a).all():
        raise ValueError(
            f"amplitudes has shape {a.shape}; expected a finite number, or one for "
            f"each of {n_maps} maps."
        )
    wave = np.cos(2 * np.pi * (np.arange(n_pixels) + 0.5) / period)
    lattice = wave[:, None] + wave
    planted = signals + np.broadcast_to(a, (n_maps,))[:, None, None] * lattice
    return planted.astype(signals.dtype).reshape(np.shape(maps))
