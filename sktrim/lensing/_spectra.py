"""Power spectra of the convergence, from shipped tables or from CAMB."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from sktrim.lensing._camb import lognormal_floor, project
from sktrim.lensing._cosmology import (
    PARAMETER_NAMES,
    TABLES,
    Cosmology,
    as_cosmologies,
    read_table,
)

# beyond the corners of maps with pixels of .3 arcmin
MULTIPOLES = np.geomspace(10, 60_000, 160)


@dataclass(frozen=True)
class ConvergenceSpectra:
    """Angular power spectra of the convergence to redshift 1.

    Parameters
    ----------
    cosmologies : list of Cosmology
    power : ndarray of shape (n_cosmologies, n_multipoles)
        In steradian, at `multipoles`.
    multipoles : ndarray of shape (n_multipoles,)
    a_s, sigma_8 : ndarray of shape (n_cosmologies,)
        Both amplitudes of each: of the primordial spectrum times 1e9, and that of the
        linear density today.
    floors : ndarray of shape (n_cosmologies,)
        How far below zero the convergence of lognormal maps can lie.

    See Also
    --------
    convergence_spectra : Makes it.

    Examples
    --------
    >>> from sktrim.lensing import convergence_spectra, shipped_cosmologies
    >>> spectra = convergence_spectra(shipped_cosmologies("trim"))
    >>> spectra.at([100, 1000]).shape
    (10, 2)
    """

    cosmologies: list[Cosmology]
    power: np.ndarray
    multipoles: np.ndarray
    a_s: np.ndarray
    sigma_8: np.ndarray
    floors: np.ndarray

    def at(self, multipoles: Any) -> np.ndarray:
        """Interpolate the spectra, as cubic splines of logarithms.

        Parameters
        ----------
        multipoles : array-like of shape (...)
            Zero has no power.

        Returns
        -------
        ndarray of shape (n_cosmologies, ...)
            In steradian.

        Raises
        ------
        ValueError
            If a multipole lies outside of what was computed.
        """
        asked = np.asarray(multipoles, dtype=float)
        low, high = self.multipoles[[0, -1]]
        wrong = (asked != 0) & ~((asked >= low) & (asked <= high))
        if wrong.any():
            raise ValueError(
                f"multipole {asked[wrong].flat[0]:g}; the spectra are known from "
                f"{low:g} to {high:g}. Is pixel_arcmin right?"
            )
        known = np.where(asked > 0, asked, low)
        spline = CubicSpline(np.log(self.multipoles), np.log(self.power), axis=1)
        return np.where(asked > 0, np.exp(spline(np.log(known))), 0.0)

    def only(self, index: int) -> ConvergenceSpectra:
        """Return those of one cosmology.

        Parameters
        ----------
        index : int
            Its row.

        Returns
        -------
        ConvergenceSpectra
        """
        rows = slice(index, index + 1)
        return replace(
            self,
            cosmologies=self.cosmologies[rows],
            power=self.power[rows],
            a_s=self.a_s[rows],
            sigma_8=self.sigma_8[rows],
            floors=self.floors[rows],
        )

    @property
    def parameters(self) -> np.ndarray:
        """Neutrino mass in eV, Omega_m, 1e9 A_s and sigma_8 of each cosmology."""
        given = [(item.m_nu, item.omega_m) for item in self.cosmologies]
        return np.column_stack([given, self.a_s, self.sigma_8])

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """What the columns of `parameters` are."""
        return PARAMETER_NAMES


def convergence_spectra(cosmologies: Any) -> ConvergenceSpectra:
    r"""Return the power spectra of the convergence of cosmologies.

    .. math::

       C_l = \left( \frac{3 \Omega_m H_0^2}{2 c^2} \right)^2 \int_0^{r_s} (1 + z)^2
       \left( 1 - \frac{r}{r_s} \right)^2 P \left( \frac{l + 1/2}{r}, z \right) dr,

    for sources at redshift 1, at the distance :math:`r_s`, with the nonlinear power P
    of all matter by HMcode-2020 in CAMB.

    Parameters
    ----------
    cosmologies : Cosmology or sequence of Cosmology
        Those of `shipped_cosmologies` are looked up, others need CAMB, about a second
        each.

    Returns
    -------
    ConvergenceSpectra

    Raises
    ------
    ImportError
        If a cosmology is not shipped and CAMB is not installed.
    ValueError
        If `cosmologies` are none.

    See Also
    --------
    simulate_convergence_maps : Maps with these spectra.
    PowerSpectrum : That of a map.

    Notes
    -----
    Limber's approximation, in the form that is right to second order
    (:footcite:t:`loverde2008extended`), and without the factors between convergence and
    potential that matter below l = 10. The nonlinear power is that of
    :footcite:t:`mead2021hmcode`.

    The floor of lognormal maps is that of simulations,
    :footcite:t:`hilbert2011cosmic`, scaled with :math:`\Omega_m` as a line of sight
    without matter is. It is a property of the maps that no real sky has as sharply.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from sktrim.lensing import Cosmology, convergence_spectra
    >>> spectra = convergence_spectra(Cosmology(0.26, sigma_8=0.8))
    >>> spectra.power.shape, spectra.sigma_8
    ((1, 160), array([0.8]))
    """
    listed = as_cosmologies(cosmologies)
    found = [_look_up(item) or compute(item) for item in listed]
    power, a_s, sigma_8 = (np.array(part) for part in zip(*found, strict=True))
    floors = np.array([lognormal_floor(item.omega_m) for item in listed])
    return ConvergenceSpectra(listed, power, MULTIPOLES, a_s, sigma_8, floors)


def _look_up(cosmology: Cosmology) -> tuple | None:
    """Return power, a_s and sigma_8 from the tables, where they are there."""
    for name in TABLES:
        table = read_table(name)
        for row in table.rows(cosmology):
            return table["power"][row], table["a_s"][row], table["sigma_8"][row]
    return None


def compute(cosmology: Cosmology) -> tuple:
    """Return power, a_s and sigma_8 from CAMB."""
    return tuple(project(cosmology, MULTIPOLES))
