"""Means over the values that tie for a place, so that their order decides nothing."""

from __future__ import annotations

import itertools
import math
import operator
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.layouts import pooled_as_predicted

# so many values of all masks are gathered at once, or one of every tied window
_AT_ONCE = 2**18
# places of a window up to which each is looked at by itself, values from which on
_SMALL = 9
_MANY = 2**14
# the positions of windows are kept for another call where they are so few
_KEPT = 2**20


def pooled_parts(parts: torch.Tensor, windows: Windows) -> torch.Tensor:
    """Return the parts of the largest value of every window, in a tie their mean."""
    # `parts` are (K, *x.shape), the windows a max pooling of x
    parts = parts.flatten(1)
    picked = parts.index_select(1, windows.winners)
    tied = windows.ties()
    if len(tied):
        tied, table, counts = windows.tied_sources(tied)
    if len(tied):
        means = _means(parts, table, counts)
        picked = _put(picked, tied.expand(len(parts), -1), means)
    return picked.unflatten(1, windows.indices.shape)


def _put(parts: torch.Tensor, at: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    if torch.is_grad_enabled():
        return parts.scatter(1, at, values)
    return parts.scatter_(1, at, values)


class Windows:
    """A max pooling of x, its windows and where their largest values are."""

    def __init__(self, x: torch.Tensor, name: str, options: Any, indexed: bool) -> None:
        spatial = int(name[-2])
        self.x, self.name = x.detach(), name
        self.shape = tuple(x.shape[-spatial:])
        self.fixed: _Fixed = None
        if not name.startswith("adaptive"):
            size = options["kernel_size"]
            stride = options.get("stride")
            self.fixed = tuple(
                _each(value, spatial)
                for value in (
                    size,
                    size if stride is None or stride == [] else stride,
                    options.get("padding", 0),
                    options.get("dilation", 1),
                )
            )
        pooled = self._in_slices(options)
        if pooled is None:
            pool = getattr(F, name)
            pooled = *pool(self.x, **options, return_indices=True), None
        # what torch gives, and where it finds it, flat in the last axes
        values, self.indices, self._several = pooled
        # whether the model too asks for the indices
        asked = {**options, "return_indices": indexed}
        self.values = pooled_as_predicted(values, self.x, name, asked)
        self.sizes = tuple(self.indices.shape[-spatial:])
        planes = self.indices.numel() // math.prod(self.sizes)
        self.origins = torch.arange(planes, device=x.device) * math.prod(self.shape)
        flat = self.indices.reshape(planes, -1) + self.origins[:, None]
        # the same, flat in all of x and one after the other
        self.winners = flat.flatten()

    def _in_slices(self, options: Any) -> Any:
        """Return values, places and ties by one look at each place of small windows."""
        # torch looks at one value after the other: five times as long for many windows;
        # None where windows are large, few or reach over the edge, or a NaN is there
        x = self.x
        if self.fixed is None or x.numel() < _MANY or options.get("ceil_mode"):
            return None
        if math.prod(self.fixed[0]) > _SMALL or any(self.fixed[2]):
            return None
        size, stride, _, dilation = self.fixed
        reach = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
        counts = [
            (n - r - 1) // s + 1
            for n, r, s in zip(self.shape, reach, stride, strict=True)
        ]
        if min(counts) < 1 or x.sum().isnan():
            return None
        starts = [
            [d * i for i in range(k)] for k, d in zip(size, dilation, strict=True)
        ]
        slices = [
            x[(..., *(slice(a, a + s * (n - 1) + 1, s) for a, n, s in
                      zip(at, counts, stride, strict=True)))]
            for at in itertools.product(*starts)
        ]  # fmt: skip
        values, place, several = _largest(slices)
        steps = [math.prod(self.shape[i + 1 :]) for i in range(len(size))]
        offsets = [
            sum(map(operator.mul, at, steps)) for at in itertools.product(*starts)
        ]
        indices = torch.tensor(offsets, device=x.device)[place.long()]
        for axis, (n, s, step) in enumerate(zip(counts, stride, steps, strict=True)):
            shape = [n if i == axis else 1 for i in range(len(counts))]
            indices += (torch.arange(n, device=x.device) * (s * step)).view(shape)
        return values, indices, several

    def ties(self) -> torch.Tensor:
        """Return the windows in which several values are the largest, or a NaN is."""
        several = self._several
        if several is None:
            several = self._last_winners() != self.indices
        return several.flatten().nonzero().squeeze(1)

    def _last_winners(self) -> torch.Tensor:
        """Return where torch finds the largest values when it looks from the end."""
        axes = tuple(range(-len(self.sizes), 0))
        pool = getattr(F, self.name)
        if self.fixed is None:
            mirrored = self.x.flip(axes)
            indices = pool(mirrored, self.sizes, return_indices=True)[1].flip(axes)
            return math.prod(self.shape) - 1 - indices
        size, stride, padding, dilation = self.fixed
        covered = [
            (n - 1) * s + d * (k - 1) + 1
            for n, k, s, d in zip(self.sizes, size, stride, dilation, strict=True)
        ]
        edges: list[int] = []
        for length, n, p in zip(covered, self.shape, padding, strict=True):
            edges = [p, length - n - p, *edges]
        x = F.pad(self.x, edges, value=-math.inf) if any(edges) else self.x
        options = {"stride": stride, "dilation": dilation, "return_indices": True}
        indices = pool(x.flip(axes), size, **options)[1].flip(axes)
        indices = math.prod(covered) - 1 - indices
        return self._unpadded(indices, covered, padding) if any(edges) else indices

    def _unpadded(
        self, index: torch.Tensor, covered: list[int], padding: tuple[int, ...]
    ) -> torch.Tensor:
        """Translate flat indices of the padded values into those of the values."""
        out: Any = 0
        step = 1
        for length, n, p in reversed(
            list(zip(covered, self.shape, padding, strict=True))
        ):
            out = out + (index % length - p) * step
            index, step = index // length, step * n
        return out

    def sources(
        self, windows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return where windows look, (windows, width), and which places are real."""
        count = math.prod(self.sizes)
        small = count * math.prod(self.shape) <= _KEPT
        build = _kept_places if small else _places
        places, inside = build(self.shape, self.sizes, self.fixed, self.x.device)
        at = windows % count
        sources = places[at] + self.origins[windows // count][:, None]
        return sources, None if inside is None else inside[at]

    def tied_sources(
        self, tied: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return windows, where their tied winners are, and how many each has."""
        # windows with more of them come first: row i of the table is of all that have
        # more than i; `counts` is None where all have as many
        flat = self.x.flatten()
        sources, inside = self.sources(tied)
        best = flat.take(sources) == flat.take(self.winners.take(tied))[:, None]
        best = best if inside is None else best & inside
        if best.all():
            return tied, sources.T.contiguous(), None
        counts, order = best.sum(1).sort(descending=True)
        first = best.to(torch.int8).argsort(dim=1, descending=True, stable=True)
        sources = sources.gather(1, first)
        several = int((counts > 1).sum())
        order, counts = order[:several], counts[:several]
        most = int(counts[0]) if several else 0
        return tied[order], sources[order, :most].T.contiguous(), counts


def _largest(
    slices: list[torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the largest of several tensors, which is the first, whether others are."""
    best = slices[0].clone()
    place = torch.zeros_like(best, dtype=torch.uint8)
    several = torch.zeros_like(best, dtype=torch.bool)
    for k, values in enumerate(slices[1:], 1):
        better = values > best
        several &= ~better
        several |= values == best
        # places only grow
        torch.maximum(place, better.to(torch.uint8) * k, out=place)
        torch.maximum(best, values, out=best)
    return best, place, several


_Fixed = tuple[tuple[int, ...], ...] | None


def _places(
    shape: tuple[int, ...], sizes: tuple[int, ...], fixed: _Fixed, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return flat positions of every window, (windows, width), and which are real."""
    places: Any = torch.zeros(1, 1, dtype=torch.long, device=device)
    inside: Any = torch.ones(1, 1, dtype=torch.bool, device=device)
    for axis, (n, count) in enumerate(zip(shape, sizes, strict=True)):
        at = torch.arange(count, device=device)[:, None]
        if fixed is None:
            start, stop = at * n // count, ((at + 1) * n + count - 1) // count
            place = start + torch.arange(-(-n // count) + 1, device=device)
            valid = place < stop
        else:
            size, stride, padding, dilation = (values[axis] for values in fixed)
            steps = dilation * torch.arange(size, device=device)
            place = at * stride - padding + steps
            valid = (place >= 0) & (place < n)
        place = place.clamp(0, n - 1)
        places = places[:, None, :, None] * n + place[:, None]
        inside = inside[:, None, :, None] & valid[:, None]
        places, inside = (v.flatten(2).flatten(0, 1) for v in (places, inside))
    return places, None if inside.all() else inside


_kept_places = lru_cache(maxsize=32)(_places)


def _each(value: Any, count: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


def _means(
    parts: torch.Tensor, table: torch.Tensor, counts: torch.Tensor | None
) -> torch.Tensor:
    """Return the means (K, rows) of the parts (K, size) that the table points to."""
    most, rows = table.shape
    total: Any = None
    start = 0
    while start < most:
        rows = rows if counts is None else int((counts > start).sum())
        width = max(1, _AT_ONCE // (rows * len(parts)))
        some = table[start : start + width, :rows]
        values = parts.index_select(1, some.flatten()).unflatten(1, some.shape)
        if counts is not None and len(some) > 1:
            slots = torch.arange(start, start + len(some), device=counts.device)
            values = torch.where(slots[:, None] < counts[:rows], values, 0)
        if total is None:
            total = values.sum(1)
        else:
            total[:, :rows] += values.sum(1)
        start += width
    return total.div_(most if counts is None else counts)


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
    flat = _put(picked.flatten(1), tied.expand(len(parts), -1), means)
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
