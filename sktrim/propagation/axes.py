"""Which axis of an activation is that of the samples, after each operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from sktrim.propagation.carrier import Carrier, find_carriers, is_plain, map_carriers

# a stride that no other axis of a probe can have
_MARK = 1_000_003


class RowsDiffer(Exception):
    """An operation needs to know whose its rows are, and that was lost before it."""


def need_one_sample(method: Any) -> None:
    """Raise RowsDiffer where a value without a sample axis is of several samples."""
    if method.n_samples > 1:
        raise RowsDiffer


def aligned_axis(carriers: list[Carrier]) -> int | None:
    """Return the sample axis of a broadcast of carriers."""
    axes = {carrier.axis for carrier in carriers}
    return axes.pop() if len(axes) == 1 else None


def axis_aligned(carrier: Carrier, out: torch.Tensor) -> int | None:
    """Return the sample axis after broadcasting: new axes come first."""
    if carrier.axis is None:
        return None
    same = carrier.full.shape[carrier.axis] == out.shape[carrier.axis]
    return carrier.axis if same else None


def axis_of_view(call: Any, carrier: Carrier) -> list[int | None]:
    """Return the sample axis of every output of a view, read from strides."""
    shape = tuple(carrier.full.shape)
    if carrier.axis is None or _has_tensors(call.args):
        return axes_moved(call, carrier)
    first, *rest = call.args or (None,)
    plain = first is carrier and call.operation.name != "__getitem__"
    if plain and all(isinstance(value, int) for value in rest) and not call.kwargs:
        return _moved_axes(call.func, shape, carrier.axis, tuple(rest))

    def view(probe: torch.Tensor) -> Any:
        args, kwargs = map_carriers(lambda _: probe, (call.args, call.kwargs))
        return call.func(*args, **kwargs)

    return probed(view, shape, carrier.axis)


@lru_cache(maxsize=1024)
def _moved_axes(
    func: Callable, shape: tuple[int, ...], axis: int, args: tuple[int, ...]
) -> list[int | None]:
    return probed(lambda probe: func(probe, *args), shape, axis)


def probed(view: Callable, shape: tuple[int, ...], axis: int) -> list[int | None]:
    """Return where a view of a shape puts one of its axes, output by output."""
    # None where it leaves rows out: those that stay may all be one sample's
    strides = [0] * len(shape)
    strides[axis] = _MARK
    probe = torch.empty_strided(shape, strides, device="meta")
    return [_marked(out, shape[axis]) for out in _tensors(view(probe))]


def axes_moved(call: Any, carrier: Carrier) -> list[int | None]:
    """Return the sample axis of every output of an operation that moves values."""
    axis, method, shape = carrier.axis, carrier.method, carrier.full.shape
    count = method.n_samples if method.bias != "context" else 0
    if axis is None or not count or shape[axis] % count:
        return [axis_kept(carrier, out) for out in _tensors(call.on_full())]
    # the numbers of the rows are moved as the values are, to see where they arrive
    numbers = torch.arange(shape[axis], dtype=torch.float64, device=carrier.full.device)
    numbers = numbers.reshape(-1, *(1,) * (-axis - 1)).expand(shape)
    args, kwargs = call.replaced(lambda _: numbers)
    outputs = _tensors(call.func(*args, **kwargs))
    if shape[axis] == 1:
        return [_axis_of_one_row(call, carrier, moved) for moved in outputs]
    return [_axis_of_rows(carrier, moved, shape[axis]) for moved in outputs]


def _axis_of_one_row(call: Any, carrier: Carrier, out: torch.Tensor) -> int | None:
    """Return the axis along which copies of the only row would be those of several."""
    axis, shape = carrier.axis, carrier.full.shape
    if out.ndim == len(shape) and all(
        size == out.shape[d] for d, size in enumerate(shape) if d != axis + len(shape)
    ):
        return axis
    leads = axis == -len(shape) and out.ndim and _takes_several(call)
    return -out.ndim if leads else axis_kept(carrier, out)


def _takes_several(call: Any) -> bool:
    """Tell whether the first axis is that of what an operation takes of the first."""
    if call.operation.name != "__getitem__":
        return True
    index = call.args[1]
    first = index[0] if isinstance(index, tuple) else index
    # behind a slice, or a number, what other indices take may come first
    return isinstance(first, list) or (is_plain(first) and first.numel() > 1)


def _axis_of_rows(carrier: Carrier, rows: torch.Tensor, count: int) -> int | None:
    """Return the axis along which rows are as many of each sample, in their order."""
    n_samples = carrier.method.n_samples
    if not rows.numel() or (n_samples == 1 and rows.amin() == rows.amax()):
        return axis_kept(carrier, rows)
    for axis in range(-rows.ndim, 0):
        lines = rows.movedim(axis, 0).reshape(rows.shape[axis], -1)
        if len(lines) % n_samples or (lines != lines[:, :1]).any():
            continue
        place = torch.arange(len(lines), device=rows.device)
        whose = lines[:, 0] // (count // n_samples)
        if (whose == place // (len(lines) // n_samples)).all():
            return axis
    return None


def axis_kept(carrier: Carrier, out: torch.Tensor, reshaped: bool = False) -> Any:
    """Return the sample axis where sizes alone tell it."""
    if carrier.axis is None or out.ndim == 0:
        return None
    shape = carrier.full.shape
    axis = carrier.axis + len(shape)
    size = shape[axis]
    if axis == 0:
        count = out.shape[0]
        whole = reshaped and size and count % size == 0
        # a reshape may split samples into several rows each: a row lies within one
        # sample, which is all that a bias share needs to know; they may be joined again
        joined = reshaped and size and count and count == carrier.method.n_samples
        joined = joined and size % count == 0
        return -out.ndim if count == size or whole or joined else None
    if not reshaped:
        same = out.ndim == len(shape) and out.shape[axis] == size
        return carrier.axis if same else None
    before = shape[:axis].numel()
    # of several axes of length 1, the one where it was
    for position in sorted(range(out.ndim), key=lambda p: abs(p - axis)):
        if out.shape[:position].numel() == before and out.shape[position] == size:
            return position - out.ndim
    return None


def axis_reduced(carrier: Carrier, dims: Any, keepdim: bool) -> int | None:
    """Return the sample axis after a reduction over dims (None: over all)."""
    count = carrier.full.ndim
    if carrier.axis is None or dims is None:
        return None
    dims = {d % count for d in ((dims,) if isinstance(dims, int) else dims)}
    axis = carrier.axis % count
    if axis in dims or not dims:
        return None
    later = sum(d > axis for d in dims)
    return carrier.axis if keepdim else carrier.axis + later


def _marked(out: torch.Tensor, length: int) -> int | None:
    hits = [i for i, stride in enumerate(out.stride()) if stride == _MARK]
    hits = [i for i in hits if out.shape[i] == length]
    return hits[-1] - out.ndim if hits else None


def _tensors(value: Any) -> list[torch.Tensor]:
    return [value] if is_plain(value) else list(value)


def _has_tensors(args: tuple) -> bool:
    items = args[1] if len(args) > 1 else ()
    items = items if isinstance(items, tuple | list) else (items,)
    return any((is_plain(i) or type(i) is list) for i in items) or (
        next(find_carriers(list(items)), None) is not None
    )
