"""Weak gravitational lensing: maps, networks and statistics of the convergence."""

from sktrim.lensing._cosmology import Cosmology, shipped_cosmologies
from sktrim.lensing._information import fisher_information
from sktrim.lensing._maps import ConvergenceSimulator, simulate_convergence_maps
from sktrim.lensing._spectra import ConvergenceSpectra, convergence_spectra

__all__ = [
    "ConvergenceSimulator",
    "ConvergenceSpectra",
    "Cosmology",
    "convergence_spectra",
    "fisher_information",
    "shipped_cosmologies",
    "simulate_convergence_maps",
]
