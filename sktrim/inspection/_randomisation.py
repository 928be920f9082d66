"""Correlation with the randomised network's scores over the depth of randomisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import (
    NEUTRAL,
    PALETTE,
    shorten,
)


@dataclass(eq=False, repr=False)
class RandomisationDisplay(Display):
    """Mean correlations and their spread over draws, layer by layer.

    Use `from_values` to make one.

    Parameters
    ----------
    layers : list of str
        Names of the depths, left to right.
    curves : dict of str to ndarray of shape (n_depths, n_draws)
        Correlations of the scores.
    absolute : ndarray of shape (n_depths, n_draws) or None
        Correlations of the magnitudes.
    reference : float or None
        Correlation of the magnitudes with the data alone.
    threshold : float
        Half width of the band that counts as no effect.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where `plot` drew last.

    See Also
    --------
    sktrim.evaluation.randomisation_test : What is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import RandomisationDisplay
    >>> curves = {"spearman": np.array([[0.5, 0.4], [0.1, -0.1]])}
    >>> RandomisationDisplay.from_values(["fc", "conv"], curves, reference=0.3).layers
    ['fc', 'conv']
    """

    layers: list[str]
    curves: Mapping[str, np.ndarray]
    absolute: np.ndarray | None = None
    reference: float | None = None
    threshold: float = 0.1

    @classmethod
    def from_values(
        cls,
        layers: Sequence[str],
        curves: Mapping[str, np.ndarray],
        *,
        absolute=None,
        reference: float | None = None,
        threshold: float = 0.1,
        title: str | None = None,
        ax=None,
    ) -> RandomisationDisplay:
        """Draw correlations over depth.

        Parameters
        ----------
        layers : sequence of str
            Names of the depths.
        curves : mapping of str to array-like of shape (n_depths, n_draws)
            Correlations of the scores, by kind.
        absolute : array-like of shape (n_depths, n_draws), optional
            Correlations of the magnitudes.
        reference : float, optional
            Correlation of the magnitudes with the data alone, a dotted line.
        threshold : float, default=0.1
            Half width of the grey band.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        RandomisationDisplay

        Raises
        ------
        ValueError
            If a curve does not have one row per layer.
        """
        curves = {name: np.asarray(curve, float) for name, curve in curves.items()}
        absolute = None if absolute is None else np.asarray(absolute, float)
        for curve in [*curves.values(), *([] if absolute is None else [absolute])]:
            if curve.ndim != 2 or len(curve) != len(layers):
                raise ValueError(
                    f"a curve has shape {curve.shape} for {len(layers)} layers; "
                    "expected (n_depths, n_draws)."
                )
        display = cls(list(layers), curves, absolute, reference, threshold)
        return display.plot(ax=ax, title=title)

    def _draw(self, own: bool) -> list:
        places = np.arange(len(self.layers))
        self.ax_.axhspan(-self.threshold, self.threshold, color=NEUTRAL, alpha=0.1)
        self.ax_.axhline(0, color=NEUTRAL, linewidth=0.8)
        handles = [
            self._draw_curve(
                places + 0.06 * i, name, curve, PALETTE[i % len(PALETTE)], "-"
            )
            for i, (name, curve) in enumerate(self.curves.items())
        ]
        if self.absolute is not None:
            color = PALETTE[-1]
            aside = places - 0.06
            handles.append(
                self._draw_curve(aside, "magnitudes", self.absolute, color, "--")
            )
        if self.reference is not None:
            style = {"color": PALETTE[-1], "linestyle": ":", "linewidth": 1}
            line = self.ax_.axhline(self.reference, label="data only", **style)
            handles.append(line)
        self.ax_.set_xticks(places, [shorten(name, 18) for name in self.layers])
        if len(places) > 5:
            self.ax_.tick_params(axis="x", rotation=60)
        self.ax_.set_xlim(-0.5, len(places) - 0.5)
        self.ax_.set_xlabel("layer randomised, output to input")
        self.ax_.set_ylabel(
            "correlation with the trained network's scores\n"
            "(mean ± 1 standard deviation over draws)"
        )
        self.ax_.spines[["top", "right"]].set_visible(False)
        if own:
            self.ax_.set_ylim(min(-0.3, self.ax_.get_ylim()[0]), 1.05)
        return handles

    def _draw_curve(self, places, name, curve, color, line):
        style = {"color": color, "linestyle": line, "marker": "o", "markersize": 4}
        spread = curve.std(axis=1)
        return self.ax_.errorbar(
            places, curve.mean(axis=1), yerr=spread, capsize=2, label=name, **style
        )
