"""DeepLIFT of normalisations, whatever they are written with, and of softmax.

Of a quotient, with y = c / d, and the weight w = d^2 / (d^2 + d0^2),

    y - y0 = k (c - c0) - u (d - d0),  k = w / d + (1 - w) / d0,
    u = (w c0 + (1 - w) c) / (d d0).

Any w makes that complete. Evenly (w = 1/2) k is as large as the larger of 1 / d and
1 / d0, which a zero baseline makes 1 / sqrt(eps), and the second term has to cancel it;
with this w neither k nor u / y is above 1.21 times the smaller of the two, and for
equal divisors it is the even split.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.backward._deeplift import finite
from sktrim.propagation.backward._method import (
    identity_gradient,
    plainly,
    with_gradient,
)
from sktrim.propagation.carrier import Carrier
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import variance_arguments


def _coefficients(
    c: torch.Tensor, d: torch.Tensor, c0: torch.Tensor, d0: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return k and u of the module's equation; d^2 neither overflows nor vanishes."""
    size = torch.maximum(d.abs(), d0.abs())
    a, a0 = d / size, d0 / size
    total = a.abs().square() + a0.abs().square()
    a, a0 = a.conj() / total, a0.conj() / total
    return (a + a0) / size, (a * (c0 / d0) + a0 * (c / d)) / size


@rule("deeplift", "div")
def divide(method: Any, call: Call) -> Any:
    """Weigh by the larger divisor, of sample and baseline."""
    a, b = call.bind("input", "other")
    if call.kwargs.get("rounding_mode"):
        method.refuse(call.func, "with rounding has no rule")
    if not isinstance(b, Carrier):
        return call.on_full()
    if not isinstance(a, Carrier):
        inverse: Any = method(torch.reciprocal, (b,), {})
        return inverse * a
    k, u = _coefficients(a.full.detach(), b.full.detach(), a.rel, b.rel)
    split = a.full * finite(k) - b.full * finite(u)
    return identity_gradient(split, plainly(call))


def multiply_inverse(call: Call, x: Carrier, inverse: Carrier) -> torch.Tensor:
    """Multiply by what was got by dividing, as the quotient would be divided."""
    r, r0 = inverse.full.detach(), inverse.rel
    size = torch.maximum(r.abs(), r0.abs())
    a, a0 = (r / size).abs().square(), (r0 / size).abs().square()
    lead = torch.nan_to_num(a0 / (a + a0), 0.5)
    middle, held = r0 + lead * (r - r0), lead * x.rel + (1 - lead) * x.full.detach()
    split = x.full * middle + inverse.full * held
    return identity_gradient(split, plainly(call))


@rule("deeplift", "layer_norm")
def layer_norm(method: Any, call: Call) -> Any:
    """Centre, and divide by the root of the mean square."""
    x, shape, weight, bias, eps = call.bind(
        "input", "normalized_shape", weight=None, bias=None, eps=1e-5
    )
    dims = tuple(range(-len(tuple(shape)), 0))
    return _standardised(method, call, x, dims, eps, weight, bias)


@rule("deeplift", "rms_norm")
def rms_norm(method: Any, call: Call) -> Any:
    """Divide by the root of the mean square."""
    x, shape, weight, eps = call.bind(
        "input", "normalized_shape", weight=None, eps=None
    )
    if not isinstance(x, Carrier):
        return torch.rms_norm(x, shape, None, eps) * weight
    eps = torch.finfo(x.full.dtype).eps if eps is None else eps
    dims = tuple(range(-len(tuple(shape)), 0))
    return _standardised(method, call, x, dims, eps, weight, None, centred=False)


@rule("deeplift", "group_norm")
def group_norm(method: Any, call: Call) -> Any:
    """Standardise groups of channels."""
    x, groups, weight, bias, eps = call.bind(
        "input", "num_groups", weight=None, bias=None, eps=1e-5
    )
    split = (len(x), groups, x.shape[1:].numel() // groups)
    weight, bias = _per_channel(x, weight, bias)
    return _standardised(method, call, x, (-1,), eps, weight, bias, split)


@rule("deeplift", "instance_norm")
def instance_norm(method: Any, call: Call) -> Any:
    """Standardise every channel of a sample, or use running statistics."""
    names = ("running_mean", "running_var", "weight", "bias")
    x, mean, variance, weight, bias, own, _, eps = call.bind(
        "input", *names, use_input_stats=True, momentum=0.1, eps=1e-5
    )
    if not own:
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.1, eps)
    weight, bias = _per_channel(x, weight, bias)
    dims = tuple(range(2, x.dim()))
    return _standardised(method, call, x, dims, eps, weight, bias)


def _per_channel(x: Any, *values: Any) -> list[Any]:
    shape = (-1, *(1,) * (x.dim() - 2))
    return [None if v is None else v.reshape(shape) for v in values]


def _standardised(
    method: Any,
    call: Call,
    x: Any,
    dims: tuple[int, ...],
    eps: float,
    weight: Any,
    bias: Any,
    split: tuple[int, ...] | None = None,
    centred: bool = True,
) -> Any:
    """Divide what is (centred) by the root of its mean square, in one step."""
    if len(call.carriers) > 1 or not isinstance(x, Carrier):
        out = _plainly_standardised(x, dims, eps, split, centred)
        out = out if weight is None else out * weight
        return out if bias is None else out + bias
    shape = x.full.shape if split is None else split
    c, c0 = (t.reshape(shape) for t in (x.full.detach(), x.rel))
    if centred:
        c, c0 = (t - t.mean(dims, keepdim=True) for t in (c, c0))
    d, d0 = ((t.square().mean(dims, keepdim=True) + eps).sqrt() for t in (c, c0))
    k, u = _coefficients(c, d, c0, d0)
    count = c.numel() // max(1, d.numel())
    # the divisor moves by d - d0 = mean((c - c0) (c + c0)) / (d + d0)
    step = (c + c0) / (count * (d + d0))

    def pull(gradient: torch.Tensor, k: Any, u: Any, step: Any) -> torch.Tensor:
        gradient = gradient if weight is None else gradient * weight
        gradient = gradient.reshape(shape)
        back = gradient * k - step * (gradient * u).sum(dims, keepdim=True)
        back = back - back.mean(dims, keepdim=True) if centred else back
        return back.reshape(x.full.shape)

    return with_gradient(x.full, plainly(call), pull, k, u, step)


def _plainly_standardised(
    x: Any, dims: tuple[int, ...], eps: float, split: Any, centred: bool
) -> Any:
    """Write it with other operations, for a weight that depends on the input."""
    c = x if split is None else x.reshape(split)
    c = c - c.mean(dims, keepdim=True) if centred else c
    out = c / torch.sqrt(torch.square(c).mean(dims, keepdim=True) + eps)
    return out if split is None else out.reshape(x.shape)


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
    root = torch.sqrt(total) if p == 2 else torch.pow(total, 1 / p)
    return to_the_bit(call, root)


@rule("deeplift", "normalize")
def normalise(method: Any, call: Call) -> Any:
    """Divide by the norm, or by what keeps it from 0."""
    x, p, dim, eps = call.bind("input", p=2.0, dim=1, eps=1e-12)
    size: Any = torch.linalg.vector_norm(x, p, dim, keepdim=True)
    return to_the_bit(call, x / torch.clamp_min(size, eps))


@rule("deeplift", "var", "std")
def variance(method: Any, call: Call) -> Any:
    """Write it with a mean and squares; the correction is torch's."""
    x: Any = call.carriers[0]
    dim, correction, keepdim = variance_arguments(call)
    dims = tuple(range(x.full.ndim)) if dim is None else dim
    centred = x - torch.mean(x, dims, keepdim=True)
    centred = torch.abs(centred) if x.full.is_complex() else centred
    total: Any = torch.sum(torch.square(centred), dims, keepdim=keepdim)
    count = x.full.numel() // max(1, total.full.numel())
    total = total / max(0, count - correction)
    total = torch.sqrt(total) if call.operation.name == "std" else total
    return to_the_bit(call, total)


def to_the_bit(call: Call, out: Any) -> torch.Tensor:
    """Return torch's own values: a model may ask whether a deviation is 0."""
    return identity_gradient(out.full, plainly(call))


@rule("deeplift", "softmax", "softmin", "log_softmax")
def softmax(method: Any, call: Call) -> Any:
    """Take exp(x - logsumexp(x)), the logarithm shared as below."""
    x, dim, dtype = call.bind("input", dim=None, dtype=None)
    dim = call.args[1] if len(call.args) > 1 else dim
    if dim is None:
        # what torch.nn.Softmax() means, depending on the number of axes
        dim = 0 if x.dim() in (0, 1, 3) else 1
    x = x if dtype is None else x.to(dtype)
    x = -x if call.operation.name == "softmin" else x
    slope, share = _of_total(x, dim)
    log = call.operation.name == "log_softmax"
    function = torch.log_softmax if log else torch.softmax

    def pull(gradient: torch.Tensor, slope: Any, share: Any) -> torch.Tensor:
        gradient = gradient if log else gradient * slope
        return gradient - share * gradient.sum(dim, keepdim=True)

    value = function(x.full.detach(), dim)
    call.rel = function(x.rel, dim)
    return with_gradient(x.full, value, pull, slope, share)


@rule("deeplift", "logsumexp")
def logsumexp(method: Any, call: Call) -> Any:
    """Share the logarithm of the total among all values."""
    x, dim = call.bind("input", "dim")
    if x.full.is_complex():
        method.refuse(call.func, "of a complex value has no rule")
    _, share = _of_total(x, dim)
    kept = share.sum(dim, keepdim=True).shape

    def pull(gradient: torch.Tensor, share: Any) -> torch.Tensor:
        return gradient.reshape(kept) * share

    return with_gradient(x.full, plainly(call), pull, share)


def _of_total(x: Carrier, dim: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return multipliers of exp(x - l), and how l = logsumexp(x) is shared."""
    # the exponentials add up to 1 in sample and baseline, so that the differences
    # m (x - x0 - (l - l0)) add up to 0: l - l0 is the mean of x - x0, weighed by m; no
    # largest value is singled out, which among equal ones round-off would choose
    pair = (x.full.detach(), x.rel)
    a, a0 = (t - torch.logsumexp(t, dim, keepdim=True) for t in pair)
    step = (a - a0).abs_()
    slope = torch.where(step == 0, 1, torch.expm1(-step).neg_().div_(step))
    slope = finite(slope.mul_(torch.maximum(a, a0).exp_()))
    return slope, finite(slope / slope.sum(dim, keepdim=True))
