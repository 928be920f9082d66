"""Signals beside each other, and signals at the points of a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._pictures import draw_image, draw_signal, is_lines, lay_out
from sktrim.inspection._style import NEUTRAL, PALETTE, POSITIVE, axes_grid, shorten


@dataclass(eq=False, repr=False)
class StimuliDisplay(Display):
    """Signals that drive a unit, each under a title of its own.

    Make one with `from_signals`.

    Parameters
    ----------
    signals : ndarray of shape (n, height, width) or (n, channels, ...)
        The signals, laid out.
    titles : list of str
        One per signal.
    boxes : list of ndarray of shape (2, 2) or None, default=None
        First and last row, and first and last column, of a frame in each image.
    n_columns : int, default=5
        Signals in a row.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        The first of `axes_`.
    axes_ : list of matplotlib Axes
        One per signal.

    See Also
    --------
    sktrim.stimuli.Stimuli : Makes it.
    EmbeddingDisplay : Signals at the points of a map.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import StimuliDisplay
    >>> display = StimuliDisplay.from_signals(np.ones((2, 1, 4, 4)), ["a", "b"])
    >>> display.signals.shape
    (2, 4, 4)
    """

    signals: np.ndarray
    titles: Sequence[str]
    _: KW_ONLY
    boxes: Sequence[np.ndarray | None] | None = None
    n_columns: int = 5

    @classmethod
    def from_signals(
        cls,
        signals,
        titles,
        *,
        boxes=None,
        signal_shape=None,
        n_columns=5,
        title=None,
        ax=None,
    ) -> StimuliDisplay:
        r"""Draw signals.

        Parameters
        ----------
        signals : array-like of shape (n, \*signal_shape)
            The signals.
        titles : sequence of str
            One per signal.
        boxes : sequence of array-like of shape (2, 2), optional
            First and last row, and first and last column, of a frame in each image.
        signal_shape : tuple of int, optional
            How one signal is laid out; None: as it comes.
        n_columns : int, default=5
            Signals in a row.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        StimuliDisplay

        Raises
        ------
        ValueError
            If there are not as many titles as signals.
        """
        laid_out = lay_out(signals, signal_shape)
        titles = list(titles)
        if len(titles) != len(laid_out) or not titles:
            raise ValueError(
                f"{len(titles)} titles were given for {len(laid_out)} signals; give "
                "one per signal, and at least one."
            )
        display = cls(laid_out, titles, boxes=boxes, n_columns=n_columns)
        return display.plot(ax=ax, title=title)

    def plot(self, ax=None, *, title: str | None = None) -> StimuliDisplay:
        """Draw one picture per signal.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the figure.

        Returns
        -------
        StimuliDisplay
            Itself, with `figure_`, `ax_` and `axes_` set.
        """
        lines = is_lines(self.signals)
        cell = (3.2, 1.9) if lines else (1.7, 2.0)
        n_columns = min(self.n_columns, 3) if lines else self.n_columns
        self.figure_, self.axes_ = axes_grid(ax, len(self.titles), n_columns, cell)
        self.ax_ = self.axes_[0]
        boxes = self.boxes or [None] * len(self.titles)
        for own, signal, name, box in zip(
            self.axes_, self.signals, self.titles, boxes, strict=True
        ):
            _draw_one(own, signal, lines)
            own.set_title(name, fontsize="small")
            if box is not None:
                _draw_frame(own, np.asarray(box), lines)
        if title is not None:
            self.figure_.suptitle(title, fontsize="medium")
        return self


def _draw_one(ax, signal: np.ndarray, lines: bool) -> None:
    """Draw a signal; grey levels have zero in the middle where there are both signs."""
    if not lines and signal.ndim == 2 and signal.min() < 0 < signal.max():
        limit = np.abs(signal).max()
        draw_image(ax, signal, cmap="gray", limits=(-limit, limit))
        return
    draw_signal(ax, signal, lines)


def _draw_frame(ax, box: np.ndarray, lines: bool) -> None:
    """Frame a part of an image, or mark one of a line."""
    low, high = box[:, 0] - 0.5, box[:, 1] + 0.5
    if lines:
        ax.axvspan(low[-1], high[-1], color=POSITIVE, alpha=0.2, linewidth=0)
        return
    x, y = [low[-1], high[-1]], [low[-2], high[-2]]
    ax.plot(
        [x[0], x[1], x[1], x[0], x[0]],
        [y[0], y[0], y[1], y[1], y[0]],
        color=POSITIVE,
        linewidth=1.5,
    )


@dataclass(eq=False, repr=False)
class EmbeddingDisplay(Display):
    """Signals at the points of maps, one map per panel, framed by class.

    Make one with `from_points`.

    Parameters
    ----------
    points : ndarray of shape (n_panels, n, 2)
        Where the signals lie.
    signals : ndarray of shape (n, height, width) or (n, channels, height, width)
        The signals, laid out.
    labels : ndarray of shape (n,) or None
        Their classes.
    titles : list of str
        One per panel.
    n_columns : int, default=3
        Panels in a row.
    n_pictures : int, default=80
        At most so many are shown as pictures; the others are dots.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        The first of `axes_`.
    axes_ : list of matplotlib Axes
        One per panel.

    See Also
    --------
    sktrim.stimuli.layer_embedding : Makes it.
    StimuliDisplay : Signals beside each other.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import EmbeddingDisplay
    >>> points = np.random.default_rng(0).normal(size=(1, 5, 2))
    >>> display = EmbeddingDisplay.from_points(points, np.ones((5, 4, 4)), ["a map"])
    >>> len(display.axes_)
    1
    """

    points: np.ndarray
    signals: np.ndarray
    labels: np.ndarray | None
    titles: Sequence[str]
    _: KW_ONLY
    n_columns: int = 3
    n_pictures: int = 80

    @classmethod
    def from_points(
        cls,
        points,
        signals,
        titles,
        *,
        labels=None,
        n_columns=3,
        n_pictures=80,
        title=None,
        ax=None,
    ) -> EmbeddingDisplay:
        r"""Draw maps of signals.

        Parameters
        ----------
        points : array-like of shape (n_panels, n, 2)
            Where the signals lie.
        signals : array-like of shape (n, \*signal_shape)
            The signals; what is no image is drawn as dots.
        titles : sequence of str
            One per panel.
        labels : array-like of shape (n,), optional
            Their classes.
        n_columns : int, default=3
            Panels in a row.
        n_pictures : int, default=80
            At most so many are shown as pictures; the others are dots.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        EmbeddingDisplay
        """
        display = cls(
            np.asarray(points),
            lay_out(signals),
            None if labels is None else np.asarray(labels),
            list(titles),
            n_columns=n_columns,
            n_pictures=n_pictures,
        )
        return display.plot(ax=ax, title=title)

    def plot(self, ax=None, *, title: str | None = None) -> EmbeddingDisplay:
        """Draw one map per panel.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the figure.

        Returns
        -------
        EmbeddingDisplay
            Itself, with `figure_`, `ax_` and `axes_` set.
        """
        n_panels = len(self.titles)
        size = (3.6, 3.7)
        self.figure_, self.axes_ = axes_grid(ax, n_panels, self.n_columns, size)
        self.ax_ = self.axes_[0]
        colors, handles = self._colors()
        for own, points, name in zip(self.axes_, self.points, self.titles, strict=True):
            self._draw_map(own, points, colors)
            own.set_title(name, fontsize="small")
        if handles:
            self.axes_[-1].legend(
                handles=handles, fontsize="x-small", loc="best", framealpha=0.8
            )
        if title is not None:
            self.figure_.suptitle(title, fontsize="medium")
        return self

    def _colors(self) -> tuple[list, list]:
        """Return the colour of each signal, and handles for the legend."""
        from matplotlib.lines import Line2D

        if self.labels is None:
            return [NEUTRAL] * len(self.signals), []
        names, places = np.unique(self.labels, return_inverse=True)
        chosen = [PALETTE[i % len(PALETTE)] for i in range(len(names))]
        handles = [
            Line2D([], [], color=color, marker="o", linestyle="", label=shorten(name))
            for color, name in zip(chosen, names, strict=True)
        ]
        return [chosen[i] for i in places], handles

    def _draw_map(self, ax, points: np.ndarray, colors: list) -> None:
        """Draw dots, and pictures on as many of them as there is room for."""
        ax.scatter(points[:, 0], points[:, 1], c=colors, s=9, linewidths=0)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.margins(0.08)
        if is_lines(self.signals):
            return
        n_shown = min(self.n_pictures, len(points))
        for i in np.linspace(0, len(points) - 1, n_shown).astype(int):
            _put_picture(ax, self.signals[i], points[i], colors[i])


def _put_picture(ax, signal: np.ndarray, point: np.ndarray, color) -> None:
    """Put a small picture at a point, in a frame of its class's colour."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    rgb = signal.ndim == 3 and len(signal) == 3
    picture = np.moveaxis(signal, 0, -1) if rgb else signal
    picture = picture if rgb or picture.ndim == 2 else picture.mean(axis=0)
    if rgb:
        low, high = picture.min(), picture.max()
        picture = (picture - low) / ((high - low) or 1)
    image = OffsetImage(picture, zoom=16 / max(picture.shape[:2]), cmap="gray")
    box = AnnotationBbox(
        image, tuple(point), pad=0.08, bboxprops={"edgecolor": color, "linewidth": 0.9}
    )
    ax.add_artist(box)
