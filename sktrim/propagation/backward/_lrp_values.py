"""Activations whose gradient is their relevance, or relevance over value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from sktrim.propagation.backward._lrp_input import AffineInput
from sktrim.propagation.backward._lrp_rules import Rule, divided, pairs, stabilised
from sktrim.propagation.backward._method import with_gradient
from sktrim.propagation.carrier import Carrier


@dataclass
class Refused:
    """A value without a rule: refused once it is used, unless it is the ending."""

    func: Any
    why: str


@dataclass
class Divisor:
    """A value that others are multiplied by to divide them, such as 1 / deviation."""


def relevance_of(method: Any, carrier: Carrier) -> torch.Tensor:
    """Return an activation whose gradient is its relevance."""
    if isinstance(carrier.rel, Refused):
        method.refuse(carrier.rel.func, carrier.rel.why)
    affine: Any = carrier.rel
    return affine.closed(carrier.full) if is_affine_input(carrier) else carrier.full


def is_affine_input(carrier: Carrier) -> bool:
    """Tell whether a value is an affine function of the input yet."""
    return isinstance(carrier.rel, AffineInput)


def multiplier_of(method: Any, carrier: Carrier, share: float = 1.0) -> torch.Tensor:
    """Return an activation whose gradient is a share of its relevance over value."""
    x = carrier.full if is_affine_input(carrier) else relevance_of(method, carrier)
    if is_affine_input(carrier):
        if share == 1:
            return x
        return with_gradient(x, x.detach(), torch.mul, x.new_tensor(share))
    # a storage that others look at may yet be written
    kept = x.detach().clone() if carrier.aliased else x.detach()
    return with_gradient(x, kept, _times, kept if share == 1 else kept * share)


def _times(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Multiply; real and imaginary parts are values of their own."""
    if not x.is_complex():
        return gradient * x
    return torch.view_as_complex(pairs(gradient) * pairs(x))


def divide_by_itself(
    opened: torch.Tensor,
    rule: Rule | None = None,
    size: torch.Tensor | None = None,
    absorbed: list[torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return a result whose gradient is its relevance, from one where it is R / z."""
    # a storage of its own: the result of a layer may be written in place
    # with a rule its epsilon is added, a relative one in units of `size`
    below = stabilised(opened.detach(), rule, size)
    told = rule is not None and rule.epsilon and not rule.relative

    def pull(gradient: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        if z.is_complex():
            return torch.view_as_complex(divided(pairs(gradient), pairs(z)))
        shared = divided(gradient, z)
        if told and rule is not None and absorbed is not None:
            # the part of the relevance that an absolute epsilon takes
            lost = rule.epsilon * shared.abs().sum()
            absorbed.append(divided(lost, gradient.abs().sum()))
        return shared

    return with_gradient(opened, opened.detach(), pull, below)
