"""Guided backpropagation and deconvnet: the gradient at a ReLU is clamped at 0."""

from __future__ import annotations

from typing import Any

import torch

from sktrim.propagation.backward._method import (
    ModifiedBackpropagation,
    plainly,
    with_gradient,
)
from sktrim.propagation.composite import broadcast_tensors
from sktrim.propagation.method import Call
from sktrim.propagation.recurrent import cell, recurrent
from sktrim.propagation.registry import rule
from sktrim.propagation.signatures import BOUNDS, as_rectifier

_NATIVE = (
    "shape", "affine", "average", "elementwise", "select", "bilinear", "normalise",
    "recurrent", "composite",
)  # fmt: skip


class GuidedBackpropagation(ModifiedBackpropagation):
    """Gradients that are negative at a ReLU stop there (Springenberg et al. 2015)."""

    # the gradient of everything else is the plain one, by definition of the method

    name = "guided backpropagation"
    key = "guided"


class Deconvolution(ModifiedBackpropagation):
    """ReLU is applied to the gradient instead (Zeiler and Fergus 2014)."""

    name = "deconvnet"
    key = "deconvnet"


@rule("guided", *(f"kind:{kind}" for kind in _NATIVE))
@rule("deconvnet", *(f"kind:{kind}" for kind in _NATIVE))
def native(method: Any, call: Call) -> Any:
    """Leave value and gradient to torch."""
    return call.on_full()


@rule("guided", "__setitem__")
@rule("deconvnet", "__setitem__")
def write_item(method: Any, call: Call) -> None:
    """Write into the storage, which every view of it sees."""
    target = call.args[0]
    target.ending = None
    if not target.aliased:
        target.full = target.full.clone()
    call.on_full()


for _method in ("guided", "deconvnet"):
    rule(_method, "broadcast_tensors")(broadcast_tensors)
    rule(_method, "rnn_relu")(recurrent)
    rule(_method, "rnn_relu_cell")(cell)


@rule("guided", "relu", "relu6")
def guided(method: Any, call: Call) -> torch.Tensor:
    """Clamp the gradient at 0, then apply that of the ReLU."""
    x, value = call.carriers[0], plainly(call)
    # kept apart from the result, into which the model may write
    pull = _through_relu6 if call.operation.name == "relu6" else _through_relu
    return with_gradient(x.full, value, pull, value.clone())


@rule("deconvnet", "relu", "relu6")
def rectified(method: Any, call: Call) -> torch.Tensor:
    """Clamp the gradient at 0, whatever the activation."""
    x = call.carriers[0]
    return with_gradient(x.full, plainly(call), torch.relu)


@rule("guided", *BOUNDS)
@rule("deconvnet", *BOUNDS)
def bounded(method: Any, call: Call) -> Any:
    """Treat ReLU in any spelling as ReLU."""
    call = as_rectifier(call)
    if call.operation.name in BOUNDS:
        return native(method, call)
    return (guided if method.key == "guided" else rectified)(method, call)


def _through_relu(gradient: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.threshold_backward(torch.relu(gradient), value, 0)


def _through_relu6(gradient: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.hardtanh_backward(torch.relu(gradient), value, 0, 6)
