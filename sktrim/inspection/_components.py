"""Parts of a signal, or atoms of a dictionary, drawn in signal space."""

from __future__ import annotations

import numpy as np

from sktrim.inspection._pictures import (
    draw_image,
    draw_lines,
    draw_signal,
    flatten_channels,
    is_lines,
    lay_out,
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


class ComponentsDisplay:
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
    """

    def __init__(self, parts, titles, *, scores=None, signal=None, color_bars=True):
        self.parts = parts
        self.titles = titles
        self.scores = scores
        self.signal = signal
        self.color_bars = color_bars

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
        if signal is not None:
            signal = lay_out(
                np.ravel(signal)[np.newaxis], signal_shape or parts.shape[1:]
            )
            signal = signal[0]
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
        drawn = self.parts if lines else flatten_channels(self.parts, "mean")
        n_axes = len(drawn) + (self.signal is not None)
        if n_columns is None:
            n_columns = 1 if lines else 3
        if lines:
            cell = (7.0 / n_columns + 0.6, 1.5)
        else:
            cell = (2.6, 2.5) if self.color_bars else (1.5, 1.9)
        self.figure_, self.axes_ = axes_grid(ax, n_axes, n_columns, cell)
        self.ax_ = self.axes_[0]
        if self.signal is not None:
            mappable = draw_signal(self.axes_[0], self.signal, lines)
            self.axes_[0].set_title("signal", fontsize="medium")
            self._add_color_bar(mappable, self.axes_[0])
        shared = largest(drawn) if shared_scale else None
        for index, part in enumerate(drawn):
            self._draw_part(
                self.axes_[index + n_axes - len(drawn)], index, part, shared
            )
        if lines:
            self._label_lines(n_columns)
        if title is not None:
            self.figure_.suptitle(title)
        return self

    def _draw_part(self, ax, index: int, part, shared: float | None) -> None:
        score = 0.0 if self.scores is None else self.scores[index]
        color = {1: POSITIVE, -1: NEGATIVE}.get(int(np.sign(score)), NEUTRAL)
        title = self.titles[index]
        limits = None if shared is None else (-shared, shared)
        if part.ndim == 2 and is_lines(self.parts):
            draw_lines(ax, part, colors=(color,) if len(part) == 1 else _CHANNELS)
            if limits is not None:
                ax.set_ylim(1.05 * limits[0], 1.05 * limits[1])
            title = title.replace("\n", ": ")
            mappable = None
        elif not self.color_bars and self.parts.min() >= 0:
            mappable = draw_image(ax, part, cmap="Greys")
        else:
            mappable = draw_image(ax, part, cmap=DIVERGING, limits=limits)
        ax.set_title(title, fontsize="medium" if self.color_bars else "small")
        self._add_color_bar(mappable, ax)

    def _add_color_bar(self, mappable, ax) -> None:
        if mappable is None or not self.color_bars:
            return
        bar = self.figure_.colorbar(mappable, ax=ax, shrink=0.8)
        bar.ax.tick_params(labelsize="small")
        bar.locator = _few_ticks()
        bar.update_ticks()

    def _label_lines(self, n_columns: int) -> None:
        last = len(self.axes_) - min(n_columns, len(self.axes_))
        for index, ax in enumerate(self.axes_):
            if index >= last:
                ax.set_xlabel("position in the signal")
            else:
                ax.tick_params(labelbottom=False)


_CHANNELS = (POSITIVE, NEGATIVE, NEUTRAL, "#009E73")


def _few_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=4)


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


def _check_count(name: str, given, expected: int) -> None:
    if len(given) != expected:
        raise ValueError(f"{len(given)} {name} were given for {expected} parts.")


def _check_scores(scores, n_parts: int) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.shape != (n_parts,):
        raise ValueError(
            f"scores has shape {scores.shape} for {n_parts} parts; give one per part."
        )
    return scores
