"""Runs a model for relevance, again where it writes into its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import torch

from sktrim.exceptions import InputWrittenError
from sktrim.propagation.backward._lrp_input import AffineInput
from sktrim.propagation.backward._method import run
from sktrim.propagation.carrier import Carrier
from sktrim.propagation.method import Method


def refuse_write(method: Method, func: Callable) -> NoReturn:
    """Raise where a write would leave other views of the input behind."""
    method.refuse(func, "into a view of the input has no rule", InputWrittenError)


def run_for_relevance(
    method: Any, model: Callable, x: torch.Tensor, affine: AffineInput
) -> Carrier:
    """Return the output of a model at x (n, *signal), before its ending."""
    try:
        return run(model, method.enter(x, affine))
    except InputWrittenError:
        # a write into a view of an input that a transform or a rule for the first layer
        # needs as it was
        if not (affine.is_signal and _one_rule(method.composite)):
            raise
        # the relevance of x itself: no layer then needs to know it for the input
        return run(model, method.enter(affine.closed(x)))


def _one_rule(composite: Mapping[str, Any]) -> bool:
    first = composite.get("first")
    return first is None or all(composite.get(k) == first for k in ("conv", "linear"))
