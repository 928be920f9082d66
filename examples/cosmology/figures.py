"""The figures of both studies, after those of the papers."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from sktrim.inspection import ContoursDisplay, CurveDisplay
from sktrim.lensing import without_band

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
MULTIPOLE = "multipole l"


def save(figure, folder, name):
    """Write a figure and return the name of its file."""
    figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
    plt.close(figure)
    return f"{name}.png"


def scales(values, centers, maps, bands, pixel_arcmin, title):
    """One line per map, the mean on top, and maps of three bands beside it (Fig. 3)."""
    figure = plt.figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.1, 1))
    CurveDisplay.from_values(
        values,
        centers,
        samples=True,
        spread=None,
        label="score of Omega_m / prediction",
        xlabel=MULTIPOLE,
        title=title,
        ax=left.subplots(),
    )
    axes = right.subplots(2, 2, sharex=True, sharey=True).ravel()
    field = maps[0]
    shown = {"map": field}
    for low, high in bands:
        rest = without_band(field[None], low, high, pixel_arcmin=pixel_arcmin)[0]
        shown[f"l from {low:.0f} to {high:.0f}"] = field - rest
    side = field.shape[-1] * pixel_arcmin
    for ax, (name, image) in zip(axes, shown.items(), strict=True):
        limit = np.abs(image).max()
        picture = ax.imshow(
            image,
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            extent=(0, side, 0, side),
            origin="lower",
        )
        ax.set_title(name, fontsize=9)
        right.colorbar(
            picture, ax=ax, label="convergence" if ax in axes[1::2] else None
        )
    for ax in axes[2:]:
        ax.set_xlabel("arcmin")
    for ax in axes[::2]:
        ax.set_ylabel("arcmin")
    return figure


def by_omega_m(values, centers, omega_m):
    """Curves by the density of matter (Fig. 4)."""
    display = CurveDisplay.from_values(
        values,
        centers,
        by=np.round(omega_m, 4),
        by_label="Omega_m",
        label="score of Omega_m / prediction",
        xlabel=MULTIPOLE,
        title="Maps of one cosmology",
    )
    return display.figure_


def parameters(curves, centers):
    """One panel for each parameter (Fig. S1)."""
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.6), layout="constrained")
    for ax, (name, values) in zip(axes, curves.items(), strict=True):
        divided = "" if name == "m_nu" else " / prediction"
        CurveDisplay.from_values(
            values,
            centers,
            label=f"score{divided}" + (" (eV)" if name == "m_nu" else ""),
            xlabel=MULTIPOLE,
            title=name,
            ax=ax,
        )
    return figure


def lattice(curves, centers, spectra, at):
    """Spectra with a lattice and without, and what two networks make of it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    multipoles, clean, planted, scatter = spectra
    left.fill_between(
        multipoles, *scatter, color=GREY, alpha=0.3, linewidth=0, label="80 % of maps"
    )
    left.loglog(multipoles, clean, color=BLUE, label="maps")
    left.loglog(multipoles, planted, "--", color=ORANGE, label="maps with the lattice")
    left.set(
        xlabel=MULTIPOLE, ylabel="power C_l (sr)", title="Power spectra of test maps"
    )
    for color, (name, values) in zip((BLUE, ORANGE), curves.items(), strict=True):
        right.plot(
            centers, values.mean(axis=0), "o-", markersize=4, color=color, label=name
        )
    right.set(xlabel=MULTIPOLE, ylabel="mean score of Omega_m (CD)")
    right.set_title("What the networks use")
    for ax in (left, right):
        ax.axvline(at, color=GREY, linestyle=":", zorder=0)
        ax.legend(frameon=False, fontsize=9)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def truths(values, centers, truth, rank, named):
    """Scores of bands beside what is known about them, where something is."""
    figure, ax = plt.subplots(figsize=(7, 5.2), layout="constrained")
    if truth is not None:
        ax.plot(centers, truth / truth.max(), "k-", linewidth=2.5, label=named)
    styles = [(c, s) for s in ("-", "--") for c in (BLUE, ORANGE, GREEN, "#CC79A7")]
    for (color, style), (name, found) in zip(styles, values.items(), strict=False):
        mean = found.mean(axis=0)
        mean = np.abs(mean) if truth is not None else mean
        label = f"{name}: rank correlation {rank[name]:.2f}" if rank else name
        ax.plot(centers, mean / np.abs(mean).max(), style, color=color, label=label)
    ax.set(xlabel=MULTIPOLE, ylabel="mean score / its largest")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def contours(found, points, truth, noisy):
    """Six panels of contours (Figs. 1 and 2)."""
    title = "with shape noise" if noisy else "without noise"
    display = ContoursDisplay.from_posteriors(
        found, points=points, truth=truth, title=f"Fiducial maps, {title}"
    )
    return display.figure_


def correlations(single, centers, sigma):
    """Correlations of outputs with statistics (Fig. 3)."""
    figure, axes = plt.subplots(
        1, len(single), figsize=(13, 3), sharey=True, layout="constrained"
    )
    for ax, (name, rho) in zip(axes, single.items(), strict=True):
        power = name == "power spectrum"
        x = centers[name] if power else centers[name] / sigma
        ax.plot(x, rho[0], "-", color=BLUE)
        ax.plot(x, rho[1], ":", color=ORANGE)
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.set_title(name)
        ax.set_xlabel(MULTIPOLE if power else "convergence / sigma")
        if power:
            ax.set_xscale("log")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("correlation within cosmologies")
    lines = [
        Line2D([], [], color=BLUE, label="output Omega_m"),
        Line2D([], [], color=ORANGE, linestyle=":", label="output sigma_8"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False)
    return figure


def saliency(patches, pixel_arcmin):
    """Rows of methods: the map, trained, last layer random, all random (Fig. 4)."""
    methods = [name for name in patches if name != "input"]
    figure, axes = plt.subplots(
        len(methods), 4, figsize=(8, 1.95 * len(methods)), layout="constrained"
    )
    side = len(patches["input"]) * pixel_arcmin
    options = {"extent": (0, side, 0, side), "origin": "lower", "cmap": "RdBu_r"}
    for row, name in zip(axes, methods, strict=True):
        for ax, image in zip(row, (patches["input"], *patches[name]), strict=True):
            # a few pixels would hide the others
            limit = np.quantile(np.abs(image), 0.995) or 1
            ax.imshow(image, vmin=-limit, vmax=limit, **options)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=9)
    for ax, title in zip(
        axes[0], ("map", "trained", "last layer random", "all random"), strict=True
    ):
        ax.set_title(title, fontsize=10)
    axes[-1, 0].set_xlabel(f"{side:.0f} arcmin", fontsize=9)
    return figure


def densities(tables):
    """Squared attribution by convergence, total and per pixel (Figs. 5 and 6)."""
    figure, axes = plt.subplots(
        2, len(tables), figsize=(4.4 * len(tables), 6.4), layout="constrained"
    )
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    s_8 = next(iter(tables.values()))["S_8"]
    colours = ScalarMappable(Normalize(s_8.min(), s_8.max()), "viridis")
    for column, (name, table) in zip(axes.T, tables.items(), strict=True):
        for sums, counts, number in zip(
            table["sums"], table["counts"], table["S_8"], strict=True
        ):
            style = {"color": colours.to_rgba(number), "linewidth": 1.3}
            column[0].plot(table["centers"], sums, **style)
            there = counts > 0
            each = sums[there] / counts[there]
            column[1].semilogy(table["centers"][there], each, **style)
        column[0].set_title(name)
        column[1].set_xlabel("convergence / r.m.s. of the map")
        for ax in column:
            ax.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
            ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("squared attribution, per map")
    axes[1, 0].set_ylabel("squared attribution, per pixel")
    figure.colorbar(colours, ax=axes, label="S_8", shrink=0.7)
    return figure
