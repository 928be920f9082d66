"""A tree of sets over the units that they hold, coloured by scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import (
    DIVERGING,
    NEUTRAL,
    check_option,
    largest,
    pyplot,
    shorten,
)

_MOST_NUMBERS = 80
"""With more boxes than this their numbers are left out."""
_WIDE = 110
"""So many letters stand side by side."""


@dataclass(eq=False, repr=False)
class TreeDisplay(Display):
    """Boxes over intervals of units, one row per level, coloured by score.

    Parameters
    ----------
    members : ndarray of bool, shape (n_nodes, n_units)
        The units of each node, which lie next to each other.
    scores : ndarray of shape (n_nodes,)
        What is coloured, red where it is positive, blue where it is negative.
    levels : ndarray of int, shape (n_nodes,)
        The rows, 0 for units.
    names : list of str
        One per unit.
    parents : ndarray of int, shape (n_nodes,), optional
        What each node is joined into, -1 for none; lines lead there.
    label : str, default="score"
        Label of the colour bar.
    orientation : {"auto", "up", "right"}, default="auto"
        "up": units side by side; "right": one below the other. "auto": by the length of
        their names.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        Likewise.

    See Also
    --------
    PatchesDisplay : Sets of places of an image.
    sktrim.hierarchy.Hierarchy.plot_tree : Makes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import TreeDisplay
    >>> members = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]])
    >>> display = TreeDisplay(
    ...     members.astype(bool), np.array([0.1, 1.0, 0.2, -2.0, -1.5]),
    ...     np.array([0, 0, 0, 1, 2]), names=["not", "good", "book"],
    ... ).plot()
    >>> [text.get_text() for text in display.ax_.get_xticklabels()]
    ['not', 'good', 'book']
    """

    members: np.ndarray
    scores: np.ndarray
    levels: np.ndarray
    _: KW_ONLY
    names: Sequence[str]
    parents: np.ndarray | None = None
    label: str = "score"
    orientation: str = "auto"

    def _is_upright(self) -> bool:
        check_option("orientation", self.orientation, ("auto", "up", "right"))
        if self.orientation != "auto":
            return self.orientation == "up"
        return max(map(len, self.names)) * len(self.names) <= _WIDE

    def _size(self) -> tuple[float, float]:
        n_units, n_rows = len(self.names), int(self.levels.max()) + 1
        if self._is_upright():
            widest = max(min(len(name), 18) for name in self.names)
            width = n_units * max(0.55, 0.1 * widest) + 1.6
            return float(np.clip(width, 4.5, 22)), float(
                np.clip(0.5 * n_rows, 1.6, 12) + 1
            )
        height = float(np.clip(0.32 * n_units, 2, 20) + 0.8)
        return float(np.clip(0.85 * n_rows + 3.4, 5.5, 16)), height

    def _draw(self, own: bool) -> list:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        limit = largest(self.scores)
        colors = ScalarMappable(Normalize(-limit, limit), DIVERGING)
        upright, ax = self._is_upright(), self.ax_
        for node in range(len(self.scores)):
            self._draw_line(node, upright)
        for node, score in enumerate(self.scores):
            self._draw_box(node, colors.to_rgba(score), upright)
        n_units, top = len(self.names), int(self.levels.max())
        names = [shorten(name, 30) for name in self.names]
        if upright:
            ax.set_xlim(-0.6, n_units - 0.4)
            ax.set_ylim(-0.5, top + 0.5)
            crowded = max(map(len, names)) * n_units > _WIDE
            ax.set_xticks(range(n_units), names, rotation=45 if crowded else 0)
            if crowded:
                for text in ax.get_xticklabels():
                    text.set(ha="right", rotation_mode="anchor")
            ax.set_yticks(range(top + 1))
            ax.set_ylabel("level", fontsize="small")
        else:
            ax.set_ylim(n_units - 0.4, -0.6)
            ax.set_xlim(-0.5, top + 0.5)
            ax.set_yticks(range(n_units), names)
            ax.set_xticks(range(top + 1))
            ax.set_xlabel("level", fontsize="small")
        ax.tick_params(length=0, labelsize="small")
        for side in ax.spines.values():
            side.set_visible(False)
        bar = pyplot().colorbar(colors, ax=ax, shrink=0.9, pad=0.02)
        bar.set_label(self.label, fontsize="small")
        bar.ax.tick_params(labelsize="small")
        return []

    def _span(self, node: int) -> tuple[float, float]:
        places = np.flatnonzero(self.members[node])
        return float(places[0]) - 0.46, float(places[-1]) + 0.46

    def _draw_line(self, node: int, upright: bool) -> None:
        if self.parents is None or self.parents[node] < 0:
            return
        middle, parent = np.mean(self._span(node)), self.parents[node]
        along, across = [self.levels[node], self.levels[parent]], [middle, middle]
        points = (across, along) if upright else (along, across)
        self.ax_.plot(*points, color="0.75", linewidth=1, zorder=1)

    def _draw_box(self, node: int, color: Any, upright: bool) -> None:
        from matplotlib.patches import FancyBboxPatch

        low, high = self._span(node)
        level, score = self.levels[node], self.scores[node]
        width, height = (high - low, 0.72) if upright else (0.72, high - low)
        x, y = ((low + high) / 2, level) if upright else (level, (low + high) / 2)
        box = FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=color,
            edgecolor=NEUTRAL,
            linewidth=0.6,
            zorder=2,
        )
        self.ax_.add_patch(box)
        if len(self.scores) > _MOST_NUMBERS:
            return
        dark = np.dot(color[:3], (0.299, 0.587, 0.114)) < 0.55
        self.ax_.text(
            x,
            y,
            f"{score:+.2g}",
            ha="center",
            va="center",
            fontsize="x-small",
            color="white" if dark else "black",
            zorder=3,
        )
