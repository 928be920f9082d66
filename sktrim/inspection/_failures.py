"""Error rates of clusters of explanations, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import (
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    shorten,
)


@dataclass(eq=False, repr=False)
class FailureDisplay(Display):
    """One bar per cluster. Use `from_values` to make one.

    Parameters
    ----------
    rates : ndarray of shape (n_clusters,)
        Mean error of each.
    sizes : list of int
        Samples in each.
    drivers : list of str
        Group that sets it apart.
    overall : float
        Mean error of all samples.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where `plot` drew last.

    See Also
    --------
    sktrim.evaluation.failure_report : What is drawn.

    Examples
    --------
    >>> from sktrim.inspection import FailureDisplay
    >>> drivers = ["3.0 cycles", "1.0 cycles"]
    >>> FailureDisplay.from_values([0.4, 0.1], [10, 20], drivers, overall=0.2).sizes
    [10, 20]
    """

    rates: np.ndarray
    sizes: list[int]
    drivers: list[str]
    overall: float

    @classmethod
    def from_values(
        cls,
        rates,
        sizes: Sequence[int],
        drivers: Sequence[str],
        *,
        overall: float,
        title: str | None = None,
        ax=None,
    ) -> FailureDisplay:
        """Draw the error of each cluster.

        Parameters
        ----------
        rates : array-like of shape (n_clusters,)
        sizes : sequence of int
        drivers : sequence of str
        overall : float
            Drawn as a line.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        FailureDisplay

        Raises
        ------
        ValueError
            If the lengths differ.
        """
        rates = np.asarray(rates, dtype=float)
        if not len(rates) == len(sizes) == len(drivers):
            raise ValueError(
                f"{len(rates)} rates, {len(sizes)} sizes and {len(drivers)} drivers "
                "were given; expected one of each per cluster."
            )
        display = cls(rates, list(sizes), list(drivers), overall)
        return display.plot(ax=ax, title=title)

    def _size(self) -> tuple[float, float]:
        return 6.8, 1.5 + 0.32 * len(self.rates)

    def _draw(self, own: bool) -> list:
        n = len(self.rates)
        above = self.rates > self.overall
        colors = np.where(above, POSITIVE, NEGATIVE).tolist()
        self.ax_.barh(np.arange(n), self.rates, color=colors, height=0.7)
        labels = [
            f"{shorten(driver, 26)} (n = {size})"
            for driver, size in zip(self.drivers, self.sizes, strict=True)
        ]
        self.ax_.set_yticks(range(n), labels)
        self.ax_.set_ylim(n - 0.4, -0.6)
        line = self.ax_.axvline(
            self.overall, color=NEUTRAL, linestyle="--", label="all samples"
        )
        self.ax_.set_xlabel("mean error")
        self.ax_.set_ylabel("cluster, by its first driver")
        self.ax_.spines[["top", "right"]].set_visible(False)
        return [line]
