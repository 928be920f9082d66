"""Relevant parts as coefficients times basis signals, pushed through one operation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from sktrim.propagation.carrier import Carrier
from sktrim.propagation.first_linear import Products, move, pays
from sktrim.propagation.method import Call


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
        products: Products,
    ) -> None:
        # of shape (n, m)
        self.coefficients = coefficients
        # (m, *signal): what a coefficient of 1 adds to the signal
        self.basis = basis
        self.members = members
        # hold for all samples; shared between chunks of them
        self.products = products

    def dense(self) -> torch.Tensor:
        """Multiply out."""
        return self.pushed(None, lambda basis: basis)

    def pushed(self, weight: Any, linear: Callable, *what: Any) -> torch.Tensor:
        """Return a linear operation of the parts: it acts on the basis, once."""

        def gathered() -> torch.Tensor:
            """Return the basis signals of every group, (K, width, *out)."""
            return linear(self.basis.unsqueeze(1)).squeeze(1)[self.members.index]

        # `what` tells the operation from others with the same weight
        return self._combine(self.products.get(what, (self.basis, weight), gathered))

    def moved(self, call: Call, x: Carrier) -> LowRank | None:
        """Move the basis as the model moves a batch, where samples stay first."""
        moved = move(call, self.basis, x.full)
        if moved is None:
            return None
        return LowRank(self.coefficients, moved[1], self.members, self.products)

    def _combine(self, values: torch.Tensor) -> torch.Tensor:
        count, width = values.shape[:2]
        own = self.coefficients[:, self.members.index.flatten()]
        own = own.unflatten(1, (count, width)).transpose(0, 1)
        own = own * self.members.weights[:, None]
        # sized, since a group may have no coefficients at all
        size = math.prod(values.shape[2:])
        out = torch.bmm(own, values.reshape(count, width, size))
        return out.view(*out.shape[:2], *values.shape[2:])


def through(
    call: Call,
    x: Carrier,
    weight: torch.Tensor,
    linear: Callable,
    rows: bool,
    **how: Any,
) -> torch.Tensor:
    """Apply a linear map to the parts, or to their basis where that is cheaper."""
    low = x.rel
    if not isinstance(low, LowRank):
        return linear(low)
    # the basis will do where the first axis is one of rows, each mapped by itself
    if rows and x.axis == -x.full.ndim and pays(low.members.width, weight):
        return low.pushed(weight, linear, call.operation.name, repr(how))
    x.rel = low.dense()
    return linear(x.rel)
