"""Study B: statistics beside the network, and the densities that it looks at."""

import numpy as np
from joblib import Parallel, delayed
from networks import OUTPUTS, predict, trained
from stages import stages
from tqdm.auto import tqdm

from sktrim.lensing import (
    ConvergenceSimulator,
    GaussianLikelihood,
    MinkowskiFunctionals,
    PeakCounts,
    PowerSpectrum,
    area_change,
    best_linear_correlations,
    output_correlations,
    shipped_cosmologies,
)

STATISTICS = ("power spectrum", "peak counts", "V0", "V1", "V2")
EVERYTHING = "all"
LEVELS = (0.68, 0.95)
# convergence at the ends of the bins, without noise and with it
RANGES = {False: (-0.0235, 0.0704), True: (-0.05, 0.10)}
# r.m.s. of smoothed fiducial maps
SIGMA = {False: 0.0117, True: 0.0187}


def transformers(settings, noisy):
    """Return the statistics by their names, 20 bins each."""
    low, high = RANGES[noisy]
    bins = {"low": low, "high": high, "periodic": True}
    step = settings.b_pixel_arcmin
    areas = {
        name: MinkowskiFunctionals((name,), pixel_arcmin=step, **bins)
        for name in ("V0", "V1", "V2")
    }
    return {
        "power spectrum": PowerSpectrum(step),
        "peak counts": PeakCounts(**bins),
        **areas,
    }


def suite(settings, noisy, fiducial):
    """Return maps that no network was trained on."""
    design = shipped_cosmologies("design")
    return ConvergenceSimulator(
        design[0] if fiducial else design,
        settings.b_fiducial if fiducial else settings.b_test_maps,
        n_pixels=settings.b_pixels,
        pixel_arcmin=settings.b_pixel_arcmin,
        galaxies_per_arcmin2=settings.galaxies_per_arcmin2 if noisy else None,
        smoothing_arcmin=settings.smoothing_arcmin,
        # far from the seed of the training maps, and different from each other
        random_state=settings.seed + (1_000_003 if fiducial else 2_000_003),
    )


def measure(settings, noisy, fiducial):
    """Measure all statistics, and the network's outputs, of a suite of maps.

    Returns
    -------
    dict
        By the names of the statistics and "network", arrays (n_maps, d); and the
        parameters and the cosmology of each map.
    """
    source = suite(settings, noisy, fiducial)
    parts = np.array_split(np.arange(len(source)), max(1, len(source) // 100))
    tasks = (delayed(_measured)(settings, noisy, source, part) for part in parts)
    work = Parallel(n_jobs=-1, return_as="generator")(tasks)
    found = list(tqdm(work, total=len(parts), desc="statistics", unit="part"))
    joined = {name: np.concatenate([p[name] for p in found]) for name in found[0]}
    net = trained(settings, "B", noisy=noisy)["net"]
    every = np.arange(len(source))
    joined["network"] = predict(net, source, every, None, settings).astype(float)
    joined["parameters"] = source.target[:, OUTPUTS["B"]].astype(float)
    joined["cosmology"] = source.cosmology
    return joined


def _measured(settings, noisy, source, part):
    maps = source.maps(part)
    return {
        name: statistic.fit_transform(maps)
        for name, statistic in transformers(settings, noisy).items()
    }


def measured(settings, noisy, fiducial):
    """Return what `measure` does, kept."""
    title = f"Measuring the {'fiducial' if fiducial else 'test'} suite, noisy={noisy}"
    return stages(title, measure, settings, noisy, fiducial)


def chosen(found, name):
    """Return a statistic, all of them, or one together with the network's outputs."""
    own, _, network = name.partition(" + ")
    columns = [found[s] for s in STATISTICS] if own == EVERYTHING else [found[own]]
    if network:
        columns.append(found["network"])
    return np.hstack(columns)


def posterior(settings, noisy, name, third=None):
    """Return the posterior of the fiducial mean, by a statistic."""
    test = measured(settings, noisy, False)
    fiducial = measured(settings, noisy, True)
    own = chosen(fiducial, name)
    part = own if third is None else own[third::3]
    kept = part.std(axis=0) > 0
    likelihood = GaussianLikelihood().fit(
        chosen(test, name)[:, kept],
        test["parameters"],
        fiducial_statistics=part[:, kept],
    )
    return likelihood.posterior(own.mean(axis=0)[kept])


def posteriors(settings, noisy):
    """Return the posteriors of each statistic, the network, and both together."""
    network = posterior(settings, noisy, "network")
    return {
        name: {
            "network": network,
            "statistic": posterior(settings, noisy, name),
            "both": posterior(settings, noisy, f"{name} + network"),
        }
        for name in (*STATISTICS, EVERYTHING)
    }


def contours(settings, noisy):
    """Return what `posteriors` does, kept."""
    return stages(f"Contours, noisy={noisy}", posteriors, settings, noisy)


def area_table(found):
    """Return Table I: areas, and their change when the network joins, in per cent."""
    rows = {}
    for name, panel in found.items():
        for level in LEVELS:
            alone, both = (panel[key].area(level) for key in ("statistic", "both"))
            rows[name, level] = alone, area_change(both, alone)
    return rows


def correlations(settings, noisy):
    """Return correlations of the outputs with every bin, and with the best sums."""
    test = measured(settings, noisy, False)
    labels = test["cosmology"]
    single = {
        name: output_correlations(test["network"], test[name], labels)
        for name in STATISTICS
    }
    # a hundred numbers need many maps of one cosmology
    many = measured(settings, noisy, True)
    every = chosen(many, EVERYTHING)
    best = best_linear_correlations(many["network"], every, many["cosmology"])
    return single, best
