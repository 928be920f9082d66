"""Write the shipped tables: ``python -m sktrim.lensing._tables FOLDER NAME ...``."""

import sys
from pathlib import Path

import numpy as np
from scipy.stats import qmc
from tqdm.auto import tqdm

from sktrim.lensing._cosmology import Cosmology
from sktrim.lensing._spectra import MULTIPOLES, compute

# (m_nu in eV, Omega_m, 1e9 A_s): Table S1 of Singh et al. 2020
TRIM = [
    (0.0, 0.3, 2.1),
    (0.06271, 0.3815, 2.2004),
    (0.06522, 0.2821, 1.8826),
    (0.06773, 0.4159, 1.6231),
    (0.07024, 0.2023, 2.3075),
    (0.07275, 0.3283, 2.2883),
    (0.07526, 0.3355, 1.5659),
    (0.07778, 0.2597, 2.4333),
    (0.0803, 0.2783, 2.3824),
    (0.08282, 0.2758, 1.8292),
]
FIDUCIAL = (0.26, 0.8)
# of Omega_m, equally dense in its logarithm, and of S_8; what one noisy map of 3.5
# degrees leaves lies inside
DESIGN = ((0.12, 0.56), (0.48, 1.0))


def scattered_design(n_points: int = 100) -> list[tuple[float, float]]:
    """Return the fiducial (Omega_m, sigma_8) and points scattered around it."""
    unit = qmc.Sobol(2, rng=0).random(128)[:n_points]
    ends = np.transpose(DESIGN)
    ends[:, 0] = np.log(ends[:, 0])
    log_omega_m, s_8 = qmc.scale(unit, *ends).T
    omega_m = np.exp(log_omega_m)
    sigma_8 = s_8 / (omega_m / 0.3) ** 0.6
    points = zip(omega_m.round(4).tolist(), sigma_8.round(4).tolist(), strict=True)
    return [FIDUCIAL, *points]


def tables() -> dict[str, list[Cosmology]]:
    """Return the cosmologies of every table."""
    line = np.linspace(0.2, 0.4, 11).round(4).tolist()
    return {
        "trim": [Cosmology(omega_m, a_s, m_nu=m_nu) for m_nu, omega_m, a_s in TRIM],
        "design": [Cosmology(o, sigma_8=s) for o, s in scattered_design()],
        "line": [Cosmology(omega_m, 2.1) for omega_m in line],
    }


def write(folder: Path, names: list[str]) -> None:
    """Run CAMB for every cosmology of some tables."""
    for name in names:
        cosmologies = tables()[name]
        rows = [compute(item) for item in tqdm(cosmologies, desc=name)]
        power, a_s, sigma_8 = map(np.array, zip(*rows, strict=True))
        np.savez_compressed(
            folder / f"{name}.npz",
            omega_m=[item.omega_m for item in cosmologies],
            m_nu=[item.m_nu for item in cosmologies],
            a_s=a_s,
            sigma_8=sigma_8,
            multipoles=MULTIPOLES,
            power=power.astype(np.float32),
        )


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2:])
