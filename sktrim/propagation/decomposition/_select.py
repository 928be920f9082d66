"""Contextual decomposition of operations that pick a winner."""

from __future__ import annotations

from typing import Any

import torch

from sktrim.propagation.axes import axis_kept, axis_reduced
from sktrim.propagation.carrier import Carrier, is_plain
from sktrim.propagation.layouts import laid_out
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import pool_arguments
from sktrim.propagation.ties import evened_parts, extreme_parts, pooled_parts
from sktrim.propagation.windows import Windows, pooled_densely


@rule("cd", "kind:select")
def pool(method: Any, call: Call) -> Any:
    """Take the relevant part of the winners of the whole, window by window."""
    x, options, wants_indices = pool_arguments(call)
    if not wants_indices:
        pooled = pooled_densely(x.full, x.rel, call.operation.name, options)
        if pooled is not None:
            call.full, parts = pooled
            call.axis = axis_kept(x, call.full)
            return parts
    windows = Windows(x.full, call.operation.name, options, wants_indices)
    full = windows.values
    if x.full.requires_grad:
        full = x.full.flatten().take(windows.winners).view(full.shape)
        full = laid_out(full, windows.values)
    call.full = (full, windows.indices) if wants_indices else full
    call.axis = axis_kept(x, full)
    return pooled_parts(x.rel, windows)


@rule("cd", "topk", "sort", "kthvalue", "median", "mode", "cummax", "cummin")
def ranked(method: Any, call: Call) -> Any:
    """Take the relevant part of the values that are ranked along an axis."""
    x = call.carriers[0]
    full = call.full
    if is_plain(full):
        method.refuse(call.func, "over all axes has no rule (give dim=)")
    place = 2 if call.operation.name in ("topk", "kthvalue") else 1
    dim = call.kwargs.get("dim", call.args[place] if len(call.args) > place else -1)
    index = full[1]
    kept = index.ndim == x.full.ndim
    index = index if kept else index.unsqueeze(dim)
    parts = x.rel
    # what is equal has its mean, whatever the order; a running extreme is the latest
    if x.full.ndim and not call.operation.name.startswith("cum"):
        parts = evened_parts(parts, x.full, dim)
    rel = torch.vmap(lambda part: part.take_along_dim(index, dim))(parts)
    call.axis = axis_reduced(x, dim, kept)
    return rel if kept else rel.squeeze(dim % x.full.ndim + 1)


@rule("cd", "max", "min", "amax", "amin")
def extreme(method: Any, call: Call) -> Any:
    """Take the relevant part of the extremes along axes, or of two operands."""
    x, dim, keepdim = call.bind("input", dim=None, keepdim=False)
    if is_plain(dim) or isinstance(dim, Carrier):
        return larger(method, call)
    dim = call.kwargs.get("axis", call.kwargs.get("other", dim))
    if is_plain(dim) or isinstance(dim, Carrier):
        return larger(method, call)
    dims = tuple(range(x.full.ndim)) if dim is None or dim == () else dim
    dims = tuple(d % x.full.ndim for d in ((dims,) if isinstance(dims, int) else dims))
    call.axis = axis_reduced(x, dims, keepdim)
    return _along(x, dims, call.operation.name.endswith("max"), keepdim)


def _along(
    x: Carrier, dims: tuple[int, ...], largest: bool, keepdim: bool
) -> torch.Tensor:
    kept = [d for d in range(x.full.ndim) if d not in dims]
    flat = x.full.permute(*kept, *dims).flatten(len(kept))
    parts = x.rel.permute(0, *(d + 1 for d in (*kept, *dims))).flatten(len(kept) + 1)
    rel = extreme_parts(parts, flat, largest)
    for d in sorted(dims) if keepdim else ():
        rel = rel.unsqueeze(d + 1)
    return rel


@rule("cd", "maximum", "minimum", "fmax", "fmin")
def larger(method: Any, call: Call) -> Carrier:
    """Take the parts of the winner of two operands, half of both in a tie."""
    a, b = call.bind("input", "other")
    full = call.on_full()
    wins, other = (
        torch.as_tensor((v.full if isinstance(v, Carrier) else v) == full)
        for v in (a, b)
    )
    out = method(torch.where, (wins, a, b), {})
    tied = wins & other
    if not tied.any():
        return out
    # through the rules, by which a constant is shared like a bias
    return method(torch.where, (tied, 0.5 * (a + b), out), {})
