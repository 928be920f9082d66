"""Words on a ground that is coloured by their scores, as a picture or a page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import DIVERGING, largest, one_axes, pyplot

_WIDTH = 84
"""Letters in a line."""
_FAINT = 0.08
"""Scores below this share of the largest have no number."""


@dataclass(eq=False, repr=False)
class TextDisplay(Display):
    """Texts whose words are coloured by scores, all on one scale.

    Red raises the explained output, blue lowers it; the number under a word says the
    same without colour.

    Parameters
    ----------
    words : list of list of str
        The words of each text, in order.
    scores : list of array-like of float
        One score per word; NaN where there is none.
    titles : list of str, optional
        What stands before each text, such as its label.
    label : str, default="score"
        Label of the colour bar.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        Likewise.

    See Also
    --------
    TreeDisplay : A tree over the words.
    sktrim.groups.tokenize_texts : Words of any tokenizer's tokens.

    Examples
    --------
    >>> from sktrim.inspection import TextDisplay
    >>> display = TextDisplay([["not", "bad"]], [[0.5, -0.2]])
    >>> print(display.to_html()[:23])
    <div class="sktrim-text
    """

    words: Sequence[Sequence[str]]
    scores: Sequence[Any]
    _: KW_ONLY
    titles: Sequence[str] | None = None
    label: str = "score"

    def __post_init__(self) -> None:
        self.words = [list(own) for own in self.words]
        self.scores = [np.asarray(own, dtype=float) for own in self.scores]
        counts = [
            (len(w), s.size)
            for w, s in zip_longest(self.words, self.scores, fillvalue=np.zeros(0))
        ]
        wrong = next((i for i, (a, b) in enumerate(counts) if a != b), None)
        if wrong is not None:
            raise ValueError(
                f"Text {wrong} has {counts[wrong][0]} words and {counts[wrong][1]} "
                "scores; give one score per word, NaN where there is none."
            )
        if not any(count for count, _ in counts):
            raise ValueError("There is no word to draw.")
        if self.titles is not None and len(self.titles) != len(self.words):
            raise ValueError(
                f"{len(self.titles)} titles were given for {len(self.words)} texts."
            )

    def limit(self) -> float:
        """Return the largest magnitude, at which colours end."""
        every = np.concatenate([np.ravel(own) for own in self.scores])
        return largest(np.nan_to_num(every))

    def plot(self, ax=None, *, title: str | None = None) -> TextDisplay:
        """Draw the texts.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the axes.

        Returns
        -------
        TextDisplay
            Itself, with `figure_` and `ax_` set.
        """
        lines = self._lines()
        height = 0.5 * len(lines) + 0.7
        self.figure_, self.ax_, _ = one_axes(ax, (9.6, height))
        colors = _colors(self.limit())
        for row, line in enumerate(lines):
            for column, word, score in line:
                self._draw_word(row, column, word, score, colors)
        self.ax_.set_xlim(0, _WIDTH)
        self.ax_.set_ylim(len(lines) - 0.35, -0.55)
        self.ax_.set_axis_off()
        bar = pyplot().colorbar(colors, ax=self.ax_, fraction=0.03, pad=0.01)
        bar.set_label(self.label, fontsize="small")
        bar.ax.tick_params(labelsize="small")
        if title is not None:
            self.ax_.set_title(title)
        return self

    def _lines(self) -> list[list[tuple[int, str, float]]]:
        """Break texts into lines of (column, word, score)."""
        lines = []
        for i, (words, scores) in enumerate(zip(self.words, self.scores, strict=True)):
            line, column = [], 0
            if self.titles is not None:
                line.append((0, f"{self.titles[i]}:", np.nan))
                column = len(self.titles[i]) + 2
            for word, score in zip(words, scores, strict=True):
                if column + len(word) > _WIDTH and line:
                    lines.append(line)
                    line, column = [], 3
                line.append((column, word, score))
                column += max(len(word), 4 * self._is_numbered(score)) + 1
            lines.append(line)
        return lines

    def _is_numbered(self, score: float) -> bool:
        return bool(abs(score) >= _FAINT * self.limit())

    def _draw_word(
        self, row: int, column: int, word: str, score: float, colors
    ) -> None:
        from matplotlib.patches import Rectangle

        ink = "black"
        if np.isfinite(score):
            ground = colors.to_rgba(score)
            box = Rectangle((column - 0.25, row - 0.36), len(word) + 0.5, 0.56)
            box.set(facecolor=ground, edgecolor="none")
            self.ax_.add_patch(box)
            ink = _ink(ground)
        font = {"family": "monospace", "fontsize": 9.5}
        text = word.replace("$", r"\$")
        middle = column + len(word) / 2
        self.ax_.text(
            middle, row - 0.08, text, ha="center", va="center", color=ink, **font
        )
        if self._is_numbered(score):
            number = {"fontsize": 6.5, "color": "0.25"}
            self.ax_.text(
                middle, row + 0.4, f"{score:+.2g}", ha="center", va="center", **number
            )

    def to_html(self) -> str:
        """Return a fragment of HTML that a page can hold.

        Returns
        -------
        str
            One ``<div>`` with styles of its own; the scores stand under the words.
        """
        colors = _colors(self.limit())
        texts = []
        for i, (words, scores) in enumerate(zip(self.words, self.scores, strict=True)):
            title = ""
            if self.titles is not None:
                title = f"<b>{html.escape(str(self.titles[i]))}:</b> "
            spans = [
                self._span(*pair, colors) for pair in zip(words, scores, strict=True)
            ]
            texts.append(f'<p style="margin:.3em 0">{title}{" ".join(spans)}</p>')
        style = "font-family:sans-serif;line-height:2.6"
        note = f"{html.escape(self.label)}: red raises it, blue lowers it"
        return (
            f'<div class="sktrim-text" style="{style}">{"".join(texts)}'
            f'<p style="font-size:small;color:#555">{note}; largest '
            f"{self.limit():.3g}</p></div>"
        )

    def _span(self, word: str, score: float, colors) -> str:
        text = html.escape(word)
        if not np.isfinite(score):
            return f"<span>{text}</span>"
        ground = colors.to_rgba(score)
        style = f"background:{_hex(ground)};color:{_ink(ground)};padding:.1em .2em"
        number = ""
        if self._is_numbered(score):
            place = "position:absolute;left:0;right:0;top:1.5em;line-height:1"
            number = (
                f'<span style="{place};font-size:.6em;color:#444;text-align:center">'
                f"{score:+.2g}</span>"
            )
        whole = "position:relative;display:inline-block;line-height:1.2"
        return (
            f'<span style="{whole}" title="{score:+.4g}">'
            f'<span style="{style}">{text}</span>{number}</span>'
        )

    def _repr_html_(self) -> str:
        return self.to_html()


def _colors(limit: float) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    pyplot()
    return ScalarMappable(Normalize(-limit, limit), DIVERGING)


def _hex(color) -> str:
    from matplotlib.colors import to_hex

    return to_hex(color)


def _ink(color) -> str:
    """Return the colour of letters that are read on a ground."""
    return "white" if np.dot(color[:3], (0.299, 0.587, 0.114)) < 0.5 else "black"
