"""The windows of a max pooling: where each looks and which of its values win."""

from __future__ import annotations

import itertools
import math
import operator
from functools import cached_property, lru_cache
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.layouts import pooled_as_predicted

# places of a window up to which each is looked at by itself, values from which on
_SMALL = 9
_MANY = 2**14
# the positions of windows are kept for another call where they are so few, of one plane
# and of all planes
_KEPT = 2**20
_ALL_KEPT = 2**17
_FEW_PARTS = 4


class _Grid:
    """The sizes and steps of a max pooling's windows, where they are alike."""

    def __init__(self, x: torch.Tensor, name: str, options: Any) -> None:
        spatial = int(name[-2])
        self.x, self.name = x.detach(), name
        self.shape = tuple(x.shape[-spatial:])
        self.fixed: _Fixed = None
        if name.startswith("adaptive"):
            return
        size, stride = options["kernel_size"], options.get("stride")
        stride = size if stride is None or stride == [] else stride
        values = size, stride, options.get("padding", 0), options.get("dilation", 1)
        self.fixed = tuple(_each(value, spatial) for value in values)

    def counts(self, options: Any) -> tuple[int, ...] | None:
        """Return how many windows there are, None where torch knows better."""
        if self.fixed is None or options.get("ceil_mode"):
            return None
        each = zip(self.shape, *self.fixed, strict=True)
        counts = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in each)
        return counts if min(counts) > 0 and self.x.numel() else None

    def tiles(self, options: Any) -> tuple[int, ...] | None:
        """Return how many windows there are, where they lie beside each other."""
        if self.fixed is None or self.x.ndim != len(self.shape) + 2:
            return None
        size, stride, padding, dilation = self.fixed
        plain = size == stride and not any(padding) and max(dilation) == 1
        if not plain or self.x.sum().isnan():
            return None
        return self.counts(options)


def pooled_densely(
    x: torch.Tensor, parts: torch.Tensor, name: str, options: Any
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Pool x and take the mean part of each window's largest values, by weights."""
    # where few parts of windows beside each other keep their graph: to list the ties
    # would be a large part of the work; None otherwise
    if len(parts) > _FEW_PARTS or not torch.is_grad_enabled():
        return None
    grid = _Grid(x, name, options)
    counts = grid.tiles(options)
    if counts is None or grid.fixed is None:
        return None
    full = pooled_as_predicted(getattr(F, name)(x, **options), x, name, options)
    size = grid.fixed[0]
    inside = (..., *(slice(n * k) for n, k in zip(counts, size, strict=True)))
    spread = full.detach()
    for axis, k in enumerate(size, -len(size)):
        spread = spread.repeat_interleave(k, axis)
    best = (x.detach()[inside] == spread).to(x.dtype)
    mean = getattr(F, f"avg_pool{len(size)}d")
    of_best = mean((parts[inside] * best).flatten(0, 1), size)
    return full, of_best.unflatten(0, parts.shape[:2]) / mean(best, size)


class Windows(_Grid):
    """A max pooling of x, its windows and where their largest values are."""

    def __init__(self, x: torch.Tensor, name: str, options: Any, indexed: bool) -> None:
        super().__init__(x, name, options)
        spatial = len(self.shape)
        # of all windows, where they look, and which of these values are the largest
        self._table: Any = None
        self._best: torch.Tensor | None = None
        values = self._in_table(options, indexed)
        if values is None:
            values = self._in_slices(options)
        if values is None:
            # what torch gives, and where it finds it, flat in the last axes
            pool = getattr(F, name)
            values, self.indices = pool(self.x, **options, return_indices=True)
        # whether the model too asks for the indices
        asked = {**options, "return_indices": indexed}
        self.values = pooled_as_predicted(values, self.x, name, asked)
        self.sizes = tuple(values.shape[-spatial:])

    @cached_property
    def _origins(self) -> torch.Tensor:
        """Where the planes of x begin, (planes, 1)."""
        size = math.prod(self.shape)
        starts = torch.arange(0, self.x.numel(), size, device=self.x.device)
        return starts[:, None]

    @cached_property
    def winners(self) -> torch.Tensor:
        """Where the largest values are, flat in all of x, window by window."""
        flat = self.indices.reshape(len(self._origins), -1) + self._origins
        return flat.flatten()

    @cached_property
    def indices(self) -> torch.Tensor:
        """The same as torch gives it, flat in the last axes."""
        flat = self.winners.view(len(self._origins), -1) - self._origins
        return flat.view(self.values.shape)

    @cached_property
    def _several(self) -> torch.Tensor:
        """Whether several values are a window's largest."""
        return self._last_winners() != self.indices

    def _in_table(self, options: Any, indexed: bool) -> torch.Tensor | None:
        """Look at all values of few windows at once."""
        # torch's own pooling, twice, is as many operations again
        x, counts = self.x, self.counts(options)
        if self.fixed is None or counts is None or x.numel() >= _MANY or not x.is_cpu:
            return None
        planes = x.numel() // math.prod(self.shape)
        if planes * math.prod(counts) * math.prod(self.fixed[0]) > _ALL_KEPT:
            return None
        places, inside = table = _every_place(self.shape, counts, self.fixed, planes)
        seen = x.take(places)
        if inside is not None:
            seen = torch.where(inside, seen, -math.inf)
        values, at = seen.max(1, keepdim=True)
        if indexed and values.isnan().any():
            return None
        self._table, best = table, seen == values
        self._best = best if inside is None else best & inside
        self._several = self._best.sum(1) != 1
        self.winners = places.gather(1, at).squeeze(1)
        return values.view(*x.shape[: x.ndim - len(counts)], *counts)

    def _in_slices(self, options: Any) -> torch.Tensor | None:
        """Look at each place of small windows at once."""
        # torch looks at one value after the other: five times as long for many windows;
        # None where windows are large, few or reach over the edge, or a NaN is there
        x, counts = self.x, self.counts(options)
        if self.fixed is None or counts is None or x.numel() < _MANY:
            return None
        size, stride, padding, dilation = self.fixed
        if math.prod(size) > _SMALL or any(padding) or x.sum().isnan():
            return None
        starts = [
            [d * i for i in range(k)] for k, d in zip(size, dilation, strict=True)
        ]
        slices = [
            x[(..., *(slice(a, a + s * (n - 1) + 1, s) for a, n, s in
                      zip(at, counts, stride, strict=True)))]
            for at in itertools.product(*starts)
        ]  # fmt: skip
        values, place, self._several = _largest(slices)
        steps = [math.prod(self.shape[i + 1 :]) for i in range(len(size))]
        offsets = [
            sum(map(operator.mul, at, steps)) for at in itertools.product(*starts)
        ]
        indices = torch.tensor(offsets, device=x.device)[place.long()]
        for axis, (n, s, step) in enumerate(zip(counts, stride, steps, strict=True)):
            shape = [n if i == axis else 1 for i in range(len(counts))]
            indices += (torch.arange(n, device=x.device) * (s * step)).view(shape)
        self.indices = indices
        return values

    def ties(self) -> torch.Tensor:
        """Return the windows in which several values are the largest, or a NaN is."""
        return self._several.flatten().nonzero().squeeze(1)

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
        if self._table is not None:
            places, inside = self._table
            return places[windows], None if inside is None else inside[windows]
        count = math.prod(self.sizes)
        small = count * math.prod(self.shape) <= _KEPT
        build = _kept_places if small else _places
        places, inside = build(self.shape, self.sizes, self.fixed, self.x.device)
        at = windows % count
        sources = places[at] + self._origins[windows // count]
        return sources, None if inside is None else inside[at]

    def tied_sources(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return windows, where their tied winners are, and how many each has."""
        tied = self.ties()
        if not len(tied):
            return tied, tied[None], None
        # windows with more of them come first: row i of the table is of all that have
        # more than i; `counts` is None where all have as many
        sources, inside = self.sources(tied)
        if self._best is not None:
            best = self._best[tied]
        else:
            flat = self.x.flatten()
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


@lru_cache(maxsize=32)
def _every_place(
    shape: tuple[int, ...], sizes: tuple[int, ...], fixed: _Fixed, planes: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the flat positions of the windows of all planes, and which are real."""
    places, inside = _places(shape, sizes, fixed, torch.device("cpu"))
    origins = math.prod(shape) * torch.arange(planes)
    every = (origins[:, None, None] + places).flatten(0, 1)
    return every, None if inside is None else inside.repeat(planes, 1)


def _each(value: Any, count: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values
