"""Cosmologies: what is varied, and those whose spectra are shipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

# what all cosmologies share: flat, three equal neutrinos where they have mass
HUBBLE = 0.7
OMEGA_B = 0.046
SPECTRAL_INDEX = 0.97
SOURCE_REDSHIFT = 1.0

PARAMETER_NAMES = ("m_nu", "Omega_m", "1e9 A_s", "sigma_8")
# where CAMB's nonlinear power has been tried
_RANGES = {
    "omega_m": (0.1, 1.0),
    "a_s": (0.2, 10.0),
    "sigma_8": (0.2, 2.0),
    "m_nu": (0.0, 1.0),
}


@dataclass(frozen=True)
class Cosmology:
    """A flat universe with a cosmological constant.

    The Hubble constant is 70 km/s/Mpc, the baryons have density .046, and the
    primordial spectrum has the index .97.

    Parameters
    ----------
    omega_m : float
        Density of matter, neutrinos included, over the critical density.
    a_s : float or None, default=None
        Amplitude of the primordial spectrum at .05 / Mpc, times 1e9.
    sigma_8 : float or None, default=None
        R.m.s. of the linear density in spheres of 8 Mpc/h today. Either this or `a_s`.
    m_nu : float, default=0.0
        Sum of the masses of the neutrinos, in eV.

    Raises
    ------
    ValueError
        If not exactly one of `a_s` and `sigma_8` is given, or a value lies where the
        nonlinear power was not tried.

    See Also
    --------
    shipped_cosmologies : Those that need no CAMB.
    convergence_spectra : Their power spectra.

    Examples
    --------
    >>> from sktrim.lensing import Cosmology
    >>> Cosmology(0.26, sigma_8=0.8)
    Cosmology(omega_m=0.26, a_s=None, sigma_8=0.8, m_nu=0.0)
    """

    omega_m: float
    a_s: float | None = None
    sigma_8: float | None = None
    m_nu: float = 0.0

    def __post_init__(self) -> None:
        if (self.a_s is None) == (self.sigma_8 is None):
            raise ValueError(
                f"a_s={self.a_s!r} and sigma_8={self.sigma_8!r}; give exactly one: "
                "each says how strong the fluctuations are."
            )
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                scaled = ", times 1e9" if name == "a_s" else ""
                raise ValueError(
                    f"{name}={value!r} is outside of what CAMB's nonlinear power was "
                    f"tried on: {low} to {high}{scaled}."
                )


def as_cosmologies(cosmologies: Any) -> list[Cosmology]:
    """Return a list of cosmologies, of one or several."""
    several = [cosmologies] if isinstance(cosmologies, Cosmology) else cosmologies
    listed = list(several) if isinstance(several, Iterable) else [several]
    wrong = [item for item in listed if not isinstance(item, Cosmology)]
    if wrong or not listed:
        shown = repr(wrong[0]) if wrong else "none"
        raise ValueError(
            f"cosmologies: {shown} was given; expected Cosmology objects, such as "
            'those of shipped_cosmologies("trim").'
        )
    return listed


class Table(dict):
    """A shipped table: arrays by name, one row per cosmology."""

    def rows(self, cosmology: Cosmology) -> np.ndarray:
        """Return the row of a cosmology, or nothing."""
        asked = {"omega_m": cosmology.omega_m, "m_nu": cosmology.m_nu}
        amplitude = "sigma_8" if cosmology.a_s is None else "a_s"
        asked[amplitude] = getattr(cosmology, amplitude)
        same = [np.isclose(self[key], value, 1e-9) for key, value in asked.items()]
        return np.flatnonzero(np.all(same, axis=0))[:1]


TABLES = ("trim", "design", "line")


@cache
def read_table(name: str) -> Table:
    """Read a shipped table."""
    with (files("sktrim.lensing") / "tables" / f"{name}.npz").open("rb") as file:
        return Table(np.load(file))


def shipped_cosmologies(name: str = "trim") -> list[Cosmology]:
    r"""Return cosmologies whose spectra are shipped, so that they need no CAMB.

    Parameters
    ----------
    name : {"trim", "design", "line"}, default="trim"
        "trim": the ten of :footcite:t:`singh2020trim`, Table S1, after simulations with
        massive neutrinos; they differ in :math:`m_\nu`, :math:`\Omega_m` and
        :math:`A_s`. "design": 101, the fiducial one of
        :footcite:t:`zorrilla2020lensing`, (.26, .8), and a scattered design of 100
        around it in :math:`\Omega_m` and :math:`\sigma_8`, without mass of neutrinos.
        "line": eleven that differ in :math:`\Omega_m` alone, from .2 to .4.

    Returns
    -------
    list of Cosmology

    Raises
    ------
    ValueError
        If the name is unknown.

    See Also
    --------
    simulate_convergence_maps : Maps of them.

    Notes
    -----
    The design is ours: Sobol points in the logarithm of :math:`\Omega_m`, from .12 to
    .56, and in :math:`S_8 = \sigma_8 (\Omega_m / 0.3)^{0.6}`, from .48 to 1, the
    combination that lensing measures best, because contours are long along the other
    one.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from sktrim.lensing import shipped_cosmologies
    >>> shipped_cosmologies("trim")[1]
    Cosmology(omega_m=0.3815, a_s=2.2004, sigma_8=None, m_nu=0.06271)
    >>> len(shipped_cosmologies("design"))
    101
    """
    if name not in TABLES:
        raise ValueError(f"name={name!r}; expected one of {TABLES}.")
    table = read_table(name)
    amplitude = "sigma_8" if name == "design" else "a_s"
    return [
        Cosmology(float(omega_m), m_nu=float(m_nu), **{amplitude: float(value)})
        for omega_m, m_nu, value in zip(
            table["omega_m"], table["m_nu"], table[amplitude], strict=True
        )
    ]
