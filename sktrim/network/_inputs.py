"""Signals, beside what else the network takes of the same samples."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples
from torch import nn


class Inputs:
    """Signals that are explained, and other inputs of the same samples, held."""

    def __init__(self, x: np.ndarray, held: tuple[np.ndarray, ...]) -> None:
        self.x = x
        self.held = held
        self.shape, self.ndim, self.dtype = x.shape, x.ndim, x.dtype

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> "Inputs":
        return Inputs(self.x[rows], tuple(values[rows] for values in self.held))

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return np.asarray(self.x, *args, **kwargs)


def rows_of(X: Any, rows: Any) -> Any:
    """Pick rows of X, or of each of several inputs."""
    if isinstance(X, dict):
        return {key: _picked(values, rows) for key, values in X.items()}
    if type(X) is tuple:
        return tuple(_picked(values, rows) for values in X)
    return _picked(X, rows)


def _picked(values: Any, rows: Any) -> Any:
    return _safe_indexing(values.tocsr() if sp.issparse(values) else values, rows)


def n_samples_of(X: Any) -> int:
    """Count the samples of X, or of several inputs."""
    if isinstance(X, dict):
        X = tuple(X.values())
    return _num_samples(X[0] if type(X) is tuple else X)


def signal_of(x: Any) -> Any:
    """Return the signals alone."""
    return x.x if isinstance(x, Inputs) else x


def held_of(x: Any) -> tuple[np.ndarray, ...]:
    """Return what is held beside signals."""
    return x.held if isinstance(x, Inputs) else ()


class Order:
    """How a network takes several inputs: by name or by position."""

    def __init__(self, keys: list, explained: Any, named: bool) -> None:
        self.keys, self.explained, self.named = keys, explained, named

    def arrange(self, x: Any, held: Sequence) -> dict | tuple:
        """Return inputs as the network takes them: a dict or a tuple."""
        others = iter(held)
        values = {k: x if k == self.explained else next(others) for k in self.keys}
        return values if self.named else tuple(values.values())


class Arranged(nn.Module):
    """A network of several inputs, the explained one first."""

    def __init__(self, module: nn.Module, order: Order) -> None:
        super().__init__()
        self.module, self.order = module, order
        self.training = False

    def forward(self, x: Any, *held: Any) -> Any:
        """Return what the network gives."""
        inputs = self.order.arrange(x, held)
        named = cast(dict, inputs) if self.order.named else {}
        return self.module(*(() if named else inputs), **named)


class Prefixed(nn.Sequential):
    """A network behind steps that act on its signal alone."""

    def __init__(self, prefix: nn.Module, module: nn.Module) -> None:
        super().__init__(prefix, module)
        self.training = False

    def forward(self, x: Any, *held: Any) -> Any:
        """Return what the network gives."""
        return self[1](self[0](x), *held)


class Bound(nn.Module):
    """A network of one input, the others held as they are for some samples."""

    def __init__(self, module: nn.Module, held: tuple[torch.Tensor, ...]) -> None:
        super().__init__()
        self.module, self.held = module, held
        self.training = False

    def forward(self, x: Any) -> Any:
        """Return what the network gives for one or more rounds of the samples."""
        return self.module(x, *repeated(self.held, len(x)))


def repeated(held: tuple[torch.Tensor, ...], n_rows: int) -> tuple[torch.Tensor, ...]:
    """Repeat what is held round by round, up to so many rows."""
    return tuple(_rounds(values, n_rows) for values in held)


def _rounds(values: torch.Tensor, n_rows: int) -> torch.Tensor:
    count = n_rows // len(values)
    if count == 1:
        return values
    return values.expand(count, *values.shape).flatten(0, 1)
