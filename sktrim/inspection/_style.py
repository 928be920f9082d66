"""What every display shares: matplotlib on demand, colours, labels and axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# Okabe and Ito's palette without its yellow, which is faint on white
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
POSITIVE, NEGATIVE, NEUTRAL = "#D55E00", "#0072B2", "#4D4D4D"
DIVERGING = "RdBu_r"
LINE_STYLES = ("-", "--", ":", "-.")


def pyplot():
    """Import matplotlib.pyplot, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib, which cannot be imported here. Install the 'plot' "
            "extra: pip install 'sktrim[plot]'. Tables and arrays work without it."
        ) from error
    return plt


def shorten(name, width: int = 28) -> str:
    """Cut a long name at `width` characters and end it with an ellipsis."""
    text = str(name).replace("\n", " ").replace("$", r"\$")
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def magnitude_of(label: str) -> str:
    """Put the quantity of a label between bars."""
    quantity, bracket, rest = label.partition(" (")
    return f"|{quantity}|{bracket}{rest}"


def in_lines(label: str) -> str:
    """Put the scorer and what follows it on lines of their own."""
    return label.replace(" (", "\n(").replace("), ", ")\n")


def axis_label(unit: str | None) -> str:
    """Name the axis that group centres of this unit lie on."""
    if unit is None:
        return "centre of the group"
    word = unit.lower()
    if "cycle" in word or word.startswith("1/"):
        places = ("image", "pixel", "arcmin", "degree", "metre", "meter", "mm", "mpc")
        spatial = any(place in word for place in places)
        return f"{'spatial ' if spatial else ''}frequency ({unit})"
    if word.endswith("hz"):
        return f"frequency ({unit})"
    if word in ("s", "samples", "sample unit"):
        return f"time ({unit})"
    if word in ("multipole", "level", "topic"):
        return word
    return f"centre of the group ({unit})"


def check_values(values, names: Sequence[str] | None = None) -> np.ndarray:
    """Give `values` as a finite float array ``(n_samples, n_groups)``."""
    values = np.asarray(values, dtype=float)
    if values.ndim == 1:
        values = values[np.newaxis]
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"values has shape {values.shape}; a display draws at least one sample of "
            "at least one group, (n_samples, n_groups) or (n_groups,). Where there are "
            "several targets, choose one first."
        )
    if not np.isfinite(values).all():
        raise ValueError("values holds NaN or infinity; leave those samples out first.")
    if names is not None and len(names) != values.shape[1]:
        raise ValueError(
            f"{len(names)} names were given for {values.shape[1]} groups; give one "
            "name per column of values."
        )
    return values


def check_option(name: str, value, options: Sequence[Any]) -> None:
    """Raise a ValueError unless `value` is one of `options`."""
    if not any(value is option or value == option for option in options):
        allowed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name}={value!r} is not known; use one of {allowed}.")


def spread_limits(values: np.ndarray, spread: str | None):
    """Lower limit, upper limit and label of the spread of `values` over axis 0."""
    check_option("spread", spread, ("quantiles", "std", None))
    if spread is None or len(values) < 2:
        return None
    if spread == "std":
        mean, std = values.mean(axis=0), values.std(axis=0)
        return mean - std, mean + std, "± 1 standard deviation over samples"
    low, high = np.quantile(values, [0.1, 0.9], axis=0)
    return low, high, "10-90 % of samples"


def largest(values: np.ndarray) -> float:
    """Give the largest magnitude, or 1 where all values are zero."""
    return float(np.abs(values).max(initial=0.0)) or 1.0


def one_axes(ax, figsize: tuple[float, float], layout: Any = "constrained"):
    """Give the figure, the axes, and whether the figure is new."""
    # the layout of a picture, whose shape is fixed, is "compressed"
    if ax is not None:
        return ax.figure, ax, False
    figure, ax = pyplot().subplots(figsize=figsize, layout=layout)
    return figure, ax, True


def axes_grid(ax, n_axes: int, n_columns: int, cell: tuple[float, float]):
    """Give the figure and a list of `n_axes` axes, laid out row by row."""
    # `ax` is None (a new figure with cells of size `cell` in inches), one Axes (which
    # is divided), or a sequence of at least `n_axes` Axes
    n_columns = min(n_columns, n_axes)
    n_rows = math.ceil(n_axes / n_columns)
    if ax is None:
        size = (cell[0] * n_columns, cell[1] * n_rows)
        figure = pyplot().figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(n_rows, n_columns)
    elif isinstance(ax, np.ndarray | list | tuple):
        chosen = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(chosen) < n_axes:
            raise ValueError(
                f"ax holds {len(chosen)} axes, but {n_axes} are drawn; give that many, "
                "a single Axes to be divided, or None for a new figure."
            )
        return chosen[0].figure, chosen[:n_axes]
    else:
        figure = ax.figure
        ax.set_axis_off()
        grid = ax.get_subplotspec().subgridspec(n_rows, n_columns)
    cells = [divmod(index, n_columns) for index in range(n_axes)]
    return figure, [figure.add_subplot(grid[row, column]) for row, column in cells]


def place_legend(figure, ax, handles: list, own: bool) -> None:
    """Put the legend outside the axes of a figure of ours, else where it fits best."""
    if not handles:
        return
    if not own:
        ax.legend(handles=handles, loc="best", fontsize="small")
        return
    few = len(handles) <= 4
    place = "outside lower center" if few else "outside right upper"
    n_columns = len(handles) if few else 1
    figure.legend(handles=handles, loc=place, frameon=False, ncols=n_columns)
