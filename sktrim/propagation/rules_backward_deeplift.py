"""DeepLIFT (Rescale): the multiplier of an operation is its difference quotient."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from .backpropagation import (
    ModifiedBackpropagation,
    mark_aliases,
    passed,
    plainly,
    scaled,
    wrap,
)
from .carrier import Carrier, is_plain, map_carriers
from .method import PLAIN_WRITE, Call
from .registry import rule
from .rules_affine import _batch_norm_arguments
from .rules_bilinear import pairwise
from .rules_composite import product_with_weights
from .rules_normalise import variance_arguments
from .rules_select import _ADAPTIVE, _FIXED, take_winners
from .rules_shape import pass_on

_PIECEWISE = frozenset(
    """relu leaky_relu prelu relu6 hardtanh clamp clamp_min clamp_max threshold abs
    hardshrink softshrink rrelu nan_to_num floor ceil round trunc fix frac""".split()
)


class DeepLiftRescale(ModifiedBackpropagation):
    """Carry the activation and the baseline's (Shrikumar et al. 2017, Rescale).

    A carrier's `full` is the sample's activation and `rel` the baseline's. Every
    rule is complete by itself: gradients times differences of its arguments add up
    to gradient times difference of its result.
    """

    name = "DeepLIFT"
    key = "deeplift"


def on_base(call: Call) -> Any:
    """Return what the plain model gets for the baseline, without a graph."""
    args, kwargs = call.replaced(lambda carrier: carrier.rel)
    with torch.no_grad():
        return call.func(*args, **kwargs)


@rule("deeplift", "kind:shape", "kind:average", "add", "sub", "neg")
def linear(method: Any, call: Call) -> Any:
    """Linear in all its operands together: the gradient is the multiplier."""
    result = wrap(method, call.on_full(), on_base(call))
    if call.operation.kind == "shape":
        mark_aliases(call, result)
    return result


@rule("deeplift", "linear")
def dense(method: Any, call: Call) -> Any:
    """Treat a layer whose weight depends on the input as a product."""
    if _occurrences(call) > 1:
        return product_with_weights(method, call)
    return wrap(method, call.on_full(), on_base(call))


@rule("deeplift", "kind:affine")
def affine(method: Any, call: Call) -> Any:
    """Affine in one operand; a weight that depends on the input makes a product."""
    if _occurrences(call) > 1:
        return products(method, call)
    return wrap(method, call.on_full(), on_base(call))


@rule("deeplift", "batch_norm")
def batch_norm(method: Any, call: Call) -> Any:
    """Affine with running statistics."""
    _, mean, variance, _, _, training, _ = _batch_norm_arguments(call)
    if len(call.carriers) > 1 or training or mean is None or variance is None:
        method.refuse(call.func, "with the statistics of the batch has no rule")
    return wrap(method, call.on_full(), on_base(call))


rule("deeplift", "dropout", "dropout1d", "dropout2d", "dropout3d")(pass_on)
rule("deeplift", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")(pass_on)


@rule("deeplift", "__setitem__")
def write_item(method: Any, call: Call) -> None:
    """Write into both storages, which every view of them sees."""
    target = call.args[0]
    if not isinstance(target, Carrier):
        method.refuse(call.func, PLAIN_WRITE)
    target.ending = None
    if not target.aliased:
        target.full, target.rel = target.full.clone(), target.rel.clone()
    call.on_full()
    on_base(call)


@rule("deeplift", "kind:elementwise", "pow")
def rescale(method: Any, call: Call) -> Carrier:
    """Take the difference of the results over the difference of the arguments."""
    if _occurrences(call) > 1:
        method.refuse(call.func, "of several values that vary has no rule")
    x = call.carriers[0]
    if x.full.is_complex():
        method.refuse(call.func, "of a complex value has no rule")
    value, base = plainly(call), on_base(call)
    slope = _slope(call, x, value, base)
    return Carrier(method, scaled(x.full, value, slope), base)


def _slope(
    call: Call, x: Carrier, value: torch.Tensor, base: torch.Tensor
) -> torch.Tensor:
    """Return the difference quotient; the derivative half-way where it is 0 / 0."""
    full = x.full.detach()
    step = full - x.rel
    slope = (value - base).div_(step)
    if call.operation.name in _PIECEWISE:
        close = step == 0
    else:
        tolerance = torch.finfo(full.dtype).eps ** 0.5
        close = step.abs_() <= tolerance * (1 + full.abs())
    if not close.any():
        return _finite(slope)
    if call.operation.name == "relu":
        return torch.where(close, (full > 0).to(slope.dtype), slope)
    return _finite(torch.where(close, _derivative(call, x), slope))


def _derivative(call: Call, x: Carrier) -> torch.Tensor:
    with torch.enable_grad():
        middle = ((x.full.detach() + x.rel) / 2).requires_grad_()
        args, kwargs = call.replaced(lambda _: middle)
        out = call.func(*args, **kwargs)
        if not out.requires_grad:
            return torch.zeros_like(middle)
        return torch.autograd.grad(out.sum(), middle)[0]


def _finite(slope: torch.Tensor) -> torch.Tensor:
    # what is masked with -inf in both has no difference
    return torch.nan_to_num_(slope, 0.0, 0.0, 0.0)


@rule("deeplift", "kind:bilinear")
def products(method: Any, call: Call) -> Any:
    """Hold each of two operands half-way between the baseline's and the sample's."""
    count = _occurrences(call)
    if count == 1:
        return wrap(method, call.on_full(), on_base(call))
    if count > 2:
        return pairwise(method, call)
    if any(carrier.full.is_complex() for carrier in call.carriers):
        method.refuse(call.func, "of two complex values that vary has no rule")
    split = _with_other_half_way(call, 0) + _with_other_half_way(call, 1)
    return Carrier(method, passed(split, plainly(call)), on_base(call))


def _with_other_half_way(call: Call, chosen: int) -> Any:
    seen = -1

    def pick(carrier: Carrier) -> torch.Tensor:
        nonlocal seen
        seen += 1
        if seen == chosen:
            return carrier.full
        return (carrier.full.detach() + carrier.rel) / 2

    args, kwargs = map_carriers(pick, (call.args, call.kwargs))
    return call.func(*args, **kwargs)


@rule("deeplift", "div")
def divide(method: Any, call: Call) -> Any:
    """Multiply by the reciprocal of a divisor that varies."""
    a, b = call.bind("input", "other")
    if call.kwargs.get("rounding_mode"):
        method.refuse(call.func, "with rounding has no rule")
    if not isinstance(b, Carrier):
        return wrap(method, call.on_full(), on_base(call))
    inverse: Any = method(torch.reciprocal, (b,), {})
    return a * inverse


@rule("deeplift", "kind:select")
def refuse_ranks(method: Any, call: Call) -> Any:
    """Refuse: the rank of a value may differ between sample and baseline."""
    method.refuse(call.func)


_POOLS = [f"{a}max_pool{d}d" for a in ("", "adaptive_") for d in (1, 2, 3)]


@rule("deeplift", *_POOLS)
def pool(method: Any, call: Call) -> Any:
    """Give the difference to the sample's winner, or the baseline's if that is less.

    Either has moved by at least the difference, so that multipliers lie in [0, 1].
    """
    name = call.operation.name
    names = _ADAPTIVE if name.startswith("adaptive") else _FIXED
    x, *values = call.bind("input", *names)
    given = {k: v for k, v in zip(names, values, strict=True) if v is not None}
    wants_indices = given.pop("return_indices", False)
    wants_indices = wants_indices or call.func.__name__.endswith("with_indices")

    def winners(tensor: torch.Tensor) -> Any:
        return getattr(F, name)(tensor, **given, return_indices=True)

    spatial = int(name[-2])
    with torch.no_grad():
        (value, mine), (base, other) = winners(x.full), winners(x.rel)
    result = _give_to_winner(method, x, value, mine, base, other, spatial)
    return (result, mine) if wants_indices else result


def _give_to_winner(
    method: Any, x: Carrier, value: Any, mine: Any, base: Any, other: Any, spatial: int
) -> Carrier:
    """Scatter value - base over the flat positions of the two winners."""
    index = torch.where(value >= base, mine, other)
    flat = x.full.flatten(-spatial)
    taken = flat.gather(-1, index.flatten(-spatial)).unflatten(
        -1, index.shape[-spatial:]
    )
    step = taken.detach() - take_winners(x.rel[None], index, spatial)[0]
    slope = torch.where(step == 0, 1, (value - base) / step)
    return Carrier(method, scaled(taken, value, _finite(slope)), base)


@rule("deeplift", "max", "min", "amax", "amin")
def extreme(method: Any, call: Call) -> Any:
    """Along axes as in max pooling; of two operands by a difference and a ReLU."""
    x, dim, keepdim = call.bind("input", dim=None, keepdim=False)
    dim = call.kwargs.get("axis", call.kwargs.get("other", dim))
    if is_plain(dim) or isinstance(dim, Carrier):
        return larger(method, Call(call.operation, call.func, (x, dim), {}))
    sign = 1 if call.operation.name.endswith("max") else -1
    count = x.full.ndim
    dims = tuple(range(count)) if dim is None or dim == () else dim
    dims = sorted(d % count for d in ((dims,) if isinstance(dims, int) else dims))
    kept = [d for d in range(count) if d not in dims]

    def along(tensor: torch.Tensor) -> torch.Tensor:
        return sign * tensor.permute(*kept, *dims).flatten(len(kept))

    flat = Carrier(method, along(x.full), along(x.rel))
    (value, mine), (base, other) = (
        t.detach().max(-1, keepdim=True) for t in (flat.full, flat.rel)
    )
    out: Any = _give_to_winner(method, flat, value, mine, base, other, 1)
    out = sign * out.squeeze(-1)
    for d in dims if keepdim else ():
        out = out.unsqueeze(d)
    full = plainly(call)
    return out if is_plain(full) else type(full)((out, full[1]))


@rule("deeplift", "maximum", "minimum", "fmax", "fmin")
def larger(method: Any, call: Call) -> Any:
    """Add what one operand exceeds the other by."""
    a, b = call.bind("input", "other")
    if call.operation.name in ("max", "maximum", "fmax"):
        return torch.relu(a - b) + b
    return a - torch.relu(a - b)


@rule("deeplift", "softmax", "softmin", "log_softmax")
def softmax(method: Any, call: Call) -> Any:
    """Write it with exp, a sum and a quotient."""
    x, dim, dtype = call.bind("input", dim=-1, dtype=None)
    dim = call.args[1] if len(call.args) > 1 else dim
    x = x if dtype is None else x.to(dtype)
    x = -x if call.operation.name == "softmin" else x
    lowered = x - _finite_maximum(x, dim)
    weights = torch.exp(lowered)
    total = torch.sum(weights, dim, keepdim=True)
    if call.operation.name == "log_softmax":
        return lowered - torch.log(total)
    return weights / total


@rule("deeplift", "logsumexp")
def logsumexp(method: Any, call: Call) -> Any:
    """Write it with exp, a sum and a logarithm."""
    x, dim, keepdim = call.bind("input", "dim", keepdim=False)
    shift = _finite_maximum(x, dim)
    total = torch.log(torch.sum(torch.exp(x - shift), dim, keepdim=True)) + shift
    if keepdim:
        return total
    dims = (dim,) if isinstance(dim, int) else dim
    return total.squeeze(tuple(dims))


def _finite_maximum(x: Any, dim: Any) -> Any:
    """Return what to subtract before exp.

    It is carried: after a shift that sample and baseline share, the exponentials of
    one of them may vanish.
    """
    shift: Any = torch.amax(x, dim, keepdim=True)
    return torch.where(torch.isinf(shift), 0.0, shift)


@rule("deeplift", "layer_norm")
def layer_norm(method: Any, call: Call) -> Any:
    """Centre, and divide by the root of the mean square."""
    x, shape, weight, bias, eps = call.bind(
        "input", "normalized_shape", weight=None, bias=None, eps=1e-5
    )
    return _affinely(
        _standard(x, tuple(range(-len(tuple(shape)), 0)), eps), weight, bias
    )


@rule("deeplift", "rms_norm")
def rms_norm(method: Any, call: Call) -> Any:
    """Divide by the root of the mean square."""
    x, shape, weight, eps = call.bind(
        "input", "normalized_shape", weight=None, eps=None
    )
    eps = torch.finfo(x.full.dtype).eps if eps is None else eps
    dims = tuple(range(-len(tuple(shape)), 0))
    scale = torch.rsqrt(torch.mean(torch.square(x), dims, keepdim=True) + eps)
    return _affinely(x * scale, weight, None)


@rule("deeplift", "group_norm")
def group_norm(method: Any, call: Call) -> Any:
    """Standardise groups of channels."""
    x, groups, weight, bias, eps = call.bind(
        "input", "num_groups", weight=None, bias=None, eps=1e-5
    )
    split = x.reshape(x.shape[0], groups, x.shape[1:].numel() // groups)
    out = _standard(split, (-1,), eps).reshape(x.shape)
    return _affinely(out, *_per_channel(x, weight, bias))


@rule("deeplift", "instance_norm")
def instance_norm(method: Any, call: Call) -> Any:
    """Standardise every channel of a sample, or use running statistics."""
    names = ("running_mean", "running_var", "weight", "bias")
    x, mean, variance, weight, bias, own, _, eps = call.bind(
        "input", *names, use_input_stats=True, momentum=0.1, eps=1e-5
    )
    if not own:
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.1, eps)
    out = _standard(x, tuple(range(2, x.full.ndim)), eps)
    return _affinely(out, *_per_channel(x, weight, bias))


def _standard(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    centred = x - torch.mean(x, dims, keepdim=True)
    variance = torch.mean(torch.square(centred), dims, keepdim=True)
    return centred * torch.rsqrt(variance + eps)


def _affinely(value: Any, weight: Any, bias: Any) -> Any:
    value = value if weight is None else value * weight
    return value if bias is None else value + bias


def _per_channel(x: Carrier, *values: Any) -> list[Any]:
    shape = (-1, *(1,) * (x.full.ndim - 2))
    return [None if v is None else v.reshape(shape) for v in values]


@rule("deeplift", "norm", "linalg_norm", "linalg_vector_norm")
def norm(method: Any, call: Call) -> Any:
    """Write the p-norm with powers and a sum."""
    second = "p" if call.operation.name == "norm" else "ord"
    x, p, dim, keepdim = call.bind("input", **{second: 2}, dim=None, keepdim=False)
    p = 2.0 if p in (None, "fro") else float(p)
    matrix = call.operation.name == "linalg_norm" and p != 2 and x.full.ndim > 1
    if matrix or p in (0.0, float("inf"), -float("inf")):
        method.refuse(call.func, f"with p={p} has no rule")
    dims = tuple(range(x.full.ndim)) if dim is None else dim
    total = torch.sum(torch.pow(torch.abs(x), p), dims, keepdim=keepdim)
    return torch.pow(total, 1 / p)


@rule("deeplift", "normalize")
def normalise(method: Any, call: Call) -> Any:
    """Divide by the norm; of a vector without a length, by that of the other."""
    x, p, dim, eps = call.bind("input", p=2.0, dim=1, eps=1e-12)
    size: Any = torch.linalg.vector_norm(x, p, dim, keepdim=True)
    inverse: Any = torch.reciprocal(torch.clamp_min(size, eps))
    mine, other = size.full < eps, size.rel < eps

    def held(whole: torch.Tensor, base: torch.Tensor, a: Any, b: Any) -> torch.Tensor:
        middle = torch.where(b, base, (whole + base) / 2)
        return torch.where(a, whole, middle).detach()

    split = x.full * held(inverse.full, inverse.rel, other, mine & ~other)
    split = split + inverse.full * held(x.full, x.rel, mine & ~other, other)
    return Carrier(method, passed(split, plainly(call)), on_base(call))


@rule("deeplift", "var", "std")
def variance(method: Any, call: Call) -> Any:
    """Write it with a mean and squares; the correction is torch's."""
    x: Any = call.carriers[0]
    dim, correction, keepdim = variance_arguments(call)
    dims = tuple(range(x.full.ndim)) if dim is None else dim
    centred = x - torch.mean(x, dims, keepdim=True)
    total: Any = torch.sum(torch.square(centred), dims, keepdim=keepdim)
    count = x.full.numel() // max(1, total.full.numel())
    total = total / max(0, count - correction)
    return torch.sqrt(total) if call.operation.name == "std" else total


def _occurrences(call: Call) -> int:
    count = 0

    def see(carrier: Carrier) -> Carrier:
        nonlocal count
        count += 1
        return carrier

    map_carriers(see, (call.args, call.kwargs))
    return count
