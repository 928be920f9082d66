"""DeepLIFT (Rescale): the multiplier of an operation is its difference quotient."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from .backpropagation import mark_aliases, passed, plainly, scaled, wrap
from .carrier import Carrier, is_plain, map_carriers
from .deeplift import DeepLiftRescale, finite, occurrences, on_base
from .method import PLAIN_WRITE, Call
from .registry import rule
from .rules_affine import _batch_norm_arguments
from .rules_backward_deeplift_norms import multiply_inverse
from .rules_bilinear import pairwise
from .rules_composite import product_with_weights
from .rules_select import _ADAPTIVE, _FIXED, take_winners
from .rules_shape import pass_on

__all__ = ["DeepLiftRescale"]

_PIECEWISE = frozenset(
    """relu leaky_relu prelu relu6 hardtanh clamp clamp_min clamp_max threshold abs
    hardshrink softshrink rrelu nan_to_num floor ceil round trunc fix frac""".split()
)


@rule("deeplift", "kind:shape", "kind:average", "add", "sub", "neg")
def linear(method: Any, call: Call) -> Any:
    """Linear in all its operands together: the gradient is the multiplier."""
    result = wrap(method, call.on_full(), on_base(call))
    if call.operation.kind == "shape":
        mark_aliases(call, result)
        _follow_inverse(method, call, result)
    return result


def _follow_inverse(method: Any, call: Call, result: Any) -> None:
    """Mark what is made of nothing but one value that was got by dividing."""
    carriers = call.carriers
    if len(carriers) == 1 and method.is_inverse(carriers[0]):
        method.mark_inverse(result)


@rule("deeplift", "linear")
def dense(method: Any, call: Call) -> Any:
    """Treat a layer whose weight depends on the input as a product."""
    if occurrences(call) > 1:
        return product_with_weights(method, call)
    return wrap(method, call.on_full(), on_base(call))


@rule("deeplift", "kind:affine")
def affine(method: Any, call: Call) -> Any:
    """Affine in one operand; a weight that depends on the input makes a product."""
    if occurrences(call) > 1:
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
    if occurrences(call) > 1:
        method.refuse(call.func, "of several values that vary has no rule")
    x = call.carriers[0]
    value, base = plainly(call), on_base(call)
    name = _POWERS.get(_exponent(call), call.operation.name)
    if name == "abs" and x.full.is_complex():
        # |z|^2 - |z0|^2 = Re (z - z0) conj(z + z0)
        multiplier = finite((x.full.detach() + x.rel) / (value + base))
        return Carrier(method, scaled(x.full, value, multiplier), base)
    if name in _EXACT:
        slope = finite(_EXACT[name](x.full.detach(), x.rel, value, base))
    else:
        slope = _slope(call, x, value, base)
    result = Carrier(method, scaled(x.full, value, slope.conj()), base)
    if name in _INVERSES:
        method.mark_inverse(result)
    return result


# difference quotients of x, x0 and their results y, y0 that nothing cancels in
_EXACT = {
    "square": lambda x, x0, y, y0: x + x0,
    "reciprocal": lambda x, x0, y, y0: -y * y0,
    "sqrt": lambda x, x0, y, y0: 1 / (y + y0),
    "rsqrt": lambda x, x0, y, y0: -y * y0 * (y * y0 / (y + y0)),
}
_POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal", -0.5: "rsqrt"}
_INVERSES = frozenset({"reciprocal", "rsqrt"})


def _exponent(call: Call) -> Any:
    """Return the power that a value is raised to; None for anything else."""
    if call.operation.name != "pow":
        return None
    x, power = call.bind("input", "exponent")
    return power if isinstance(x, Carrier) and isinstance(power, int | float) else None


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
        close = step.abs() <= tolerance * (1 + full.abs())
    if not close.any():
        return finite(slope)
    if call.operation.name == "relu":
        return torch.where(close, (full > 0).to(slope.dtype), slope)
    return finite(torch.where(close, _derivative(call, x), slope))


def _derivative(call: Call, x: Carrier) -> torch.Tensor:
    with torch.enable_grad():
        middle = ((x.full.detach() + x.rel) / 2).requires_grad_()
        args, kwargs = call.replaced(lambda _: middle)
        out = call.func(*args, **kwargs)
        if not out.requires_grad:
            return torch.zeros_like(middle)
        return torch.autograd.grad(out, middle, torch.ones_like(out))[0].conj()


@rule("deeplift", "kind:bilinear")
def products(method: Any, call: Call) -> Any:
    """Hold each of two operands half-way between the baseline's and the sample's."""
    count = occurrences(call)
    if count == 1:
        result = wrap(method, call.on_full(), on_base(call))
        if call.operation.name == "mul":
            _follow_inverse(method, call, result)
        return result
    if count > 2:
        return pairwise(method, call)
    if call.operation.name == "mul":
        a, b = call.bind("input", "other")
        if method.is_inverse(a) != method.is_inverse(b):
            return multiply_inverse(call, *((b, a) if method.is_inverse(a) else (a, b)))
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
    return Carrier(method, scaled(taken, value, finite(slope)), base)


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
