"""Contextual decomposition of affine operations and averages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.axes import aligned_axis, axis_aligned, axis_kept, axis_reduced
from sktrim.propagation.carrier import Carrier, is_plain
from sktrim.propagation.composite import product_with_weights
from sktrim.propagation.decomposition._lowrank import LowRank, through
from sktrim.propagation.decomposition._method import over_masks
from sktrim.propagation.decomposition._share import add_bias, leading
from sktrim.propagation.masking import unmasked
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import CONVOLUTION, batch_norm_arguments


@rule("cd", "kind:affine")
def affine(method: Any, call: Call) -> Any:
    """Split any affine operation: its value at zero is the bias."""
    if len(call.carriers) > 1:
        method.refuse(call.func, "of several decomposed values has no rule")
    full, rel = call.full, over_masks(call)
    args, kwargs = call.replaced(lambda carrier: torch.zeros_like(carrier.full))
    bias = call.func(*args, **kwargs)
    if not is_plain(full):
        if any(b.any() for b in bias):
            method.refuse(call.func, "returns several tensors and has a bias")
        call.axis = None
        return rel
    call.axis = axis_kept(call.carriers[0], full)
    if bias.any():
        rel = add_bias(method, rel - bias, full - bias, bias, call.axis)
    return rel


@rule("cd", "kind:average")
def average(method: Any, call: Call) -> torch.Tensor:
    """Average the relevant parts as the whole is averaged."""
    carrier, full = call.carriers[0], call.full
    if call.operation.name.endswith(("pool1d", "pool2d", "pool3d")):
        call.axis = axis_kept(carrier, full)
        return _pool(call, carrier)
    _, dims, keepdim = call.bind("input", dim=None, keepdim=False)
    dims = call.kwargs.get("axis", dims)
    call.axis = axis_reduced(carrier, None if dims == () else dims, keepdim)
    return over_masks(call)


def _pool(call: Call, carrier: Carrier) -> torch.Tensor:
    spatial = int(call.operation.name[-2])
    if carrier.full.ndim != spatial + 2:
        return over_masks(call)
    args, kwargs = call.replaced(lambda c: c.rel.flatten(0, 1))
    return call.func(*args, **kwargs).unflatten(0, carrier.rel.shape[:2])


@rule("cd", "linear")
def linear(method: Any, call: Call) -> Any:
    """W rel + share of the bias."""
    x, weight, bias = call.bind("input", "weight", bias=None)
    if not isinstance(x, Carrier) or _varies(weight, bias):
        return product_with_weights(method, call)
    rows = x.full.ndim > 1
    rel = through(call, x, weight, lambda part: F.linear(part, weight), rows)
    whole = F.linear(x.full, weight)
    call.axis = x.axis if x.axis != -1 else None
    return _shifted(method, call, rel, whole, bias)


def _shifted(
    method: Any, call: Call, rel: torch.Tensor, whole: torch.Tensor, bias: Any
) -> torch.Tensor:
    """Add the bias to the whole and its share to the parts."""
    call.full = whole if bias is None else whole + bias
    return rel if bias is None else add_bias(method, rel, whole, bias, call.axis)


@rule("cd", "conv1d", "conv2d", "conv3d")
@rule("cd", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(method: Any, call: Call) -> torch.Tensor:
    """W rel + share of the bias; masks and samples are one batch."""
    x, weight, bias, *rest = call.bind(
        "input", "weight", "bias", *CONVOLUTION[call.operation.name]
    )
    _refuse_weights(method, call, weight, bias)
    names = CONVOLUTION[call.operation.name]
    options = {k: v for k, v in zip(names, rest, strict=True) if v is not None}
    batch = x.full.ndim == weight.ndim

    def convolve(part: torch.Tensor) -> torch.Tensor:
        if not batch:
            return torch.vmap(lambda one: call.func(one, weight, None, **options))(part)
        out = call.func(part.flatten(0, 1), weight, None, **options)
        return out.unflatten(0, part.shape[:2])

    call.axis = -x.full.ndim if batch and x.axis == -x.full.ndim else None
    if batch and len(x.full) <= _FEW and not isinstance(x.rel, LowRank):
        whole, rel = _joined(x, lambda rows: call.func(rows, weight, None, **options))
    else:
        rel = through(call, x, weight, convolve, batch, **options)
        whole = call.func(x.full, weight, None, **options)
    if bias is not None:
        bias = bias.reshape(-1, *(1,) * (weight.ndim - 2))
    return _shifted(method, call, rel, whole, bias)


# a batch this small is slow by itself, so it joins that of the masks
_FEW = 4


def _joined(x: Carrier, linear: Callable) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply a linear map to the whole and to the parts as one batch."""
    out = linear(torch.cat([x.full, x.rel.flatten(0, 1)]))
    n_samples = len(x.full)
    return out[:n_samples], out[n_samples:].unflatten(0, x.rel.shape[:2])


def _varies(*weights: Any) -> bool:
    return any(isinstance(weight, Carrier) for weight in weights)


def _refuse_weights(method: Any, call: Call, *weights: Any) -> None:
    if _varies(*weights):
        method.refuse(call.func, "with a weight that depends on the input has no rule")


@rule("cd", "batch_norm")
def batch_norm(method: Any, call: Call) -> torch.Tensor:
    """Scale by the running variance and share the shift."""
    x, mean, variance, weight, bias, training, eps = batch_norm_arguments(call)
    if len(call.carriers) > 1 or training or mean is None or variance is None:
        return method.refuse(call.func, "with the statistics of the batch has no rule")
    full = call.full
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (-1, *(1,) * (full.ndim - 2))
    scale, shift = scale.reshape(shape), shift.reshape(shape)
    rel, whole = x.rel * scale, x.full * scale
    return add_bias(method, rel, whole, shift, x.axis)


@rule("cd", "neg")
def negate(method: Any, call: Call) -> torch.Tensor:
    """Negate every part."""
    return -call.carriers[0].rel


@rule("cd", "add", "sub")
def add(method: Any, call: Call) -> torch.Tensor:
    """Add parts to parts; a constant is a bias."""
    a, b, alpha = call.bind("input", "other", alpha=1)
    full = call.full
    sign = -1 if call.operation.name == "sub" else 1
    if isinstance(a, Carrier) and isinstance(b, Carrier):
        left, right = leading(a.rel, full.ndim), leading(b.rel, full.ndim)
        call.axis = aligned_axis([a, b])
        return torch.add(left, right, alpha=sign * alpha)
    if isinstance(a, Carrier):
        x, factor, constant = a, 1, sign * alpha * b
    else:
        x, factor, constant = b, sign * alpha, a
    constant = torch.as_tensor(constant, dtype=full.dtype, device=full.device)
    constant = unmasked(constant)
    rel = leading(x.rel if factor == 1 else factor * x.rel, full.ndim).to(full.dtype)
    whole = (factor * x.full).expand(full.shape)
    rel = rel.expand(rel.shape[0], *full.shape)
    call.axis = axis_aligned(x, full)
    if method.bias == "context" or not torch.is_grad_enabled():
        # not the argument's own storage: the result may be written in place
        rel = rel.clone()
    return add_bias(method, rel, whole, constant, call.axis)
