"""Relevant parts as coefficients times basis signals, pushed through one operation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class NeedsDense(Exception):
    """A model writes into a view of its input, which needs the parts themselves."""


class Members:
    """Which coefficients each of the masks (K, m) has, padded to one length."""

    def __init__(self, masks: torch.Tensor) -> None:
        used = masks != 0
        self.sizes = used.sum(1)
        width = int(self.sizes.max()) if len(masks) else 0
        # the coefficients of a group first; what follows has weight 0
        order = used.to(torch.int8).argsort(dim=1, descending=True, stable=True)
        self.index = order[:, :width]
        self.weights = masks.gather(1, self.index)
        self._empty_or_full: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def width(self) -> int:
        """The largest number of coefficients in a group."""
        return self.index.shape[1]

    def empty_or_full(self, count: int) -> torch.Tensor:
        """Tell which groups have none of the coefficients, or all `count` of them."""
        if self._empty_or_full is None:
            full = (self.weights == 1).sum(1) == count
            self._empty_or_full = full | (self.sizes == 0)
        return self._empty_or_full


class LowRank:
    """The relevant parts ``(K, n, *signal)``, not yet multiplied out."""

    def __init__(
        self,
        coefficients: torch.Tensor,
        basis: torch.Tensor,
        members: Members,
        cache: dict[Any, Any],
    ) -> None:
        # of shape (n, m)
        self.coefficients = coefficients
        # (m, *signal): what a coefficient of 1 adds to the signal
        self.basis = basis
        self.members = members
        # products that hold for all samples; shared between chunks of them
        self.cache = cache

    def dense(self) -> torch.Tensor:
        """Multiply out."""
        return self._combine(self._gathered(("dense",), None, lambda b: b))

    def pushed(self, weight: torch.Tensor, linear: Callable, *what: Any) -> Any:
        """Return a linear operation of the parts: it acts on the basis, once."""
        # `what` tells the operation from others with the same weight
        return self._combine(self._gathered(what, weight, linear))

    def moved(self, basis: torch.Tensor) -> LowRank:
        """Return the same coefficients of another basis."""
        return LowRank(self.coefficients, basis, self.members, self.cache)

    def _gathered(self, what: tuple, weight: Any, linear: Callable) -> torch.Tensor:
        """Return the basis signals of every group, (K, width, *out)."""
        quick = not torch.is_grad_enabled()
        key = *what, identity(self.basis), identity(weight)
        if quick and key in self.cache:
            return self.cache[key].values
        values = linear(self.basis.unsqueeze(1)).squeeze(1)[self.members.index]
        if quick:
            keep(self.cache, key, Product(values, (self.basis, weight)))
        return values

    def _combine(self, values: torch.Tensor) -> torch.Tensor:
        count, width = values.shape[:2]
        own = self.coefficients[:, self.members.index.flatten()]
        own = own.unflatten(1, (count, width)).transpose(0, 1)
        own = own * self.members.weights[:, None]
        # sized, since a group may have no coefficients at all
        size = math.prod(values.shape[2:])
        out = torch.bmm(own, values.reshape(count, width, size))
        return out.view(*out.shape[:2], *values.shape[2:])


class Product(NamedTuple):
    """What a linear operation gave, beside what it was given."""

    values: Any
    # kept alive: their addresses are never those of others
    operands: tuple


def identity(tensor: torch.Tensor | None) -> Any:
    """Return what tells a tensor from every other that is alive, contents included."""
    if tensor is None:
        return None
    place = tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
    version = None if tensor.is_inference() else tensor._version
    return *place, tensor.is_conj(), tensor.is_neg(), version


# a model that makes its weights anew in every pass must not fill the memory
_KEPT = 4


def keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    """Store a product in place of the oldest."""
    if len(cache) >= _KEPT:
        del cache[next(iter(cache))]
    cache[key] = value
