"""Deletion and insertion curves beside their controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import NEUTRAL, PALETTE


@dataclass(eq=False, repr=False)
class FaithfulnessDisplay(Display):
    """Mean output as groups are removed (solid) and restored (dashed).

    Use `from_curves` to make one.

    Parameters
    ----------
    fractions : ndarray of shape (n_points,)
        Share of the groups.
    curves : dict of str to tuple of two ndarrays of shape (n_samples, n_points)
        Deletion and insertion, by the order that they follow.
    ylabel : str
        What the output is.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where `plot` drew last.

    See Also
    --------
    sktrim.evaluation.faithfulness_report : What is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import FaithfulnessDisplay
    >>> curves = {"scores": (np.array([[1.0, 0.2, 0.0]]), np.array([[0.0, 0.9, 1.0]]))}
    >>> display = FaithfulnessDisplay.from_curves([0.0, 0.5, 1.0], curves)
    >>> display.ax_.get_ylabel()
    'explained output'
    """

    fractions: np.ndarray
    curves: Mapping[str, Any]
    ylabel: str

    @classmethod
    def from_curves(
        cls,
        fractions,
        curves: Mapping[str, Any],
        *,
        ylabel: str = "explained output",
        title: str | None = None,
        ax=None,
    ) -> FaithfulnessDisplay:
        """Draw pairs of curves.

        Parameters
        ----------
        fractions : array-like of shape (n_points,)
            Share of the groups removed or restored.
        curves : mapping of str to pair of arrays of shape (n_samples, n_points)
            Deletion and insertion; the first is drawn in colour with its area.
        ylabel : str, default="explained output"
            Name of the vertical axis.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        FaithfulnessDisplay

        Raises
        ------
        ValueError
            If a curve does not have one column per fraction.
        """
        fractions = np.asarray(fractions, float)
        kept = {}
        for name, pair in curves.items():
            deletion, insertion = (np.atleast_2d(np.asarray(c, float)) for c in pair)
            if {deletion.shape[1], insertion.shape[1]} != {len(fractions)}:
                raise ValueError(
                    f"the curves of {name!r} have {deletion.shape[1]} and "
                    f"{insertion.shape[1]} points for {len(fractions)} fractions."
                )
            kept[name] = deletion, insertion
        return cls(fractions, kept, ylabel).plot(ax=ax, title=title)

    def _size(self) -> tuple[float, float]:
        return 7.4, 4.6

    def _draw(self, own: bool) -> list:
        handles: list = []
        for index, (name, (deletion, insertion)) in enumerate(self.curves.items()):
            color = PALETTE[index % len(PALETTE)]
            low, high = deletion.mean(axis=0), insertion.mean(axis=0)
            gap = np.trapezoid(high - low, self.fractions)
            width = 1.8 if index == 0 else 1.1
            style = {"color": color, "linewidth": width}
            label = f"{name}: gap {gap:.3f}"
            handles += self.ax_.plot(self.fractions, low, label=label, **style)
            self.ax_.plot(self.fractions, high, linestyle="--", **style)
            if index == 0:
                self.ax_.fill_between(
                    self.fractions, low, high, color=color, alpha=0.12, linewidth=0
                )
        self.ax_.set_xlabel("share of groups removed (solid) or restored (dashed)")
        self.ax_.set_ylabel(self.ylabel)
        self.ax_.set_xlim(0, 1)
        self.ax_.axhline(0, color=NEUTRAL, linewidth=0.6)
        self.ax_.spines[["top", "right"]].set_visible(False)
        return handles
