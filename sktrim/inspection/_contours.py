"""Credible regions of two parameters, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import NEUTRAL, PALETTE, pyplot

_COLOURS = (PALETTE[1], PALETTE[0], PALETTE[6])
_GREY = "#9A9A9A"
# of the regions, from the smallest
_LINES = ("-", "-.", ":")


@dataclass(eq=False, repr=False)
class ContoursDisplay(Display):
    """Contours of posteriors of two parameters, a panel for each comparison.

    Use `from_posteriors` to make one.

    Parameters
    ----------
    panels : dict of str to dict of str to Posterior
        For each panel, what is compared in it.
    points : ndarray of shape (n_points, 2) or None
        Drawn in grey: where simulations were made.
    truth : tuple of float or None
        Marked by a cross.
    levels : tuple of float
        Probabilities of the regions.

    Attributes
    ----------
    figure_ : matplotlib Figure
    axes_ : ndarray of matplotlib Axes

    See Also
    --------
    sktrim.lensing.GaussianLikelihood : Makes such posteriors.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import ContoursDisplay
    >>> from sktrim.lensing import Posterior
    >>> x = np.linspace(-5, 5, 101)
    >>> density = np.exp(-(x**2 + x[:, None] ** 2) / 2)
    >>> posterior = Posterior(x, x, density, density > 0, ("a", "b"))
    >>> display = ContoursDisplay.from_posteriors({"one": {"normal": posterior}})
    >>> display.axes_[0].get_xlabel()
    'a'
    """

    panels: dict[str, dict[str, Any]]
    points: np.ndarray | None
    truth: tuple[float, float] | None
    levels: tuple[float, ...]

    @classmethod
    def from_posteriors(
        cls,
        panels,
        *,
        points=None,
        truth=None,
        levels=(0.68, 0.95),
        n_columns: int = 3,
        title: str | None = None,
    ) -> ContoursDisplay:
        """Draw contours.

        Parameters
        ----------
        panels : dict of str to dict of str to Posterior
            For each panel, by its title, at most three posteriors by their names, of
            the same names in all panels: the first is red, the second blue and the
            third black.
        points : array-like of shape (n_points, 2), optional
            Where simulations were made, in grey.
        truth : tuple of float, optional
            Marked by a cross.
        levels : tuple of float, default=(0.68, 0.95)
            Probabilities of the regions, up to three, ascending: solid, dash-dotted and
            dotted.
        n_columns : int, default=3
            Panels beside each other.
        title : str, optional

        Returns
        -------
        ContoursDisplay

        Raises
        ------
        ValueError
            If there are no panels, or too many posteriors or levels.
        """
        most = max((len(panel) for panel in panels.values()), default=0)
        if not 1 <= most <= len(_COLOURS) or not 1 <= len(levels) <= len(_LINES):
            raise ValueError(
                f"{len(panels)} panels with up to {most} posteriors, and {len(levels)} "
                "levels; expected one to three of both in each panel."
            )
        points = None if points is None else np.asarray(points, dtype=float)
        display = cls(dict(panels), points, truth, tuple(levels))
        return display._draw_panels(n_columns, title)

    def _draw_panels(self, n_columns: int, title: str | None) -> ContoursDisplay:
        n_columns = min(n_columns, len(self.panels))
        n_rows = -(-len(self.panels) // n_columns)
        size = 3.1 * n_columns + 0.6, 2.9 * n_rows + 0.9
        self.figure_, axes = pyplot().subplots(
            n_rows,
            n_columns,
            figsize=size,
            squeeze=False,
            sharex=True,
            sharey=True,
            layout="constrained",
        )
        self.axes_ = axes.ravel()
        for ax in self.axes_[len(self.panels) :]:
            ax.set_visible(False)
        for ax, (name, panel) in zip(self.axes_, self.panels.items(), strict=False):
            self._draw_panel(ax, name, panel)
        self._limit()
        handles = self._handles()
        place = {"loc": "outside lower center", "ncols": len(handles), "frameon": False}
        self.figure_.legend(handles=handles, **place)
        if title is not None:
            self.figure_.suptitle(title)
        return self

    def _draw_panel(self, ax, name: str, panel: dict) -> None:
        if self.points is not None:
            ax.plot(*self.points.T, ".", color=_GREY, markersize=4, zorder=1)
        if self.truth is not None:
            ax.plot(*self.truth, "+", color=NEUTRAL, markersize=9, zorder=4)
        for colour, posterior in zip(_COLOURS, panel.values(), strict=False):
            for line, probability in zip(_LINES, self.levels, strict=False):
                ax.contour(
                    posterior.first,
                    posterior.second,
                    posterior.density,
                    levels=[posterior.level(probability)],
                    colors=[colour],
                    linestyles=[line],
                    linewidths=1.4,
                    zorder=3,
                )
        ax.set_title(name)
        names = next(iter(panel.values())).names
        if ax.get_subplotspec().is_last_row() or ax in self._above_nothing():
            ax.set_xlabel(names[0])
            ax.tick_params(labelbottom=True)
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel(names[1])

    def _above_nothing(self) -> list:
        n_columns = self.axes_[0].get_subplotspec().get_gridspec().ncols
        return list(self.axes_[len(self.panels) - n_columns : len(self.panels)])

    def _limit(self) -> None:
        """Show where the posteriors are, and a little around it."""
        shown = [p for panel in self.panels.values() for p in panel.values()]
        lows, highs = [], []
        for posterior in shown:
            region = posterior.density >= posterior.level(self.levels[-1])
            for axis, along in ((posterior.first, 0), (posterior.second, 1)):
                held = axis[region.any(axis=along)]
                lows.append(held.min())
                highs.append(held.max())
        for set_limits, at in (
            (self.axes_[0].set_xlim, slice(0, None, 2)),
            (self.axes_[0].set_ylim, slice(1, None, 2)),
        ):
            low, high = min(lows[at]), max(highs[at])
            margin = 0.15 * (high - low)
            set_limits(low - margin, high + margin)

    def _handles(self) -> list:
        from matplotlib.lines import Line2D

        names = list(max(self.panels.values(), key=len))
        handles = [
            Line2D([], [], color=colour, label=name)
            for colour, name in zip(_COLOURS, names, strict=False)
        ]
        handles += [
            Line2D([], [], color=NEUTRAL, linestyle=line, label=f"{100 * level:g} %")
            for line, level in zip(_LINES, self.levels, strict=False)
        ]
        if self.points is not None:
            grey: dict[str, Any] = {
                "color": "#9A9A9A",
                "marker": ".",
                "linestyle": "none",
            }
            handles.append(Line2D([], [], label="simulated", **grey))
        return handles
