"""What is explained of outputs that are not one row of columns."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from sktrim.propagation import outputs_of
from sktrim.propagation.carrier import find_carriers

_MOST = 8192
"""Scores of so many outputs are kept side by side at most."""


class Picked(nn.Module):
    """A network that gives what is picked of its outputs, in columns."""

    def __init__(self, module: nn.Module, pick: Callable) -> None:
        super().__init__()
        self.module, self.pick = module, pick
        self.training = False

    def forward(self, *inputs: Any) -> Any:
        """Return outputs of shape (n, n_picked)."""
        out = outputs_of(self.module(*inputs))
        while isinstance(out, tuple | list):
            out = out[0]
        for carrier in find_carriers(out):
            # the outputs are meant as they are
            carrier.ending = None
        return self.pick(out)


class Columns:
    """Entries of outputs of several axes, side by side."""

    def __init__(self, index: Any, shape: tuple[int, ...]) -> None:
        numbers = np.arange(int(np.prod(shape))).reshape(shape)
        if isinstance(index, str) and index == "all":
            index = ...
        try:
            if isinstance(index, str) or (index is not ... and not _is_index(index)):
                raise IndexError
            picked = numbers[index]
        except IndexError:
            raise ValueError(
                f"target={index!r} does not fit outputs of shape {shape}; expected an "
                f"index into them, such as {(0,) * len(shape)} or "
                f"{(slice(None), *(0,) * (len(shape) - 1))!r} for all of the first "
                "axis side by side, 'all', or a function of the outputs that returns "
                "(n_samples,)."
            ) from None
        self.several = picked.ndim > 0
        self.columns = np.ravel(picked)
        if not len(self.columns):
            raise ValueError(f"target={index!r} picks nothing of {shape}.")
        if len(self.columns) > _MOST:
            raise ValueError(
                f"target={index!r} picks {len(self.columns)} outputs of every sample, "
                f"more than {_MOST}; pick fewer, or give a function that makes one "
                "number of them, such as their mean."
            )
        places = np.stack(np.unravel_index(self.columns, shape), axis=1)
        self.names = [str(tuple(place)) for place in places.tolist()]

    def __call__(self, outputs: Any) -> Any:
        """Return (n, n_columns) of outputs (n, ...)."""
        return outputs.flatten(1)[:, torch.as_tensor(self.columns)]


def _is_index(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is ... or isinstance(part, slice | int | np.integer) for part in parts
    )


class Function:
    """A function of the outputs, as one column."""

    several = False

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.names = [getattr(function, "__name__", type(function).__name__)]

    def __call__(self, outputs: Any) -> Any:
        """Return (n, 1) of outputs (n, ...)."""
        value = self.function(outputs)
        shape = tuple(getattr(value, "shape", ()))
        n = outputs.shape[0]
        if not isinstance(value, torch.Tensor) or shape not in ((n,), (n, 1)):
            raise ValueError(
                f"The function given as target returned "
                f"{f'shape {shape}' if shape else type(value).__name__} for outputs of "
                f"shape {tuple(outputs.shape)}; expected a tensor of shape "
                "(n_samples,), computed with torch operations."
            )
        return value.reshape(n, 1)


def pick_of(target: Any, shape: tuple[int, ...]) -> Any:
    """Return what a target picks of outputs of a shape; None for plain columns."""
    if callable(target):
        return Function(target)
    return None if len(shape) < 2 else Columns(target, shape)
