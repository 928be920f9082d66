"""Relevance of attention, gates and normalisations (Achtibat et al. 2024).

Relevance is value times a modified gradient: that of a softmax is the plain one, a
product gives an equal share to each factor that varies, and what a value is divided by
counts as a constant. Rules of layers that depend on signs have no part in it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.backward._lrp_values import (
    Divisor,
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
from sktrim.propagation.carrier import Carrier, map_carriers
from sktrim.propagation.composite import product_with_weights
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import per_channel


@rule("lrp", "softmax", "softmin", "log_softmax", "logsumexp")
def softmax(method: Any, call: Call) -> torch.Tensor:
    """Take the plain gradient; what a mask hides has no relevance."""
    args, kwargs = call.replaced(lambda carrier: _shown(method, carrier))
    return _divided(call.func(*args, **kwargs))


def _shown(method: Any, carrier: Carrier) -> torch.Tensor:
    """Return the activation whose gradient is relevance over value, 0 at -inf."""
    hidden = carrier.full.detach() == -torch.inf
    if is_affine_input(carrier) or not hidden.any():
        return multiplier_of(method, carrier)
    x = Carrier(method, relevance_of(method, carrier).masked_fill(hidden, 0))
    return multiplier_of(method, x).masked_fill(hidden, -torch.inf)


def _divided(opened: torch.Tensor) -> torch.Tensor:
    # a copy: autograd keeps what torch computed, and models write in place
    return divide_by_itself(opened.clone())


@rule("lrp", "norm", "linalg_norm", "linalg_vector_norm", "std")
def norm(method: Any, call: Call) -> Any:
    """Take the plain gradient: what scales as its argument does conserves."""
    return plain_gradient(method, call, 1.0)


@rule("lrp", "var")
def variance(method: Any, call: Call) -> Any:
    """Take half of the plain gradient, as of a product of deviations."""
    return plain_gradient(method, call, 0.5)


def plain_gradient(method: Any, call: Call, share: float) -> Any:
    """Share out relevance by value times a part of the gradient."""
    args, kwargs = call.replaced(lambda carrier: multiplier_of(method, carrier, share))
    return _divided(call.func(*args, **kwargs))


@rule("lrp", "kind:elementwise")
def activation(method: Any, call: Call) -> torch.Tensor:
    """Pass the relevance of the result on to the argument."""
    if len(call.carriers) > 1:
        method.refuse(call.func, "of several values that vary has no rule")
    x, value = relevance_of(method, call.carriers[0]), plainly(call)
    if x.is_complex():
        method.refuse(call.func, "of a complex value has no rule")
    return identity_gradient(x.expand(value.shape), value)


@rule("lrp", "abs")
def absolute(method: Any, call: Call) -> Any:
    """Share out the modulus by the squares of real and imaginary parts."""
    if call.carriers[0].full.is_complex():
        return plain_gradient(method, call, 1.0)
    return activation(method, call)


@rule("lrp", "layer_norm")
def layer_norm(method: Any, call: Call) -> torch.Tensor:
    """Centre and scale; the deviation to divide by is a constant."""
    x, shape, weight, bias, eps = call.bind(
        "input", "normalized_shape", weight=None, bias=None, eps=1e-5
    )
    dims = tuple(range(-len(tuple(shape)), 0))
    centred = _centred(_only(method, call, x), dims, eps)
    return _closed(call, centred, weight, bias)


@rule("lrp", "rms_norm")
def rms_norm(method: Any, call: Call) -> torch.Tensor:
    """Scale; the root mean square to divide by is a constant."""
    x, shape, weight, eps = call.bind(
        "input", "normalized_shape", weight=None, eps=None
    )
    z = _only(method, call, x)
    eps = torch.finfo(z.dtype).eps if eps is None else eps
    mean = z.detach().square().mean(tuple(range(-len(tuple(shape)), 0)), keepdim=True)
    return _closed(call, z * torch.rsqrt(mean + eps), weight, None)


@rule("lrp", "group_norm")
def group_norm(method: Any, call: Call) -> torch.Tensor:
    """Centre and scale groups of channels by constants."""
    x, groups, weight, bias, eps = call.bind(
        "input", "num_groups", weight=None, bias=None, eps=1e-5
    )
    z = _only(method, call, x)
    split = z.reshape(len(z), groups, z.shape[1:].numel() // groups)
    centred = _centred(split, (-1,), eps).reshape(z.shape)
    return _closed(call, centred, *per_channel(z, weight, bias))


@rule("lrp", "instance_norm")
def instance_norm(method: Any, call: Call) -> Any:
    """Centre and scale channels by constants; batch norm with running statistics."""
    names = ("running_mean", "running_var", "weight", "bias")
    x, mean, variance, weight, bias, own, _, eps = call.bind(
        "input", *names, use_input_stats=True, momentum=0.1, eps=1e-5
    )
    if not own:
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.1, eps)
    z = _only(method, call, x)
    centred = _centred(z, tuple(range(2, z.ndim)), eps)
    return _closed(call, centred, *per_channel(z, weight, bias))


@rule("lrp", "normalize")
def normalise(method: Any, call: Call) -> torch.Tensor:
    """Divide by the norm, which is a constant."""
    x, p, dim, eps = call.bind("input", p=2.0, dim=1, eps=1e-12)
    z = _only(method, call, x)
    size = torch.linalg.vector_norm(z.detach(), p, dim, keepdim=True).clamp_min(eps)
    return _closed(call, z / size, None, None)


def _only(method: Any, call: Call, x: Any) -> torch.Tensor:
    if not isinstance(x, Carrier) or len(call.carriers) > 1:
        method.refuse(call.func, "with a weight that depends on the input has no rule")
    return multiplier_of(method, x)


def _centred(z: torch.Tensor, dims: tuple[int, ...], eps: float) -> torch.Tensor:
    centred = z - z.mean(dims, keepdim=True)
    spread = centred.detach().square().mean(dims, keepdim=True)
    return centred * torch.rsqrt(spread + eps)


def _closed(call: Call, opened: torch.Tensor, weight: Any, bias: Any) -> torch.Tensor:
    """Return the model's own value with the gradient of the scaled one."""
    opened = opened if weight is None else opened * weight
    opened = opened if bias is None else opened + bias
    value = plainly(call)
    same = with_gradient(opened, value, lambda gradient: gradient.to(opened.dtype))
    return divide_by_itself(same)


def product(method: Any, call: Call) -> Any:
    """Give every factor that varies an equal share; divisors are constants."""
    carriers: list[Carrier] = []
    map_carriers(carriers.append, (call.args, call.kwargs))
    factors = [c for c in carriers if not isinstance(c.rel, Divisor)]
    held = bool(factors)
    share = 1 / len(factors if held else carriers)

    def factor(carrier: Carrier) -> torch.Tensor:
        if held and isinstance(carrier.rel, Divisor):
            return carrier.full.detach()
        return multiplier_of(method, carrier, share)

    args, kwargs = call.replaced(factor)
    call.rel = None if held else Divisor()
    return divide_by_itself(call.func(*args, **kwargs))


@rule("lrp", "reciprocal", "rsqrt")
def divisor(method: Any, call: Call) -> torch.Tensor:
    """Pass the relevance on where it is no factor of a product."""
    call.rel = Divisor()
    return activation(method, call)


@rule("lrp", "pow")
def power(method: Any, call: Call) -> torch.Tensor:
    """Treat negative powers as divisors."""
    exponent = call.bind("input", "exponent")[1]
    negative = isinstance(exponent, int | float) and exponent < 0
    return (divisor if negative else activation)(method, call)


def quotient(method: Any, call: Call) -> torch.Tensor:
    """Divide by a value that varies, as if it were a constant."""
    a, b = call.bind("input", "other")
    if not isinstance(a, Carrier):
        return divisor(method, call)
    opened = torch.div(multiplier_of(method, a), b.full.detach())
    return divide_by_itself(opened)


def varying_layer(method: Any, call: Call) -> Any:
    """Apply a linear layer or a convolution whose weight depends on the input."""
    if call.operation.name == "linear":
        return product_with_weights(method, call)
    x, weight, bias = call.bind("input", "weight", "bias")
    args, kwargs = (x, weight, None, *call.args[3:]), dict(call.kwargs)
    kwargs = {k: v for k, v in kwargs.items() if k not in ("input", "weight", "bias")}
    if isinstance(weight, Carrier):
        apart = Call(call.operation, call.func, args, kwargs)
        result = method.wrap(apart, product(method, apart))
    else:
        result = method(call.func, args, kwargs)
    if bias is None:
        return result
    return result + bias.reshape(-1, *(1,) * (weight.dim() - 2))
