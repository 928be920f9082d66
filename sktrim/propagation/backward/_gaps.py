"""Where DeepLIFT loses or gains output: the completeness of every operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._method import run
from sktrim.propagation.carrier import Carrier, find_carriers, is_plain
from sktrim.propagation.endings import ending_of, give_ending
from sktrim.propagation.method import Call, _is_pattern_only, call_site, describe
from sktrim.propagation.registry import find_operation
from sktrim.propagation.spelling import spell


@dataclass
class Gap:
    """By how much one operation misses completeness."""

    # dotted name of the torch function
    operation: str
    # file, line and function of the model that called it
    site: str
    # sum over arguments less sum over results of multiplier times difference; infinite
    # where the operation read something else off the baseline
    size: float


class _Traced(DeepLiftRescale):
    """DeepLIFT that keeps what went into and came out of every operation."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, str, list, list]] = []
        self.branches: list[Gap] = []
        self.depth = 0

    def __call__(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        operation = find_operation(func, spell(func).name)
        if operation is not None and operation.kind == "query":
            self._compare(Call(operation, func, args, kwargs))
        return super().__call__(func, args, kwargs)

    def _compare(self, call: Call) -> None:
        """Note a comparison that comes out differently for the baseline."""
        if _is_pattern_only(call) or self.depth:
            return
        first = call.on_full()
        args, kwargs = call.replaced(lambda carrier: carrier.rel)
        second = call.func(*args, **kwargs)
        tensors = is_plain(first) and is_plain(second)
        if tensors and first.dtype in (torch.bool, torch.int64) and first.ndim:
            if not torch.equal(first, second):
                gap = Gap(describe(call.func), call_site(), float("inf"))
                self.branches.append(gap)

    def apply(self, call: Call) -> Any:
        """Run one operation on aliases of its arguments, and keep both sides."""
        if self.depth or call.operation.name == "__setitem__":
            return super().apply(call)
        pairs = {}

        def alias(carrier: Carrier) -> Carrier:
            if id(carrier) not in pairs:
                own = Carrier(self, carrier.full.view_as(carrier.full), carrier.rel)
                own.aliased = carrier.aliased
                give_ending(own, ending_of(carrier))
                if self.is_inverse(carrier):
                    self.mark_inverse(own)
                pairs[id(carrier)] = own
            return pairs[id(carrier)]

        args, kwargs = call.replaced(alias)
        self.depth += 1
        try:
            result = super().apply(Call(call.operation, call.func, args, kwargs))
        finally:
            self.depth -= 1
        outs = list(find_carriers(result if isinstance(result, Carrier) else [result]))
        for carrier in outs:
            if not carrier.full.requires_grad:
                # cut off (detach): a new start, so that what arrives here is known
                carrier.full = carrier.full.detach().requires_grad_().clone()
        ins = [(c.full, c.rel) for c in pairs.values()]
        kept = [(c.full, c.rel) for c in outs]
        self.steps.append((describe(call.func), call_site(), ins, kept))
        return result


def completeness_gaps(
    model: Callable, x: torch.Tensor, baseline: torch.Tensor, target: Callable
) -> list[Gap]:
    """Return the operations that are not complete, the worst first."""
    # `target`: from outputs (n, n_out), of carriers too, to scalars (n, n_targets)
    method = _Traced()
    point = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        out = target(run(model, method.enter(point, baseline)).reshape(len(x), -1))
        scalar = out.full.sum()
    gaps = list(method.branches)
    scale = float((out.full.detach() - out.rel).abs().sum())
    for name, site, ins, outs in method.steps:
        incoming, arrived = (_flow(scalar, side) for side in (ins, outs))
        size = incoming - arrived
        # larger than rounding errors
        if abs(size) > 1e-5 * max(scale, abs(arrived)):
            gaps.append(Gap(name, site, size))
    return sorted(gaps, key=lambda gap: -abs(gap.size))


def _flow(scalar: torch.Tensor, pairs: list) -> float:
    """Sum multiplier times difference."""
    total = 0.0
    for full, rel in pairs:
        if full.requires_grad:
            (multiplier,) = torch.autograd.grad(
                scalar, full, retain_graph=True, allow_unused=True
            )
            if multiplier is not None:
                total += float((multiplier.conj() * (full.detach() - rel)).real.sum())
    return total
