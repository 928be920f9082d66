"""Units of a network: an output, a channel of a layer, or one place of it."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sktrim._memory import chunks
from sktrim.network import Network, resolve_network
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._inside import AtLayer, find_layer
from sktrim.network._network import to_numpy

_ROWS = 256


def _network_of(model: Any, X: Any) -> Network:
    """Return the network of a model whose units can be asked, or raise."""
    network = resolve_network(model, X)
    if not network.has_gradient or network.preprocessing:
        raise TypeError(
            f"{type(model).__name__} has no gradient from its units to the signal; "
            "expected a torch.nn.Module or a fitted skorch net."
        )
    return network


class Layer:
    """What a layer of a network puts out, differentiable in the signal."""

    def __init__(self, model: Any, X: Any, layer: Any) -> None:
        self.network = _network_of(model, X)
        self.module = self.network.module
        whole = self.network.composed
        self.at = AtLayer(whole, *find_layer(self.module, layer), None)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the layer's output of shape (n, n_channels, *places)."""
        return self.at.output(x)

    def features(self, X: np.ndarray) -> np.ndarray:
        """Return the layer's output for many rows, flat."""
        return _in_chunks(self.network, lambda x: self(x).flatten(1), X)


class Unit:
    """The response of one unit, of shape (n, *places), differentiable in the signal."""

    def __init__(self, model: Any, X: Any, unit: Any) -> None:
        self.unit = unit
        if isinstance(unit, Integral):
            self.network = _network_of(model, X)
            self.network.inspect(np.asarray(X)[:2])
            self.layer, self.index = None, (int(unit),)
            sizes: Any = (int(self.network.n_outputs or 1),)
        else:
            layer, *index = _checked(unit)
            self.layer = Layer(model, X, layer)
            self.network = self.layer.network
            self.index = tuple(int(i) for i in index)
            rows = self.network.to_tensor(np.asarray(X)[:1])
            with evaluation_mode(self.network.module), torch.no_grad():
                sizes = tuple(self.layer(rows).shape[1:])
        self._check(sizes)

    def _check(self, sizes: Any) -> None:
        """Raise where there is no such unit."""
        fits = len(self.index) in (1, len(sizes))
        inside = all(-n <= i < n for i, n in zip(self.index, sizes, strict=False))
        if not (fits and inside):
            raise ValueError(
                f"unit={self.unit!r}: there is no such unit; what is there has shape "
                f"{sizes}, so that the channel lies in 0 to {sizes[0] - 1}"
                + (f" and a place below {sizes[1:]}." if len(sizes) > 1 else ".")
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Return the responses to signals (n, *signal_shape)."""
        out = self.network.forward(x) if self.layer is None else self.layer(x)
        return out[(slice(None), *self.index)]

    def responses(self, X: np.ndarray) -> np.ndarray:
        """Return the responses to many rows."""
        return _in_chunks(self.network, self, X)


def _checked(unit: Any) -> Sequence:
    """Return the layer, the channel and a place, if there is one."""
    layer, *index = unit if isinstance(unit, tuple) and unit else (None,)
    of_layer = isinstance(layer, str | nn.Module) and index
    if not (of_layer and all(isinstance(i, Integral) for i in index)):
        raise TypeError(
            f"unit={unit!r}; expected an output column, (layer, channel) or (layer, "
            "channel, i, j), with the layer's name or module."
        )
    return unit


def _in_chunks(network: Network, function: Any, X: np.ndarray) -> np.ndarray:
    with evaluation_mode(network.module), torch.no_grad():
        parts = [
            to_numpy(function(network.to_tensor(X[rows])))
            for rows in chunks(len(X), _ROWS)
        ]
    return np.concatenate(parts)
