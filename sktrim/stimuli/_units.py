"""What a unit of a network answers to signals, as a differentiable function of them."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sktrim._memory import chunks
from sktrim.network import Network, resolve_network
from sktrim.network._evaluation import Draws, evaluation_mode
from sktrim.network._inside import AtLayer
from sktrim.network._network import to_numpy

Unit = int | Sequence[Any]
ROWS = 256
"""So many signals are brought to a layer at once."""


class Response:
    """One unit of one network: signals (n, ...) to what it puts out, (n, *places)."""

    def __init__(self, network: Network, unit: Unit, name: str) -> None:
        self.network, self.name = network, name
        self.index = _index(unit)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the unit's response of shape (n, *places)."""
        return self.whole(x)[(slice(None), *self.index)]

    def whole(self, x: Tensor) -> Tensor:
        """Return what the layer puts out, (n, n_channels, ...), or all outputs."""
        rest = self.network.composed
        if not isinstance(rest, AtLayer):
            return self.network.forward(x)
        # two rows, since torch may get the gradient of one wrong behind a batch norm
        rows = torch.cat([x, x]) if len(x) == 1 else x
        try:
            return rest.output(rows)[: len(x)]
        except (RuntimeError, IndexError, TypeError) as error:
            if type(error) not in (RuntimeError, IndexError, TypeError):
                raise
            raise ValueError(
                f"The network failed on a signal of shape {tuple(x.shape[1:])} on the "
                f"way to {rest.name}: {error} Give X with the shape that it was "
                "trained on."
            ) from error


def resolve_response(model: Any, unit: Unit, X: np.ndarray) -> Response:
    """Find a unit in a trained network, or say which there are."""
    network = resolve_network(model, X)
    if not network.has_gradient:
        raise TypeError(
            f"{type(model).__name__} has no gradient; expected a torch.nn.Module or a "
            "fitted skorch net."
        )
    if network.preprocessing:
        raise TypeError(
            f"{type(model).__name__} has steps that run outside torch, so that no "
            "gradient reaches the signal. Give its network, and X as that takes it."
        )
    layer = _checked_unit(unit)
    if layer is None:
        network.inspect(X[:2])
    else:
        network.at(layer)
    response = Response(network, unit, _name(unit))
    _try_out(response, X[:2])
    return response


def responses_of(response: Response, X: np.ndarray, whole: bool = False) -> np.ndarray:
    """Return responses to many signals, without gradients."""
    function = response.whole if whole else response
    network = response.network
    with evaluation_mode(network.module), torch.no_grad(), Draws(network.device):
        parts = [
            to_numpy(function(network.to_tensor(X[rows])))
            for rows in chunks(len(X), ROWS)
        ]
    return np.concatenate(parts)


def check_signals(X: Any) -> np.ndarray:
    """Return finite signals as an array (n_samples, *signal_shape)."""
    X = np.asarray(X)
    if X.dtype.kind not in "biuf" or X.ndim < 2 or not X.size:
        raise ValueError(
            f"X has dtype {X.dtype} and shape {X.shape}; expected numbers of shape "
            "(n_samples, *signal_shape) as the network takes them."
        )
    if not np.isfinite(X).all():
        raise ValueError("X holds NaN or infinity; leave those rows out.")
    return X if X.dtype.kind == "f" else X.astype(np.float64)


def _checked_unit(unit: Any) -> Any:
    """Return the layer of a unit, None for an output column."""
    if isinstance(unit, Integral) and not isinstance(unit, bool):
        return None
    numbers = isinstance(unit, list | tuple) and unit[1:]
    if not numbers or not all(isinstance(i, Integral) for i in numbers):
        raise TypeError(
            f"unit={unit!r}; expected an output column (an int), (layer, channel) or "
            "(layer, channel, i, j), with layer a name of network.named_modules() or "
            "the module itself."
        )
    return unit[0]


def _index(unit: Any) -> tuple[int, ...]:
    return (int(unit),) if isinstance(unit, Integral) else tuple(map(int, unit[1:]))


def _name(unit: Any) -> str:
    if isinstance(unit, Integral):
        return f"output {unit}"
    layer = unit[0] if isinstance(unit[0], str) else type(unit[0]).__name__
    place = f" at {tuple(unit[2:])}" if len(unit) > 2 else ""
    return f"{layer}, channel {unit[1]}{place}"


def _try_out(response: Response, X: np.ndarray) -> None:
    """Run two signals and raise where the unit does not exist."""
    shape = responses_of(response, X, whole=True).shape[1:]
    index = response.index
    kinds = ["channel", *["position"] * (len(shape) - 1)]
    if response.network.layer is None:
        kinds = ["output column"]
    if len(index) > len(shape):
        raise ValueError(
            f"The unit has {len(index)} indices, but {response.name!r} puts out "
            f"(n_samples, {', '.join(map(str, shape))}): at most {len(shape)}."
        )
    for kind, i, size in zip(kinds, index, shape, strict=False):
        if not -size <= i < size:
            raise ValueError(
                f"There is no {kind} {i} in {response.name!r}: it has {size}, 0 to "
                f"{size - 1}."
            )
