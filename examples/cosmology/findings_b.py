"""What study B finds, beside what the paper did."""

import densities
import figures
import numpy as np
import study_b
from networks import trained
from page import Finding

from sktrim.lensing import convergence_spectra, shipped_cosmologies

FIDUCIAL = (0.26, 0.8)
# Table I, per cent: power spectrum, peaks, V0, V1, V2, all; for 68 and 95 %
PUBLISHED = {
    False: ((-93, -93), (-89, -89), (-81, -80), (-68, -69), (-38, -38), (-19, -19)),
    True: ((-70, -64), (-54, -55), (-33, -37), (-25, -30), (-30, -32), (-18, -22)),
}
SHARES = {"gradient": (86, 13, 36), "input x gradient": (83, 2, 68)}


def findings(settings, folder):
    """Return the findings of study B."""
    return [
        accuracy(settings),
        *(areas(settings, folder, noisy) for noisy in (False, True)),
        tightest(settings),
        correlations(settings, folder),
        saliency(settings, folder),
        null_test(settings),
        values(settings, folder),
    ]


def _word(noisy):
    return "with shape noise" if noisy else "without noise"


def accuracy(settings):
    """Say how well the networks predict."""
    r2 = [trained(settings, "B", noisy=noisy)["r2"] for noisy in (False, True)]
    texts = [f"{a:.2f} and {b:.2f}" for a, b in r2]
    return Finding(
        "The networks predict Omega_m and sigma_8",
        "The paper gives the areas of contours instead.",
        f"R2 = {texts[0]} for Omega_m and sigma_8 without noise, {texts[1]} with it, "
        f"on maps of {settings.b_pixels} x {settings.b_pixels}.",
        None,
    )


def areas(settings, folder, noisy):
    """Return Table I and Figs. 1 or 2."""
    found = study_b.contours(settings, noisy)
    design = convergence_spectra(shipped_cosmologies("design")).parameters[:, [1, 3]]
    figure = figures.contours(found, design, FIDUCIAL, noisy)
    name = figures.save(figure, folder, f"contours_{'noisy' if noisy else 'noiseless'}")
    table = study_b.area_table(found)
    rows = [
        ["statistic", "area, 68 %", "change", "paper", "area, 95 %", "change", "paper"]
    ]
    for statistic, published in zip(found, PUBLISHED[noisy], strict=True):
        cells = [statistic]
        for level, paper in zip(study_b.LEVELS, published, strict=True):
            area, change = table[statistic, level]
            cells += [f"{1e3 * area:.3f}e-3", f"{change:.0f} %", f"{paper} %"]
        rows.append(cells)
    joined = table[study_b.EVERYTHING, 0.68][1]
    split = [study_b.posterior(settings, noisy, "V2", third=k) for k in range(3)]
    thirds = ", ".join(f"{1e3 * part.area(0.68):.3f}e-3" for part in split)
    return Finding(
        f"The network's outputs tighten the contours, {_word(noisy)}",
        f"Joining them shrinks the 68 % area of all statistics by "
        f"{-PUBLISHED[noisy][-1][0]} %.",
        f"It changes by {joined:.0f} %. With the covariance of each third of the "
        f"fiducial maps the 68 % area of V2 is {thirds}.",
        bool(joined < 0),
        "" if joined < 0 else "see the table",
        [(name, f"Contours of Omega_m and sigma_8, {_word(noisy)}")],
        rows,
    )


def tightest(settings):
    """Say which statistic is the tightest."""
    best = {}
    for noisy in (False, True):
        table = study_b.area_table(study_b.contours(settings, noisy))
        alone = {name: table[name, 0.68][0] for name in study_b.STATISTICS}
        best[noisy] = min(alone, key=alone.get), alone
    texts = [
        f"{_word(noisy)} {name}: "
        + ", ".join(f"{key} {1e3 * area:.2f}e-3" for key, area in alone.items())
        for noisy, (name, alone) in best.items()
    ]
    return Finding(
        "V2 is the tightest statistic without noise",
        "V2 is the tightest single statistic without noise, V1 with noise.",
        "Areas of the 68 % regions; the tightest is " + "; ".join(texts) + ".",
        best[False][0] == "V2",
        ""
        if best[False][0] == "V2"
        else "without noise these functionals read off the floor of lognormal maps, "
        "which depends on Omega_m",
    )


def correlations(settings, folder):
    """Return Fig. 3 and the correlations with best linear combinations."""
    files, texts, largest, signs = [], [], {}, []
    for noisy in (False, True):
        single, best = study_b.correlations(settings, noisy)
        fitted = study_b.transformers(settings, noisy)
        maps = np.zeros((1, settings.b_pixels, settings.b_pixels))
        centers = {name: s.fit(maps).centers_ for name, s in fitted.items()}
        figure = figures.correlations(single, centers, study_b.SIGMA[noisy])
        name = f"correlations_{'noisy' if noisy else 'noiseless'}"
        files.append(
            (figures.save(figure, folder, name), f"Correlations, {_word(noisy)}")
        )
        largest[noisy] = max(np.abs(rho).max() for rho in single.values())
        signs.append((np.diag(best) > 0).all() and (best[[0, 1], [1, 0]] < 0).all())
        matrix = "; ".join(", ".join(f"{v:.2f}" for v in row) for row in best)
        texts.append(
            f"{_word(noisy)} at most {largest[noisy]:.2f}, best sums [{matrix}]"
        )
    small = largest[False] < 0.2 and largest[True] < 0.4
    return Finding(
        "Outputs and statistics are loosely correlated within cosmologies",
        "All below .2 without noise and .4 with it, of opposite sign for the two "
        "parameters; with the best linear combinations [.34, -.26; -.24, .45] and "
        "[.60, -.56; -.56, .62].",
        "; ".join(texts) + " (held-out maps).",
        bool(small and all(signs)),
        f"opposite signs {'are' if all(signs) else 'are not'} found, and noise "
        f"{'raises' if largest[True] > largest[False] else 'does not raise'} them",
        files,
    )


def saliency(settings, folder):
    """Return Fig. 4."""
    patches = densities.saliency(settings)
    figure = figures.saliency(patches, settings.b_pixel_arcmin)
    return Finding(
        "Seven methods on one patch",
        "Guided backpropagation, deep Taylor and LRP with alpha and beta follow the "
        "peaks whatever the weights; the gradient methods follow minima; deconvnet "
        "shows a checkerboard.",
        "See the figure; the table below puts numbers to it.",
        None,
        figures=[
            (figures.save(figure, folder, "saliency"), "Saliency by seven methods")
        ],
    )


def null_test(settings):
    """Return Table II, with both verdicts."""
    table = densities.null_table(settings)
    other = densities.null_table(settings, target=1)
    more = densities.null_table(settings, methods=densities.OTHERS)
    rows = [["method", "Pearson", "Spearman", "Kendall", "effect", "p", "verdicts"]]
    rows += [_null_row(name, result) for name, result in {**table, **more}.items()]
    kin = densities.kinship(settings)
    passes = {name: result.passes_effect for name, result in table.items()}
    kept = all(passes[name] for name in densities.KEPT_BY_THE_PAPER)
    failing = ("guided backprop", "deep Taylor", "LRP-alpha1-beta0")
    refused = not any(passes[name] for name in failing)
    differ = [name for name in passes if other[name].passes_effect != passes[name]]
    return Finding(
        "The gradient methods pass the null test",
        "Only gradient and input x gradient pass; guided backpropagation .15, deep "
        "Taylor .88 and LRP with alpha and beta .46 (Pearson) do not.",
        f"By effect {', '.join(n for n, ok in passes.items() if ok)} pass. Other "
        f"verdicts by the output sigma_8: {', '.join(differ) or 'none'}. Correlation "
        "of maps: "
        + ", ".join(f"{a} and {densities.KIN[a]} {r:.2f}" for a, r in kin.items())
        + ".",
        bool(kept and refused),
        "" if kept and refused else "see the table",
        table=rows,
    )


def _null_row(name, result):
    kinds = ("pearson", "spearman", "kendall")
    means = [f"{result.mean(kind)[-1]:.3f}" for kind in kinds]
    verdicts = [
        "passes" if passes else "fails"
        for passes in (result.passes_effect, result.passes_significance)
    ]
    effect, p = f"{result.effect:.3f}", f"{result.significance:.2g}"
    return [name, *means, effect, p, " / ".join(verdicts)]


def values(settings, folder):
    """Return Figs. 5 and 6, and the shares."""
    rows = [
        ["method", "below 0, noiseless", "noisy", "above 3 sigma, noiseless", "noisy"]
    ]
    holds, files = [], []
    for noisy in (False, True):
        tables = {n: densities.importance(settings, noisy, n) for n in SHARES}
        name = f"densities_{'noisy' if noisy else 'noiseless'}"
        figure = figures.densities(tables)
        files.append(
            (figures.save(figure, folder, name), f"By convergence, {_word(noisy)}")
        )
    for method in SHARES:
        shares = {
            key: [
                densities.share(densities.importance(settings, noisy, method), key)
                for noisy in (False, True)
            ]
            for key in ("below 0", "above 3")
        }
        cells = [f"{100 * s:.0f} %" for key in shares for s in shares[key]]
        rows.append([method, *cells])
        holds.append(shares["below 0"][1] < shares["below 0"][0])
        holds.append(shares["above 3"][1] > shares["above 3"][0])
    return Finding(
        "Noise turns the network from voids to peaks",
        "Share of squared saliency below zero 86 % (gradient) and 83 % (input x "
        "gradient) without noise, 13 % and 2 % with it; above three sigma with noise "
        "36 % and 68 %.",
        "See the table. Noise "
        f"{'lowers' if holds[0] and holds[2] else 'does not lower'} the share below "
        f"zero and {'raises' if holds[1] and holds[3] else 'does not raise'} that "
        "above three sigma.",
        all(holds),
        "" if all(holds) else "see the table",
        files,
        rows,
    )
