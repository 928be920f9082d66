"""Maps and networks of both studies, trained once and kept."""

from functools import partial

import numpy as np
from sklearn.metrics import r2_score
from stages import stages

from sktrim.lensing import (
    ConvergenceMapDataset,
    ConvergenceSimulator,
    convergence_regressor,
    plant_lattice,
    shipped_cosmologies,
    split_maps,
    without_band,
    without_values,
)

# column of Omega_m in the targets of a simulator
OMEGA_M = 1
# columns that each study's networks are trained on
OUTPUTS = {"A": [0, 1, 2], "line": [1], "B": [1, 3]}
# amplitude of the lattice per unit of Omega_m - .1; it lies at l = 6750 in study A
LATTICE = 1e-3


def simulator(settings, study, noisy=False, field="lognormal"):
    """Return what makes the maps of a study."""
    size = settings.b_pixels if study == "B" else settings.a_pixels
    step = settings.b_pixel_arcmin if study == "B" else settings.a_pixel_arcmin
    n_maps = settings.b_maps if study == "B" else settings.a_maps
    # Gaussian maps without noise would hold most in modes that smoothing hides
    noisy, smoothed = noisy or study == "line", study != "line"
    return ConvergenceSimulator(
        shipped_cosmologies({"A": "trim", "line": "line", "B": "design"}[study]),
        n_maps,
        n_pixels=size,
        pixel_arcmin=step,
        field=field,
        galaxies_per_arcmin2=settings.galaxies_per_arcmin2 if noisy else None,
        smoothing_arcmin=settings.smoothing_arcmin if smoothed else None,
        random_state=settings.seed,
        verbose=1,
    )


def altered(maps, targets, alteration, settings):
    """Plant something in maps, or take it away."""
    if alteration is None:
        return maps
    kind, *arguments = alteration
    if kind == "lattice":
        return plant_lattice(maps, LATTICE * (targets[:, OMEGA_M] - 0.1))
    if kind == "band":
        return without_band(maps, *arguments, pixel_arcmin=settings.a_pixel_arcmin)
    return without_values(maps, *arguments)


def trained(settings, study, **options):
    """Return what `train` does, kept."""
    named = ", ".join(f"{key}={value}" for key, value in options.items())
    title = f"Training the network of study {study}" + (f", {named}" if named else "")
    return stages(title, train, settings, study, **options)


def train(settings, study, noisy=False, field="lognormal", alteration=None):
    """Train a network.

    Returns
    -------
    dict
        The network, and the indices, targets and predictions of its test maps.
    """
    source = simulator(settings, study, noisy, field)
    columns = OUTPUTS[study]
    share = 0.3 if study == "B" else settings.a_test_size
    # simulated maps are all independent
    independent = np.arange(len(source))
    train_at, test_at = split_maps(
        independent, source.cosmology, test_size=share, random_state=settings.seed
    )
    key = "b" if study == "B" else "a"
    net = convergence_regressor(
        getattr(settings, f"{key}_architecture"),
        len(columns),
        max_epochs=getattr(settings, f"{key}_epochs"),
        batch_size=getattr(settings, f"{key}_batch"),
        device=settings.device,
        random_state=settings.seed,
        verbose=1,
    )
    if len(source) > settings.most_maps:
        alter = partial(altered, alteration=alteration, settings=settings)
        data = ConvergenceMapDataset(source, train_at, columns, alter=alter)
        net.set_params(iterator_train__num_workers=8).fit(data, None)
    else:
        maps = altered(
            source.maps(train_at), source.target[train_at], alteration, settings
        )
        net.fit(maps, source.target[train_at][:, columns])
    targets = source.target[test_at][:, columns]
    predicted = predict(net, source, test_at, alteration, settings)
    return {
        "net": net,
        "test": test_at,
        "targets": targets,
        "predicted": predicted,
        "r2": r2_score(targets, predicted, multioutput="raw_values"),
        "cosmology": source.cosmology[test_at],
    }


def predict(net, source, indices, alteration, settings, size=500):
    """Predict maps that are made as they are needed."""
    found = []
    for start in range(0, len(indices), size):
        at = indices[start : start + size]
        maps = altered(source.maps(at), source.target[at], alteration, settings)
        found.append(net.predict(maps))
    return np.concatenate(found)
