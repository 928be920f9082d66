"""The truth beside the explanation: train again on maps that lack something."""

from itertools import pairwise

import figures
import numpy as np
from densities import standardised
from networks import OMEGA_M, simulator, trained
from page import Finding
from scipy.stats import spearmanr
from stages import stages
from study_a import SCORERS, explained

from sktrim import TransformImportance
from sktrim.evaluation import importance_by_value

# multipoles where the bands meet, and convergence over the r.m.s.
BANDS = (0, 1000, 2000, 3500, 5500, 8500, 20_000)
RANGES = (-np.inf, -0.75, 0.0, 1.0, 2.5, np.inf)
PIXEL_SCORERS = (
    "gradient",
    "input_x_gradient",
    "integrated_gradients",
    "deeplift",
)


def _error(settings, alteration):
    """Return the mean absolute error of Omega_m, in standard deviations."""
    found = trained(settings, "A", alteration=alteration)
    off = np.abs(found["predicted"] - found["targets"])[:, OMEGA_M]
    return off.mean() / found["targets"][:, OMEGA_M].std()


def losses(settings, kind, edges):
    """Return what accuracy is lost without each band or range."""
    whole = _error(settings, None)
    pairs = pairwise(edges)
    return np.array([_error(settings, (kind, *pair)) - whole for pair in pairs])


def value_shares(settings, scorer):
    """Return the share of squared pixel scores in each range of convergence."""
    found = trained(settings, "A")
    maps = simulator(settings, "A").maps(found["test"][: settings.a_explained])
    trim = TransformImportance(
        standardised(found["net"]),
        None,
        scorer,
        target=OMEGA_M,
        random_state=settings.seed,
        on_incomplete="ignore",
    ).fit(maps)
    edges = np.clip(RANGES, -50, 50)
    binned = importance_by_value(trim.explain(maps), bins=edges)
    sums = (binned.mean_squares * binned.counts).sum(axis=0)
    return sums / sums.sum()


def findings(settings, folder):
    """Return what each scorer said beside what was lost."""
    return [_scales(settings, folder), _values(settings, folder)]


def _ranks(said, lost):
    return {name: float(spearmanr(s, lost).statistic) for name, s in said.items()}


def _scales(settings, folder):
    lost = losses(settings, "band", BANDS)
    bands = {"edges": np.array(BANDS, float)}
    said = {scorer: explained(settings, bands, scorer)["values"] for scorer in SCORERS}
    ranks = _ranks({n: np.abs(v.mean(axis=0)) for n, v in said.items()}, lost)
    centers = explained(settings, bands)["centers"]
    figure = figures.truths(said, centers, np.maximum(lost, 0), ranks, "accuracy lost")
    return _finding(
        "Which scorer told the truth about scales",
        ranks,
        lost,
        [f"l {a} to {b}" for a, b in pairwise(BANDS)],
        [(figures.save(figure, folder, "truth_scales"), "Accuracy lost and scores")],
    )


def _values(settings, folder):
    lost = losses(settings, "values", RANGES)
    said = {
        scorer: stages(
            f"Scores by convergence, {scorer}", value_shares, settings, scorer
        )
        for scorer in PIXEL_SCORERS
    }
    ranks = _ranks(said, lost)
    middles = (np.clip(RANGES, -2, 4)[1:] + np.clip(RANGES, -2, 4)[:-1]) / 2
    shown = {name: share[None] for name, share in said.items()}
    figure = figures.truths(shown, middles, np.maximum(lost, 0), ranks, "accuracy lost")
    figure.axes[0].set_xlabel("convergence / r.m.s. of the map")
    figure.axes[0].set_ylabel("share of squared scores / its largest")
    return _finding(
        "Which scorer told the truth about densities",
        ranks,
        lost,
        [f"{a:g} to {b:g} r.m.s." for a, b in pairwise(RANGES)],
        [(figures.save(figure, folder, "truth_values"), "Accuracy lost and scores")],
    )


def _finding(title, ranks, lost, names, files):
    best = max(ranks, key=ranks.get)
    rows = [["taken away", "mean absolute error gained, in standard deviations"]]
    rows += [[name, f"{value:.3f}"] for name, value in zip(names, lost, strict=True)]
    return Finding(
        title,
        "Lahiry et al. (2025) train again on degraded maps of the density.",
        "Rank correlation of scores with the accuracy lost: "
        + ", ".join(f"{name} {rank:.2f}" for name, rank in ranks.items())
        + f"; {best} is closest.",
        None,
        figures=files,
        table=rows,
    )
