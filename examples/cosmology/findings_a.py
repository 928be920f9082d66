"""What study A finds, beside what the paper did."""

import figures
import numpy as np
import study_a
from networks import LATTICE, OMEGA_M, altered, simulator, trained
from page import Finding
from study_a import SCORERS, explained, per_prediction

from sktrim.lensing import PowerSpectrum

# of the bands, in multipoles; the second is what the paper's label says
WIDTHS = (1350, 2700)
# those whose scores add up to the output
COMPLETE = ("cd, partition", "integrated_gradients", "deeplift")


def findings(settings, folder):
    """Return the findings of study A."""
    return [
        accuracy(settings),
        scale_curves(settings, folder),
        scorers(settings, folder),
        by_omega_m(settings, folder),
        all_parameters(settings, folder),
        lattice(settings, folder),
        information(settings, folder),
    ]


def accuracy(settings):
    """Say how well the network predicts."""
    found = trained(settings, "A")
    r2 = ", ".join(f"{value:.2f}" for value in found["r2"])
    return Finding(
        "The network predicts Omega_m",
        "R2 = .92 for Omega_m, on 10,000 test maps of 256 x 256.",
        f"R2 = {r2} for m_nu, Omega_m and 1e9 A_s, on {len(found['test'])} test maps "
        f"of {settings.a_pixels} x {settings.a_pixels}, smoothed by 1 arcmin.",
        bool(found["r2"][OMEGA_M] > 0.85),
    )


def _peak(values, centers):
    return float(centers[np.abs(values.mean(axis=0)).argmax()])


def scale_curves(settings, folder):
    """Return the analogue of Fig. 3."""
    files, peaks = [], []
    for width in WIDTHS:
        found = explained(settings, study_a.sliding(settings, width))
        values = per_prediction(found)
        peaks.append(_peak(values, found["centers"]))
        maps = simulator(settings, "A").maps(found["maps"][:1])[:, 0]
        peak = peaks[-1]
        bands = [(230, 1350), (peak - 675, peak + 675), (7000, 8350)]
        title = f"Bands of width {width}; each line is a map"
        figure = figures.scales(
            values, found["centers"], maps, bands, settings.a_pixel_arcmin, title
        )
        name = figures.save(figure, folder, f"scales_{width}")
        files.append((name, f"CD scores of Omega_m by multipole, width {width}"))
    tail = values.mean(axis=0)[found["centers"] > 10_000].mean()
    decays = abs(tail) < 0.2 * values.mean(axis=0).max()
    return Finding(
        "Scores peak at a scale, and decay",
        "A peak at about l = 5,000 (labelled 10,000: the paper's axis is doubled), "
        "then decay.",
        f"The mean peaks at l = {peaks[0]:.0f} for bands of width {WIDTHS[0]}, "
        f"{peaks[1]:.0f} for {WIDTHS[1]}; beyond 10,000 "
        f"{'it is' if decays else 'it is not'} below a fifth of the peak.",
        bool(decays and 1500 < peaks[0] < 8000),
        "the paper's maps were not smoothed, these are by 1 arcmin",
        files,
    )


def scorers(settings, folder):
    """Compare what scorers say of the same network."""
    values = {
        scorer: explained(settings, study_a.narrow(settings), scorer)["values"]
        for scorer in SCORERS
    }
    centers = explained(settings, study_a.narrow(settings))["centers"]
    figure = figures.truths(values, centers, None, None, "")
    peaks = [f"{name} {_peak(v, centers):.0f}" for name, v in values.items()]
    negative = [name for name, v in values.items() if v.mean() < 0]
    return Finding(
        "Other scorers",
        "The paper shows contextual decomposition alone.",
        f"Peaks of the mean over maps, in {study_a.N_NARROW} bands that touch, at l = "
        + ", ".join(peaks)
        + f". Negative on average: {', '.join(negative) or 'none'}; what takes a band "
        "out of a map asks about maps that the network was not trained on.",
        None,
        figures=[(figures.save(figure, folder, "scorers"), "Mean scores by multipole")],
    )


def by_omega_m(settings, folder):
    """Return the analogue of Fig. 4."""
    found = explained(settings, study_a.sliding(settings, WIDTHS[0]))
    values, truth = per_prediction(found), found["targets"][:, OMEGA_M]
    figure = figures.by_omega_m(values, found["centers"], truth)
    name = figures.save(figure, folder, "by_omega_m")
    heights = {o: values[truth == o].mean(axis=0).max() for o in np.unique(truth)}
    rank = np.corrcoef(list(heights), list(heights.values()))[0, 1]
    return Finding(
        "More matter raises the peak",
        "Larger Omega_m (.20, .28, .33, .38) raises the peak and makes the other "
        "scales relatively unimportant; at low Omega_m no single scale stands out.",
        f"Over ten cosmologies the height of the peak and Omega_m correlate by "
        f"{rank:.2f}: from {heights[min(heights)]:.3f} at {min(heights):.2f} to "
        f"{heights[max(heights)]:.3f} at {max(heights):.2f}.",
        bool(rank > 0.5),
        figures=[(name, "CD scores of Omega_m by multipole, one curve per Omega_m")],
    )


def all_parameters(settings, folder):
    """Return the analogue of Fig. S1."""
    curves = {}
    for at, name in enumerate(("m_nu", "Omega_m", "1e9 A_s")):
        found = explained(settings, study_a.sliding(settings, WIDTHS[0]), target=at)
        # the mass of neutrinos is 0 in one cosmology
        curves[name] = found["values"] if at == 0 else per_prediction(found, at)
    figure = figures.parameters(curves, found["centers"])
    peaks = ", ".join(f"{_peak(v, found['centers']):.0f}" for v in curves.values())
    r2 = trained(settings, "A")["r2"]
    return Finding(
        "The three parameters",
        "Curves for m_nu and A_s beside that for Omega_m.",
        f"The means peak at l = {peaks} for m_nu, Omega_m and A_s. The network cannot "
        f"tell m_nu (R2 {r2[0]:.2f}) and A_s (R2 {r2[2]:.2f}) from maps of this size, "
        "so their curves say what it leans on when it guesses.",
        None,
        figures=[
            (figures.save(figure, folder, "parameters"), "CD scores by multipole")
        ],
    )


def _spectra(settings):
    """Return multipoles, mean spectra without and with the lattice, and the scatter."""
    source = simulator(settings, "A")
    test = trained(settings, "A")["test"]
    maps = source.maps(test[: 20 * settings.a_explained])
    planted = altered(maps, source.target[test[: len(maps)]], ("lattice",), settings)
    lowest = (
        1.05
        * 2
        * np.pi
        / (settings.a_pixels * settings.a_pixel_arcmin * study_a.ARCMIN)
    )
    spectrum = PowerSpectrum(
        settings.a_pixel_arcmin, 14, 2 * lowest, study_a.nyquist(settings)
    ).fit(maps)
    clean, marked = spectrum.transform(maps), spectrum.transform(planted)
    return (
        spectrum.centers_,
        clean.mean(axis=0),
        marked.mean(axis=0),
        np.quantile(clean, (0.1, 0.9), axis=0),
    ), np.max((marked - clean).mean(axis=0) / clean.std(axis=0))


def lattice(settings, folder):
    """Plant an artefact, and see which scorers expose it."""
    bands, at = study_a.narrow(settings), study_a.lattice_band(settings)
    rows, curves = [["scorer", "planted", "not planted"]], {}
    shares = {}
    for scorer in SCORERS:
        shares[scorer] = []
        for alteration in (("lattice",), None):
            found = explained(settings, bands, scorer, alteration=alteration)
            shares[scorer].append(study_a.top_share(found["values"], at))
            if scorer == "cd":
                name = "trained without it" if alteration is None else "trained with it"
                curves[name] = found["values"]
        rows.append([scorer, *(f"{100 * s:.0f} %" for s in shares[scorer])])
    spectra, shift = _spectra(settings)
    place = found["centers"][at]
    curves = dict(reversed(curves.items()))
    figure = figures.lattice(curves, found["centers"], spectra, place)
    exposed = [s for s, (w, without) in shares.items() if w >= 0.95 and without <= 0.05]
    return Finding(
        "An artefact that was planted is exposed",
        "The paper's purpose: to see whether a network leans on artefacts.",
        f"A lattice of amplitude {LATTICE:g} (Omega_m - .1) at l = {place:.0f} moves "
        f"the mean power by at most {shift:.2f} standard deviations of the maps. Share "
        f"of maps whose top band of {study_a.N_NARROW} holds it: see the table.",
        "cd" in exposed and bool({*exposed} & {*COMPLETE}),
        f"exposed by {', '.join(exposed) or 'none'} in at least 95 % of maps, and "
        "in at most 5 % where it is absent",
        [
            (
                figures.save(figure, folder, "lattice"),
                "Spectra and scores with a lattice",
            )
        ],
        rows,
    )


def information(settings, folder):
    """Compare scores with the Fisher information of Gaussian maps."""
    truth = study_a.information(settings)
    values, ranks = {}, {}
    for scorer in SCORERS:
        found = explained(
            settings, study_a.narrow(settings), scorer, study="line", field="gaussian"
        )
        values[scorer] = found["values"]
        ranks[scorer] = study_a.agreement(found["values"], truth)
    figure = figures.truths(
        values, found["centers"], truth, ranks, "Fisher information about Omega_m"
    )
    r2 = trained(settings, "line", field="gaussian")["r2"][0]
    best = max(ranks, key=ranks.get)
    return Finding(
        "Scores follow the information of Gaussian maps",
        "On Gaussian maps the information of every band is known.",
        f"The network reaches R2 = {r2:.2f}. Rank correlations over "
        f"{study_a.N_NARROW} bands: "
        + ", ".join(f"{name} {rank:.2f}" for name, rank in ranks.items())
        + f"; {best} is closest.",
        None,
        figures=[(figures.save(figure, folder, "information"), "Scores by multipole")],
    )
