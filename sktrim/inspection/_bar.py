"""The groups that matter most, as horizontal bars."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._style import (
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    check_option,
    check_values,
    magnitude_of,
    shorten,
    spread_limits,
)


@dataclass(eq=False, repr=False)
class BarDisplay(Display):
    """Horizontal bars, one per group, the largest on top.

    Of several samples a bar is the mean magnitude of the group's importance and its
    colour the sign of the mean; of one sample it is the signed importance. Use
    `from_values` to make one.

    Parameters
    ----------
    names : list of str
        Names of the groups drawn, largest first.
    lengths : ndarray of shape (n_drawn,)
        Lengths of the bars.
    signs : ndarray of shape (n_drawn,)
        Sign of the mean importance of each group, the colour of its bar.
    whiskers : tuple (lower, upper, label) or None
        Two arrays of shape (n_drawn,) and what they mean.
    label : str
        What the lengths are, for the axis.
    single : bool, default=False
        Whether they are the values of one sample, not means.
    is_parent : ndarray of bool, shape (n_drawn,), optional
        Which bars are sums of the thinner ones under them.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        Where `plot` drew last.

    See Also
    --------
    CurveDisplay : For groups that lie on an axis.
    sktrim.Explanation : Draws it as ``explanation.plot.bar()``.

    Examples
    --------
    >>> from sktrim.inspection import BarDisplay
    >>> values = [[1.0, -2.0], [0.5, -1.0]]
    >>> display = BarDisplay.from_values(values, ["low", "high"])
    >>> display.names, display.ax_.get_xlabel()
    (['high', 'low'], 'mean |importance|')
    """

    names: list[str]
    lengths: np.ndarray
    signs: np.ndarray
    whiskers: tuple[np.ndarray, np.ndarray, str] | None
    label: str
    _: KW_ONLY
    single: bool = False
    is_parent: np.ndarray | None = None

    @classmethod
    def from_values(
        cls,
        values,
        names,
        *,
        k: int = 10,
        by: str = "abs",
        spread: str | None = "quantiles",
        std_errors=None,
        parents=None,
        label: str = "importance",
        title: str | None = None,
        ax=None,
    ) -> BarDisplay:
        """Draw the `k` most important groups, under their parents where they have any.

        Parameters
        ----------
        values : array-like of shape (n_samples, n_groups) or (n_groups,)
            Importances.
        names : sequence of str
            One name per group.
        k : int, default=10
            How many groups are drawn, at most.
        by : {"abs", "signed"}, default="abs"
            Rank by magnitude (its mean over samples), or by signed (mean) value.
        spread : {"quantiles", "std", None}, default="quantiles"
            Whiskers of several samples: the 10 % and 90 % quantiles of what the bar
            is the mean of, or one standard deviation either way.
        std_errors : array-like of shape (n_groups,) or (1, n_groups), optional
            Standard errors of a single sample's values, drawn as whiskers.
        parents : sequence of str, optional
            What each group is a part of: every parent has a bar, the sum of all of its
            groups, and those of its groups that are drawn stand under it.
        label : str, default="importance"
            What the values are.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        BarDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit, a value is not finite, or `k` is below 1.
        """
        values = check_values(values, names)
        check_option("by", by, ("abs", "signed"))
        if k < 1:
            raise ValueError(f"k={k} groups cannot be drawn; k must be at least 1.")
        single, n_groups = len(values) == 1, values.shape[1]
        if parents is not None:
            values, names, parents = _with_sums(values, names, parents)
            std_errors = None
        heights = np.abs(values) if by == "abs" and not single else values
        lengths = heights.mean(axis=0)
        rank = np.abs(lengths) if by == "abs" else lengths
        order = np.argsort(-rank[:n_groups], kind="stable")[:k]
        if parents is not None:
            order = _under_parents(order, rank, parents, n_groups)
        whiskers = _whiskers(heights, std_errors, spread)
        if whiskers is not None:
            lower, upper, meaning = whiskers
            if by == "abs" and not single:
                lower = lower.clip(0)
            whiskers = lower[order], upper[order], meaning
        if not single:
            label = f"mean {magnitude_of(label) if by == 'abs' else label}"
        display = cls(
            [str(names[index]) for index in order],
            lengths[order],
            np.sign(values.mean(axis=0))[order],
            whiskers,
            label,
            single=single,
            is_parent=None if parents is None else order >= n_groups,
        )
        return display.plot(ax=ax, title=title)

    def _size(self) -> tuple[float, float]:
        longest = max(len(shorten(name, 40)) for name in self.names)
        return max(6.4, 4.6 + 0.075 * longest), 1.4 + 0.27 * len(self.lengths)

    def _draw(self, own: bool) -> list:
        n_bars = len(self.lengths)
        positions = np.arange(n_bars)
        colors = [NEGATIVE if sign < 0 else POSITIVE for sign in self.signs]
        whole = self.is_parent
        heights = np.full(n_bars, 0.7) if whole is None else np.where(whole, 0.8, 0.4)
        self.ax_.barh(positions, self.lengths, color=colors, height=heights)
        self._draw_whiskers(positions)
        self.ax_.axvline(0, color=NEUTRAL, linewidth=0.8)
        self.ax_.set_yticks(positions, [shorten(name, 40) for name in self.names])
        for label, bold in zip(self.ax_.get_yticklabels(), heights > 0.7, strict=True):
            label.set_fontweight("bold" if bold else "normal")
        self.ax_.set_ylim(n_bars - 0.4, -0.6)
        if not self.lengths.any():
            self.ax_.set_xlim(0, 1)
        self.ax_.set_xlabel(self.label)
        self.ax_.spines[["top", "right"]].set_visible(False)
        return self._legend_handles()

    def _draw_whiskers(self, positions) -> None:
        if self.whiskers is None:
            return
        lower, upper, _ = self.whiskers
        self.ax_.errorbar(
            (lower + upper) / 2,
            positions,
            xerr=(upper - lower) / 2,
            fmt="none",
            ecolor=NEUTRAL,
            elinewidth=1,
            capsize=2,
        )

    def _legend_handles(self) -> list:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        end = "the output" if self.single else "on average"
        handles: list = [
            Patch(color=color, label=f"{verb} {end}")
            for color, verb, sign in ((POSITIVE, "raises", 1), (NEGATIVE, "lowers", -1))
            if (self.signs == sign).any()
        ]
        if self.whiskers is not None:
            meaning = self.whiskers[2]
            handles.append(Line2D([], [], color=NEUTRAL, marker="|", label=meaning))
        return handles


def _with_sums(values, names, parents) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Append the sum of each parent's groups, and return whose each column is."""
    if len(parents) != values.shape[1]:
        raise ValueError(
            f"{len(parents)} parents were given for {values.shape[1]} groups; give one "
            "per group."
        )
    distinct, of = np.unique(np.asarray(parents, dtype=str), return_inverse=True)
    sums = values @ (of[:, np.newaxis] == np.arange(len(distinct)))
    of = np.concatenate([of, np.arange(len(distinct))])
    return np.hstack([values, sums]), [*names, *distinct.tolist()], of


def _under_parents(order, rank, parents, n_groups: int) -> np.ndarray:
    """Return the parents of picked groups, the first first, each before its groups."""
    rows = []
    for parent in np.argsort(-rank[n_groups:], kind="stable"):
        own = [group for group in order if parents[group] == parent]
        rows += [n_groups + parent, *own] if own else []
    return np.array(rows)


def _whiskers(heights, std_errors, spread):
    if len(heights) > 1 or std_errors is None:
        return spread_limits(heights, spread)
    errors = np.asarray(std_errors, dtype=float).reshape(-1)
    if len(errors) != heights.shape[1]:
        raise ValueError(
            f"std_errors has {len(errors)} entries for {heights.shape[1]} groups; give "
            "one per group."
        )
    return heights[0] - errors, heights[0] + errors, "± 1 standard error"
