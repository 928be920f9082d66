"""Parts of a signal, or atoms of a dictionary, drawn in signal space."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._pictures import (
    add_color_bar,
    draw_image,
    draw_lines,
    draw_named_signal,
    flatten_channels,
    is_lines,
    lay_out,
    one_signal,
)
from sktrim.inspection._style import (
    DIVERGING,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    axes_grid,
    largest,
    shorten,
)


@dataclass(eq=False, repr=False)
class ComponentsDisplay(Display):
    """Pictures (or lines) of parts, each with its name and score.

    Make one with `from_components` (what each group carries of one signal, next to
    that signal) or `from_atoms` (the atoms of a dictionary, such as NMF parts).

    Parameters
    ----------
    parts : ndarray of shape (n_parts, *signal_shape)
        What is drawn.
    titles : list of str
        One title per part.
    scores : ndarray of shape (n_parts,) or None
        Their signs colour the titles, and the lines of 1-D parts.
    signal : ndarray of shape signal_shape, optional
        Drawn first.
    color_bars : bool
        Give every picture a colour bar.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        The first of `axes_`.
    axes_ : list of matplotlib Axes
        One for the signal, where there is one, and one per part.

    See Also
    --------
    HeatmapDisplay : Scores over the signal itself.
    sktrim.Explanation : Draws it as ``explanation.plot.components()``.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import ComponentsDisplay
    >>> parts = np.random.default_rng(0).standard_normal((2, 8, 8))
    >>> display = ComponentsDisplay.from_components(parts, ["low", "high"], [0.5, -2.0])
    >>> len(display.axes_)
    2
    """

    parts: np.ndarray
    titles: list[str]
    _: KW_ONLY
    scores: np.ndarray | None = None
    signal: np.ndarray | None = None
    color_bars: bool = True

    @classmethod
    def from_components(
        cls,
        components,
        names,
        scores,
        *,
        signal=None,
        signal_shape=None,
        n_columns: int | None = None,
        shared_scale: bool = False,
        title: str | None = None,
        ax=None,
    ) -> ComponentsDisplay:
        """Draw what each group carries of one signal.

        Parameters
        ----------
        components : array-like of shape (n_parts, *signal_shape) or (n_parts, size)
            The parts in signal space.
        names : sequence of str
            One name per part.
        scores : array-like of shape (n_parts,)
            The importance of each part.
        signal : array-like of shape signal_shape or (size,), optional
            The signal they are parts of.
        signal_shape : tuple of int, optional
            How a part is laid out, where its rows are flat.
        n_columns : int, optional
            Pictures per row; by default 3 for pictures and 1 for lines.
        shared_scale : bool, default=False
            Draw all parts on one scale, so that weak ones look weak.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; one Axes is divided; None makes a figure.

        Returns
        -------
        ComponentsDisplay

        Raises
        ------
        ValueError
            If the numbers of parts, names and scores differ, or a shape does not fit.
        """
        parts = lay_out(_check_parts(components, "components"), signal_shape)
        scores = _check_scores(scores, len(parts))
        _check_count("names", names, len(parts))
        titles = [
            f"{shorten(name, 24)}\n{score:+.3g}"
            for name, score in zip(names, scores, strict=True)
        ]
        signal = one_signal(signal, signal_shape or parts.shape[1:])
        display = cls(parts, titles, scores=scores, signal=signal)
        return display.plot(
            ax=ax, n_columns=n_columns, shared_scale=shared_scale, title=title
        )

    @classmethod
    def from_atoms(
        cls,
        atoms,
        labels,
        scores=None,
        *,
        signal_shape=None,
        n_columns: int | None = None,
        title: str | None = None,
        ax=None,
    ) -> ComponentsDisplay:
        """Draw the atoms of a dictionary, each labelled (as in TRIM, Fig. S3).

        Parameters
        ----------
        atoms : array-like of shape (n_atoms, *signal_shape) or (n_atoms, size)
            For example ``NMF().fit(X).components_``.
        labels : sequence of str
            One label per atom, such as the class it speaks for most.
        scores : array-like of shape (n_atoms,), optional
            Importances, written under the labels.
        signal_shape : tuple of int, optional
            How an atom is laid out, where its rows are flat.
        n_columns : int, optional
            Pictures per row; by default 6 for pictures and 2 for lines.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; one Axes is divided; None makes a figure.

        Returns
        -------
        ComponentsDisplay

        Raises
        ------
        ValueError
            If the numbers of atoms, labels and scores differ, or a shape does not fit.
        """
        atoms = lay_out(_check_parts(atoms, "atoms"), signal_shape)
        _check_count("labels", labels, len(atoms))
        titles = [shorten(label, 20) for label in labels]
        if scores is not None:
            scores = _check_scores(scores, len(atoms))
            titles = [
                f"{text}\n{score:+.3g}"
                for text, score in zip(titles, scores, strict=True)
            ]
        if n_columns is None:
            n_columns = 2 if is_lines(atoms) else 6
        display = cls(atoms, titles, scores=scores, color_bars=False)
        return display.plot(ax=ax, n_columns=n_columns, title=title)

    def plot(
        self,
        ax=None,
        *,
        n_columns: int | None = None,
        shared_scale: bool = False,
        title: str | None = None,
    ) -> ComponentsDisplay:
        """Draw the parts.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; one Axes is divided; None makes a figure.
        n_columns : int, optional
            Pictures per row; by default 3 for pictures and 1 for lines.
        shared_scale : bool, default=False
            Draw all parts on one scale.
        title : str, optional
            Title of the figure.

        Returns
        -------
        ComponentsDisplay
            Itself, with `figure_`, `ax_` and `axes_` set.
        """
        lines = is_lines(self.parts)
        drawn = self.parts if lines else flatten_channels(self.parts)
        n_before = int(self.signal is not None)
        if n_columns is None:
            n_columns = 1 if lines else 3
        cell = (7.0 / n_columns + 0.6, 1.5) if lines else self._picture_size()
        self.figure_, self.axes_ = axes_grid(ax, n_before + len(drawn), n_columns, cell)
        self.ax_ = self.axes_[0]
        if self.signal is not None:
            draw_named_signal(self.ax_, self.signal)
        shared = largest(drawn) if shared_scale else None
        for index, part in enumerate(drawn):
            place = self.axes_[n_before + index]
            draw = self._draw_lines if lines else self._draw_picture
            draw(place, index, part, shared)
        if lines:
            self._label_lines(n_columns)
        self._set_titles(title, ax is None)
        return self

    def _picture_size(self) -> tuple[float, float]:
        return (2.6, 2.5) if self.color_bars else (1.5, 1.9)

    def _draw_lines(self, ax, index: int, part, shared: float | None) -> None:
        score = 0.0 if self.scores is None else self.scores[index]
        color = {1: POSITIVE, -1: NEGATIVE}.get(int(np.sign(score)), NEUTRAL)
        draw_lines(ax, part, colors=(color,) if len(part) == 1 else _CHANNELS)
        if shared is not None:
            ax.set_ylim(-1.05 * shared, 1.05 * shared)
        ax.set_title(self.titles[index].replace("\n", ": "))

    def _draw_picture(self, ax, index: int, part, shared: float | None) -> None:
        ink = not self.color_bars and self.parts.min() >= 0
        limits = None if shared is None else (-shared, shared)
        cmap = "Greys" if ink else DIVERGING
        mappable = draw_image(ax, part, cmap=cmap, limits=limits)
        ax.set_title(self.titles[index])
        if self.color_bars:
            n_channels = self.parts.shape[1] if self.parts.ndim == 4 else 1
            mean = f"mean of {n_channels} channels" if n_channels > 1 else None
            add_color_bar(ax, mappable, mean)

    def _set_titles(self, title: str | None, own: bool) -> None:
        if title is not None and own:
            self.figure_.suptitle(title)
        elif title is not None:
            self.ax_.set_title(f"{title}\n{self.ax_.get_title()}")
        for ax in self.axes_:
            ax.title.set_fontsize("medium" if self.color_bars and own else "small")

    def _label_lines(self, n_columns: int) -> None:
        last = len(self.axes_) - min(n_columns, len(self.axes_))
        for index, ax in enumerate(self.axes_):
            if index >= last:
                ax.set_xlabel("position in the signal")
            else:
                ax.tick_params(labelbottom=False)


_CHANNELS = (POSITIVE, NEGATIVE, NEUTRAL, "#009E73")


def _check_parts(parts, name: str) -> np.ndarray:
    parts = np.asarray(parts, dtype=float)
    if parts.ndim < 2 or 0 in parts.shape:
        raise ValueError(
            f"{name} has shape {parts.shape}; at least one part of at least one number "
            "is needed, (n_parts, *signal_shape)."
        )
    if not np.isfinite(parts).all():
        raise ValueError(f"{name} holds NaN or infinity and cannot be drawn.")
    return parts


def _check_count(name: str, items, expected: int) -> None:
    if len(items) != expected:
        raise ValueError(f"{len(items)} {name} were given for {expected} parts.")


def _check_scores(scores, n_parts: int) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.shape != (n_parts,):
        raise ValueError(
            f"scores has shape {scores.shape} for {n_parts} parts; give one per part."
        )
    return scores
