"""Study B: which densities does a network look at, and did it learn to?"""

import numpy as np
from networks import simulator, trained
from stages import stages
from torch import nn

from sktrim import TransformImportance
from sktrim.evaluation import (
    importance_by_value,
    randomisation_test,
    randomised_explanations,
)
from sktrim.scorers import DeepTaylor, LRPAlphaBeta, LRPEpsilon

# the seven methods of the paper, with its names
METHODS = {
    "gradient": "gradient",
    "input x gradient": "input_x_gradient",
    "guided backprop": "guided_backprop",
    "deconvnet": "deconvnet",
    # outputs in standard deviations are as often negative as positive
    "deep Taylor": DeepTaylor(start="one"),
    "LRP-epsilon": LRPEpsilon(epsilon=1e-3),
    "LRP-alpha1-beta0": LRPAlphaBeta(alpha=1, beta=0),
}
# what is tried beside them on a few maps
OTHERS = {
    "integrated gradients": "integrated_gradients",
    "smoothgrad": "smoothgrad",
    "LRP-epsilon .1": LRPEpsilon(epsilon=0.1),
    "LRP-epsilon 10": LRPEpsilon(epsilon=10),
    "LRP-alpha1.1-beta.1": LRPAlphaBeta(alpha=1.1, beta=0.1),
    "LRP-alpha2-beta1": LRPAlphaBeta(alpha=2, beta=1),
}
KEPT_BY_THE_PAPER = ("gradient", "input x gradient")
# what each is a variant of
KIN = {
    "integrated gradients": "input x gradient",
    "smoothgrad": "gradient",
    "LRP-epsilon": "input x gradient",
    "LRP-epsilon .1": "LRP-epsilon",
    "LRP-epsilon 10": "LRP-epsilon",
    "LRP-alpha1.1-beta.1": "LRP-alpha1-beta0",
    "LRP-alpha2-beta1": "LRP-alpha1-beta0",
}
# sides of the patch that is shown, in pixels
PATCH = 100
N_DRAWS, N_NULL = 4, 2


def standardised(net):
    """Return a network whose outputs are in standard deviations of the targets."""
    return nn.Sequential(*net.module_[:-1]).eval()


def asked(settings, noisy, scorer, target, maps):
    """Return a fitted question about the pixels of maps."""
    module = standardised(trained(settings, "B", noisy=noisy)["net"])
    return TransformImportance(
        module,
        None,
        scorer,
        target=target,
        random_state=settings.seed,
        on_incomplete="ignore",
    ).fit(maps)


def fiducial_maps(settings, noisy, n_maps):
    """Return test maps of the fiducial cosmology, the first of the design."""
    found = trained(settings, "B", noisy=noisy)
    at = found["test"][found["cosmology"] == 0][:n_maps]
    return simulator(settings, "B", noisy).maps(at)


def draw_saliency(settings, noisy):
    """Explain one map: trained, the last layer random, and all layers random.

    Returns
    -------
    dict
        The patch of the map under "input", and three patches for each method.
    """
    maps = fiducial_maps(settings, noisy, 1)
    side = slice(0, PATCH)
    patches = {"input": maps[0, 0, side, side]}
    for name, scorer in METHODS.items():
        trim = asked(settings, noisy, scorer, 0, maps)
        explanations = [trim.explain(maps)]
        explanations += randomised_explanations(
            trim, maps, depths=[1, -1], random_state=settings.seed
        )
        images = [e.values.reshape(maps.shape[-2:]) for e in explanations]
        patches[name] = [image[side, side] for image in images]
    return patches


def saliency(settings, noisy=False):
    """Return what `draw_saliency` does, kept."""
    return stages(f"Saliency, noisy={noisy}", draw_saliency, settings, noisy)


def null(settings, name, scorer, target):
    """Return the null test of a method: all layers random against trained."""
    maps = fiducial_maps(settings, False, N_NULL)
    trim = asked(settings, False, scorer, target, maps)
    return randomisation_test(
        trim, maps, depths=[-1], n_draws=N_DRAWS, random_state=settings.seed
    )


def null_table(settings, target=0, methods=None):
    """Return the null test of every method, kept."""
    return {
        name: stages(
            f"Null test, {name}, output {target}",
            null,
            settings,
            name,
            scorer,
            target,
        )
        for name, scorer in (methods or METHODS).items()
    }


def relate(settings):
    """Return the correlation of the maps of methods with those of their kin."""
    maps = fiducial_maps(settings, False, N_NULL)
    scorers = {**METHODS, **OTHERS}
    used = dict.fromkeys([*KIN, *KIN.values()])
    found = {
        name: asked(settings, False, scorers[name], 0, maps).explain(maps).values
        for name in used
    }
    rho = {}
    for name, kin in KIN.items():
        pairs = zip(found[name], found[kin], strict=True)
        rho[name] = float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))
    return rho


def kinship(settings):
    """Return what `relate` does, kept."""
    return stages("Methods and their variants", relate, settings)


def by_value(settings, noisy, name):
    """Bin squared attributions by convergence, for ten cosmologies.

    Returns
    -------
    dict
        For each cosmology sums of squares and counts by bin, shares below zero and
        above three sigma, and S_8.
    """
    found = trained(settings, "B", noisy=noisy)
    source = simulator(settings, "B", noisy)
    parameters = source.target[:: source.n_maps, [1, 3]]
    s_8 = parameters[:, 1] * (parameters[:, 0] / 0.3) ** 0.6
    # ten of them, from the smallest S_8 to the largest
    order = np.argsort(s_8)[np.linspace(0, len(s_8) - 1, 10).round().astype(int)]
    rows = []
    for cosmology in order:
        at = found["test"][found["cosmology"] == cosmology][: settings.b_explained]
        maps = source.maps(at)
        explanation = asked(settings, noisy, METHODS[name], "all", maps).explain(maps)
        binned = importance_by_value(explanation)
        total = binned.squares.sum()
        rows.append(
            {
                "sums": (binned.mean_squares * binned.counts).mean(axis=0),
                "counts": binned.counts.mean(axis=0),
                "below 0": binned.squares[binned.values < 0].sum() / total,
                "above 3": binned.squares[binned.values >= 3].sum() / total,
                "total": total / len(maps),
            }
        )
    table = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    table["centers"] = (binned.edges[1:] + binned.edges[:-1]) / 2
    return {**table, "S_8": s_8[order]}


def importance(settings, noisy, name):
    """Return what `by_value` does, kept."""
    title = f"Importance by convergence, {name}, noisy={noisy}"
    return stages(title, by_value, settings, noisy, name)


def share(table, key):
    """Return a share over all cosmologies: sums over sums."""
    return float((table[key] * table["total"]).sum() / table["total"].sum())
