"""Where concepts are: their maps over the inputs in which they are strongest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._pictures import draw_signal, is_lines, lay_out
from sktrim.inspection._style import NEGATIVE, POSITIVE, axes_grid, shorten


@dataclass(eq=False, repr=False)
class ConceptsDisplay(Display):
    """The map of each concept over the inputs where it is strongest.

    A row for each concept, a column for each input; a frame marks the place that is
    strongest, and a crop shows the input around it. Make one with `from_maps`.

    Parameters
    ----------
    signals : ndarray of shape (n_samples, height, width)
        The inputs; of 1-D signals (n_samples, channels, length).
    maps : ndarray of shape (n_concepts, n_samples, *places)
        How strong each concept is at each place, not negative.
    names : list of str
        One name per concept.
    picked : ndarray of int, shape (n_concepts, n_columns)
        The inputs that are drawn of each, strongest first.
    crop : float or None, default=None
        Share of a signal's sides that crops show, beside the maps; None: no crops.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        The first of `axes_`.
    axes_ : list of matplotlib Axes
        Row by row.

    See Also
    --------
    ComponentsDisplay : What a group carries of one signal.
    sktrim.evaluation.concept_report : Makes it of a fitted estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import ConceptsDisplay
    >>> signals = np.random.default_rng(0).random((5, 8, 8))
    >>> maps = np.random.default_rng(1).random((2, 5, 3, 3))
    >>> names = ["stroke", "dot"]
    >>> display = ConceptsDisplay.from_maps(signals, maps, names, n_columns=4)
    >>> len(display.axes_)
    8
    """

    signals: np.ndarray
    maps: np.ndarray
    _: KW_ONLY
    names: Sequence[str]
    picked: np.ndarray
    crop: float | None = None

    @classmethod
    def from_maps(
        cls,
        signals,
        maps,
        names,
        *,
        n_columns: int = 5,
        crop: float | None = None,
        title: str | None = None,
        ax=None,
    ) -> ConceptsDisplay:
        """Draw the maps over the inputs where each concept is strongest.

        Parameters
        ----------
        signals : array-like of shape (n_samples, *signal_shape)
            Images, or 1-D signals.
        maps : array-like of shape (n_concepts, n_samples, *places)
            Strengths at the places of a layer: two axes for images, one for 1-D
            signals. Their magnitudes are drawn.
        names : sequence of str
            One name per concept.
        n_columns : int, default=5
            Inputs for each concept.
        crop : float in (0, 1], optional
            Also draw each of these inputs cut to this share of its sides, around the
            strongest place, to the right of the maps.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; one Axes is divided; None makes a figure.

        Returns
        -------
        ConceptsDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit, or `crop` is out of its range.
        """
        if crop is not None and not 0 < crop <= 1:
            raise ValueError(f"crop={crop!r}; expected a share in (0, 1], or None.")
        laid_out = lay_out(signals)
        maps = np.abs(np.asarray(maps, dtype=float))
        n_axes = 1 if is_lines(laid_out) else 2
        if maps.ndim != 2 + n_axes or maps.shape[1] != len(laid_out):
            raise ValueError(
                f"maps has shape {maps.shape} for {len(laid_out)} signals; expected "
                f"(n_concepts, {len(laid_out)}, and {n_axes} axes of places)."
            )
        if len(names) != len(maps):
            raise ValueError(f"{len(names)} names were given for {len(maps)} concepts.")
        strongest = maps.reshape(*maps.shape[:2], -1).max(axis=2)
        order = np.argsort(-strongest, axis=1, kind="stable")
        picked = order[:, : min(n_columns, len(laid_out))]
        display = cls(laid_out, maps, names=list(names), picked=picked, crop=crop)
        return display.plot(ax=ax, title=title)

    def plot(self, ax=None, *, title: str | None = None) -> ConceptsDisplay:
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the figure.

        Returns
        -------
        ConceptsDisplay
            Itself, with `figure_`, `ax_` and `axes_` set.
        """
        lines = is_lines(self.signals)
        cell = (2.6, 1.3) if lines else (1.5, 1.55)
        n_inputs = self.picked.shape[1]
        n_columns = n_inputs if self.crop is None else 2 * n_inputs
        n_axes = n_columns * len(self.picked)
        self.figure_, self.axes_ = axes_grid(ax, n_axes, n_columns, cell)
        self.ax_ = self.axes_[0]
        for row, samples in enumerate(self.picked):
            scale = self.maps[row].max() or 1.0
            axes = self.axes_[row * n_columns : (row + 1) * n_columns]
            for own, sample in zip(axes, samples, strict=False):
                draw_signal(own, self.signals[sample], lines)
                self._draw_map(own, self.maps[row, sample] / scale, lines)
                _bare(own, f"sample {sample}")
            for own, sample in zip(axes[n_inputs:], samples, strict=False):
                draw_signal(own, self._cut(row, sample), lines)
                _bare(own, f"crop of {sample}")
            axes[0].set_ylabel(shorten(self.names[row], 18), fontsize="small")
        if title is not None:
            self.figure_.suptitle(title)
        return self

    def _cut(self, row: int, sample: int) -> np.ndarray:
        """Return the part of a signal around the place where a concept is strongest."""
        strengths, signal = self.maps[row, sample], self.signals[sample]
        place = np.unravel_index(strengths.argmax(), strengths.shape)
        for axis in range(strengths.ndim):
            at = axis - strengths.ndim
            length = signal.shape[at]
            size = max(1, round((self.crop or 1) * length))
            middle = (place[axis] + 0.5) * length / strengths.shape[axis]
            start = int(np.clip(round(middle - size / 2), 0, length - size))
            signal = np.take(signal, range(start, start + size), axis=at)
        return signal

    def _draw_map(self, ax, strengths: np.ndarray, lines: bool) -> None:
        """Lay a map over a signal, and frame its strongest place."""
        from matplotlib.patches import Rectangle

        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        grid = strengths[np.newaxis] if lines else strengths
        cover = np.zeros((*grid.shape, 4))
        cover[..., :3] = _rgb(POSITIVE)
        cover[..., 3] = 0.75 * grid
        ax.imshow(
            cover,
            extent=(left, right, bottom, top),
            aspect="auto" if lines else None,
            interpolation="nearest",
            zorder=3,
            origin="upper",
        )
        ax.set_xlim(left, right)
        ax.set_ylim(bottom, top)
        row, column = np.unravel_index(grid.argmax(), grid.shape)
        width = (right - left) / grid.shape[1]
        height = (bottom - top) / grid.shape[0]
        if grid.max() > 0:
            corner = (left + column * width, top + row * height)
            line = {"edgecolor": NEGATIVE, "linewidth": 2, "zorder": 4}
            ax.add_patch(Rectangle(corner, width, height, fill=False, **line))


def _bare(ax, title: str) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title, fontsize="x-small")


def _rgb(color) -> tuple:
    from matplotlib.colors import to_rgb

    return to_rgb(color)
