"""A square table of numbers between scorers, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import DIVERGING, shorten


@dataclass(eq=False, repr=False)
class AgreementDisplay(Display):
    """How scorers agree two by two. Use `from_matrix` to make one.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        In [-1, 1].
    names : list of str
    label : str
        What the numbers are.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where `plot` drew last.

    See Also
    --------
    sktrim.evaluation.scorer_agreement : What is drawn.

    Examples
    --------
    >>> from sktrim.inspection import AgreementDisplay
    >>> rho = [[1.0, 0.8], [0.8, 1.0]]
    >>> AgreementDisplay.from_matrix(rho, ["cd", "deeplift"]).names
    ['cd', 'deeplift']
    """

    matrix: np.ndarray
    names: list[str]
    label: str

    @classmethod
    def from_matrix(
        cls,
        matrix,
        names: Sequence[str],
        *,
        label: str = "correlation",
        title: str | None = None,
        ax=None,
    ) -> AgreementDisplay:
        """Draw the table.

        Parameters
        ----------
        matrix : array-like of shape (n, n)
            In [-1, 1].
        names : sequence of str
            Of its rows and columns.
        label : str, default="correlation"
            Name of the colour bar.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        AgreementDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        matrix = np.asarray(matrix, dtype=float)
        if matrix.shape != (len(names), len(names)):
            raise ValueError(
                f"matrix has shape {matrix.shape} for {len(names)} names; expected a "
                "square table of one row and column per name."
            )
        return cls(matrix, list(names), label).plot(ax=ax, title=title)

    def _size(self) -> tuple[float, float]:
        n = len(self.names)
        return 3.4 + 0.55 * n, 2.2 + 0.5 * n

    def _draw(self, own: bool) -> list:
        n = len(self.names)
        image = self.ax_.imshow(self.matrix, cmap=DIVERGING, vmin=-1, vmax=1)
        names = [shorten(name, 24) for name in self.names]
        self.ax_.set_xticks(range(n), names, rotation=45, ha="right")
        self.ax_.set_yticks(range(n), names)
        for (row, column), value in np.ndenumerate(self.matrix):
            style: dict = {"ha": "center", "va": "center", "fontsize": "small"}
            style["color"] = "white" if abs(float(value)) > 0.6 else "black"
            self.ax_.text(column, row, f"{value:.2f}", **style)
        bar = self.figure_.colorbar(image, ax=self.ax_, label=self.label, shrink=0.8)
        if self.matrix.min(initial=1) >= 0:
            bar.ax.set_ylim(0, 1)
        return []
