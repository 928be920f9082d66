"""DeepLIFT of operations that pick a value: pooling, extremes, ranks.

A picked value moves from y0 to y. Let it rise. A value that counts is not below y in
the sample and not above y0 in the baseline: it has risen by at least y - y0, so that
giving it the difference makes a multiplier in [0, 1]. There always is one, for the
maximum as for the k-th largest. In this order the difference goes to

1. what is picked in the sample and in the baseline (and so all the way between them),
2. what is picked in the sample (in the baseline, where y falls),
3. what is picked in the baseline (in the sample),
4. anything else that counts,

in equal shares to the first of these sets that is not empty. Equal values are shared
among so that their order does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from sktrim.propagation.backward._deeplift import finite, on_base
from sktrim.propagation.backward._method import (
    identity_gradient,
    plainly,
    with_gradient,
)
from sktrim.propagation.carrier import Carrier, is_plain
from sktrim.propagation.layouts import laid_out
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import pool_arguments
from sktrim.propagation.windows import Windows

# so many values of windows are looked at together
_AT_ONCE = 2**22

Sources = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]


@dataclass
class Picked:
    """The values that were picked, all tensors flat."""

    # of the sample, or of the baseline
    value: torch.Tensor
    # where in the flat input it was found
    index: torch.Tensor
    # returns where other values of its window may be the same
    tied: Callable[[], torch.Tensor]


def share_out(
    method: Any, call: Call, x: Carrier, mine: Picked, other: Picked, sources: Sources
) -> torch.Tensor:
    """Return flat values whose gradients are the multipliers of the module's rule."""
    # `mine` is picked for the sample, `other` for the baseline; `sources` tells of
    # which flat positions a window chooses, and which of those are real
    full, rel = x.full.detach().reshape(-1), x.rel.reshape(-1)
    y, y0 = mine.value, other.value
    rising = y >= y0
    start = rel.take(mine.index)
    counts = torch.where(rising, start <= y0, start >= y0)
    end = full.take(other.index)
    others = torch.where(rising, end >= y, end <= y)
    first = (start == y0) | counts & (rising | ~others)
    index, hard = mine.index, mine.tied()
    if not first.all():
        index = torch.where(first, index, other.index)
        hard = hard | ~first & other.tied() | ~(counts | others)
    step = full.take(index) - rel.take(index)
    slope = finite(torch.where(step == 0, 1, (y - y0) / step))
    rows = hard.nonzero().squeeze(1)
    if not len(rows):
        return with_gradient(x.full, y.clone(), _shared, x.full, index, slope)
    slope[rows] = 0
    width = sources(rows[:1])[0].shape[1]
    shares = [
        _shares(some, full, rel, y[some], y0[some], *sources(some))
        for some in rows.split(max(1, _AT_ONCE // width))
    ]
    more = [torch.cat(parts) for parts in zip(*shares, strict=True)]
    if len(more[0].unique_consecutive()) < len(rows):
        method.refuse(call.func, "in an order of its own has no rule")
    return with_gradient(x.full, y.clone(), _shared, x.full, index, slope, *more)


def _shared(
    gradient: torch.Tensor,
    like: torch.Tensor,
    index: torch.Tensor,
    slope: torch.Tensor,
    window: torch.Tensor | None = None,
    place: Any = None,
    share: Any = None,
) -> torch.Tensor:
    """Add up the gradient of every window at the places that it chose."""
    back = gradient.new_zeros(like.numel())
    back.scatter_add_(0, index, gradient * slope)
    if window is not None:
        back.scatter_add_(0, place, gradient[window] * share)
    return back.reshape(like.shape)


def _shares(
    rows: torch.Tensor,
    full: torch.Tensor,
    rel: torch.Tensor,
    y: torch.Tensor,
    y0: torch.Tensor,
    at: torch.Tensor,
    real: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return windows, flat positions and multipliers of all that is chosen."""
    f, b, y, y0 = full.take(at), rel.take(at), y[:, None], y0[:, None]
    rising = y >= y0
    every = torch.where(rising, (f >= y) & (b <= y0), (f <= y) & (b >= y0))
    every = every if real is None else every & real
    picked, start = every & (f == y), every & (b == y0)
    both = picked & start
    chosen = torch.where(rising, picked, start)
    chosen = torch.where(both.any(1, keepdim=True), both, chosen)
    left = ~chosen.any(1)
    if left.any():
        other = torch.where(rising, start, picked)[left]
        other = torch.where(other.any(1, keepdim=True), other, every[left])
        chosen[left] = other
    row, column = chosen.nonzero(as_tuple=True)
    at, counts = at[row, column], chosen.sum(1)
    step = full.take(at) - rel.take(at)
    slope = torch.where(step == 0, 1, (y - y0)[row, 0] / step) / counts[row]
    return rows[row], at, slope


_POOLS = [f"{a}max_pool{d}d" for a in ("", "adaptive_") for d in (1, 2, 3)]


@rule("deeplift", *_POOLS)
def pool(method: Any, call: Call) -> Any:
    """Pick the largest of every window."""
    x, options, wants_indices = pool_arguments(call)
    name = call.operation.name

    def picked(tensor: torch.Tensor) -> tuple:
        windows = Windows(tensor, name, options, wants_indices)

        def tied() -> torch.Tensor:
            several = torch.zeros_like(windows.winners, dtype=torch.bool)
            return several.index_fill_(0, windows.ties(), True)

        return windows, Picked(windows.values.flatten(), windows.winners, tied)

    with torch.no_grad():
        (windows, mine), (start, other) = map(picked, (x.full, x.rel))

    out = share_out(method, call, x, mine, other, windows.sources)
    out = laid_out(out.unflatten(0, windows.values.shape), windows.values)
    call.rel = (start.values, None) if wants_indices else start.values
    return (out, windows.indices) if wants_indices else out


@rule("deeplift", "max", "min", "amax", "amin")
def extreme(method: Any, call: Call) -> Any:
    """Pick along axes; of two operands by a difference and a ReLU."""
    x, dim, keepdim = call.bind("input", dim=None, keepdim=False)
    dim = call.kwargs.get("axis", call.kwargs.get("other", dim))
    if is_plain(dim) or isinstance(dim, Carrier):
        return larger(method, Call(call.operation, call.func, (x, dim), {}))
    largest = call.operation.name.endswith("max")
    count = x.full.ndim
    dims = tuple(range(count)) if dim is None or dim == () else dim
    dims = sorted(d % count for d in ((dims,) if isinstance(dims, int) else dims))
    kept = [d for d in range(count) if d not in dims]

    def along(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.permute(*kept, *dims).flatten(len(kept))

    def best(tensor: torch.Tensor) -> tuple:
        return (tensor.max if largest else tensor.min)(-1, keepdim=True)

    flat = Carrier(method, along(x.full), along(x.rel))
    with torch.no_grad():
        values, bases = best(flat.full), best(flat.rel)
    out: Any = _in_rows(method, call, flat, values, bases).squeeze(-1)
    for d in dims if keepdim else ():
        out = out.unsqueeze(d)
    full = plainly(call)
    if is_plain(full):
        return laid_out(out, full)
    return type(full)((laid_out(out, full[0]), full[1]))


@rule("deeplift", "maximum", "minimum", "fmax", "fmin")
def larger(method: Any, call: Call) -> Any:
    """Add what one operand exceeds the other by."""
    a, b = (_bounded(value) for value in call.bind("input", "other"))
    largest = call.operation.name in ("max", "maximum", "fmax")
    out = torch.relu(a - b) + b if largest else a - torch.relu(a - b)
    # a huge constant, as masks are, has swallowed what it was compared with
    return identity_gradient(out.full, plainly(call))


def _bounded(value: Any) -> Any:
    """Return a constant without infinities, from which nothing differs by a number."""
    if not is_plain(value) or not value.is_floating_point():
        return value
    bound = torch.finfo(value.dtype).max / 4
    return value.clamp(-bound, bound)


@rule("deeplift", "topk", "sort", "kthvalue", "median", "cummax", "cummin")
def ranked(method: Any, call: Call) -> Any:
    """Pick along an axis, by rank."""
    x = call.carriers[0]
    full = plainly(call)
    call.rel = base = on_base(call)
    if is_plain(full):
        # the median of all
        return method(torch.median, (x.reshape(-1), 0), {})[0]
    if not x.full.ndim:
        return type(full)((x.full.clone(), full[1]))
    place = 2 if call.operation.name in ("topk", "kthvalue") else 1
    dim = call.kwargs.get("dim", call.args[place] if len(call.args) > place else -1)
    kept = full[0].ndim == x.full.ndim

    def in_rows(pair: Any) -> list[torch.Tensor]:
        return [(t if kept else t.unsqueeze(dim)).movedim(dim, -1) for t in pair]

    flat = Carrier(method, x.full.movedim(dim, -1), x.rel.movedim(dim, -1))
    running = call.operation.name.startswith("cum")
    out = _in_rows(method, call, flat, in_rows(full), in_rows(base), running)
    out = out.movedim(-1, dim)
    out = laid_out(out if kept else out.squeeze(dim), full[0])
    return type(full)((out, full[1]))


@rule("deeplift", "mode")
def most_frequent(method: Any, call: Call) -> Any:
    """Refuse: what is picked is no matter of rank, and a small step may swap it."""
    method.refuse(call.func)


def _in_rows(
    method: Any, call: Call, x: Carrier, mine: Any, other: Any, running: bool = False
) -> torch.Tensor:
    """Return what is picked along the last axis; (values, indices) are given."""
    size, width = x.full.shape[-1], mine[0].shape[-1]
    rows = x.full.numel() // max(1, size)
    origins = size * torch.arange(rows, device=x.full.device)[:, None]

    def picked(tensor: torch.Tensor, ranking: Any) -> Picked:
        value, index = (t.reshape(rows, width) for t in ranking)

        def tied() -> torch.Tensor:
            ordered = tensor.detach().reshape(rows, size).contiguous().sort(-1).values
            value_ = value.contiguous()
            first = torch.searchsorted(ordered, value_)
            last = torch.searchsorted(ordered, value_, right=True)
            return (last - first > 1).flatten()

        return Picked(value.flatten(), (index + origins).flatten(), tied)

    def sources(windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        # `running`: the window of a result goes as far as its own position
        steps = torch.arange(size, device=windows.device)
        at = origins[windows // width] + steps
        return at, steps <= (windows % width)[:, None] if running else None

    pair = (picked(x.full, mine), picked(x.rel, other))
    out = share_out(method, call, x, *pair, sources)
    return out.reshape(mine[0].shape)
