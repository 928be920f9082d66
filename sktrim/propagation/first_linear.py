"""The first linear operation of a model, applied to the signals that its rows mix.

Groups of coefficients and mixtures of parts are sums of a few signals. Views and the
first linear operation act on those, once, and only their results are summed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sktrim.propagation.carrier import is_plain
from sktrim.propagation.method import Call

RESHAPES = frozenset("view reshape flatten unflatten ravel view_as reshape_as".split())
# a model that makes its weights anew in every pass must not fill the memory
_KEPT = 4


class NeedsDense(Exception):
    """A model writes into a view of its input, which needs the sums themselves."""


def move(
    call: Call, signals: torch.Tensor, whole: torch.Tensor
) -> tuple[Callable, torch.Tensor] | None:
    """Return how a model moves its rows, and signals so moved, if rows stay rows."""

    def moved(rows: torch.Tensor) -> torch.Tensor:
        args, kwargs = call.replaced(lambda _: rows)
        return call.func(*args, **kwargs)

    n_rows = len(whole)
    # rows alone have no stride; what is copied or mixes rows has one
    strides, dtype = (0, *signals.stride()[1:]), signals.dtype
    probe = torch.empty_strided(whole.shape, strides, dtype=dtype, device="meta")
    reshapes = call.operation.name in RESHAPES and not reinterprets(call)
    if reshapes:
        # what was indexed before may lie in memory so that torch has no view of it
        probe = torch.empty((1,), dtype=dtype, device="meta").expand(whole.shape)
    out = moved(probe)
    if not is_plain(out) or out.shape[:1] != (n_rows,):
        return None
    if out.stride(0) and n_rows > 1:
        return None
    if reshapes:
        return moved, signals.reshape(len(signals), *out.shape[1:])
    return moved, torch.vmap(lambda s: moved(s.expand(whole.shape))[0])(signals)


def reinterprets(call: Call) -> bool:
    """Tell whether a view is one of another type."""
    return any(isinstance(a, torch.dtype) for a in (*call.args, *call.kwargs.values()))


def pays(n_signals: int, weight: torch.Tensor) -> bool:
    """Tell whether summing results is less work than a linear operation on sums."""
    return n_signals <= weight[0].numel()


class Products:
    """The latest results of linear operations, which hold for many chunks."""

    def __init__(self) -> None:
        self._kept: dict[Any, tuple[Any, tuple]] = {}

    def get(self, what: tuple, operands: tuple, make: Callable[[], Any]) -> Any:
        """Return what an operation on operands gave before, else make it."""
        if torch.is_grad_enabled():
            return make()
        key = *what, *map(_identity, operands)
        if key not in self._kept:
            result = make()
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            # operands kept alive: their addresses are never those of others
            self._kept[key] = result, operands
        return self._kept[key][0]


def _identity(tensor: torch.Tensor | None) -> Any:
    """Return what tells a tensor from every other that is alive, contents included."""
    if tensor is None:
        return None
    place = tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
    version = None if tensor.is_inference() else tensor._version
    return *place, tensor.is_conj(), tensor.is_neg(), version
