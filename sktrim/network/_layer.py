"""Reads off a network along which axes its signals run."""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from sktrim.network._evaluation import evaluation_mode
from sktrim.transforms._base import SignalTransformer, axes_are_open

_CONVOLUTIONS = {"conv1d": 1, "conv2d": 2}
_OTHERS = {"linear", "matmul", "bmm", "einsum", "lstm", "gru", "rnn_tanh", "rnn_relu"}


def settle_axes(transformer: Any, network: Any, x: Any) -> Any:
    """Set the axes of a transform of signals where only the network tells them."""
    # signals of two axes are channels x time to a network that begins with a
    # one-dimensional convolution, and an image to one with a two-dimensional one; the
    # first step of a Pipeline counts; the same transformer comes back
    first = transformer.steps[0][1] if hasattr(transformer, "steps") else transformer
    if isinstance(first, SignalTransformer):
        layout = x.shape[1:]
        if axes_are_open(first.axes, first.signal_shape, layout):
            first.set_params(axes=_axes_of(network, x[:2], layout))
    return transformer


def _axes_of(network, rows, layout):
    """Return the axes that the first convolution runs along, None where it is none."""
    first = _FirstOperation()
    with evaluation_mode(network.module), torch.no_grad(), first:
        network.forward(*network.tensors(rows))
    if first.shape is None or first.name not in _CONVOLUTIONS:
        return None
    if first.name == "conv1d" and first.shape[-2:] == layout[::-1] != layout:
        return -2
    along = tuple(range(-_CONVOLUTIONS[first.name], 0))
    return along if first.shape[-2:] == layout else None


class _FirstOperation(TorchFunctionMode):
    """Keep the name and the input's shape of the first operation with weights."""

    def __init__(self):
        super().__init__()
        self.name, self.shape = "", None

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if self.shape is None and args and (name in _CONVOLUTIONS or name in _OTHERS):
            self.name, self.shape = name, tuple(getattr(args[0], "shape", ()))
        return func(*args, **(kwargs or {}))
