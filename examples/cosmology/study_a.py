"""Study A: which scales does a network use to weigh the universe?"""

import numpy as np
from networks import OMEGA_M, altered, simulator, trained
from scipy.stats import spearmanr
from sklearn.frozen import FrozenEstimator
from stages import stages

from sktrim import FourierTransformer, TransformImportance
from sktrim.lensing import fisher_information, shipped_cosmologies
from sktrim.scorers import ContextualDecomposition

ARCMIN = np.deg2rad(1 / 60)
# in the order of the tables
SCORERS = {
    "cd": "cd",
    "cd, partition": ContextualDecomposition(partition=True),
    "integrated_gradients": "integrated_gradients",
    "deeplift": "deeplift",
    "input_x_gradient": "input_x_gradient",
    "occlusion": "occlusion",
    "gradient_shap": "gradient_shap",
    "lrp_epsilon": "lrp_epsilon",
}
# of the narrow bands that show what was planted, and of those that go together with
# the information
N_NARROW = 20
# multipole of the lattice: a quarter of a turn from pixel to pixel
LATTICE_PERIOD = 4


def nyquist(settings):
    """Return the multipole of two pixels."""
    return np.pi / (settings.a_pixel_arcmin * ARCMIN)


def sliding(settings, width):
    """Return what `feature_groups` takes for a hundred bands that overlap."""
    centers = np.linspace(0.1, 0.9, 100) * nyquist(settings)
    return {"centers": centers, "width": width}


def narrow(settings):
    """Return what `feature_groups` takes for bands that touch."""
    return {"edges": np.linspace(0, nyquist(settings), N_NARROW + 1)}


def explained(settings, bands, scorer="cd", **options):
    """Return what `explain` does, kept."""
    named = ", ".join(f"{key}={value}" for key, value in options.items())
    title = f"Explaining by bands, {scorer}" + (f", {named}" if named else "")
    return stages(title, explain, settings, bands, scorer, **options)


def explain(settings, bands, scorer="cd", target=OMEGA_M, study="A", **training):
    """Explain test maps of a trained network by bands of multipole.

    Returns
    -------
    dict
        Scores (n_maps, n_bands) and middles of the bands, and the maps' numbers,
        predictions and targets.
    """
    found = trained(settings, study, **training)
    rng = np.random.default_rng(settings.seed)
    rows = rng.permutation(len(found["test"]))[: settings.a_explained]
    kinds = {key: training[key] for key in ("noisy", "field") if key in training}
    source = simulator(settings, study, **kinds)
    at = found["test"][rows]
    maps = altered(
        source.maps(at), source.target[at], training.get("alteration"), settings
    )
    fourier = FourierTransformer().fit(maps[:1])
    groups = fourier.feature_groups(
        "band",
        sample_spacing=settings.a_pixel_arcmin * ARCMIN,
        unit="multipole",
        **bands,
    )
    trim = TransformImportance(
        FrozenEstimator(found["net"]),
        fourier,
        SCORERS[scorer],
        groups=groups,
        target=target if found["targets"].shape[1] > 1 else 0,
        random_state=settings.seed,
        on_incomplete="ignore",
        verbose=1,
    ).fit(maps)
    return {
        "values": trim.explain(maps).values,
        "centers": groups.centers,
        "maps": at,
        "predicted": found["predicted"][rows],
        "targets": found["targets"][rows],
        "cosmology": found["cosmology"][rows],
    }


def per_prediction(explained, target=OMEGA_M):
    """Divide scores by what the network predicted."""
    return explained["values"] / explained["predicted"][:, [target]]


def top_share(values, at):
    """Return the share of maps whose band of largest magnitude is a given one."""
    return float((np.abs(values).argmax(axis=1) == at).mean())


def lattice_band(settings):
    """Return the number of the narrow band that holds the lattice."""
    multipole = 2 * np.pi / (LATTICE_PERIOD * settings.a_pixel_arcmin * ARCMIN)
    return int(multipole / nyquist(settings) * N_NARROW)


def information(settings):
    """Return the Fisher information about Omega_m in the narrow bands."""
    line = shipped_cosmologies("line")
    edges = narrow(settings)["edges"].copy()
    # a mode of length 0 has none
    edges[0] = 1
    return fisher_information(
        *line[4:7],
        edges,
        n_pixels=settings.a_pixels,
        pixel_arcmin=settings.a_pixel_arcmin,
        galaxies_per_arcmin2=settings.galaxies_per_arcmin2,
    )


def agreement(values, truth):
    """Return the rank correlation of mean scores with a truth, over bands."""
    return float(spearmanr(np.abs(values.mean(axis=0)), truth).statistic)
