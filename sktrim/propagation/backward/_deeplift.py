"""DeepLIFT's method, and what its rules share."""

from __future__ import annotations

import weakref
from typing import Any

import torch

from sktrim.exceptions import OutputMismatchError
from sktrim.propagation.backward._method import ModifiedBackpropagation
from sktrim.propagation.carrier import Carrier, find_carriers, map_carriers
from sktrim.propagation.method import Call


class DeepLiftRescale(ModifiedBackpropagation):
    """Carry the activation and the baseline's (Shrikumar et al. 2017, Rescale)."""

    # a carrier's `full` is the sample's activation x, its `rel` the baseline's x0;
    # every rule is complete by itself: the sum of m (x - x0) over its arguments, m
    # their gradients, is that of its result

    name = "DeepLIFT"
    key = "deeplift"

    def __init__(self) -> None:
        # by id, since comparing carriers is an operation of the model
        self._inverses: dict[int, weakref.ref] = {}

    def wrap(self, call: Call, value: Any) -> Any:
        """Pair values with the baseline's, and know what was got by dividing."""
        result = super().wrap(call, value)
        if self._divides(call):
            self.mark_inverse(result)
        return result

    def beside(self, call: Call) -> Any:
        """Return what the operation gives for the baseline."""
        return on_base(call) if call.rel is None else call.rel

    def _divides(self, call: Call) -> bool:
        """Tell whether a result is a reciprocal, or made of nothing but one."""
        name = call.operation.name
        if name in ("reciprocal", "rsqrt", "pow"):
            return name != "pow" or exponent(call) in (-1, -0.5)
        # most models divide by nothing: no search for carriers then
        carriers = call.carriers if self._inverses else []
        if len(carriers) != 1 or not self.is_inverse(carriers[0]):
            return False
        shape = call.operation.kind == "shape"
        return shape or (name in ("mul", "div") and occurrences(call) == 1)

    def constant(self, full: torch.Tensor, value: Carrier, axis: int | None) -> Any:
        """Return what the baseline has in a constant: the same."""
        return full.detach().clone()

    def is_inverse(self, value: Any) -> bool:
        """Tell whether a value was got by dividing: ``rsqrt(v)``, ``1 / v``."""
        marked = self._inverses.get(id(value))
        return marked is not None and marked() is value

    def mark_inverse(self, result: Any) -> None:
        """Remember that values were got by dividing."""
        # a write has no result of its own
        several = isinstance(result, tuple | list)
        for carrier in find_carriers(list(result) if several else result):
            self._inverses[id(carrier)] = weakref.ref(carrier)


def exponent(call: Call) -> Any:
    """Return the power that a value is raised to; None for anything else."""
    if call.operation.name != "pow":
        return None
    x, power = call.bind("input", "exponent")
    return power if isinstance(x, Carrier) and isinstance(power, int | float) else None


def on_base(call: Call) -> Any:
    """Return what the plain model gets for the baseline, without a graph."""
    args, kwargs = call.replaced(lambda carrier: carrier.rel)
    with torch.no_grad():
        return call.func(*args, **kwargs)


def occurrences(call: Call) -> int:
    """Count the places in the arguments where a carrier stands."""
    count = 0

    def see(carrier: Carrier) -> Carrier:
        nonlocal count
        count += 1
        return carrier

    map_carriers(see, (call.args, call.kwargs))
    return count


def finite(multiplier: torch.Tensor) -> torch.Tensor:
    """Return multipliers with 0 for what is no number."""
    # what is masked with -inf in both has no difference
    if multiplier.is_complex():
        return torch.where(multiplier.isfinite(), multiplier, 0)
    return torch.nan_to_num_(multiplier, 0.0, 0.0, 0.0)


def check_baseline(
    carried: torch.Tensor, expected: torch.Tensor, output: torch.Tensor
) -> None:
    """Raise if what was carried of the baseline is not the model's output there."""
    scale = torch.maximum(expected.abs().amax(), output.detach().abs().amax())
    off = (carried - expected).abs().amax() / scale
    if off > torch.finfo(carried.dtype).eps ** 0.5:
        raise OutputMismatchError(
            "At the baseline the network takes another path than at the sample, so "
            f"that DeepLIFT has no difference to share out: it is off by {off:.2g} of "
            "the output. Likely causes: (a) it chooses by comparisons or by argmax or "
            "topk, such as among experts; (b) it writes where values say. Give a "
            "baseline that takes the same path, or use a scorer that needs none, such "
            'as "cd", "gradient" or "lrp_epsilon".'
        )
