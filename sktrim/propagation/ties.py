"""Means over the values that tie for a place, so that their order decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from sktrim.propagation.windows import Windows

# so many values of all masks are gathered at once, or one of every tied window
_AT_ONCE = 2**20
_FEW = 8


def pooled_parts(parts: torch.Tensor, windows: Windows) -> torch.Tensor:
    """Return the parts of the largest value of every window, in a tie their mean."""
    # `parts` are (K, *x.shape), the windows a max pooling of x
    parts, winners = parts.flatten(1), windows.winners
    tied, table, counts = windows.tied_sources()
    if not len(tied):
        picked = parts.index_select(1, winners)
    elif len(parts) * table.numel() <= _AT_ONCE:
        # one look at the parts, which are more than a processor's cache holds
        every = parts.index_select(1, torch.cat([winners, table.flatten()]))
        picked, values = every.tensor_split([len(winners)], 1)
        values = values.unflatten(1, table.shape)
        runs = (values[:, a:b, :rows] for a, b, rows in _runs(table, counts))
        picked = _put(picked, tied, _means(runs, table, counts))
    else:
        runs = _gathered(parts, table, counts)
        picked = parts.index_select(1, winners)
        picked = _put(picked, tied, _means(runs, table, counts))
    return picked.unflatten(1, windows.values.shape)


def _put(parts: torch.Tensor, at: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    at = at.expand(len(parts), -1)
    if torch.is_grad_enabled():
        return parts.scatter(1, at, values)
    return parts.scatter_(1, at, values)


def _means(
    runs: Iterable[torch.Tensor], table: torch.Tensor, counts: torch.Tensor | None
) -> torch.Tensor:
    """Return the means (K, windows) of runs of values, (K, slots, windows) each."""
    total: Any = None
    for values in runs:
        if total is None:
            total = _sum(values)
        else:
            total[:, : values.shape[2]] += _sum(values)
    return total.div_(len(table) if counts is None else counts)


def _gathered(
    parts: torch.Tensor, table: torch.Tensor, counts: torch.Tensor | None
) -> Iterator[torch.Tensor]:
    """Yield the parts that the table points to, (K, slots, windows), not too many."""
    for start, stop, rows in _runs(table, counts):
        slots = table[start:stop, :rows]
        for some in slots.split(max(1, _AT_ONCE // (rows * len(parts)))):
            yield parts.index_select(1, some.flatten()).unflatten(1, some.shape)


def _runs(
    table: torch.Tensor, counts: torch.Tensor | None
) -> Iterator[tuple[int, int, int]]:
    """Yield from where to where equally many windows, the first, have tied values."""
    if counts is None:
        yield 0, len(table), table.shape[1]
        return
    sizes, rows = (v.tolist() for v in counts.unique_consecutive(return_counts=True))
    start, left = 0, sum(rows)
    for stop, fewer in zip(reversed(sizes), reversed(rows), strict=True):
        yield start, stop, left
        start, left = stop, left - fewer


def _sum(values: torch.Tensor) -> torch.Tensor:
    """Return the sum along axis 1; of few terms it is faster one by one."""
    count = values.shape[1]
    if not 1 < count <= _FEW:
        return values.sum(1)
    total = values[:, 0] + values[:, 1]
    for slot in range(2, count):
        total += values[:, slot]
    return total


def extreme_parts(
    parts: torch.Tensor, values: torch.Tensor, largest: bool
) -> torch.Tensor:
    """Return the parts of the extreme along the last axis, their mean in a tie."""
    # `parts` are (K, *values.shape)
    winner = (values.argmax if largest else values.argmin)(-1, keepdim=True)
    picked = parts.gather(-1, winner.expand(len(parts), *winner.shape)).squeeze(-1)
    best = values == values.gather(-1, winner)
    counts = best.sum(-1)
    tied = (counts > 1).flatten().nonzero().squeeze(1)
    if not len(tied):
        return picked
    best, counts = best.flatten(0, -2)[tied], counts.flatten()[tied]
    some = torch.where(best, parts.flatten(1, -2)[:, tied], 0)
    means = some.sum(-1) / counts
    flat = _put(picked.flatten(1), tied, means)
    return flat.unflatten(1, winner.shape[:-1])


def evened_parts(parts: torch.Tensor, values: torch.Tensor, dim: int) -> torch.Tensor:
    """Return parts of which equal values along an axis all have the mean."""
    # `parts` are (K, *values.shape)
    dim = dim % values.ndim
    ordered, order = values.sort(dim)
    size = values.shape[dim]
    new = ordered.narrow(dim, 1, size - 1) != ordered.narrow(dim, 0, size - 1)
    if new.all():
        return parts
    runs = torch.zeros_like(order)
    runs.narrow(dim, 1, size - 1).copy_(new.cumsum(dim))
    runs = torch.zeros_like(order).scatter(dim, order, runs)
    counts = torch.zeros_like(order).scatter_add(dim, runs, torch.ones_like(order))
    runs = runs.expand(parts.shape)
    sums = torch.zeros_like(parts).scatter_add(dim + 1, runs, parts)
    return (sums / counts.clamp(min=1)).gather(dim + 1, runs)
