"""Weak gravitational lensing: maps, networks and statistics of the convergence."""

from sktrim.lensing._alterations import plant_lattice, without_band, without_values
from sktrim.lensing._cosmology import Cosmology, shipped_cosmologies
from sktrim.lensing._files import load_convergence_maps
from sktrim.lensing._information import fisher_information
from sktrim.lensing._likelihood import GaussianLikelihood, Posterior, area_change
from sktrim.lensing._maps import ConvergenceSimulator, simulate_convergence_maps
from sktrim.lensing._regressor import (
    ConvergenceMapDataset,
    ConvergenceRegressor,
    convergence_regressor,
    split_maps,
)
from sktrim.lensing._relations import best_linear_correlations, output_correlations
from sktrim.lensing._spectra import ConvergenceSpectra, convergence_spectra
from sktrim.lensing._statistics import (
    MinkowskiFunctionals,
    PeakCounts,
    PowerSpectrum,
)

__all__ = [
    "ConvergenceMapDataset",
    "ConvergenceRegressor",
    "ConvergenceSimulator",
    "ConvergenceSpectra",
    "Cosmology",
    "GaussianLikelihood",
    "MinkowskiFunctionals",
    "PeakCounts",
    "Posterior",
    "PowerSpectrum",
    "area_change",
    "best_linear_correlations",
    "convergence_regressor",
    "convergence_spectra",
    "fisher_information",
    "load_convergence_maps",
    "output_correlations",
    "plant_lattice",
    "shipped_cosmologies",
    "simulate_convergence_maps",
    "split_maps",
    "without_band",
    "without_values",
]
