"""Layer-wise relevance propagation as a method: what it keeps beside activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from sktrim.propagation.backward._lrp_rules import AffineMap, Rule
from sktrim.propagation.backward._lrp_run import refuse_write
from sktrim.propagation.backward._lrp_values import Refused, is_affine_input
from sktrim.propagation.backward._method import ModifiedBackpropagation
from sktrim.propagation.carrier import Carrier
from sktrim.propagation.method import Call


@dataclass
class Layer:
    """What is known of the result of an affine operation, so that others may merge."""

    # what the operation was applied to, as it was then
    source: Carrier
    # with what has been merged since
    map: AffineMap
    # the result before the division by itself, for the epsilon rule
    opened: torch.Tensor | None
    rule: Rule
    # how often torch had written into the source by then
    version: int
    # how often torch had written into the result by then
    result_version: int = 0

    def gave(self, x: Carrier) -> bool:
        """Tell whether a carrier, which may have views, holds the result as it was."""
        return not x.aliased or x.full._version == self.result_version

    def is_stale(self) -> bool:
        """Tell whether the rule needs a source that has been written since."""
        return self.opened is None and self.source.full._version != self.version


class Conjugated:
    """Kept of a value and its conjugate, which torch has in one storage."""


CONJUGATED = "into a value that has been conjugated has no rule (clone it before)"


class RelevancePropagation(ModifiedBackpropagation):
    """Share out relevance from operation to operation (Bach et al. 2015)."""

    # the gradient of an activation is its relevance R; only on the way from the input
    # to the first affine operation it is R / value, so that the relevance of a
    # coefficient is its value times the gradient pulled back through T^-1

    name = "layer-wise relevance propagation"
    key = "lrp"

    def __init__(self, composite: Any, budget: int = 2**30) -> None:
        # rules by kind and depth: "first" (the first affine operation on the way from
        # the input), "conv", "linear", and "join" (sums and averages)
        self.composite = composite
        # bytes that a folded map may take
        self.budget = budget
        # once gradients have been asked for: of every layer with an epsilon of a size
        # of its own, the part of the relevance that epsilon took
        self.absorbed: list[torch.Tensor] = []

    def apply(self, call: Call) -> Any:
        """Return the result of a call by the rule of its operation."""
        if call.operation.kind != "shape":
            for carrier in call.carriers:
                if isinstance(carrier.rel, Refused):
                    self.refuse(carrier.rel.func, carrier.rel.why)
        return super().apply(call)

    def snapshot(self, target: Carrier) -> Carrier:
        """Return the target before a write; it may have been written elsewhere."""
        before = super().snapshot(target)
        if isinstance(target.rel, Conjugated):
            self.refuse(torch.Tensor.copy_, CONJUGATED)
        if isinstance(target.rel, Layer) and not target.rel.gave(target):
            before.rel = None
        return before

    def overwrite(self, target: Carrier, result: Carrier) -> None:
        """Store a result; what is known of the input's views must stay true."""
        if target.aliased and is_affine_input(target):
            refuse_write(self, torch.Tensor.copy_)
        super().overwrite(target, result)
        if isinstance(target.rel, Layer):
            version = target.full._version
            target.rel = replace(target.rel, result_version=version)
