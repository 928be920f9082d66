"""Contextual decomposition of nonlinearities that act on one value at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sktrim.propagation.carrier import Carrier, is_plain
from sktrim.propagation.decomposition._share import (
    add_bias,
    bias_share,
    settle_parts,
    whole_share,
)
from sktrim.propagation.masking import masked, unmasked, without_weight
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import BOUNDS, as_rectifier


@rule("cd", "kind:elementwise")
def elementwise(method: Any, call: Call) -> torch.Tensor:
    """Split phi by the rule of its sort: relevant, symmetric or shared."""
    if len(call.carriers) > 1:
        method.refuse(call.func, "of several decomposed values has no rule")
    x = call.carriers[0]
    options = call.operation.options
    if options.get("singular"):
        return share_value(method, x, call.full)
    relevant = method.nonlinearity == "relevant" and not method.partition
    if options.get("rectifier") and relevant:
        return _relevant(call, x)
    full = call.full
    hidden = without_weight(x.full, full) if options.get("weighs") else None
    hidden = masked(x.full) if hidden is None else hidden
    if hidden is not None:
        return _beside_masks(method, call, x, full, hidden)
    return symmetric(method, x, _pointwise(call), full, _origin(call, x))


def _beside_masks(
    method: Any, call: Call, x: Carrier, full: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """Split phi where nothing is masked; phi of a mask is a constant."""
    origin = _origin(call, x)
    seen = Carrier(method, _without(x.full, hidden), _without(x.rel, hidden), x.axis)
    whole = torch.where(hidden, origin, full)
    rel = symmetric(method, seen, _pointwise(call), whole, origin)
    rel, whole = _without(rel, hidden), _without(full, hidden)
    constant = unmasked(_without(full, ~hidden))
    if constant.any():
        rel = add_bias(method, rel, whole, constant, x.axis)
    return rel


def _without(values: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    return torch.where(hidden, 0, values)


@rule("cd", *BOUNDS)
def bounded(method: Any, call: Call) -> Carrier:
    """Split ReLU in any spelling as ReLU."""
    spelled = as_rectifier(call)
    return method.wrap(spelled, elementwise(method, spelled))


def _relevant(call: Call, x: Carrier) -> torch.Tensor:
    if call.operation.name != "relu":
        return _pointwise(call)(x.rel)
    if call.in_place and not torch.is_grad_enabled():
        call.full = x.full.relu_()
        return x.rel.relu_()
    call.full = torch.relu(x.full)
    return torch.relu(x.rel)


def symmetric(
    method: Any,
    x: Carrier,
    phi: Callable[[torch.Tensor], torch.Tensor],
    full: torch.Tensor,
    origin: torch.Tensor,
) -> torch.Tensor:
    """Split phi by 1/2 [phi(rel) - phi(0) + phi(full) - phi(full - rel)]."""
    # `phi` acts on tensors with a leading axis of masks; `full` and `origin` are phi of
    # the whole and of zero
    parts = x.rel
    if method.partition:
        parts = torch.cat([x.rel, (x.full - x.rel.sum(0))[None]])
    room = None if torch.is_grad_enabled() else method.scratch(parts)
    rest = torch.sub(x.full, parts, out=room)
    marginal = _half_difference(phi(parts), phi(rest), full - origin)
    # what the marginals leave of a partition is shared in proportion to them
    if method.partition:
        return _settle(method, x, marginal, origin, full)
    if method.bias == "context":
        return marginal
    if origin.any():
        # phi(0) is shared like a bias; phi acts alike everywhere, so that it
        # has no channels of its own
        one = origin.reshape(-1)[0]
        share = bias_share(method, x.rel, x.full, one, x.axis, beside=one)
        if torch.is_grad_enabled() or share.numel() == marginal.numel():
            marginal = marginal + share * origin
        else:
            marginal.add_(share * origin)
    # phi of what round-off leaves of no rest counts as much where phi is flat as not
    return settle_parts(method, marginal, full, x.axis)


def _half_difference(
    alone: torch.Tensor, rest: torch.Tensor, whole: torch.Tensor
) -> torch.Tensor:
    """Return (alone + whole - rest) / 2, in place where nothing is recorded."""
    if torch.is_grad_enabled():
        return 0.5 * (alone + whole - rest)
    return torch.add(0.5 * whole, alone, alpha=0.5, out=alone).sub_(rest, alpha=0.5)


def _settle(
    method: Any,
    x: Carrier,
    marginal: torch.Tensor,
    origin: torch.Tensor,
    full: torch.Tensor,
) -> torch.Tensor:
    """Share the remainder of a partition in proportion to the marginals."""
    whole = marginal.sum(0)
    left = full - whole - (origin if method.bias == "context" else 0)
    parts = marginal[:-1]
    otherwise = whole_share(method, x.rel, x.full, x.axis)
    return parts + bias_share(method, parts, whole, left, None, otherwise) * left


def share_value(method: Any, x: Carrier, full: torch.Tensor) -> torch.Tensor:
    """Share the whole value in proportion to the parts of the argument."""
    return bias_share(method, x.rel, x.full, full, x.axis) * full


def _pointwise(call: Call) -> Callable[[torch.Tensor], torch.Tensor]:
    plain = _has_tensors(call)

    def phi(values: torch.Tensor) -> torch.Tensor:
        if plain:
            # a parameter per channel must meet the axes of the whole
            return torch.vmap(one)(values)
        return one(values)

    def one(values: torch.Tensor) -> torch.Tensor:
        args, kwargs = call.replaced(lambda _: values)
        return call.func(*args, **kwargs)

    return phi


def _has_tensors(call: Call) -> bool:
    values = (*call.args, *call.kwargs.values())
    return any(is_plain(value) for value in values)


def _origin(call: Call, x: Carrier) -> torch.Tensor:
    shape = x.full.shape if _has_tensors(call) else ()
    zero = torch.zeros(shape, dtype=x.full.dtype, device=x.full.device)
    args, kwargs = call.replaced(lambda _: zero)
    return call.func(*args, **kwargs)


@rule("cd", "pow")
def power(method: Any, call: Call) -> torch.Tensor:
    """x**n for whole n > 0 is symmetric; other powers and c**x are shared."""
    base, exponent = call.bind("input", "exponent")
    full = call.full
    if not isinstance(base, Carrier) or isinstance(exponent, Carrier):
        method.refuse(call.func, "with a decomposed exponent has no rule")
    if isinstance(exponent, int | float) and exponent > 0 and exponent == int(exponent):
        origin = torch.zeros((), dtype=full.dtype, device=full.device)
        return symmetric(method, base, lambda v: torch.pow(v, exponent), full, origin)
    return share_value(method, base, full)
