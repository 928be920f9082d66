"""Results that share the memory of what they came from."""

from __future__ import annotations

from typing import Any

import torch

from sktrim.propagation.carrier import Carrier, find_carriers
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule


@rule("cd", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout")
@rule("cd", "feature_dropout", "feature_alpha_dropout")
def pass_on(method: Any, call: Call) -> Any:
    """Dropout that drops nothing is the identity."""
    training = dict(zip(("input", "p", "train"), call.args, strict=False)) | call.kwargs
    default = call.operation.name == "dropout" and "train" not in training
    drops = training.get("p", 0.5) > 0
    if drops and training.get("training", training.get("train", default)):
        method.refuse(call.func, "with training=True is random and has no rule")
    carrier = call.carriers[0]
    result = Carrier(method, carrier.full, carrier.rel, carrier.axis)
    carrier.aliased = result.aliased = True
    return result


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _mark_aliases(carrier: Carrier, result: Any) -> None:
    storage = _storage(carrier.full)
    for out in find_carriers(result if isinstance(result, Carrier) else list(result)):
        if _storage(out.full) == storage:
            out.aliased = carrier.aliased = True
