"""A faster copy of an image network for many forward passes on a CPU."""

import copy
from typing import Any

import torch
from torch import nn


def in_channels_last(model):
    """Return the composed model with weights laid out channels last, where that pays.

    Max pooling of channels-last float32 images takes a tenth of the time on a CPU,
    and average pooling half of it.
    The network is copied, never altered; where the copy fails or gives other outputs
    beyond round-off the model itself is returned.

    Parameters
    ----------
    model : ComposedModel

    Returns
    -------
    ComposedModel
    """
    network = model.network
    kinds = {type(m) for m in network.composed.modules()}
    pays = nn.Conv2d in kinds and kinds & {nn.MaxPool2d, nn.AvgPool2d}
    if not pays or network.device.type != "cpu" or network.dtype != torch.float32:
        return model
    fast = copy.copy(model)
    fast.network = copy.copy(network)
    x = model.x[:2]
    try:
        fast.network.composed = _copy(network.composed)
        found = fast.output(x)
    except (RuntimeError, TypeError, ValueError):  # a view that needs the usual layout
        return model
    expected = model.output(x)
    off = (found - expected).abs().max()
    return fast if off <= 1e-5 * (1 + expected.abs().max()) else model


def _copy(module: nn.Module) -> nn.Module:
    copied: Any = copy.deepcopy(module)
    return copied.to(memory_format=torch.channels_last)
