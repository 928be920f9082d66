"""How one signal, or a part of one, is drawn: as a picture or as lines."""

from __future__ import annotations

import numpy as np

from sktrim.inspection._style import (
    DIVERGING,
    NEGATIVE,
    NEUTRAL,
    PALETTE,
    POSITIVE,
    axis_label,
    largest,
)

# a short first axis beside a long second one is channels of a 1-D signal
_MOST_CHANNELS = 4


def lay_out(signals, signal_shape=None) -> np.ndarray:
    """Lay signals out as ``(n, height, width)`` or ``(n, channels, length)``."""
    signals = np.asarray(signals)
    n_signals = len(signals)
    shape = signals.shape[1:] if signal_shape is None else tuple(signal_shape)
    size = int(np.prod(signals.shape[1:]))
    if int(np.prod(shape)) != size:
        raise ValueError(
            f"signal_shape={shape} asks for {int(np.prod(shape))} numbers, but a "
            f"signal here has {size}; give the shape that one row is laid out as."
        )
    # a signal without axes left is one number
    shape = tuple(length for length in shape if length > 1)
    if len(shape) < 2:
        return signals.reshape(n_signals, 1, size)
    if len(shape) > 3:
        raise ValueError(
            f"a signal of shape {shape} cannot be drawn: displays know 1-D signals, "
            "images and images with channels first. Draw slices of it instead."
        )
    return signals.reshape(n_signals, *shape)


def one_signal(signal, signal_shape) -> np.ndarray | None:
    """Lay one signal out, its own shape by default; None stays None."""
    if signal is None:
        return None
    signal = np.asarray(signal)
    return lay_out(signal.ravel()[np.newaxis], signal_shape or signal.shape)[0]


def is_lines(laid_out: np.ndarray) -> bool:
    """Whether signals from `lay_out` are 1-D, one line per channel."""
    if laid_out.ndim != 3:
        return False
    n_channels, length = laid_out.shape[1:]
    return n_channels == 1 or (n_channels <= _MOST_CHANNELS and length > 16)


def flatten_channels(laid_out: np.ndarray) -> np.ndarray:
    """Give images ``(n, height, width)``, averaged over channels."""
    return laid_out if laid_out.ndim == 3 else laid_out.mean(axis=1)


def _bare(ax) -> None:
    ax.set_xticks([])
    ax.set_yticks([])


def add_color_bar(ax, mappable, label: str | None = None) -> None:
    """Put a colour bar as high as the picture to its right."""
    from matplotlib.ticker import MaxNLocator

    bar_ax = ax.inset_axes((1.04, 0, 0.05, 1))
    bar = ax.figure.colorbar(mappable, cax=bar_ax, ticks=MaxNLocator(nbins=5))
    bar_ax.tick_params(labelsize="small")
    if label is not None:
        bar.set_label(label, fontsize="small")


def draw_image(ax, image, *, cmap: str = DIVERGING, limits=None):
    """Draw ``(height, width)``; on the diverging map zero is at the centre."""
    if limits is None and cmap == DIVERGING:
        limits = (-largest(image), largest(image))
    low, high = limits if limits is not None else (None, None)
    _bare(ax)
    return ax.imshow(image, cmap=cmap, vmin=low, vmax=high, interpolation="nearest")


def draw_lines(ax, channels, *, colors=PALETTE) -> None:
    """Draw ``(channels, length)`` as one line per channel over the sample index."""
    marker = "o" if channels.shape[1] == 1 else None
    for index, line in enumerate(channels):
        color = colors[index % len(colors)]
        label = f"channel {index}" if len(channels) > 1 else None
        ax.plot(line, color=color, linewidth=1, marker=marker, label=label)
    if len(channels) > 1:
        ax.legend(fontsize="x-small", loc="best")
    if channels.shape[1] > 1:
        ax.set_xlim(0, channels.shape[1] - 1)
    ax.margins(y=0.1)
    ax.tick_params(labelsize="small")


def draw_signal(ax, laid_out_signal, lines: bool):
    """Draw lines, grey levels, or colours where it has RGB in [0, 1]."""
    # returns the mappable that a colour bar can be made for, or None
    if lines:
        draw_lines(ax, laid_out_signal, colors=(NEUTRAL, *PALETTE))
        return None
    rgb = laid_out_signal.ndim == 3 and len(laid_out_signal) == 3
    if rgb and laid_out_signal.min() >= 0 and laid_out_signal.max() <= 1:
        _bare(ax)
        ax.imshow(np.moveaxis(laid_out_signal, 0, -1), interpolation="nearest")
        return None
    image = flatten_channels(laid_out_signal[np.newaxis])[0]
    return draw_image(ax, image, cmap="gray")


def draw_named_signal(ax, laid_out_signal, *, bar: bool = True) -> None:
    """Draw a signal under its title, with a colour bar where it has grey levels."""
    mappable = draw_signal(ax, laid_out_signal, is_lines(laid_out_signal[np.newaxis]))
    ax.set_title("signal")
    if bar and mappable is not None:
        add_color_bar(ax, mappable)


def draw_plane(ax, values, coordinates, unit: str | None):
    """Colour places of a plane by values within [-1, 1], grey where there is none."""
    # `coordinates` holds a row (vertical, horizontal) for every value
    vertical, rows = np.unique(coordinates[:, 0], return_inverse=True)
    horizontal, columns = np.unique(coordinates[:, 1], return_inverse=True)
    image = np.full((len(vertical), len(horizontal)), np.nan)
    image[rows, columns] = values
    ax.set_facecolor("0.9")
    mappable = ax.pcolormesh(
        horizontal, vertical, image, cmap=DIVERGING, vmin=-1, vmax=1, shading="nearest"
    )
    if unit is not None and ", " in unit:
        # frequency and time
        names = [axis_label(one) for one in unit.rsplit(", ", 1)]
    else:
        # downwards as the rows of an image, so that directions are the same in both
        ax.invert_yaxis()
        spans = np.ptp(horizontal), np.ptp(vertical)
        if max(spans) < 4 * min(spans):
            ax.set_aspect("equal")
        name = axis_label(unit).replace(" (", "\n(")
        names = [f"vertical {name}", f"horizontal {name}"]
    ax.set_ylabel(names[0], fontsize="small")
    ax.set_xlabel(names[1], fontsize="small")
    ax.tick_params(labelsize="small")
    return mappable


def draw_matrix(ax, values, limit: float = 1.0, **style):
    """Colour cells that fill the axes, with zero at the centre of the colours."""
    style = {"aspect": "auto", "interpolation": "nearest", **style}
    return ax.imshow(values, cmap=DIVERGING, vmin=-limit, vmax=limit, **style)


def draw_strip(ax, row, heights):
    """Colour the background of a curve by ``(1, length)`` values within [-1, 1]."""
    extent = (-0.5, row.shape[1] - 0.5, *heights)
    return draw_matrix(ax, row, extent=extent, zorder=0, alpha=0.8)


def draw_signed_area(ax, channels) -> None:
    """Draw ``(channels, length)``, summed over channels, filled by sign."""
    heights = channels.sum(axis=0)
    positions = np.arange(len(heights))
    for color, part in ((POSITIVE, heights.clip(0)), (NEGATIVE, -(-heights).clip(0))):
        ax.fill_between(positions, part, color=color, step="mid", linewidth=0)
    ax.axhline(0, color=NEUTRAL, linewidth=0.8)
    ax.set_xlim(-0.5, len(heights) - 0.5)
    ax.set_ylim(-1.05, 1.05)
    ax.tick_params(labelsize="small")
