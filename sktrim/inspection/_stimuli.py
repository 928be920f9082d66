"""Images or series side by side, each with a name."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._pictures import draw_signal, is_lines, lay_out


@dataclass(eq=False, repr=False)
class StimuliDisplay(Display):
    r"""Signals side by side: what a unit responds to.

    Parameters
    ----------
    signals : ndarray of shape (n_signals, \*signal_shape)
        Images of one or three channels, or series.
    names : list of str, default=[]
        A title for each.
    n_columns : int, default=5
        How many beside each other.

    Attributes
    ----------
    figure_, ax_
        The matplotlib figure and axes.

    See Also
    --------
    sktrim.stimuli.Stimuli : What they are of.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import numpy as np
    >>> from sktrim.inspection import StimuliDisplay
    >>> images = np.random.default_rng(0).normal(size=(3, 1, 8, 8))
    >>> display = StimuliDisplay(images, ["a", "b", "c"]).plot()
    >>> len(display.ax_.child_axes)
    3
    """

    signals: np.ndarray
    names: list[str] = field(default_factory=list)
    n_columns: int = 5

    def _size(self) -> tuple[float, float]:
        columns = min(len(self.signals), self.n_columns)
        rows = -(-len(self.signals) // self.n_columns)
        return 0.4 + 1.6 * columns, 0.5 + 1.75 * rows

    def _draw(self, own: bool) -> list:
        self.ax_.axis("off")
        columns = min(len(self.signals), self.n_columns)
        rows = -(-len(self.signals) // self.n_columns)
        width, height = 1 / columns, 1 / rows
        laid_out = lay_out(self.signals)
        for at, signal in enumerate(laid_out):
            row, column = divmod(at, columns)
            place = (
                (column + 0.04) * width,
                1 - (row + 0.98) * height,
                0.92 * width,
                0.84 * height,
            )
            inset = self.ax_.inset_axes(place)
            draw_signal(inset, signal, is_lines(laid_out))
            inset.set_xticks([])
            inset.set_yticks([])
            if at < len(self.names):
                inset.set_title(self.names[at], fontsize="small")
        return []
