"""Spectra agree with another code and with published figures; tables with CAMB."""

import numpy as np
import pyccl
import pytest
from scipy.integrate import simpson

from sktrim.lensing import Cosmology, convergence_spectra, shipped_cosmologies
from sktrim.lensing._camb import lognormal_floor
from sktrim.lensing._spectra import compute
from sktrim.lensing._tables import tables

ARCMIN = np.deg2rad(1 / 60)


def _pyccl_spectrum(cosmology, a_s, multipoles):
    """Limber's integral over the same nonlinear power, by another code."""
    neutrino = {"m_nu": cosmology.m_nu, "mass_split": "equal"} if cosmology.m_nu else {}
    # the density of massive neutrinos is part of Omega_m
    omega_nu = cosmology.m_nu / 93.14 / 0.7**2
    model = pyccl.Cosmology(
        Omega_c=cosmology.omega_m - 0.046 - omega_nu,
        Omega_b=0.046,
        h=0.7,
        n_s=0.97,
        A_s=1e-9 * a_s,
        transfer_function="boltzmann_camb",
        matter_power_spectrum="camb",
        extra_parameters={"camb": {"halofit_version": "mead2020", "kmax": 100.0}},
        **neutrino,
    )
    tracer = pyccl.CMBLensingTracer(model, z_source=1.0)
    return pyccl.angular_cl(model, tracer, tracer, multipoles)


@pytest.mark.parametrize("at", [0, 4])
def test_spectra_agree_with_those_of_another_code(at):
    cosmology = shipped_cosmologies("trim")[at]
    spectra = convergence_spectra(cosmology)
    multipoles = np.geomspace(100, 10_000, 30)
    expected = _pyccl_spectrum(cosmology, spectra.a_s[0], multipoles)
    np.testing.assert_allclose(spectra.at(multipoles)[0], expected, rtol=0.01)


def test_a_shipped_row_is_what_camb_gives_today():
    cosmology = shipped_cosmologies("design")[0]
    power, a_s, sigma_8 = compute(cosmology)
    spectra = convergence_spectra(cosmology)
    np.testing.assert_allclose(spectra.power[0], power, rtol=2e-3)
    np.testing.assert_allclose(spectra.a_s[0], a_s, rtol=1e-3)
    assert spectra.sigma_8[0] == sigma_8 == 0.8


def test_the_linear_amplitude_is_a_published_one():
    # AbacusSummit c000 (Planck 2018) has sigma_8 = .80795 by CLASS
    import camb

    parameters = camb.CAMBparams()
    densities = {"ombh2": 0.02237, "omch2": 0.12, "mnu": 0.06, "omk": 0}
    parameters.set_cosmology(H0=67.36, **densities)
    parameters.InitPower.set_params(As=2.083e-9, ns=0.9649)
    parameters.set_matter_power(redshifts=[0], kmax=10)
    parameters.WantCls = False
    assert abs(camb.get_results(parameters).get_sigma8_0() - 0.807952) < 0.001


def test_the_nonlinear_power_gives_the_published_scatter_of_smoothed_maps():
    # .0117 in ray-traced N-body maps (Zorrilla Matilla et al. 2020)
    spectra = convergence_spectra(Cosmology(0.26, sigma_8=0.8))
    multipoles = spectra.multipoles
    density = multipoles**2 * spectra.power[0] / (2 * np.pi)
    density *= np.exp(-((multipoles * ARCMIN) ** 2))
    variance = simpson(density, x=np.log(multipoles))
    assert abs(np.sqrt(variance) - 0.0117) < 0.0002


def test_tables_hold_the_cosmologies_that_they_are_made_of():
    for name, cosmologies in tables().items():
        assert shipped_cosmologies(name) == cosmologies
        spectra = convergence_spectra(cosmologies)
        assert spectra.power.shape == (len(cosmologies), spectra.multipoles.size)
        assert (np.diff(np.log(spectra.power)) < 0.3).all()


def test_the_design_surrounds_its_fiducial_cosmology():
    points = convergence_spectra(shipped_cosmologies("design")).parameters[:, [1, 3]]
    fiducial, others = points[0], points[1:]
    np.testing.assert_allclose(fiducial, [0.26, 0.8])
    s_8 = others[:, 1] * (others[:, 0] / 0.3) ** 0.6
    assert others[:, 0].min() < 0.125
    assert others[:, 0].max() > 0.54
    assert s_8.min() < 0.49
    assert s_8.max() > 0.98


def test_more_matter_lies_deeper():
    floors = [lognormal_floor(omega_m) for omega_m in (0.2, 0.25, 0.4)]
    assert floors[0] < floors[1] < floors[2]
    assert abs(floors[1] - 0.02975) < 1e-9


def test_multipoles_outside_of_what_is_known_are_refused():
    spectra = convergence_spectra(shipped_cosmologies("trim")[0])
    assert spectra.at([0.0])[0, 0] == 0
    with pytest.raises(ValueError, match=r"multipole 5; .* pixel_arcmin"):
        spectra.at([100, 5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"omega_m": 0.3}, "give exactly one"),
        ({"omega_m": 0.3, "a_s": 2.1, "sigma_8": 0.8}, "give exactly one"),
        ({"omega_m": 0.05, "a_s": 2.1}, r"omega_m=0.05 is outside"),
        ({"omega_m": float("nan"), "a_s": 2.1}, r"omega_m=nan is outside"),
        ({"omega_m": 0.3, "a_s": 2.1e-9}, r"times 1e9"),
        ({"omega_m": 0.3, "a_s": 2.1, "m_nu": -1}, r"m_nu=-1"),
    ],
)
def test_impossible_cosmologies_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Cosmology(**arguments)


@pytest.mark.parametrize("wrong", [[], "trim", [0.3], 3])
def test_what_are_no_cosmologies_is_said(wrong):
    with pytest.raises(ValueError, match="shipped_cosmologies"):
        convergence_spectra(wrong)


def test_unknown_tables_are_refused():
    with pytest.raises(ValueError, match="'trim', 'design', 'line'"):
        shipped_cosmologies("planck")


def test_without_camb_shipped_spectra_still_work(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "camb", None)
    assert convergence_spectra(shipped_cosmologies("line")).power.shape[0] == 11
    with pytest.raises(ImportError, match="sktrim\\[lensing\\]"):
        convergence_spectra(Cosmology(0.31, 2.0))


def test_the_spectra_of_one_are_its_row():
    spectra = convergence_spectra(shipped_cosmologies("trim"))
    one = spectra.only(3)
    assert one.cosmologies == [shipped_cosmologies("trim")[3]]
    np.testing.assert_array_equal(one.power, spectra.power[[3]])
    np.testing.assert_array_equal(one.parameters, spectra.parameters[[3]])
    np.testing.assert_array_equal(one.floors, spectra.floors[[3]])
