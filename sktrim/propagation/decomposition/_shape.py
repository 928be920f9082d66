"""Contextual decomposition of operations that move values without mixing them."""

from __future__ import annotations

from typing import Any

import torch

from sktrim.propagation.aliases import _storage
from sktrim.propagation.axes import (
    aligned_axis,
    axes_moved,
    axis_aligned,
    axis_kept,
    axis_of_view,
)
from sktrim.propagation.carrier import Carrier, is_plain, map_carriers
from sktrim.propagation.decomposition._lowrank import LowRank
from sktrim.propagation.decomposition._method import over_masks
from sktrim.propagation.decomposition._share import add_bias, whole_share
from sktrim.propagation.first_linear import RESHAPES, reinterprets
from sktrim.propagation.masking import unmasked
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule

_CASTS = frozenset(
    """clone detach data alias contiguous to type float double half bfloat16 cpu
    cuda""".split()
)


@rule("cd", "kind:shape")
def move(method: Any, call: Call) -> Any:
    """Move the relevant parts as the whole is moved."""
    if call.operation.options.get("joins"):
        return _join(method, call)
    carrier, full = call.carriers[0], call.full
    name = call.operation.name
    if isinstance(full, str):
        return full
    if isinstance(carrier.rel, LowRank):
        method.look_at_folded(carrier)
        moved = _move_basis(method, call, carrier, full)
        if moved is not None:
            return moved
        carrier.rel = carrier.rel.dense()
    if not carrier.aliased:
        _lay_out(carrier)
    if name in RESHAPES and not reinterprets(call):
        call.axis = axis_kept(carrier, full, reshaped=True)
        rel = carrier.rel.reshape(carrier.rel.shape[0], *full.shape)
        return _unshared(carrier, full, rel)
    if name in _CASTS:
        dtype = full.dtype if full.is_floating_point() or full.is_complex() else None
        rel = carrier.rel.to(dtype=dtype or carrier.rel.dtype, device=full.device)
        if full.is_floating_point() and not carrier.full.is_floating_point():
            # tokens become values: the mask over them becomes a part of them
            rel = rel.to(full.dtype) * full
        rel = rel.detach() if name in ("detach", "data") else rel
        return _unshared(carrier, full, rel)
    call.axis = _axes(call, carrier, full)
    return over_masks(call)


@rule("cd", "real", "imag", "conj", "resolve_conj", "resolve_neg")
@rule("cd", "view_as_real", "view_as_complex")
def convert_complex(method: Any, call: Call) -> Any:
    """Look at all parts at once: vmap has no rule for views of lazy conjugates."""
    (carrier,), full = call.carriers, call.full
    if not carrier.aliased:
        _lay_out(carrier)
    rel = call.on(lambda c: c.rel)
    axis = carrier.axis
    if axis is not None:
        # an axis of real and imaginary parts comes or goes behind it
        axis += carrier.full.ndim - full.ndim
    call.axis = axis if axis is None or axis < 0 else None
    return rel


@rule("cd", "as_strided")
def restride(method: Any, call: Call) -> torch.Tensor:
    """View the storage of the parts as that of the whole is viewed."""
    x, size, stride = call.bind("input", "size", "stride")
    if not x.aliased:
        _lay_out(x)
    if x.rel.stride()[1:] != x.full.stride():
        method.refuse(call.func, "of a value that is laid out otherwise has no rule")
    full = call.full
    start = x.rel.storage_offset() + full.storage_offset() - x.full.storage_offset()
    strides = (x.rel.stride(0), *stride)
    call.axis = axis_kept(x, full)
    return x.rel.as_strided((len(x.rel), *size), strides, start)


@rule("cd", "__setitem__")
def write_item(method: Any, call: Call) -> None:
    """Write into the storage, which every view of it sees."""
    target, index, value = call.args
    method.check_write(target)
    target.ending = None
    index = index if isinstance(index, tuple) else (index,)
    index = map_carriers(lambda carrier: carrier.full, index)
    if isinstance(value, Carrier):
        target.full[index] = value.full
        _write_parts(target.rel, index, value.rel)
        return
    before = None
    if method.bias != "context":
        before = whole_share(method, target.rel, target.full, target.axis)
    target.full[index] = value
    target.rel[(slice(None), *index)] = 0
    bias = _nothing_like(target.full)
    bias[index] = value
    bias = unmasked(bias)
    if bias.any():
        linear = target.full - bias
        part = target.rel.clone()
        shared = add_bias(method, part, linear, bias, target.axis, otherwise=before)
        places = (slice(None), *index)
        target.rel[places] = shared[places]


def _nothing_like(full: torch.Tensor) -> torch.Tensor:
    """Return zeros; along an axis that is expanded there is one of them, as in full."""
    one = full
    for axis, stride in enumerate(full.stride()):
        one = one.narrow(axis, 0, 1) if stride == 0 and full.shape[axis] else one
    return torch.zeros_like(one).expand(full.shape)


def _write_parts(target: torch.Tensor, index: tuple, parts: torch.Tensor) -> None:
    """Write the part of every mask where the index says."""
    at = [i for i, v in enumerate(index) if (is_plain(v) or type(v) is list)]

    def write(whole: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        whole[index] = part
        return whole

    if at and at[-1] - at[0] >= len(at):
        # axes of indices that are apart come first, before that of the masks
        for k in range(len(target)):
            write(target[k], parts[k])
    else:
        torch.vmap(write)(target, parts)


@rule("cd", "zero")
def erase(method: Any, call: Call) -> torch.Tensor:
    """Zero has neither a relevant nor an irrelevant part."""
    carrier = call.args[0]
    call.full = torch.zeros_like(carrier.full)
    return torch.zeros_like(carrier.rel)


@rule("cd", "copy")
def copy(method: Any, call: Call) -> torch.Tensor:
    """Give the target of copy_ its source, broadcast."""
    target, source = call.args[:2]
    if not isinstance(source, Carrier):
        return constant(method, call.full, target)
    shape = (target.rel.shape[0], *target.full.shape)
    lead = (1,) * (target.full.ndim - source.full.ndim)
    rel = source.rel.reshape(source.rel.shape[0], *lead, *source.full.shape)
    call.axis = target.axis
    return rel.expand(shape).clone()


@rule("cd", "fill")
def fill(method: Any, call: Call) -> torch.Tensor:
    """Share a constant as what it replaces was shared."""
    return constant(method, call.full, call.args[0])


def constant(method: Any, full: torch.Tensor, before: Carrier) -> torch.Tensor:
    """Return a constant, shared by the magnitudes of what it replaces."""
    zeros = torch.zeros_like(before.rel)
    if method.bias == "context":
        return zeros
    share = whole_share(method, before.rel, before.full, before.axis)
    return zeros + share * unmasked(full)


def _move_basis(method: Any, call: Call, carrier: Carrier, full: Any) -> Any:
    """Move the basis signals, where the samples stay on the first axis."""
    axis = _axes(call, carrier, full)
    axis = axis[0] if isinstance(axis, list) else axis
    if not is_plain(full) or carrier.axis != -carrier.full.ndim or axis != -full.ndim:
        return None
    moved = carrier.rel.moved(call, carrier)
    if moved is not None:
        call.axis = axis
    return moved


def _lay_out(carrier: Carrier) -> None:
    """Give the parts the strides of the whole, so that views are views of both."""
    shape, strides, rel = carrier.full.shape, carrier.full.stride(), carrier.rel
    if rel.stride()[1:] == strides or 0 in strides or not rel.numel():
        return
    axes = list(zip(shape, rel.stride()[1:], strides, strict=True))
    if any(size > 1 and mine != its for size, mine, its in axes):
        extent = 1 + sum((size - 1) * its for size, _, its in axes)
        room = rel.new_empty_strided(rel.shape, (extent, *strides))
        carrier.rel = room.copy_(rel)


def _unshared(carrier: Carrier, full: torch.Tensor, rel: torch.Tensor) -> torch.Tensor:
    """Return the relevant part of a result; a copy where the whole was copied."""
    shared = _storage(rel) == _storage(carrier.rel)
    return rel.clone() if shared and _storage(full) != _storage(carrier.full) else rel


def _axes(call: Call, carrier: Carrier, full: Any) -> Any:
    if call.operation.options.get("view"):
        return axis_of_view(call, carrier)
    if call.operation.options.get("leads") and full.ndim > carrier.full.ndim:
        # new axes come first, whatever their sizes
        return axis_aligned(carrier, full)
    if call.operation.options.get("fills"):
        return axis_kept(carrier, full)
    return axes_moved(call, carrier)


def _join(method: Any, call: Call) -> torch.Tensor:
    """Join carriers and constants; the constants are shared like a bias."""
    if call.kwargs.get("reduce") == "multiply":
        method.refuse(call.func, 'with reduce="multiply" has no rule')
    full = call.full
    axis = call.axis = _joined_axis(call, full)
    zeroed, has_constants = _without_constants(call)
    if not has_constants:
        return over_masks(call)
    rel = over_masks(zeroed)
    linear = zeroed.on_full()
    bias = _finite_difference(full, linear)
    if bias.any():
        before = _share_before(method, call, full, axis)
        rel = add_bias(method, rel, linear, bias, axis, otherwise=before)
    return rel


def _share_before(method: Any, call: Call, full: torch.Tensor, axis: Any) -> Any:
    """Return the share of what a constant may have replaced altogether."""
    first = call.carriers[0]
    if axis is None or (first.axis, first.full.ndim) != (axis, full.ndim):
        return None
    return whole_share(method, first.rel, first.full, axis)


def _finite_difference(full: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    return unmasked(torch.where(torch.isinf(full), 0, full - linear))


def _joined_axis(call: Call, full: torch.Tensor) -> int | None:
    carriers = call.carriers
    if call.operation.options.get("writes"):
        # into the rows of the first, if that has any
        return axis_kept(carriers[0], full) if carriers[0] is call.args[0] else None
    axis = aligned_axis(carriers)
    if axis is None:
        return None
    if call.operation.options.get("new_axis"):
        dim = call.bind("tensors", dim=0)[1] % full.ndim
        position = axis + full.ndim - 1
        return position + (dim <= position) - full.ndim
    return axis_kept(carriers[0], full)


def _without_constants(call: Call) -> tuple[Call, bool]:
    """Return the call with constant operands zeroed, and whether there were any."""
    name = call.operation.name
    args, kwargs = list(call.args), dict(call.kwargs)
    before = [*args, *kwargs.values()]
    if name == "where":
        args = [_zero(a, True) for a in args]
        kwargs = {k: _zero(v, True) for k, v in kwargs.items()}
    elif name in ("masked_fill", "index_fill"):
        position = 2 if name == "masked_fill" else 3
        args = [_zero(a, i >= position) for i, a in enumerate(args)]
        kwargs |= {"value": _zero(kwargs["value"], True)} if "value" in kwargs else {}
    elif name in ("pad", "constant_pad_nd"):
        position = 3 if name == "pad" else 2
        args[position:] = [0.0 for _ in args[position:]]
        if kwargs.get("value"):
            kwargs["value"] = 0.0
    else:
        # other numbers say where, such as axes
        args = [_zero(a, name == "scatter" and i == 3) for i, a in enumerate(args)]
        kwargs = {k: _zero(v, k == "value") for k, v in kwargs.items()}
    after = [*args, *kwargs.values()]
    changed = any(_differ(a, b) for a, b in zip(before, after, strict=True))
    return Call(call.operation, call.func, tuple(args), kwargs), changed


def _zero(value: Any, numbers: bool = False) -> Any:
    if is_plain(value):
        numeric = value.is_floating_point() or value.is_complex()
        return torch.zeros_like(value) if numeric else value
    if isinstance(value, list | tuple):
        return type(value)(_zero(v) for v in value)
    return 0.0 if numbers and isinstance(value, int | float) else value


def _differ(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple):
        return any(_differ(x, y) for x, y in zip(a, b, strict=True))
    return a is not b and not (isinstance(a, int | float) and a == b)
