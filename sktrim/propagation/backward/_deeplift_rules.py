"""DeepLIFT (Rescale): the multiplier of an operation is its difference quotient."""

from __future__ import annotations

from typing import Any

import torch

import sktrim.propagation.backward._deeplift_select  # noqa: F401
from sktrim.propagation.aliases import pass_on
from sktrim.propagation.backward._deeplift import (
    DeepLiftRescale,
    exponent,
    finite,
    occurrences,
    on_base,
)
from sktrim.propagation.backward._deeplift_norms import multiply_inverse
from sktrim.propagation.backward._method import (
    identity_gradient,
    plainly,
    scaled,
)
from sktrim.propagation.carrier import Carrier, map_carriers
from sktrim.propagation.composite import pairwise, product_with_weights
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import BOUNDS, as_rectifier, batch_norm_arguments

__all__ = ["DeepLiftRescale"]

_PIECEWISE = frozenset(
    """relu leaky_relu prelu relu6 hardtanh clamp clamp_min clamp_max threshold abs
    hardshrink softshrink rrelu nan_to_num floor ceil round trunc fix frac""".split()
)


@rule("deeplift", "kind:shape", "kind:average", "add", "sub", "neg")
def linear(method: Any, call: Call) -> Any:
    """Linear in all its operands together: the gradient is the multiplier."""
    return call.on_full()


@rule("deeplift", "detach", "data")
def followed(method: Any, call: Call) -> Any:
    """Follow a value behind `detach`: it differs from the baseline's all the same."""
    return linear(method, Call(call.operation, torch.Tensor.view_as, call.args * 2, {}))


@rule("deeplift", "linear")
def dense(method: Any, call: Call) -> Any:
    """Treat a layer whose weight depends on the input as a product."""
    if occurrences(call) > 1:
        return product_with_weights(method, call)
    return call.on_full()


@rule("deeplift", "kind:affine")
def affine(method: Any, call: Call) -> Any:
    """Affine in one operand; a weight that depends on the input makes a product."""
    if occurrences(call) > 1:
        return products(method, call)
    return call.on_full()


@rule("deeplift", "batch_norm")
def batch_norm(method: Any, call: Call) -> Any:
    """Affine with running statistics."""
    _, mean, variance, _, _, training, _ = batch_norm_arguments(call)
    if len(call.carriers) > 1 or training or mean is None or variance is None:
        method.refuse(call.func, "with the statistics of the batch has no rule")
    return call.on_full()


rule("deeplift", "dropout", "dropout1d", "dropout2d", "dropout3d")(pass_on)
rule("deeplift", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")(pass_on)


@rule("deeplift", "__setitem__")
def write_item(method: Any, call: Call) -> None:
    """Write into both storages, which every view of them sees."""
    target = call.args[0]
    target.ending = None
    if not target.aliased:
        target.full, target.rel = target.full.clone(), target.rel.clone()
    call.on_full()
    on_base(call)


@rule("deeplift", "kind:elementwise", "pow")
def rescale(method: Any, call: Call) -> torch.Tensor:
    """Take the difference of the results over the difference of the arguments."""
    if occurrences(call) > 1:
        method.refuse(call.func, "of several values that vary has no rule")
    x, asked = call.carriers[0], call
    if call.operation.name in BOUNDS:
        call = as_rectifier(call)
    value = plainly(call)
    asked.rel = base = on_base(call)
    name = _POWERS.get(exponent(call), call.operation.name)
    if name == "abs" and x.full.is_complex():
        # |z|^2 - |z0|^2 = Re (z - z0) conj(z + z0)
        multiplier = finite((x.full.detach() + x.rel) / (value + base))
        return scaled(x.full, value, multiplier)
    if name in _EXACT:
        slope = finite(_EXACT[name](x.full.detach(), x.rel, value, base))
    else:
        slope = _slope(call, x, value, base)
    return scaled(x.full, value, slope.conj())


# difference quotients of x, x0 and their results y, y0 that nothing cancels in
_EXACT = {
    "square": lambda x, x0, y, y0: x + x0,
    "reciprocal": lambda x, x0, y, y0: -y * y0,
    "sqrt": lambda x, x0, y, y0: 1 / (y + y0),
    "rsqrt": lambda x, x0, y, y0: -y * y0 * (y * y0 / (y + y0)),
}
_POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal", -0.5: "rsqrt"}


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
        return call.on_full()
    if count > 2:
        return pairwise(method, call)
    if call.operation.name == "mul":
        a, b = call.bind("input", "other")
        if method.is_inverse(a) != method.is_inverse(b):
            return multiply_inverse(call, *((b, a) if method.is_inverse(a) else (a, b)))
    split = _with_other_half_way(call, 0) + _with_other_half_way(call, 1)
    return identity_gradient(split, plainly(call))


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
