"""Bands of frequencies: intervals, and soft bands on the scales of hearing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

# a frequency that misses an edge by round-off belongs to the band it starts
_EDGE_TOLERANCE = 1e-9


def format_numbers(values: ArrayLike) -> list[str]:
    """Write numbers with four digits, or as many as tell different ones apart."""
    numbers = np.asarray(values, dtype=np.float64).tolist()
    n_distinct = len(set(numbers))
    texts = [repr(v) for v in numbers]
    n_whole = len(str(int(max(map(abs, numbers)))))
    for digits in (4, 6, 9, 12):
        # digits before the point are never rounded away
        short = [f"{v:.{max(digits, n_whole)}g}" for v in numbers]
        if len(set(short)) == n_distinct:
            texts = short
            break
    return [t + ".0" if t.lstrip("-").isdigit() else t for t in texts]


def check_intervals(
    radii: np.ndarray,
    *,
    n_bands: int | None = None,
    edges: ArrayLike | None = None,
    centers: ArrayLike | None = None,
    width: ArrayLike | None = None,
    name: str = "edges",
) -> np.ndarray:
    """Return the bands (n_bands, 2) as rows [lo, hi)."""
    # of equal width from 0 to the largest of `radii`; with `edges` (n_bands + 1,) of
    # touching bands, or a row per band; or of full `width` around `centers`, which may
    # overlap
    if [n_bands is None, edges is None, centers is None].count(False) != 1:
        raise ValueError(
            "by='band' needs exactly one of n_bands=, edges= or centers= with width=."
        )
    if (centers is None) != (width is None):
        raise ValueError("centers= and width= go together; one of them is missing.")
    if n_bands is not None:
        if n_bands < 1 or n_bands != int(n_bands):
            raise ValueError(f"n_bands={n_bands!r}; expected a positive integer.")
        edges = np.linspace(0, max(radii.max(), np.finfo(float).tiny), int(n_bands) + 1)
    elif edges is None:
        middle = np.atleast_1d(np.asarray(centers, dtype=np.float64))
        half = np.asarray(width, dtype=np.float64) / 2
        edges = np.stack([middle - half, middle + half], axis=-1)
    edges = np.asarray(edges, dtype=np.float64)
    if edges.ndim == 1 and edges.size > 1:
        edges = np.stack([edges[:-1], edges[1:]], axis=-1)
    if edges.ndim != 2 or edges.shape[1] != 2 or not len(edges):
        raise ValueError(
            f"{name} has shape {edges.shape}; expected a row of edges that touch, or "
            "(n, 2) for intervals that may overlap."
        )
    wrong = ~(np.isfinite(edges).all(axis=1) & (edges[:, 0] < edges[:, 1]))
    if wrong.any():
        lo, hi = edges[np.flatnonzero(wrong)[0]]
        raise ValueError(
            f"A band from {lo:g} to {hi:g} is none: {name} must be finite and "
            "increase, and width must be positive."
        )
    return edges


def inside_intervals(values: np.ndarray, intervals: np.ndarray) -> sp.csr_array:
    """Tell which values lie in every interval [lo, hi): masks (n, n_values)."""
    slack = _EDGE_TOLERANCE * max(values.max(), np.finfo(float).tiny)
    order = np.argsort(values, kind="stable")
    lows, highs = intervals.T
    # those that reach the highest edge of all include it
    closed = highs == highs.max()
    start = np.searchsorted(values, lows - slack, sorter=order)
    upper = np.where(closed, highs + slack, highs - slack)
    stop = np.maximum(start, np.searchsorted(values, upper, sorter=order))
    columns = np.concatenate(
        [order[a:b] for a, b in zip(start, stop, strict=True)], dtype=np.intp
    )
    pointers = np.concatenate([[0], np.cumsum(stop - start)])
    shape = (len(intervals), values.size)
    return sp.csr_array((np.ones(columns.size), columns, pointers), shape)


def interval_masks(
    radii: np.ndarray, intervals: np.ndarray, unit: str
) -> tuple[sp.csr_array, list[str]]:
    """Select the frequencies in every band: masks (n_bands, n_frequencies), names."""
    masks = inside_intervals(radii, intervals)
    texts = iter(format_numbers(intervals.ravel()))
    names = [f"{lo} to {hi} {unit}" for lo, hi in zip(texts, texts, strict=True)]
    _check_filled(masks, names, radii, unit)
    return masks, names


def band_groups(
    radii: np.ndarray, unit: str, *, soft: bool | None = None, **bands: Any
) -> tuple[sp.csr_array, list[str], np.ndarray]:
    """Return masks (n_bands, n_frequencies) of bands, their names and middles."""
    scale = bands["edges"] if isinstance(bands["edges"], str) else None
    if scale is not None:
        centers, warp = scale_centers(scale, bands["n_bands"], radii, unit)
        _refuse_others(scale, bands)
        return _bands_around(radii, centers, unit, warp, soft is not False)
    if not soft:
        intervals = check_intervals(radii, **bands)
        masks, names = interval_masks(radii, intervals, unit)
        return masks, names, intervals.mean(axis=1)
    if bands["centers"] is not None and bands["width"] is None:
        centers = np.array(bands["centers"], dtype=np.float64, ndmin=1)
    else:
        centers = check_intervals(radii, **bands).mean(axis=1)
    if (
        centers.ndim != 1
        or not np.isfinite(centers).all()
        or (np.diff(centers) <= 0).any()
    ):
        raise ValueError(
            "Soft bands need middles that increase, in one row; give edges= of "
            "touching bands, or centers=."
        )
    return _bands_around(radii, centers, unit, np.asarray, True)


def _refuse_others(scale: str, bands: dict) -> None:
    given = [name for name in ("centers", "width") if bands[name] is not None]
    if given:
        raise ValueError(f"{' and '.join(given)} cannot go with edges={scale!r}.")


def mel(hertz: ArrayLike) -> np.ndarray:
    """Return mels, 1000 at 1000 Hz (O'Shaughnessy 1987)."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def bark(hertz: ArrayLike) -> np.ndarray:
    """Return critical-band rates (Traunmueller 1990)."""
    hertz = np.asarray(hertz)
    return 26.81 * hertz / (1960 + hertz) - 0.53


# the scale, and its inverse
_HEARING: dict[str, tuple[Callable, Callable]] = {
    "mel": (mel, lambda m: 700 * (10 ** (m / 2595) - 1)),
    "bark": (bark, lambda z: 1960 * (z + 0.53) / (26.28 - z)),
}
_PER_OCTAVE = {"octave": 1, "third-octave": 3}
SCALES = (*_HEARING, *_PER_OCTAVE)


def scale_centers(
    scale: str, n_bands: int | None, radii: np.ndarray, unit: str
) -> tuple[np.ndarray, Callable]:
    """Return the middles of a scale's bands, and what makes them equally far apart."""
    if scale not in SCALES:
        raise ValueError(f"edges={scale!r}; as a string, expected one of {SCALES}.")
    if unit != "Hz":
        raise ValueError(
            f"edges={scale!r} is a scale in hertz, but frequencies are in {unit!r}; "
            'pass sample_spacing= in seconds (and unit="Hz").'
        )
    if scale in _PER_OCTAVE:
        if n_bands is not None:
            raise ValueError(
                f"edges={scale!r} has bands of its own; leave n_bands out."
            )
        if not (radii > 0).any():
            raise ValueError(
                f"edges={scale!r} divides frequencies above 0, and there is none; give "
                "longer signals or frames."
            )
        steps = _PER_OCTAVE[scale] * np.log2(radii[radii > 0] / 1000)
        places = np.arange(np.ceil(steps.min() - 0.5), np.floor(steps.max() + 0.5) + 1)
        # low bands hold few frequencies, and begin where each has one
        empty = [not (np.abs(steps - place) < 1).any() for place in places]
        places = places[max(np.flatnonzero(empty), default=-1) + 1 :]
        return 1000 * 2 ** (places / _PER_OCTAVE[scale]), _log2
    if n_bands is None or n_bands < 2 or n_bands != int(n_bands):
        raise ValueError(
            f"n_bands={n_bands!r}; edges={scale!r} needs an integer of at least 2."
        )
    warp, unwarp = _HEARING[scale]
    low, high = warp(0.0), warp(radii.max())
    return unwarp(np.linspace(low, high, int(n_bands))), warp


def _log2(hertz: ArrayLike) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log2(hertz)


def _bands_around(
    radii: np.ndarray, centers: np.ndarray, unit: str, warp: Callable, soft: bool
) -> tuple[sp.csr_array, list[str], np.ndarray]:
    """Share every frequency between the bands beside it, or give it to the nearer."""
    places, middles = warp(radii), warp(centers)
    below = np.searchsorted(middles, places, side="right") - 1
    lower, upper = below.clip(0), (below + 1).clip(max=len(centers) - 1)
    gap = np.where(upper > lower, middles[upper] - middles[lower], 1)
    share = np.where(upper > lower, (places - middles[lower]) / gap, 0)
    # what lies before the first middle or behind the last belongs to that band alone
    share = np.where(below < 0, 0, share)
    if not soft:
        # edges lie midway, and belong to the band above
        share = (share >= 0.5).astype(float)
    at = np.arange(len(radii))
    masks = sp.coo_array(
        (
            np.concatenate([1 - share, share]),
            (np.concatenate([lower, upper]), np.concatenate([at, at])),
        ),
        shape=(len(centers), len(radii)),
    ).tocsr()
    masks.eliminate_zeros()
    names = [f"around {text} {unit}" for text in format_numbers(centers)]
    _check_filled(masks, names, radii, unit)
    return masks, names, centers


def _check_filled(masks: sp.csr_array, names: list[str], radii: Any, unit: str) -> None:
    empty = np.flatnonzero(np.diff(masks.indptr) == 0)
    if empty.size:
        listed = ", ".join(repr(names[i]) for i in empty[:5])
        raise ValueError(
            f"{empty.size} of {len(names)} bands contain no frequency: {listed}. The "
            f"{radii.size} frequencies go from {radii.min():.6g} to {radii.max():.6g} "
            f"{unit}; take fewer or wider bands, or check sample_spacing."
        )
