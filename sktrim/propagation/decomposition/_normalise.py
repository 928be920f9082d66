"""Contextual decomposition of operations that divide by a statistic."""

from __future__ import annotations

from typing import Any

import torch

from sktrim.propagation.axes import axis_kept, axis_reduced
from sktrim.propagation.carrier import Carrier
from sktrim.propagation.decomposition._affine import batch_norm
from sktrim.propagation.decomposition._elementwise import share_value, symmetric
from sktrim.propagation.decomposition._method import over_masks
from sktrim.propagation.decomposition._share import _NOTHING, add_bias, whole_share
from sktrim.propagation.masking import masked, without_weight
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import per_channel, variance_arguments


@rule("cd", "layer_norm")
def layer_norm(method: Any, call: Call) -> torch.Tensor:
    """Center the parts; the deviation to divide by is that of the whole."""
    x, shape, weight, bias, eps = call.bind(
        "input", "normalized_shape", weight=None, bias=None, eps=1e-5
    )
    dims = tuple(range(-len(tuple(shape)), 0))
    return _standardise(method, call, x, dims, weight, bias, eps)


@rule("cd", "rms_norm")
def rms_norm(method: Any, call: Call) -> torch.Tensor:
    """Divide the parts by the root mean square of the whole."""
    x, shape, weight, eps = call.bind(
        "input", "normalized_shape", weight=None, eps=None
    )
    dims = tuple(range(-len(tuple(shape)), 0))
    eps = torch.finfo(call.full.dtype).eps if eps is None else eps
    scale = torch.rsqrt(x.full.square().mean(dims, keepdim=True) + eps)
    scale = scale if weight is None else scale * weight
    return x.rel * scale


@rule("cd", "group_norm")
def group_norm(method: Any, call: Call) -> torch.Tensor:
    """Standardise groups of channels by the statistics of the whole."""
    x, groups, weight, bias, eps = call.bind(
        "input", "num_groups", weight=None, bias=None, eps=1e-5
    )
    full = call.full
    shape = (len(full), groups, full.shape[1:].numel() // groups)
    split = Carrier(
        method, x.full.reshape(shape), x.rel.reshape(x.rel.shape[0], *shape), -3
    )
    part, whole = _centred(split, (-1,), eps)
    part, whole = part.reshape(x.rel.shape), whole.reshape(x.full.shape)
    weight, bias = per_channel(full, weight, bias)
    return _affinely(method, part, whole, weight, bias, x.axis)


@rule("cd", "instance_norm")
def instance_norm(method: Any, call: Call) -> torch.Tensor:
    """Standardise every channel of a sample; with running statistics, batch norm."""
    names = ("running_mean", "running_var", "weight", "bias")
    x, mean, variance, weight, bias, own, _, eps = call.bind(
        "input", *names, use_input_stats=True, momentum=0.1, eps=1e-5
    )
    if not own:
        args = (x, mean, variance, weight, bias, False, 0.1, eps)
        func = torch.nn.functional.batch_norm
        return batch_norm(method, Call(call.operation, func, args, {}))
    dims = tuple(range(-(x.full.ndim - 2), 0))
    weight, bias = per_channel(x.full, weight, bias)
    return _standardise(method, call, x, dims, weight, bias, eps)


def _standardise(
    method: Any, call: Call, x: Any, dims: Any, weight: Any, bias: Any, eps: float
) -> torch.Tensor:
    if len(call.carriers) > 1:
        method.refuse(call.func, "with a weight that depends on the input has no rule")
    part, whole = _centred(x, dims, eps)
    return _affinely(method, part, whole, weight, bias, x.axis)


def _centred(x: Carrier, dims: tuple[int, ...], eps: float) -> tuple:
    whole, variance, even = _deviations(x.full, dims)
    scale = torch.rsqrt(variance + eps)
    if even.any():
        whole = torch.where(even, 0, whole)
        part, _, no_part = _deviations(x.rel, dims)
        part = torch.where(even & no_part, 0, part)
    else:
        part = x.rel - x.rel.mean(dims, keepdim=True)
    part = part * scale if torch.is_grad_enabled() else part.mul_(scale)
    return part, whole * scale


def _deviations(x: torch.Tensor, dims: tuple[int, ...]) -> tuple:
    """Return deviations from the mean, variances, and where round-off makes them."""
    centre = x.mean(dims, keepdim=True)
    deviations = x - centre
    variance = deviations.square().mean(dims, keepdim=True)
    noise = _NOTHING * torch.finfo(x.dtype).eps * centre
    return deviations, variance, variance <= noise.square()


def _affinely(
    method: Any,
    rel: torch.Tensor,
    whole: torch.Tensor,
    weight: Any,
    bias: Any,
    axis: int | None,
) -> torch.Tensor:
    if weight is not None:
        rel = rel * weight if torch.is_grad_enabled() else rel.mul_(weight)
        whole = whole * weight
    return rel if bias is None else add_bias(method, rel, whole, bias, axis)


@rule("cd", "normalize")
def normalise(method: Any, call: Call) -> torch.Tensor:
    """Divide the parts by the norm of the whole."""
    x, p, dim, eps = call.bind("input", p=2.0, dim=1, eps=1e-12)
    norm = torch.linalg.vector_norm(x.full, p, dim, keepdim=True).clamp_min(eps)
    return x.rel / norm


@rule("cd", "kind:normalise")
def vector(method: Any, call: Call) -> torch.Tensor:
    """Split a function of a vector, such as a norm, by the symmetric rule."""
    x = call.carriers[0]
    if method.partition or len(call.carriers) > 1:
        method.refuse(call.func, "has no rule for a partition")
    full = call.full
    alone = over_masks(call)
    rest = over_masks(_with_parts(call, x, x.full - x.rel))
    args, kwargs = call.replaced(lambda _: torch.zeros_like(x.full))
    origin = call.func(*args, **kwargs)
    rel = 0.5 * (alone - origin + full - rest)
    dims, keepdim = _reduced(call)
    axis = axis_reduced(x, dims, keepdim)
    call.axis = axis if axis is not None else axis_kept(x, full)
    if method.bias != "context" and origin.any():
        rel = rel + _whole_share(method, x, full, call.axis) * origin
    return rel


def _reduced(call: Call) -> tuple[Any, bool]:
    """Return the axes that are reduced and whether they are kept."""
    if call.operation.name == "var":
        dims, _, keepdim = variance_arguments(call)
        return dims, keepdim
    order = {"norm": "p", "linalg_norm": "ord", "linalg_vector_norm": "ord"}
    second = order.get(call.operation.name)
    names = ("input",) if second is None else ("input", second)
    *_, dims, keepdim = call.bind(*names, dim=None, keepdim=False)
    return dims, keepdim


def _whole_share(method: Any, x: Carrier, full: torch.Tensor, axis: Any) -> Any:
    """Return the share of the operation per sample, shaped for the result."""
    axis = None if x.axis is None else axis
    share = whole_share(method, x.rel, x.full, None if axis is None else x.axis)
    shape = [1] * full.ndim
    if axis is not None:
        shape[axis] = -1
    return share.reshape(len(share), *shape)


def _with_parts(call: Call, x: Carrier, parts: torch.Tensor) -> Call:
    other = Carrier(x.method, x.full, parts, x.axis)
    args, kwargs = call.replaced(lambda _: other)
    return Call(call.operation, call.func, args, kwargs)


@rule("cd", "softmax", "log_softmax", "softmin")
def softmax(method: Any, call: Call) -> torch.Tensor:
    """Split by the symmetric rule; what is masked stays masked."""
    x = call.carriers[0]
    full = call.full
    log = call.operation.name == "log_softmax"
    hidden = masked(x.full) if log else without_weight(x.full, full)

    def one(values: torch.Tensor) -> torch.Tensor:
        values = values if hidden is None else torch.where(hidden, x.full, values)
        args, kwargs = call.replaced(lambda _: values)
        out = call.func(*args, **kwargs)
        # the logarithm of what is masked is no part of anything
        return torch.where(hidden, 0, out) if log and hidden is not None else out

    seen = x
    if hidden is not None:
        whole = torch.where(hidden, 0, x.full)
        seen = Carrier(method, whole, torch.where(hidden, 0, x.rel), x.axis)
    value = torch.where(hidden, 0, full) if log and hidden is not None else full
    origin = one(torch.zeros_like(x.full))
    return symmetric(method, seen, torch.vmap(one), value, origin)


@rule("cd", "std")
def deviation(method: Any, call: Call) -> torch.Tensor:
    """Share the root of the variance as the variance is split."""
    variance = method(torch.var, call.args, call.kwargs)
    call.axis = variance.axis
    return share_value(method, variance, call.full)
