"""Maps of the convergence and their statistics, on one thread."""

import torch

from sktrim.lensing import (
    ConvergenceSimulator,
    MinkowskiFunctionals,
    PeakCounts,
    PowerSpectrum,
    shipped_cosmologies,
)

from ._tables import Table, device_name, median_seconds

N_MAPS = 50
NOISE = {"galaxies_per_arcmin2": 30.0, "smoothing_arcmin": 1.0}


def _maps(**options):
    return ConvergenceSimulator(
        shipped_cosmologies("trim")[0], N_MAPS, n_pixels=256, random_state=0, **options
    )


def _rows():
    for title, options in (
        ("lognormal", {}),
        ("lognormal, noise, smoothed", NOISE),
        ("gaussian", {"field": "gaussian"}),
    ):
        simulator = _maps(**options)
        seconds = median_seconds(lambda maps=simulator: maps.maps(slice(None)), 3)
        yield [f"maps, {title}", 1000 / N_MAPS * seconds, 5.0]
    maps = _maps(**NOISE).maps(slice(None))
    for statistic in (
        PowerSpectrum(0.8),
        PeakCounts(low=-0.05, high=0.1),
        MinkowskiFunctionals(low=-0.05, high=0.1, periodic=True),
    ):
        fitted = statistic.fit(maps)
        seconds = median_seconds(lambda measure=fitted: measure.transform(maps), 3)
        yield [type(statistic).__name__, 1000 / N_MAPS * seconds, None]


def measure():
    """Time a thousand maps of 256 x 256 pixels."""
    torch.set_num_threads(1)
    return Table(
        f"Lensing, 1,000 maps of 256 x 256, {device_name('cpu')}",
        ["work", "seconds", "seconds to reach"],
        list(_rows()),
        ["FFTs run on one thread."],
    )
