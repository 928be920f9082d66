"""Patches that grow over an image, coloured by what they contribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._pictures import draw_signal, is_lines, lay_out
from sktrim.inspection._style import DIVERGING, axes_grid, largest

Step = tuple[str, list[tuple[np.ndarray, float]]]
"""A title, and sets of units with their scores."""


@dataclass(eq=False, repr=False)
class PatchesDisplay(Display):
    """The sets of units at some steps, over the image that they are places of.

    Make one with `from_steps`.

    Parameters
    ----------
    signal : ndarray of shape (height, width) or (channels, height, width)
        The image.
    masks : list of list of ndarray of bool, shape (height, width)
        The places of each set, step by step.
    scores : list of list of float
        The scores of the sets.
    titles : list of str
        One per step.
    label : str, default="score"
        Label of the colour bar.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        The first of `axes_`.
    axes_ : list of matplotlib Axes
        One per step.

    See Also
    --------
    TreeDisplay : The sets as a tree.
    sktrim.hierarchy.Hierarchy.plot_patches : Makes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import PatchesDisplay
    >>> places = np.kron(np.eye(4), np.ones((1, 4))).reshape(4, 4, 4)
    >>> steps = [("step 1", [(np.array([True, True, False, False]), 1.5)])]
    >>> display = PatchesDisplay.from_steps(np.ones((4, 4)), places, steps)
    >>> display.masks[0][0].sum()
    np.int64(8)
    """

    signal: np.ndarray
    masks: list[list[np.ndarray]]
    scores: list[list[float]]
    _: KW_ONLY
    titles: Sequence[str]
    label: str = "score"

    @classmethod
    def from_steps(
        cls,
        signal,
        places,
        steps: Sequence[Step],
        *,
        label="score",
        title=None,
        ax=None,
    ) -> PatchesDisplay:
        r"""Draw sets of units at some steps.

        Parameters
        ----------
        signal : array-like of shape (height, width) or (channels, height, width)
            The image.
        places : array-like of shape (n_units, \*shape of the image)
            Where each unit lies: not 0.
        steps : sequence of (str, list of (members, score))
            A title, and for each set a mask over units and its score.
        label : str, default="score"
            Label of the colour bar.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        PatchesDisplay

        Raises
        ------
        ValueError
            If the signal is no image.
        """
        laid_out = lay_out(np.asarray(signal)[np.newaxis])
        if is_lines(laid_out):
            raise ValueError(
                f"A signal of shape {np.shape(signal)} is no image; draw the tree."
            )
        image = laid_out[0]
        where = np.asarray(places) != 0
        where = where.reshape(len(where), *image.shape)
        where = where if image.ndim == 2 else where.any(axis=1)
        masks = [[where[own].any(axis=0) for own, _ in sets] for _, sets in steps]
        scores = [[score for _, score in sets] for _, sets in steps]
        titles = [name for name, _ in steps]
        display = cls(image, masks, scores, titles=titles, label=label)
        return display.plot(ax=ax, title=title)

    def plot(self, ax=None, *, title: str | None = None) -> PatchesDisplay:
        """Draw one picture per step.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the figure.

        Returns
        -------
        PatchesDisplay
            Itself, with `figure_`, `ax_` and `axes_` set.
        """
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        n_steps = len(self.titles)
        self.figure_, self.axes_ = axes_grid(ax, n_steps, min(n_steps, 6), (1.9, 2.1))
        self.ax_ = self.axes_[0]
        limit = largest(np.array([s for own in self.scores for s in own]))
        colors: Any = ScalarMappable(Normalize(-limit, limit), DIVERGING)
        for own, masks, scores, name in zip(
            self.axes_, self.masks, self.scores, self.titles, strict=True
        ):
            draw_signal(own, self.signal, False)
            # paler, so that colours stand out from it
            own.images[0].set_alpha(0.45)
            for mask, score in zip(masks, scores, strict=True):
                _draw_patch(own, mask, colors.to_rgba(score))
            own.set_title(name, fontsize="small")
        bar = self.figure_.colorbar(colors, ax=self.axes_, shrink=0.8, pad=0.02)
        bar.set_label(self.label, fontsize="small")
        if title is not None:
            self.figure_.suptitle(title)
        return self


def _draw_patch(ax, mask: np.ndarray, color) -> None:
    """Lay a colour over places, with a line around them."""
    cover = np.zeros((*mask.shape, 4))
    cover[mask] = (*color[:3], 0.62)
    ax.imshow(cover, interpolation="nearest", zorder=2)
    # sides of pixels that have the patch on one side alone
    padded = np.pad(mask, 1)
    rows, columns = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    ax.hlines(rows - 0.5, columns - 0.5, columns + 0.5, color="black", linewidth=0.9)
    rows, columns = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    ax.vlines(columns - 0.5, rows - 0.5, rows + 0.5, color="black", linewidth=0.9)
