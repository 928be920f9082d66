"""Importance along the axis that the groups lie on, as a curve with its spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import (
    LINE_STYLES,
    NEUTRAL,
    PALETTE,
    axis_label,
    check_option,
    check_values,
    in_lines,
    magnitude_of,
    shorten,
    spread_limits,
)

_MOST_BANDS = 3
_MOST_LINES = len(PALETTE) * len(LINE_STYLES)


class Curve(NamedTuple):
    """One line: its heights over the centres, and its spread."""

    name: str
    # mean or median over samples, (n_groups,)
    heights: np.ndarray
    # lower and upper ends (n_groups,), and what they mean
    spread: tuple[np.ndarray, np.ndarray, str] | None


@dataclass(eq=False, repr=False)
class CurveDisplay(Display):
    """Mean importance over the centres of the groups, with the spread over samples.

    Use `from_values` to make one.

    Parameters
    ----------
    centers : ndarray of shape (n_groups,)
        Where the groups lie, in ascending order.
    curves : list of Curve
        The lines.
    samples : ndarray of shape (n_samples, n_groups) or None
        Drawn as thin lines behind the curves.
    xlabel, ylabel : str
        Names of the axes.
    by_label : str or None, default=None
        What the names of the curves measure, which then are numbers.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where `plot` drew last.

    See Also
    --------
    BarDisplay : For groups in no order.
    sktrim.Explanation : Draws it as ``explanation.plot.curve()``.

    Examples
    --------
    >>> from sktrim.inspection import CurveDisplay
    >>> values = [[1.0, 3.0, 2.0], [2.0, 4.0, 1.0]]
    >>> display = CurveDisplay.from_values(values, [100.0, 200.0, 400.0], unit="Hz")
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('frequency (Hz)', 'mean importance')
    """

    centers: np.ndarray
    curves: list[Curve]
    samples: np.ndarray | None
    xlabel: str
    ylabel: str
    by_label: str | None = None

    @classmethod
    def from_values(
        cls,
        values,
        centers,
        *,
        unit: str | None = None,
        channels=None,
        by=None,
        by_label: str | None = None,
        statistic: str = "mean",
        spread: str | None = "quantiles",
        absolute: bool = False,
        samples: bool = False,
        log: bool = False,
        label: str = "importance",
        xlabel: str | None = None,
        title: str | None = None,
        ax=None,
    ) -> CurveDisplay:
        """Draw importance over the centres of the groups.

        Parameters
        ----------
        values : array-like of shape (n_samples, n_groups) or (n_groups,)
            Importances.
        centers : array-like of shape (n_groups,)
            Where each group lies, in `unit`; groups at NaN are left out, and those at
            one place (directions of one frequency) are averaged within a channel.
        unit : str, optional
            Unit of the centres, from which the axis is named.
        channels : sequence of str of length n_groups, optional
            The channel of each group; one curve is drawn per channel.
        by : array-like of shape (n_samples,), optional
            Labels; one curve is drawn per label.
        by_label : str, optional
            What the labels measure, where they are numbers: curves are then coloured by
            them, with a colour bar of that name in place of a legend.
        statistic : {"mean", "median"}, default="mean"
            What the curve is, over samples.
        spread : {"quantiles", "std", None}, default="quantiles"
            The band: the 10 % and 90 % quantiles over samples, or one standard
            deviation either way. Beyond three curves bands would hide each other and
            are not drawn.
        absolute : bool, default=False
            Take the magnitude of every importance first.
        samples : bool, default=False
            Also draw one thin line per sample.
        log : bool, default=False
            Logarithmic axis; linear below the smallest positive centre where a centre
            is zero or negative.
        label : str, default="importance"
            What the values are.
        xlabel : str, optional
            Name of the horizontal axis, in place of the one made from `unit`.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        CurveDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit, no centre is finite, or there are more curves
            than can be told apart.
        """
        values = check_values(values)
        if by_label is not None:
            by, spread = _check_numbers(by, channels), None
        check_option("statistic", statistic, ("mean", "median"))
        centers = _check_centers(centers, values.shape[1])
        values = np.abs(values) if absolute else values
        single = len(values) == 1
        centers, by_channel = _by_channel(centers, values, channels)
        label = magnitude_of(label) if absolute else label
        display = cls(
            centers,
            _all_curves(by_channel, by, statistic, spread),
            np.concatenate([*by_channel.values()]) if samples and not single else None,
            axis_label(unit) if xlabel is None else xlabel,
            label if single else f"{statistic} {label}",
            by_label,
        )
        return display.plot(ax=ax, log=log, title=title)

    def plot(self, ax=None, *, log: bool = False, title: str | None = None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.
        log : bool, default=False
            Logarithmic horizontal axis.
        title : str, optional
            Title of the axes.

        Returns
        -------
        CurveDisplay
            Itself, with `figure_` and `ax_` set.
        """
        self._log = log
        return super().plot(ax, title=title)

    def _draw(self, own: bool) -> list:
        if self.samples is not None:
            style = {"color": NEUTRAL, "alpha": 0.2, "linewidth": 0.6, "zorder": 1}
            self.ax_.plot(self.centers, self.samples.T, **style)
        lines = [self._draw_curve(*pair) for pair in enumerate(self.curves)]
        if self.by_label is not None:
            self._colour_by_number(lines)
        self.ax_.axhline(0, color=NEUTRAL, linewidth=0.8, zorder=1)
        if self._log:
            self._set_log()
        elif len(self.centers) <= 20 and not (self.centers % 1).any():
            from matplotlib.ticker import MaxNLocator

            self.ax_.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        self.ax_.set_xlabel(self.xlabel)
        long = len(self.ylabel) > 40
        self.ax_.set_ylabel(in_lines(self.ylabel) if long else self.ylabel)
        self.ax_.spines[["top", "right"]].set_visible(False)
        return self._legend_handles(lines)

    def _legend_handles(self, lines) -> list:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        named = [line for line in lines if not line.get_label().startswith("_")]
        handles: list = [] if self.by_label else named
        if self.curves[0].spread is not None:
            color = PALETTE[0] if len(self.curves) == 1 else NEUTRAL
            label = self.curves[0].spread[2]
            handles.append(Patch(color=color, alpha=0.2, linewidth=0, label=label))
        if self.samples is not None:
            thin = {"color": NEUTRAL, "linewidth": 0.6, "label": "one sample"}
            handles.append(Line2D([], [], **thin))
        return handles

    def _draw_curve(self, index: int, curve: Curve):
        color = PALETTE[index % len(PALETTE)]
        style = LINE_STYLES[index // len(PALETTE) % len(LINE_STYLES)]
        marker = "o" if len(self.centers) <= 40 else None
        known = np.isfinite(curve.heights)
        (line,) = self.ax_.plot(
            self.centers[known],
            curve.heights[known],
            color=color,
            linestyle=style,
            marker=marker,
            markersize=3.5,
            linewidth=1.8,
            zorder=3,
            label=shorten(curve.name, 24) or "_",
        )
        if curve.spread is not None:
            lower, upper, _ = curve.spread
            band = {"color": color, "alpha": 0.2, "linewidth": 0}
            limits = self.centers[known], lower[known], upper[known]
            self.ax_.fill_between(*limits, zorder=2, **band)
        return line

    def _colour_by_number(self, lines) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        numbers = np.array([float(curve.name) for curve in self.curves])
        colours = ScalarMappable(Normalize(numbers.min(), numbers.max()), "viridis")
        for line, number in zip(lines, numbers, strict=True):
            # of many lines each is thin, and the spread of none is drawn
            line.set(color=colours.to_rgba(number), linestyle="-")
            line.set(linewidth=1.2 if len(lines) > 10 else 1.8)
        self.figure_.colorbar(colours, ax=self.ax_, label=self.by_label)

    def _set_log(self) -> None:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        positive = self.centers[self.centers > 0]
        if len(positive) == len(self.centers):
            self.ax_.set_xscale("log")
            if positive.max() < 100 * positive.min():
                self.ax_.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                self.ax_.xaxis.set_major_formatter(FuncFormatter("{0:g}".format))
                self.ax_.xaxis.set_minor_formatter(NullFormatter())
        elif len(positive):
            step = positive.min()
            self.ax_.set_xscale("symlog", linthresh=step)
            self.ax_.set_xlim(self.centers.min() - 0.2 * step, 1.1 * positive.max())


def _check_centers(centers, n_groups: int) -> np.ndarray:
    if centers is None:
        raise ValueError(
            "centers is None: these groups lie on no axis, so there is no curve over "
            "them. Draw bars instead, or give centers=."
        )
    centers = np.asarray(centers, dtype=float)
    if centers.shape != (n_groups,):
        raise ValueError(
            f"centers has shape {centers.shape} for {n_groups} groups; give one centre "
            "per group."
        )
    if not np.isfinite(centers).any():
        raise ValueError(
            "no centre is finite; give each group its place, or draw bars."
        )
    return centers


def _check_numbers(by, channels) -> np.ndarray:
    """Return labels as numbers, one per sample."""
    try:
        numbers = np.asarray([] if by is None else by, dtype=float)
    except (TypeError, ValueError):
        numbers = np.full(1, np.nan)
    if not numbers.size or not np.isfinite(numbers).all():
        raise ValueError(
            "by_label= colours curves by labels that are finite numbers, by=; without "
            "it each label has a colour of its own."
        )
    if channels is not None and len(set(channels)) > 1:
        raise ValueError(
            "by_label= goes with one channel; pool the channels, "
            "feature_groups(channels='pool')."
        )
    return numbers


def _by_place(centers, values):
    """Sort groups by their centres and average those that share one."""
    order = np.argsort(centers, kind="stable")
    scale = np.abs(centers[order]).max() or 1.0
    # equal lengths of different wave vectors differ by round-off
    rounded = np.round(centers[order] / scale, 9)
    _, first, counts = np.unique(rounded, return_index=True, return_counts=True)
    sums = np.add.reduceat(values[:, order], first, axis=1)
    return centers[order][first], sums / counts


def _by_channel(centers, values, channels):
    """Give the centres of all channels, and each one's values there, else NaN."""
    names = np.full(len(centers), "") if channels is None else np.asarray(channels)
    if names.shape != centers.shape:
        raise ValueError(
            f"channels has shape {names.shape} for {len(centers)} groups; give one per "
            "group."
        )
    there, parts = np.isfinite(centers), {}
    for name in dict.fromkeys(names[there].tolist()):
        own = there & (names == name)
        parts[name] = _by_place(centers[own], values[:, own])
    places = np.unique(np.concatenate([own for own, _ in parts.values()]))
    spread = {}
    for name, (own, heights) in parts.items():
        spread[name] = np.full((len(values), len(places)), np.nan)
        spread[name][:, np.searchsorted(places, own)] = heights
    return places, spread


def _all_curves(by_channel, by, statistic: str, spread: str | None) -> list[Curve]:
    """Draw every label of every channel."""
    n_curves = len(by_channel) * (1 if by is None else len(np.unique(by)))
    if len(by_channel) > 1 and n_curves > _MOST_LINES:
        raise ValueError(
            f"{n_curves} curves for {len(by_channel)} channels could not be told "
            f"apart; at most {_MOST_LINES} are drawn. Pool the channels, "
            "feature_groups(channels='pool'), leave by= out, or draw a heatmap."
        )
    spread = spread if n_curves <= _MOST_BANDS else None
    curves = []
    for channel, values in by_channel.items():
        for curve in _curves(values, by, statistic, spread):
            labels = [channel] if by is None else [curve.name, channel]
            name = ", ".join(filter(None, labels)) if channel else curve.name
            curves.append(curve._replace(name=name))
    return curves


def _curves(values, by, statistic: str, spread: str | None) -> list[Curve]:
    middle = np.mean if statistic == "mean" else np.median
    if by is None:
        name = statistic if len(values) > 1 else ""
        return [Curve(name, middle(values, axis=0), spread_limits(values, spread))]
    by = np.asarray(by)
    if by.shape != (len(values),):
        raise ValueError(
            f"by has shape {by.shape} for {len(values)} samples; give one label per "
            "sample."
        )
    labels = np.unique(by)
    spread = spread if len(labels) <= _MOST_BANDS else None
    return [
        Curve(
            str(label),
            middle(values[by == label], axis=0),
            spread_limits(values[by == label], spread),
        )
        for label in labels
    ]
