"""Layer-wise relevance propagation, operation by operation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.aliases import pass_on
from sktrim.propagation.backward._lrp_attention import product, quotient, varying_layer
from sktrim.propagation.backward._lrp_input import fold
from sktrim.propagation.backward._lrp_method import CONJUGATED, Conjugated, Layer
from sktrim.propagation.backward._lrp_rules import AffineMap, share_out
from sktrim.propagation.backward._lrp_run import refuse_write
from sktrim.propagation.backward._lrp_values import (
    Divisor,
    Refused,
    divide_by_itself,
    is_affine_input,
    multiplier_of,
    relevance_of,
)
from sktrim.propagation.backward._method import (
    identity_gradient,
    plainly,
    with_gradient,
)
from sktrim.propagation.carrier import Carrier, is_plain, map_carriers
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import (
    CONVOLUTION,
    batch_norm_arguments,
    pool_arguments,
)
from sktrim.propagation.ties import pooled_parts
from sktrim.propagation.windows import Windows

_WRITTEN = (
    "after a layer whose input has been written since has no rule (write into a clone)"
)


@rule("lrp", "kind:shape")
def move(method: Any, call: Call) -> Any:
    """Move the relevance with the values; what is joined to them has none."""
    carriers = call.carriers
    refused = next((c.rel for c in carriers if isinstance(c.rel, Refused)), None)
    if refused is not None:
        call.rel = refused
        return plainly(call)
    if _adds(call):
        return _joined(method, call, _plain_sum)
    if _conjugates(call):
        return _conjugated(method, call)
    if len(carriers) == 1 and is_affine_input(carriers[0]):
        return _still_affine(call)
    if len(carriers) == 1 and isinstance(carriers[0].rel, Divisor):
        call.rel = carriers[0].rel
    return call.on(lambda carrier: relevance_of(method, carrier))


def _still_affine(call: Call) -> Any:
    """Return what is an affine function of the input, as its argument was."""
    full = call.on_full()
    call.rel = call.carriers[0].rel.moved(call, full)
    return full


def _adds(call: Call) -> bool:
    """Tell whether values are added to what they are moved to."""
    if call.operation.name == "index_put":
        return bool(call.bind("input", "indices", "values", accumulate=False)[3])
    return call.operation.name in ("index_add", "scatter_add")


def _conjugates(call: Call) -> bool:
    names = ("conj", "H", "mH", "adjoint")
    return call.operation.name in names and call.carriers[0].full.is_complex()


def _conjugated(method: Any, call: Call) -> Any:
    """Turn the sign of imaginary parts, not that of their relevance."""
    x = call.carriers[0]
    if is_affine_input(x):
        return _still_affine(call)
    args, kwargs = call.replaced(lambda carrier: multiplier_of(method, carrier))
    opened = call.func(*args, **kwargs).resolve_conj()
    # torch's would be a view, which writes into either must reach
    x.rel = call.rel = Conjugated()
    return divide_by_itself(opened)


rule("lrp", "dropout", "dropout1d", "dropout2d", "dropout3d")(pass_on)
rule("lrp", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")(pass_on)


@rule("lrp", "__setitem__")
def write_item(method: Any, call: Call) -> None:
    """Write into the storage, which every view of it sees."""
    target = call.args[0]
    if is_affine_input(target) and target.aliased:
        refuse_write(method, call.func)
    if isinstance(target.rel, Conjugated):
        method.refuse(call.func, CONJUGATED)
    target.ending = None
    full = relevance_of(method, target)
    target.full, target.rel = full if target.aliased else full.clone(), None
    args, kwargs = map_carriers(
        lambda carrier: relevance_of(method, carrier), (call.args, call.kwargs)
    )
    call.func(*args, **kwargs)


@rule("lrp", "kind:select")
def select(method: Any, call: Call) -> Any:
    """Give the relevance to the winner; those of a max pooling window share it."""
    if call.operation.options.get("pool"):
        return _pool(method, call)
    args, kwargs = call.replaced(lambda carrier: relevance_of(method, carrier))
    return call.func(*args, **kwargs)


def _pool(method: Any, call: Call) -> Any:
    carrier, options, wants_indices = pool_arguments(call)
    x, name = relevance_of(method, carrier), call.operation.name
    windows = Windows(x, name, options, wants_indices)
    shared = pooled_parts(x[None], windows)[0]
    # the mean of equal values may differ from them in the last bit
    value = identity_gradient(shared, windows.values)
    return (value, windows.indices) if wants_indices else value


@rule("lrp", "kind:normalise")
def refuse_later(method: Any, call: Call) -> Any:
    """Refuse, unless it is the ending, before which the explanation starts."""
    why = 'has no rule (the scorers "cd", "deeplift" and "gradient" have one)'
    call.rel = Refused(call.func, why)
    return plainly(call)


@rule("lrp", "kind:average", "kind:affine", "kind:bilinear")
def mixture(method: Any, call: Call) -> Any:
    """Share out by the contributions to the result, which absorbs a bias."""
    carriers, kind = call.carriers, call.operation.kind
    if kind == "bilinear" and _count(call) > 1:
        return product(method, call)
    if kind != "average" and len(carriers) > 1:
        method.refuse(call.func, "of several values that vary has no rule")
    if len(carriers) == 1 and is_affine_input(carriers[0]):
        return _still_affine(call)
    sums = kind == "average" or call.operation.name == "cumsum"
    return _joined(method, call, _plain_sum if sums else None)


def _plain_sum(call: Call) -> torch.Tensor:
    """Return what a sum would be if all its terms were positive."""
    args, kwargs = call.replaced(lambda carrier: carrier.full.detach().abs())
    return call.func(*args, **kwargs).abs()


def _joined(method: Any, call: Call, sized: Any = None) -> Any:
    opened = call.on(lambda carrier: multiplier_of(method, carrier))
    rule, lost = method.composite["join"], method.absorbed
    size = sized(call) if sized and rule.relative and rule.epsilon else None
    if not is_plain(opened):
        return type(opened)(divide_by_itself(o, rule, None, lost) for o in opened)
    return divide_by_itself(opened, rule, size, lost)


@rule("lrp", "linear")
def linear(method: Any, call: Call) -> Any:
    """Share out by the rule for linear layers."""
    x, weight, bias = call.bind("input", "weight", bias=None)
    return _layer(method, call, x, AffineMap(F.linear, weight, bias))


@rule("lrp", "matmul", "mm")
def matmul(method: Any, call: Call) -> Any:
    """Treat a product with a constant matrix as a linear layer."""
    x, matrix = call.bind("input", "other")
    matrix = call.kwargs.get("mat2", matrix)
    constant = is_plain(matrix) and isinstance(x, Carrier)
    if not constant or matrix.ndim != 2:
        return mixture(method, call)
    return _layer(method, call, x, AffineMap(F.linear, matrix.T, None))


@rule("lrp", "conv1d", "conv2d", "conv3d")
@rule("lrp", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(method: Any, call: Call) -> Any:
    """Share out by the rule for convolutions."""
    names = CONVOLUTION[call.operation.name]
    x, weight, bias, *rest = call.bind("input", "weight", "bias", *names)
    options = {k: v for k, v in zip(names, rest, strict=True) if v is not None}

    def function(value: Any, w: Any, b: Any) -> torch.Tensor:
        return call.func(value, w, b, **options)

    transposed = call.operation.name.startswith("conv_t")
    out_axis = 1 if transposed else 0
    if transposed and options.get("groups", 1) != 1:
        out_axis = None
    channel = 1 - weight.ndim
    layer = AffineMap(function, weight, bias, channel, out_axis, "conv")
    return _layer(method, call, x, layer)


def _layer(method: Any, call: Call, x: Any, layer: AffineMap) -> Any:
    if not isinstance(x, Carrier) or _count(call) > 1:
        return varying_layer(method, call)
    first = is_affine_input(x) and "first" in method.composite
    chosen = method.composite["first" if first else layer.kind]
    opened, value = None, None
    if chosen.sides:
        if x.full.is_complex() or layer.weight.is_complex():
            method.refuse(call.func, f"of complex values has no {chosen.name} rule")
        value = plainly(call)
    else:
        opened = call.on(lambda carrier: multiplier_of(method, carrier))
    # what x stands for may be another value by the time others merge
    source = Carrier(method, x.full, x.rel)
    known = Layer(source, layer, opened, chosen, x.full._version)
    return _closed(method, call, known, value)


def _closed(method: Any, call: Call, layer: Layer, value: Any) -> torch.Tensor:
    """Return a layer's result, beside which the layer is kept."""
    full = _result(method, layer, value)
    call.rel = replace(layer, result_version=full._version)
    return full


def _result(method: Any, layer: Layer, value: Any) -> torch.Tensor:
    """Return a layer's result, which shares out its relevance by the layer's rule."""
    if layer.opened is not None:
        size = None
        if layer.rule.relative:
            # samples never run along the channels
            size = layer.opened.detach().abs().mean(layer.map.channel, keepdim=True)
        return divide_by_itself(layer.opened, layer.rule, size, method.absorbed)
    x = layer.source
    if is_affine_input(x) and not x.rel.is_signal:
        return fold(method, layer, value)
    target = x.rel.relevance if is_affine_input(x) else relevance_of(method, x)

    def pull(gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return share_out(layer.rule, layer.map, values, gradient)

    return with_gradient(target, value, pull, x.full.detach())


@rule("lrp", "batch_norm")
def batch_norm(method: Any, call: Call) -> Any:
    """Merge with the affine operation before; alone, an affine operation."""
    x, mean, variance, weight, bias, training, eps = batch_norm_arguments(call)
    if len(call.carriers) > 1 or training or mean is None or variance is None:
        return method.refuse(call.func, "with the statistics of the batch has no rule")
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    # a linear layer on the last of several axes has its channels elsewhere
    if not isinstance(x.rel, Layer) or x.full.ndim + x.rel.map.channel != 1:
        return mixture(method, call)
    merged = _merged(method, call, x, scale.detach(), shift.detach())
    return mixture(method, call) if merged is None else merged


def _merged(
    method: Any, call: Call, x: Carrier, scale: torch.Tensor, shift: torch.Tensor
) -> torch.Tensor | None:
    """Return the layer that gave x followed by a scale and shift of its channels."""
    layer = x.rel
    if not isinstance(layer, Layer) or not layer.gave(x):
        return None
    merged = layer.map.merged(scale, shift)
    if merged is None:
        return None
    if layer.is_stale():
        method.refuse(call.func, _WRITTEN)
    before, opened = layer.opened, None
    if before is not None:
        opened = call.on(lambda _: before)
    value = plainly(call) if opened is None else None
    layer = replace(layer, map=merged, opened=opened)
    return _closed(method, call, layer, value)


@rule("lrp", "add", "sub", "mul", "div", "neg")
def arithmetic(method: Any, call: Call) -> Any:
    """Merge constants with the layer before; sums share out, products pass on."""
    carriers = call.carriers
    name = call.operation.name
    if len(carriers) == 1:
        merged = _with_constant(method, call, carriers[0])
        if merged is not None:
            return merged
    if call.kwargs.get("rounding_mode"):
        method.refuse(call.func, "with rounding has no rule")
    if name == "mul" and _count(call) > 1:
        return product(method, call)
    if name == "div" and isinstance(call.bind("input", "other")[1], Carrier):
        return quotient(method, call)
    if _count(call) == 1 and is_affine_input(carriers[0]):
        return mixture(method, call)
    if name in ("mul", "div", "neg"):
        return _scaled(method, call)
    return _joined(method, call, _terms)


def _terms(call: Call) -> torch.Tensor:
    """Return the sum of the sizes of the terms of a sum or a difference."""
    a, b, alpha = call.bind("input", "other", alpha=1)
    with torch.no_grad():
        a, b = (_size(v.full if isinstance(v, Carrier) else v) for v in (a, b))
        return a + b * abs(alpha)


def _size(value: Any) -> Any:
    """Return absolute values; what says yes or no counts as 1 or 0."""
    if isinstance(value, torch.Tensor) and value.dtype == torch.bool:
        return value.to(torch.uint8)
    return abs(value)


def _scaled(method: Any, call: Call) -> Any:
    """Pass relevance through a product with a constant."""
    x, value = call.carriers[0], plainly(call)
    call.rel = x.rel if isinstance(x.rel, Divisor) else None
    if value.shape != x.full.shape or value.is_complex():
        return _joined(method, call)
    return identity_gradient(relevance_of(method, x), value)


def _with_constant(method: Any, call: Call, x: Carrier) -> Any:
    """Return the layer before merged with a constant per channel, where it can be."""
    if not isinstance(x.rel, Layer) or _count(call) > 1:
        return None
    channel = x.rel.map.channel
    args = [_narrowed(a, channel) for a in call.args]
    kwargs = {k: _narrowed(v, channel) for k, v in call.kwargs.items()}
    other = [a for a in args if not isinstance(a, Carrier)]
    other += [v for k, v in kwargs.items() if k == "other"]
    if not all(per_channel(o, x.full, channel) for o in other):
        return None
    if call.operation.name == "div" and not isinstance(call.args[0], Carrier):
        return None
    if call.kwargs.get("rounding_mode"):
        return None
    ends = (x.full.new_full((1,), value) for value in (0.0, 1.0))
    shift, both = (_at(call.func, args, kwargs, end) for end in ends)
    return _merged(method, call, x, both - shift, shift)


def _at(func: Any, args: Any, kwargs: Any, value: torch.Tensor) -> torch.Tensor:
    """Return what a function gives per channel where its value is constant."""
    args = tuple(_flat(a) for a in args)
    kwargs = {k: _flat(v) for k, v in kwargs.items()}
    args, kwargs = map_carriers(lambda _: value, (args, kwargs))
    with torch.no_grad():
        return func(*args, **kwargs)


def _flat(value: Any) -> Any:
    return value.reshape(-1) if is_plain(value) else value


def _narrowed(value: Any, channel: int) -> Any:
    """Return a constant once along axes, but the channel's, where it is the same."""
    # a token that is repeated for every row is the same constant for one row
    if is_plain(value):
        for axis in range(-value.ndim, 0):
            first = value.narrow(axis, 0, min(1, value.shape[axis]))
            if axis != channel and torch.equal(value, first.expand_as(value)):
                value = first
    return value


def per_channel(value: Any, full: torch.Tensor, channel: int) -> bool:
    """Tell whether a constant is one number, or one per channel."""
    if not is_plain(value) or value.ndim == 0:
        return True
    if value.ndim > full.ndim:
        return False
    if value.numel() == 1:
        return True
    if value.ndim < -channel:
        return False
    sizes = list(value.shape)
    return sizes.pop(value.ndim + channel) == full.shape[channel] and set(sizes) <= {1}


def _count(call: Call) -> int:
    carriers: list[Carrier] = []
    map_carriers(carriers.append, (call.args, call.kwargs))
    return len(carriers)
