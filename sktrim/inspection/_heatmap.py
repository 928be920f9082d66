"""Importances as colours: a matrix of samples and groups, or a map over the signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._pictures import (
    add_color_bar,
    draw_image,
    draw_matrix,
    draw_named_signal,
    draw_plane,
    draw_signal,
    draw_signed_area,
    draw_strip,
    flatten_channels,
    is_lines,
    lay_out,
    one_signal,
)
from sktrim.inspection._style import (
    axes_grid,
    check_option,
    check_values,
    in_lines,
    largest,
    one_axes,
    shorten,
)

_MOST_TICKS = 40
_SLANTED: Any = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}


@dataclass(eq=False, repr=False)
class HeatmapDisplay(Display):
    """Importances on a diverging colour map with zero at its centre.

    Make one with `from_matrix` (samples x groups), `from_signal` (the importance of
    every pixel or time step of one signal) or `from_groups` (the groups of one sample,
    beside its signal).

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_groups), (height, width) or (1, length)
        What is drawn.
    kind : {"matrix", "image", "lines", "groups", "plane"}
        How it is drawn.
    names : list of str, optional
        Names of the groups (kinds "matrix" and "groups").
    row_names : list of str, optional
        Names of the samples (kind "matrix").
    signal : ndarray, optional
        The signal drawn beside the map.
    label : str
        What the colours are.
    place : {"beside", "under"}, default="beside"
        Where the signal is drawn: see `from_signal`.
    coordinates : ndarray of shape (n_groups, 2), optional
        Where the groups lie, vertical and horizontal (kind "plane").
    unit : str, optional
        Unit of the coordinates.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        The axes of the map.
    axes_ : list of matplotlib Axes
        All axes: the map alone, or the signal and the map.

    See Also
    --------
    ComponentsDisplay : What the groups carry of a signal.
    sktrim.Explanation : Draws it as ``explanation.plot.heatmap()``.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.inspection import HeatmapDisplay
    >>> pixels = np.array([[0.0, 2.0], [-1.0, 0.0]])
    >>> HeatmapDisplay.from_signal(pixels, (2, 2)).values
    array([[ 0. ,  1. ],
           [-0.5,  0. ]])
    """

    values: np.ndarray
    kind: str
    _: KW_ONLY
    names: Sequence[str] | None = None
    row_names: Sequence[str] | None = None
    signal: np.ndarray | None = None
    label: str
    place: str = "beside"
    coordinates: np.ndarray | None = None
    unit: str | None = None

    @classmethod
    def from_matrix(
        cls,
        values,
        names,
        *,
        row_names=None,
        label: str = "importance",
        title: str | None = None,
        ax=None,
    ) -> HeatmapDisplay:
        """Draw samples x groups.

        Parameters
        ----------
        values : array-like of shape (n_samples, n_groups) or (n_groups,)
            Importances.
        names : sequence of str
            One name per group.
        row_names : sequence of str, optional
            One name per sample; without them samples are numbered.
        label : str, default="importance"
            What the values are.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        HeatmapDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit or a value is not finite.
        """
        values = check_values(values, names)
        if row_names is not None and len(row_names) != len(values):
            raise ValueError(
                f"{len(row_names)} row names were given for {len(values)} samples; "
                "give one per sample."
            )
        display = cls(values, "matrix", names=names, row_names=row_names, label=label)
        return display.plot(ax=ax, title=title)

    @classmethod
    def from_signal(
        cls,
        values,
        signal_shape,
        *,
        signal=None,
        squared: bool = False,
        place: str = "beside",
        label: str = "importance",
        title: str | None = None,
        ax=None,
    ) -> HeatmapDisplay:
        """Draw the importance of every pixel (or time step) of one signal.

        The map is summed over channels and divided by its largest magnitude.

        Parameters
        ----------
        values : array-like of shape (n_pixels,) or signal_shape
            Importances of one sample, one per number of the signal.
        signal_shape : tuple of int
            How the values are laid out: ``(length,)``, ``(height, width)``, and
            channels first where there are some.
        signal : array-like of shape (n_pixels,) or signal_shape, optional
            The signal, drawn beside the map.
        squared : bool, default=False
            Square the importances before they are summed over channels.
        place : {"beside", "under"}, default="beside"
            The signal beside an image's map and above a curve's, or under the map,
            which then is transparent where it is near zero.
        label : str, default="importance"
            What the values are.
        title : str, optional
            Title of the map.
        ax : matplotlib Axes or sequence of two, optional
            Where to draw; one Axes is divided where there is a signal; None makes a
            figure.

        Returns
        -------
        HeatmapDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit or a value is not finite.
        """
        check_option("place", place, ("beside", "under"))
        flat = check_values(np.ravel(values))
        laid_out = lay_out(flat**2 if squared else flat, signal_shape)
        lines = is_lines(laid_out)
        # the mean over channels is their sum, once the largest is 1
        heat = laid_out.mean(axis=1)[0] if lines else flatten_channels(laid_out)[0]
        heat, kind = (heat[np.newaxis], "lines") if lines else (heat, "image")
        # squared before the channels were summed
        heat = heat / largest(heat)
        label = _label(label, squared)
        signal = one_signal(signal, signal_shape)
        display = cls(heat, kind, signal=signal, label=label, place=place)
        return display.plot(ax=ax, title=title)

    @classmethod
    def from_groups(
        cls,
        values,
        names,
        *,
        coordinates=None,
        unit: str | None = None,
        signal=None,
        signal_shape=None,
        squared: bool = False,
        label: str = "importance",
        title: str | None = None,
        ax=None,
    ) -> HeatmapDisplay:
        """Draw the groups of one sample, in a strip or a plane, beside its signal.

        The values are divided by their largest magnitude.

        Parameters
        ----------
        values : array-like of shape (n_groups,)
            Importances of one sample.
        names : sequence of str
            One name per group.
        coordinates : array-like of shape (n_groups, 2), optional
            Where each group lies, along the rows of an image (vertical, downwards)
            and along its columns (horizontal). None: the groups stand in a strip.
        unit : str, optional
            Unit of the coordinates, such as "cycles/image"; "Hz, s" where they have
            one each, frequency (upwards) and time.
        signal : array-like, optional
            The signal: an image stands beside the groups, a curve above them.
        signal_shape : tuple of int, optional
            How the signal is laid out; by default as it is.
        squared : bool, default=False
            Square the importances.
        label : str, default="importance"
            What the values are.
        title : str, optional
            Title of the groups' axes.
        ax : matplotlib Axes or sequence of two, optional
            Where to draw; one Axes is divided where there is a signal; None makes a
            figure.

        Returns
        -------
        HeatmapDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit, two groups lie in one place, or a value is not
            finite.
        """
        heat = check_values(np.ravel(values), names)
        heat = heat**2 if squared else heat
        display = cls(
            heat / largest(heat),
            "groups" if coordinates is None else "plane",
            names=names,
            signal=one_signal(signal, signal_shape),
            label=_label(label, squared),
            coordinates=_check_coordinates(coordinates, heat.size),
            unit=unit,
        )
        return display.plot(ax=ax, title=title)

    def plot(self, ax=None, *, title: str | None = None) -> HeatmapDisplay:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the map.

        Returns
        -------
        HeatmapDisplay
            Itself, with `figure_`, `ax_` and `axes_` set.
        """
        if self.kind == "matrix":
            self._plot_matrix(ax)
        elif self.kind == "groups":
            self._plot_groups(ax)
        elif self.kind == "plane":
            self._plot_plane(ax)
        elif self.place == "under" and self.signal is not None:
            self._plot_over_signal(ax)
        else:
            self._plot_signal(ax)
        if title is not None:
            self.ax_.set_title(title)
        return self

    def _plot_matrix(self, ax) -> None:
        n_samples, n_groups = self.values.shape
        width = 3.0 + 0.24 * min(n_groups, _MOST_TICKS)
        height = 3.4 + 0.16 * min(n_samples, 30)
        self.figure_, self.ax_, _ = one_axes(ax, (max(width, 4.8), height))
        self.axes_ = [self.ax_]
        mappable = draw_matrix(self.ax_, self.values, largest(self.values))
        columns = _ticks(n_groups)
        names = self._short_names(columns)
        style = _SLANTED if sum(map(len, names)) > 30 else {}
        self.ax_.set_xticks(columns, names, fontsize="small", **style)
        rows = _ticks(n_samples)
        if self.row_names is not None:
            labels = [shorten(self.row_names[row], 20) for row in rows]
            self.ax_.set_yticks(rows, labels, fontsize="small")
        elif n_samples <= 20:
            self.ax_.set_yticks(rows)
        self.ax_.set_ylabel("sample")
        self.figure_.colorbar(mappable, ax=self.ax_, label=in_lines(self.label))

    def _short_names(self, picked) -> list[str]:
        return [shorten(name, 24) for name in np.asarray(self.names)[picked]]

    def _beside_signal(self, ax, n_columns: int, cell, *, bar: bool = False) -> None:
        """Make the axes, and draw the signal in the first of two."""
        n_axes = 1 if self.signal is None else 2
        self.figure_, self.axes_ = axes_grid(ax, n_axes, n_columns, cell)
        self.ax_ = self.axes_[-1]
        if self.signal is not None:
            draw_named_signal(self.axes_[0], self.signal, bar=bar)

    def _plot_signal(self, ax) -> None:
        if self.kind == "lines":
            self._beside_signal(ax, 1, (7.0, 2.0))
            draw_signed_area(self.ax_, self.values)
            self.ax_.set_ylabel(in_lines(self.label), fontsize="small")
            self.ax_.set_xlabel("position in the signal")
            return
        self._beside_signal(ax, 2, (3.8, 3.3), bar=True)
        mappable = draw_image(self.ax_, self.values, limits=(-1, 1))
        add_color_bar(self.ax_, mappable, in_lines(self.label))

    def _plot_over_signal(self, ax) -> None:
        lines = self.kind == "lines"
        figsize = (7.0, 2.4) if lines else (4.4, 3.6)
        self.figure_, self.ax_, _ = one_axes(ax, figsize, "compressed")
        self.axes_ = [self.ax_]
        draw_signal(self.ax_, self.signal, lines)
        if lines:
            mappable = draw_strip(self.ax_, self.values, self.ax_.get_ylim())
            self.ax_.set_xlabel("position in the signal")
        else:
            mappable = draw_image(self.ax_, self.values, limits=(-1, 1))
            mappable.set_alpha(np.abs(self.values))
        add_color_bar(self.ax_, mappable, in_lines(self.label))

    def _plot_groups(self, ax) -> None:
        picked = _ticks(self.values.shape[1], 24)
        names = self._short_names(picked)
        if self.signal is not None and not is_lines(self.signal[np.newaxis]):
            self._beside_signal(ax, 2, (3.8, 3.3))
            mappable = draw_matrix(self.ax_, self.values.T)
            self.ax_.set_yticks(picked, names, fontsize="small")
            self.ax_.set_xticks([])
        else:
            self._beside_signal(ax, 1, (7.0, 2.0))
            mappable = draw_matrix(self.ax_, self.values)
            self.ax_.set_xticks(picked, names, fontsize="small", **_SLANTED)
            self.ax_.set_yticks([])
        add_color_bar(self.ax_, mappable, in_lines(self.label))

    def _plot_plane(self, ax) -> None:
        under = ", " in (self.unit or "")
        self._beside_signal(ax, 1 if under else 2, (7.0, 2.4) if under else (4.6, 3.6))
        mappable = draw_plane(self.ax_, self.values[0], self.coordinates, self.unit)
        add_color_bar(self.ax_, mappable, in_lines(self.label))


def _check_coordinates(coordinates, n_groups: int) -> np.ndarray | None:
    if coordinates is None:
        return None
    coordinates = np.asarray(coordinates, float)
    if coordinates.shape != (n_groups, 2):
        raise ValueError(
            f"coordinates has shape {coordinates.shape} for {n_groups} groups; "
            f"expected ({n_groups}, 2): vertical and horizontal."
        )
    if len(np.unique(coordinates, axis=0)) < n_groups:
        raise ValueError(
            "two groups have the same coordinates, so one would hide the other; "
            "leave coordinates out to draw them in a strip."
        )
    return coordinates


def _label(label: str, squared: bool) -> str:
    quantity, bracket, rest = label.partition(" (")
    quantity = f"squared {quantity}" if squared else quantity
    return f"{quantity}{bracket}{rest}, largest = 1"


def _ticks(length: int, most: int = _MOST_TICKS) -> np.ndarray:
    return np.arange(0, length, -(-length // most))
