"""What every display shares: axes to draw in, a title and a legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from sktrim.inspection._style import one_axes, place_legend


@dataclass(eq=False, repr=False)
class Display:
    """A picture of plain arrays, which are its fields."""

    def plot(self, ax=None, *, title: str | None = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the axes.

        Returns
        -------
        Display
            Itself, with `figure_` and `ax_` set.
        """
        self.figure_: Any
        self.figure_, self.ax_, own = one_axes(ax, self._size())
        handles = self._draw(own)
        if title is not None:
            self.ax_.set_title(title)
        place_legend(self.figure_, self.ax_, handles, own)
        return self

    def _size(self) -> tuple[float, float]:
        """Return the width and the height of a figure of its own, in inches."""
        return 6.4, 4.2

    def _draw(self, own: bool) -> list:
        """Draw into `ax_`, and return handles for the legend."""
        # `own`: the figure is a new one
        raise NotImplementedError
