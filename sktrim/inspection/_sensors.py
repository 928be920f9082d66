"""Values of sensors, such as electrodes, drawn where the sensors are."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._pictures import add_color_bar
from sktrim.inspection._style import DIVERGING, axes_grid, largest, shorten


@dataclass(eq=False, repr=False)
class SensorsDisplay(Display):
    """Maps of sensors: one picture for each component, a dot for each sensor.

    Make one with `from_values`.

    Parameters
    ----------
    values : ndarray of shape (n_maps, n_sensors)
        What colours the sensors, zero at the centre of the colours.
    positions : ndarray of shape (n_sensors, 2)
        Where they are, seen from above: to the right, and to the front.
    titles : list of str
        One per map.
    names : list of str or None
        Written beside the sensors.

    Attributes
    ----------
    figure_ : matplotlib Figure
        Where `plot` drew last.
    ax_ : matplotlib Axes
        The first of `axes_`.
    axes_ : list of matplotlib Axes
        One per map.

    See Also
    --------
    sktrim.AlongAxis : Components over the axis of sensors, such as ICA's.
    ComponentsDisplay : Components that are signals or images.

    Examples
    --------
    What two components weigh four electrodes by:

    >>> import numpy as np
    >>> from sktrim.inspection import SensorsDisplay
    >>> places = [[-1, 0], [1, 0], [0, 1], [0, -1]]
    >>> weights = [[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 1.0]]
    >>> display = SensorsDisplay.from_values(weights, places, ["left", "front"])
    >>> len(display.axes_)
    2
    """

    values: np.ndarray
    positions: np.ndarray
    titles: list[str]
    _: KW_ONLY
    names: list[str] | None = None

    @classmethod
    def from_values(
        cls,
        values,
        positions,
        titles=None,
        *,
        names=None,
        title: str | None = None,
        ax=None,
    ) -> SensorsDisplay:
        """Draw maps of sensors.

        Parameters
        ----------
        values : array-like of shape (n_maps, n_sensors) or (n_sensors,)
            For example the ``mixing_`` of an ICA over electrodes, transposed.
        positions : array-like of shape (n_sensors, 2)
            Where the sensors are: to the right, and to the front.
        titles : sequence of str, optional
            One per map.
        names : sequence of str, optional
            Names of the sensors, written beside them.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; one Axes is divided; None makes a figure.

        Returns
        -------
        SensorsDisplay

        Raises
        ------
        ValueError
            If the shapes do not fit, or a number is not finite.
        """
        values = np.atleast_2d(np.asarray(values, dtype=float))
        positions = np.asarray(positions, dtype=float)
        n_maps, n_sensors = values.shape
        if positions.shape != (n_sensors, 2):
            raise ValueError(
                f"positions has shape {positions.shape} for {n_sensors} sensors; "
                f"expected ({n_sensors}, 2): to the right and to the front."
            )
        if not (np.isfinite(values).all() and np.isfinite(positions).all()):
            raise ValueError("values or positions hold NaN or infinity.")
        titles = [f"map {i}" for i in range(n_maps)] if titles is None else list(titles)
        for what, given, count in (
            ("titles", titles, n_maps),
            ("names", names, n_sensors),
        ):
            if given is not None and len(given) != count:
                raise ValueError(f"{len(given)} {what} were given; expected {count}.")
        display = cls(values, positions, titles, names=names)
        return display.plot(ax=ax, title=title)

    def plot(self, ax=None, *, title: str | None = None) -> SensorsDisplay:
        """Draw the maps.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the figure.

        Returns
        -------
        SensorsDisplay
            Itself, with `figure_`, `ax_` and `axes_` set.
        """
        n_maps = len(self.values)
        self.figure_, self.axes_ = axes_grid(ax, n_maps, min(4, n_maps), (2.3, 2.3))
        self.ax_ = self.axes_[0]
        limit = largest(self.values)
        for own, row, name in zip(self.axes_, self.values, self.titles, strict=True):
            dots = own.scatter(
                *self.positions.T,
                c=row,
                cmap=DIVERGING,
                vmin=-limit,
                vmax=limit,
                s=90,
                edgecolors="0.3",
                linewidths=0.8,
            )
            for place, text in zip(self.positions, self.names or [], strict=False):
                own.annotate(text, place, (0, 7), textcoords="offset points",
                             ha="center", fontsize="x-small")  # fmt: skip
            own.set_title(shorten(name, 24), fontsize="small")
            own.set_aspect("equal")
            own.margins(0.2)
            own.set_axis_off()
        add_color_bar(self.axes_[min(3, n_maps - 1)], dots)
        if title is not None:
            self.figure_.suptitle(title)
        return self
