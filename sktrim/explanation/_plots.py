"""The `.plot` accessor: an Explanation's arrays handed to the displays."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from sktrim.explanation._arrays import LARGE_ERROR
from sktrim.explanation._queries import ExplanationQueries
from sktrim.explanation._tables import parents_of
from sktrim.groups._text import split_words
from sktrim.inspection import (
    BarDisplay,
    ComponentsDisplay,
    CurveDisplay,
    HeatmapDisplay,
    TextDisplay,
)
from sktrim.inspection._style import check_option, shorten


class ExplanationPlots:
    """Pictures of an explanation, reached as ``explanation.plot``.

    Every method returns a display with `figure_` and `ax_` and shows nothing by
    itself. All need matplotlib (the `plot` extra).

    Parameters
    ----------
    explanation : Explanation
        What is drawn.
    """

    def __init__(self, explanation: ExplanationQueries):
        self._explanation = explanation

    def bar(
        self,
        k: int = 10,
        *,
        sample: int | None = None,
        target: int | str | None = None,
        by: str = "abs",
        spread: str | None = "quantiles",
        title: str | None = None,
        ax=None,
    ) -> BarDisplay:
        """Draw the `k` groups that matter most as horizontal bars.

        Groups with parents stand under them, whose bars are the sums of all of their
        groups.

        Parameters
        ----------
        k : int, default=10
            How many groups, at most.
        sample : int, optional
            Draw the signed values of this sample; by default the mean over samples.
        target : int or str, optional
            Which target, needed where there are several.
        by : {"abs", "signed"}, default="abs"
            Rank (and average) magnitudes or signed values.
        spread : {"quantiles", "std", None}, default="quantiles"
            Whiskers: the 10-90 % quantiles over samples, or a standard deviation. The
            whiskers of one sample are its standard errors, where it has them.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        BarDisplay
        """
        chosen = self._choose(target, sample)
        return BarDisplay.from_values(
            chosen.values,
            chosen.group_names,
            k=k,
            by=by,
            spread=spread,
            std_errors=chosen.std_errors if len(chosen) == 1 else None,
            parents=parents_of(chosen),
            label=self._label(),
            title=self._title(title, chosen, sample),
            ax=ax,
        )

    def curve(
        self,
        *,
        by=None,
        by_label: str | None = None,
        target: int | str | None = None,
        statistic: str = "mean",
        spread: str | None = "quantiles",
        absolute: bool = False,
        samples: bool = False,
        log: bool = False,
        xlabel: str | None = None,
        title: str | None = None,
        ax=None,
    ) -> CurveDisplay:
        """Draw importance over the axis that the groups lie on.

        Channels scored separately have a curve each; directions of one frequency are
        averaged, and a residual lies nowhere.

        Parameters
        ----------
        by : None, "target" or array-like of shape (n_samples,), default=None
            One curve per label.
        by_label : str, optional
            What the labels measure, where they are numbers: curves are coloured by
            them, with a colour bar of that name.
        target : int or str, optional
            Which target, needed where there are several.
        statistic : {"mean", "median"}, default="mean"
            What the curve is, over samples.
        spread : {"quantiles", "std", None}, default="quantiles"
            The band over samples.
        absolute : bool, default=False
            Take magnitudes first.
        samples : bool, default=False
            Also draw a thin line per sample.
        log : bool, default=False
            Logarithmic axis.
        xlabel : str, optional
            Name of the horizontal axis, in place of the one made from `unit`.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        CurveDisplay

        Raises
        ------
        ValueError
            If the groups lie on no axis.
        """
        chosen = self._choose(target, None)
        return CurveDisplay.from_values(
            chosen.values,
            chosen.centers,
            unit=_whole_unit(chosen),
            channels=_channels(chosen.group_names),
            by=None if by is None else chosen.sample_labels(by),
            by_label=by_label,
            statistic=statistic,
            spread=spread,
            absolute=absolute,
            samples=samples,
            log=log,
            label=self._label(),
            xlabel=xlabel,
            title=self._title(title, chosen, None),
            ax=ax,
        )

    def horizon(
        self,
        places=None,
        *,
        k: int = 7,
        sample: int | None = None,
        absolute: bool = True,
        statistic: str = "mean",
        spread: str | None = "quantiles",
        xlabel: str | None = None,
        title: str | None = None,
        ax=None,
    ) -> CurveDisplay:
        """Draw the score of each group over the targets in their order.

        For targets that lie on an axis, such as the steps of a forecast.

        Parameters
        ----------
        places : array-like of shape (n_targets,), optional
            Where the targets lie, for example lead times; None: their numbers, or
            names where they have some.
        k : int, default=7
            How many groups, at most: those of the largest mean magnitude over samples
            and targets, in their own order.
        sample : int, optional
            Draw this sample; by default all of them.
        absolute : bool, default=True
            Take magnitudes first.
        statistic : {"mean", "median"}, default="mean"
            What the curve is, over samples.
        spread : {"quantiles", "std", None}, default="quantiles"
            The band over samples, of up to three groups.
        xlabel : str, optional
            What the places are; "target" by default.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        CurveDisplay

        Raises
        ------
        ValueError
            If each sample has one target, `k` is below 1, or `places` are not one
            number per target.
        """
        chosen = self._of_several_targets(sample)
        values, names = chosen.values, np.asarray(chosen.group_names)
        places, ticks = _target_places(places, chosen)
        if k < 1:
            raise ValueError(f"k={k} groups cannot be drawn; k must be at least 1.")
        rank = np.abs(values).mean(axis=(0, 2))
        top = np.sort(np.argsort(-rank, kind="stable")[:k])
        display = CurveDisplay.from_values(
            values[:, top].reshape(len(chosen), -1),
            np.tile(places, len(top)),
            channels=np.repeat(names[top], len(places)),
            statistic=statistic,
            spread=spread,
            absolute=absolute,
            label=self._label(),
            xlabel="target" if xlabel is None else xlabel,
            title=title if title or sample is None else f"sample {sample}",
            ax=ax,
        )
        if ticks is not None:
            display.ax_.set_xticks(places, ticks)
        return display

    def heatmap(
        self,
        *,
        sample: int | None = None,
        kind: str = "auto",
        signal=None,
        squared: bool = False,
        place: str = "beside",
        target: int | str | None = None,
        title: str | None = None,
        ax=None,
    ) -> HeatmapDisplay:
        """Draw samples x groups, or one sample's importances and its signal.

        A map of one sample is divided by its largest magnitude; zero is at the centre
        of the colours. Over the signal, channels are summed.

        Parameters
        ----------
        sample : int, optional
            Which sample; the map over the signal needs one.
        kind : {"auto", "matrix", "signal", "plane", "groups"}, default="auto"
            "matrix": samples x groups. "signal": the groups of one sample laid out as
            the signal, one group per number of it. "plane": the groups of one sample
            where they lie in a plane, such as the frequencies of an image. "groups":
            the groups of one sample in a row. "auto" is "matrix" without `sample`,
            else "signal" where `signal_space` says that the groups are
            those, else "plane" where the groups have two coordinates, else "groups".
        signal : array-like, optional
            The signal drawn beside the map; by default the sample's own, where
            `signals` is known.
        squared : bool, default=False
            Square the importances of the sample, before channels are summed.
        place : {"beside", "under"}, default="beside"
            For kind "signal": the signal beside the map, or under it.
        target : int or str, optional
            Which target, needed where there are several.
        title : str, optional
            Title of the map.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        HeatmapDisplay

        Raises
        ------
        ValueError
            If `kind` is unknown, the groups are not one per number of the signal, or
            they lie in no plane.
        """
        check_option("kind", kind, ("auto", "matrix", "signal", "plane", "groups"))
        chosen = self._choose(target, sample)
        title = self._title(title, chosen, sample)
        if kind == "auto":
            kind = _heatmap_kind(chosen, sample)
        common: dict = {"label": self._label(), "title": title, "ax": ax}
        if kind == "matrix":
            return HeatmapDisplay.from_matrix(
                chosen.values,
                chosen.group_names,
                row_names=None if sample is None else [str(sample)],
                **common,
            )
        common["signal"] = _signal(chosen) if signal is None else signal
        common["squared"] = squared
        if kind in ("signal", "plane"):
            chosen = chosen.without_residual()
        if kind == "signal":
            shape = _mappable_shape(chosen)
            return HeatmapDisplay.from_signal(
                chosen.values[0], shape, place=place, **common
            )
        return HeatmapDisplay.from_groups(
            _one_sample(chosen).values[0],
            chosen.group_names,
            coordinates=_plane(chosen) if kind == "plane" else None,
            unit=_whole_unit(chosen),
            signal_shape=chosen.signal_shape,
            **common,
        )

    def text(
        self,
        text: str | Sequence[str],
        *,
        sample: int | None = None,
        target: int | str | None = None,
        title: str | None = None,
        ax=None,
    ) -> TextDisplay:
        """Draw the words of a text, coloured by their scores.

        Parameters
        ----------
        text : str or sequence of str
            A text: its words have the scores of the groups of that name, in any case of
            letters, such as the words of a vectorizer. Or one word per group, in order,
            such as tokens; empty ones are left out.
        sample : int, optional
            Which sample; needed where there are several.
        target : int or str, optional
            Which target, needed where there are several.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        TextDisplay
            Its ``to_html()`` is a fragment for a page.

        Raises
        ------
        ValueError
            If no word is the name of a group, or there is not one word per group.
        """
        chosen = _one_sample(self._choose(target, sample))
        words, scores = _scored_words(text, chosen)
        display = TextDisplay([words], [scores], label=self._label())
        return display.plot(ax=ax, title=self._title(title, chosen, sample))

    def components(
        self,
        sample: int = 0,
        k: int = 5,
        *,
        target: int | str | None = None,
        by: str = "abs",
        signal=None,
        n_columns: int | None = None,
        shared_scale: bool = False,
        title: str | None = None,
        ax=None,
    ) -> ComponentsDisplay:
        """Draw the parts of one sample that its most important groups carry.

        Parameters
        ----------
        sample : int, default=0
            Which sample.
        k : int, default=5
            How many groups, at most.
        target : int or str, optional
            Which target, needed where there are several.
        by : {"abs", "signed"}, default="abs"
            Rank the groups by magnitude or by signed value.
        signal : array-like, optional
            The signal drawn first; by default the sample's own, where `signals` is
            known.
        n_columns : int, optional
            Pictures per row.
        shared_scale : bool, default=False
            Draw all parts on one scale, so that weak ones look weak.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        ComponentsDisplay

        Raises
        ------
        ValueError
            If this Explanation knows no way back to signal space.
        """
        chosen = self._choose(target, sample)
        top = chosen.top_k(k, by=by)
        parts = [chosen.component(0, int(group)) for group in top.indices[0]]
        return ComponentsDisplay.from_components(
            np.stack(parts),
            top.names[0],
            top.values[0],
            signal=_signal(chosen) if signal is None else signal,
            signal_shape=chosen.signal_shape,
            n_columns=n_columns,
            shared_scale=shared_scale,
            title=self._title(title, chosen, sample),
            ax=ax,
        )

    def _of_several_targets(self, sample: int | None) -> ExplanationQueries:
        chosen = self._explanation
        if chosen.values.ndim == 2:
            raise ValueError(
                "each sample here has one target, so there is no horizon to draw; "
                "explain with target='all', or with an index into the outputs such as "
                "(slice(None), 0). plot.bar and plot.curve draw one target."
            )
        _check_samples(chosen)
        return chosen if sample is None else chosen[int(sample)]

    def _choose(self, target, sample) -> ExplanationQueries:
        chosen = self._explanation
        _check_samples(chosen)
        if target is not None:
            chosen = chosen.for_target(target)
        elif chosen.values.ndim == 3:
            known = chosen.target_names or f"0 to {chosen.values.shape[2] - 1}"
            raise ValueError(
                f"each sample here has {chosen.values.shape[2]} targets; say which one "
                f"to draw with target= ({known}), or draw all with plot.horizon()."
            )
        return chosen if sample is None else chosen[int(sample)]

    def _label(self) -> str:
        return f"importance ({self._explanation.scorer}, {self._explanation.output})"

    def _title(
        self, title: str | None, chosen: ExplanationQueries, sample
    ) -> str | None:
        if title is not None:
            return title
        words = [] if sample is None else [f"sample {sample}"]
        one_target = sample is not None or self._explanation.values.ndim == 3
        labels = chosen.target_labels()
        if one_target and labels is not None:
            words.append(f"target {labels[0]}")
        lines, error = [", ".join(words)], chosen.reconstruction_error
        if error is not None and error > LARGE_ERROR:
            lines.append(f"reconstruction error {error:.2f}")
        return "\n".join(filter(None, lines)) or None


def _scored_words(text: str | Sequence[str], chosen: ExplanationQueries):
    """Return words, and their scores, NaN where a word has none."""
    values, names = chosen.values[0], list(chosen.group_names)
    if isinstance(text, str):
        words = split_words(text)
        known = {name.lower(): value for name, value in zip(names, values, strict=True)}
        scores = [known.get(word.lower(), np.nan) for word in words]
        if np.isnan(scores).all():
            raise ValueError(
                f"No word of {text[:60]!r} is the name of a group, such as "
                f"{names[:3]}. Pass one word per group, in a list."
            )
        return words, scores
    n_words = len(chosen.without_residual().group_names)
    if len(text) != n_words:
        raise ValueError(
            f"{len(text)} words were given for {n_words} groups; give one per group, "
            "empty where there is none."
        )
    kept = [i for i, word in enumerate(text) if word]
    return [text[i] for i in kept], values[kept]


def _check_samples(chosen: ExplanationQueries) -> None:
    if not len(chosen):
        raise ValueError("this Explanation has no samples, so nothing can be drawn.")


def _target_places(places, chosen: ExplanationQueries):
    """Give where the targets lie, and their names where those are to be written."""
    n_targets = chosen.values.shape[2]
    if places is None:
        ticks = chosen.target_names
        if ticks is not None:
            ticks = [shorten(name, 12) for name in ticks]
        return np.arange(n_targets), ticks
    places = np.asarray(places, dtype=float)
    if places.shape != (n_targets,) or not np.isfinite(places).all():
        raise ValueError(
            f"places has shape {places.shape} for {n_targets} targets; give one finite "
            "number per target."
        )
    if len(np.unique(places)) < n_targets:
        raise ValueError("two targets have the same place; give each one its own.")
    return places, None


def _channels(names: list[str]) -> list[str]:
    """Read the channels that transforms of signals put in front of names."""
    matches = [re.match(r"channel(\d+|\(\d+(, \d+)*\))(?= )", name) for name in names]
    return ["" if match is None else match[0] for match in matches]


def _whole_unit(chosen: ExplanationQueries) -> str | None:
    """Say what bare cycles are cycles per: the image, or the signal."""
    if chosen.unit != "cycles":
        return chosen.unit
    n_axes = chosen.n_axes
    if n_axes is None:
        n_axes = sum(length > 1 for length in chosen.signal_shape or ())
    return "cycles/image" if n_axes > 1 else "cycles/signal"


def _signal(chosen: ExplanationQueries):
    if chosen.signals is None:
        return None
    signals = chosen.signals
    return sp.csr_array(signals).toarray()[0] if sp.issparse(signals) else signals[0]


def _heatmap_kind(chosen: ExplanationQueries, sample) -> str:
    """Choose a map over the signal where the groups are the numbers of it."""
    if len(chosen) != 1:
        return "matrix"
    n_groups = chosen.without_residual().values.shape[1]
    shape = chosen.signal_shape
    if chosen.signal_space and shape:
        if int(np.prod(shape)) == n_groups:
            return "signal"
    if sample is None:
        return "matrix"
    return "groups" if _coordinates(chosen) is None else "plane"


def _coordinates(chosen: ExplanationQueries) -> np.ndarray | None:
    """Give where the groups lie in a plane, if they do."""
    groups = chosen.feature_groups
    if groups is None or groups.coordinates is None:
        return None
    return groups.coordinates if groups.coordinates.shape[1] == 2 else None


def _plane(chosen: ExplanationQueries) -> np.ndarray:
    coordinates = _coordinates(chosen)
    if coordinates is None:
        raise ValueError(
            "kind='plane' needs groups with two coordinates, such as the natural "
            "groups of a FourierTransformer of images; use kind='groups'."
        )
    return coordinates


def _one_sample(chosen: ExplanationQueries) -> ExplanationQueries:
    if len(chosen) != 1:
        raise ValueError(
            f"this picture is of one sample, not {len(chosen)}; say which with sample=."
        )
    return chosen


def _mappable_shape(chosen: ExplanationQueries) -> tuple[int, ...]:
    _one_sample(chosen)
    n_groups, shape = chosen.values.shape[1], chosen.signal_shape
    if shape is None or int(np.prod(shape)) != n_groups:
        raise ValueError(
            f"a map over the signal needs one group per number of it, but there are "
            f"{n_groups} groups and signal_shape={shape}. Explain without a "
            "transformer, or draw plot.components, which goes back to signal space."
        )
    return shape
