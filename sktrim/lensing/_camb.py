"""Nonlinear matter power from CAMB, and its projection along the line of sight."""

from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import cumulative_simpson, simpson

from sktrim.lensing._cosmology import (
    HUBBLE,
    OMEGA_B,
    SOURCE_REDSHIFT,
    SPECTRAL_INDEX,
    Cosmology,
)

# km/s
_LIGHT = 299792.458
_N_REDSHIFTS, _N_DISTANCES = 40, 400
# 1/Mpc; beyond, the power is continued as a power law
_K_MAX = 100.0
# convergence of the emptiest lines of sight to redshift 1 in simulations with
# Omega_m = .25 (Hilbert et al. 2011)
_FLOOR, _FLOOR_OMEGA_M = 0.02975, 0.25


class Projected(NamedTuple):
    """The spectrum of the convergence of a cosmology, and what CAMB derived."""

    power: np.ndarray
    a_s: float
    sigma_8: float


def project(cosmology: Cosmology, multipoles: np.ndarray) -> Projected:
    """Run CAMB and integrate its power along the line of sight."""
    camb = _import_camb()
    a_s = cosmology.a_s
    if a_s is None:
        # linear: twice the power is twice the square of sigma_8
        linear = camb.get_results(_parameters(camb, cosmology, 1.0, nonlinear=False))
        wanted: Any = cosmology.sigma_8
        a_s = float((wanted / linear.get_sigma8_0()) ** 2)
    results = camb.get_results(_parameters(camb, cosmology, a_s, nonlinear=True))
    # neutrinos included, in Mpc^3
    power = results.get_matter_power_interpolator(
        nonlinear=True, hubble_units=False, k_hunit=False, extrap_kmax=1e5
    )
    limit = float(results.comoving_radial_distance(SOURCE_REDSHIFT))
    nodes, weights = np.polynomial.legendre.leggauss(_N_DISTANCES)
    # more nodes near us, where small structures fill large angles: r = limit u^2
    u, weights = (nodes + 1) / 2, weights / 2
    r, dr = limit * u**2, 2 * limit * u * weights
    z = np.asarray(results.redshift_at_comoving_radial_distance(r))
    k = (multipoles[:, None] + 0.5) / r
    matter = np.stack(
        [power.P(z[i], k[:, i], grid=False) for i in range(len(r))], axis=1
    )
    lens = (_lensing(cosmology.omega_m) * (1 + z) * (1 - r / limit)) ** 2
    sigma_8 = cosmology.sigma_8 or float(results.get_sigma8_0())
    return Projected((matter * lens * dr).sum(axis=1), a_s, sigma_8)


def _lensing(omega_m: float) -> float:
    """Return 3/2 Omega_m H_0^2 / c^2, in 1/Mpc^2."""
    return 1.5 * omega_m * (100 * HUBBLE / _LIGHT) ** 2


def lognormal_floor(omega_m: float) -> float:
    """Return how far the convergence can lie below zero."""
    # that of simulations, scaled like a line of sight without any matter
    return _FLOOR * _empty_beam(omega_m) / _empty_beam(_FLOOR_OMEGA_M)


def _empty_beam(omega_m: float) -> float:
    """Integrate the lens along a line of sight without matter."""
    z = np.linspace(0, SOURCE_REDSHIFT, 1001)
    dr = _LIGHT / (100 * HUBBLE * np.sqrt(omega_m * (1 + z) ** 3 + 1 - omega_m))
    r = cumulative_simpson(dr, x=z, initial=0)
    lens = _lensing(omega_m) * (1 + z) * r * (1 - r / r[-1])
    return float(simpson(lens * dr, x=z))


def _parameters(camb: Any, cosmology: Cosmology, a_s: float, nonlinear: bool) -> Any:
    """Return what CAMB is asked for."""
    parameters = camb.CAMBparams()
    massive = cosmology.m_nu > 0
    common = {"H0": 100 * HUBBLE, "ombh2": OMEGA_B * HUBBLE**2, "omk": 0.0}
    common |= {"mnu": cosmology.m_nu, "neutrino_hierarchy": "degenerate"}
    common |= {"num_massive_neutrinos": 3 if massive else 0}
    parameters.set_cosmology(omch2=0.1, **common)
    # what is left for cold dark matter depends on the neutrinos' density
    rest = (cosmology.omega_m - OMEGA_B) * HUBBLE**2 - parameters.omnuh2
    parameters.set_cosmology(omch2=rest, **common)
    parameters.InitPower.set_params(As=1e-9 * a_s, ns=SPECTRAL_INDEX)
    parameters.WantCls = False
    if nonlinear:
        parameters.NonLinear = camb.model.NonLinear_both
        parameters.NonLinearModel.set_params(halofit_version="mead2020")
    redshifts = np.linspace(1.05 * SOURCE_REDSHIFT, 0, _N_REDSHIFTS)
    parameters.set_matter_power(redshifts=redshifts, kmax=_K_MAX)
    return parameters


def _import_camb() -> Any:
    try:
        import camb  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "Spectra of cosmologies that are not shipped need CAMB "
            "(pip install 'sktrim[lensing]'); shipped_cosmologies(...) need none."
        ) from error
    return camb
