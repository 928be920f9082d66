"""What Gaussian maps can tell of a parameter, multipole by multipole."""

from typing import Any

import numpy as np

from sktrim.lensing._cosmology import Cosmology
from sktrim.lensing._maps import (
    check_maps_asked,
    check_noise,
    multipole_grid,
    pixel_noise,
    pixel_power,
    real_modes,
    smoothing_window,
)
from sktrim.lensing._spectra import convergence_spectra


def fisher_information(
    below: Cosmology,
    cosmology: Cosmology,
    above: Cosmology,
    edges: Any,
    *,
    parameter: str = "omega_m",
    n_pixels: int = 256,
    pixel_arcmin: float = 0.8,
    galaxies_per_arcmin2: float | None = None,
    ellipticity: float = 0.4,
    smoothing_arcmin: float | None = None,
) -> np.ndarray:
    r"""Return the Fisher information of Gaussian maps about a parameter, by band.

    .. math::

       F_B = \sum_{k \in B} \frac{(dC_k / d\theta)^2}{2 (C_k + N_k)^2},

    over the real modes k of a map in the band B, where C is the power of the sky in the
    pixels and N that of shape noise, both smoothed.

    Parameters
    ----------
    below, cosmology, above : Cosmology
        The derivative is the difference between `below` and `above`; C is that of
        `cosmology`.
    edges : array-like of shape (n_bands + 1,) or (n_bands, 2)
        Multipoles where bands [low, high) meet, or a row per band.
    parameter : {"omega_m", "a_s", "sigma_8", "m_nu"}, default="omega_m"
        What the derivative is by.
    n_pixels : int, default=256
        Along each side.
    pixel_arcmin : float, default=0.8
    galaxies_per_arcmin2 : float or None, default=None
    ellipticity : float, default=0.4
    smoothing_arcmin : float or None, default=None
        As those of `simulate_convergence_maps`.

    Returns
    -------
    ndarray of shape (n_bands,)
        In 1 over the square of the parameter's unit. The smallest variance that an
        estimate without bias can have is 1 over its sum, for bands that do not overlap.

    Raises
    ------
    ValueError
        If an argument does not fit, the parameter is the same on both sides, or a band
        holds no mode.

    See Also
    --------
    simulate_convergence_maps : With ``field="gaussian"``, maps that hold just this.

    Notes
    -----
    Smoothing scales signal and noise alike, and takes no information away from a mode
    that it does not drown in rounding.

    Examples
    --------
    >>> from sktrim.lensing import fisher_information, shipped_cosmologies
    >>> line = shipped_cosmologies("line")
    >>> found = fisher_information(*line[4:7], [100, 1000, 5000], n_pixels=128)
    >>> bool(found[1] > found[0])
    True
    """
    check_maps_asked(1, n_pixels, pixel_arcmin, "gaussian")
    check_noise(galaxies_per_arcmin2, ellipticity, smoothing_arcmin)
    step = _difference(below, above, parameter)
    *_, lengths = multipole_grid(n_pixels, pixel_arcmin)
    bands = _bands(edges)
    spectra = convergence_spectra([below, cosmology, above])
    power = pixel_power(spectra, n_pixels, pixel_arcmin)
    noise = pixel_noise(galaxies_per_arcmin2, ellipticity, pixel_arcmin) ** 2
    window = smoothing_window(n_pixels, pixel_arcmin, smoothing_arcmin)
    kept = 1.0 if window is None else window.astype(float) ** 2
    slope = kept * (power[2] - power[0]) / step
    total = kept * (power[1] + noise)
    # the mode of length 0 has no power
    known = lengths > 0
    each = np.where(known, slope, 0) ** 2 / (2 * np.where(known, total, 1) ** 2)
    each *= real_modes(n_pixels)
    inside = [known & (lengths >= low) & (lengths < high) for low, high in bands]
    _check_modes(inside, bands, lengths)
    return np.array([each[where].sum() for where in inside])


def _difference(below: Cosmology, above: Cosmology, parameter: str) -> float:
    known = ("omega_m", "a_s", "sigma_8", "m_nu")
    if parameter not in known:
        raise ValueError(f"parameter={parameter!r}; expected one of {known}.")
    ends = getattr(below, parameter), getattr(above, parameter)
    if None in ends or ends[0] == ends[1]:
        raise ValueError(
            f"{parameter} is {ends[0]} below and {ends[1]} above; it must be given and "
            "differ."
        )
    return float(ends[1] - ends[0])


def _bands(edges: Any) -> np.ndarray:
    """Return rows (low, high)."""
    rows = np.asarray(edges, dtype=float)
    if rows.ndim == 1 and rows.size > 1:
        rows = np.stack([rows[:-1], rows[1:]], axis=1)
    if rows.ndim != 2 or rows.shape[1] != 2 or not (rows[:, 0] < rows[:, 1]).all():
        raise ValueError(
            f"edges has shape {np.shape(edges)}; expected a row of increasing "
            "multipoles, or a row (low, high) per band."
        )
    return rows


def _check_modes(inside: list, bands: np.ndarray, lengths: np.ndarray) -> None:
    empty = [
        f"{bands[i][0]:g} to {bands[i][1]:g}"
        for i, w in enumerate(inside)
        if not w.any()
    ]
    if empty:
        raise ValueError(
            f"no mode in {', '.join(empty[:5])}; the map's multipoles go from "
            f"{lengths[lengths > 0].min():.4g} to {lengths.max():.4g}."
        )
