"""What share of the model's input each mask has, for operations that are all zero."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch

from sktrim.propagation.axes import RowsDiffer
from sktrim.propagation.decomposition._share import _noise
from sktrim.propagation.lowrank import LowRank


class Start:
    """The masks' shares of the input, row by row."""

    # a share is the size of the part over that of both parts; of tokens, the share of
    # positions; of several inputs the mean is taken, without those that are zero; where
    # all are, the share is that of the weights of the mask

    def __init__(
        self, inputs: list[Any], parts: list[Any], weights: Any, partition: bool
    ) -> None:
        # each (n, ...), with relevant parts (K, n, ...)
        self._inputs = inputs
        self._parts = parts
        # (K,) or (K, n), or None for 0
        self._weights = weights
        # whether the masks are parts of one whole
        self._partition = partition

    @cached_property
    def rows(self) -> torch.Tensor:
        """The shares, (K, n)."""
        pairs = zip(self._inputs, self._parts, strict=True)
        sizes = [self._sizes(value, part) for value, part in pairs]
        known: Any = sum((total != 0).to(total.dtype) for _, total in sizes)
        shares: Any = sum(part / _not_zero(total) for part, total in sizes)
        weights = torch.zeros_like(shares[:, :1])
        if self._weights is not None:
            weights = self._weights.to(shares).reshape(len(shares), -1)
        return torch.where(known == 0, weights, shares / _not_zero(known))

    @cached_property
    def _settled(self) -> torch.Tensor | None:
        """Where a mask has all of the input or nothing of it, (K, n); None: nowhere."""
        if self._partition or not any(map(_may_settle, self._parts)):
            return None
        noise = _noise(self.rows.dtype)
        settled = (self.rows <= noise) | (self.rows >= 1 - noise)
        return settled if settled.any() else None

    def settle(
        self, share: torch.Tensor, axis: int | None, inverse: bool = False
    ) -> torch.Tensor:
        """Return shares: 1 for masks with all of the input, 0 for those with none."""
        # whatever round-off a deep network adds to the two parts, no operation may say
        # otherwise; `inverse`: 1 / share is given and wanted; may write to `share`
        return self._settle(share, axis, torch.reciprocal if inverse else torch.clone)

    def settle_parts(
        self, rel: torch.Tensor, full: torch.Tensor, axis: int | None
    ) -> torch.Tensor:
        """Return parts: all of a value for masks with all of the input, or nothing."""
        # may write to `rel`
        return self._settle(rel, axis, lambda rows: torch.where(rows == 0, 0, full))

    def _settle(
        self, values: torch.Tensor, axis: int | None, value: Callable
    ) -> torch.Tensor:
        """Replace values where a mask is all or nothing, by `value` of that."""
        settled = self._settled
        if settled is None:
            return values
        rows, shape = self.rows.round(), values.shape[1:]
        length = 0 if axis is None else shape[axis]
        if axis is not None and length and length % rows.shape[1] == 0:
            times = length // rows.shape[1]
            settled, rows = (v.repeat_interleave(times, 1) for v in (settled, rows))
        else:
            alike = settled & (rows == rows[:, :1])
            settled, rows, axis = alike.all(1, keepdim=True), rows[:, :1], -1
        sizes = [1] * len(shape)
        if sizes:
            sizes[axis] = rows.shape[1]
        settled, rows = (v.reshape(len(v), *sizes) for v in (settled, rows))
        if torch.is_grad_enabled():
            return torch.where(settled, value(rows), values)
        # few masks are all or nothing
        some = settled.flatten(1).any(1).nonzero().squeeze(1)
        values[some] = torch.where(settled[some], value(rows[some]), values[some])
        return values

    def _sizes(self, value: torch.Tensor, part: Any) -> tuple[Any, Any]:
        """Return the sizes of the parts of an input and of the whole, (K, n)."""
        part = part.dense() if isinstance(part, LowRank) else part
        rel = part.flatten(2).abs() if part.ndim > 2 else part.abs()[..., None]
        if not (value.is_floating_point() or value.is_complex()):
            rel = rel.to(torch.get_default_dtype())
            return rel.sum(2), torch.full_like(rel[..., 0], rel.shape[2])
        rest = value - (part.sum(0, keepdim=True) if self._partition else part)
        rest = rest.flatten(2).abs() if rest.ndim > 2 else rest.abs()[..., None]
        size = rel.sum(2)
        whole = size.sum(0, keepdim=True) if self._partition else size
        return size, (whole + rest.sum(2)).expand_as(size)

    def along(
        self, axis: int | None, shape: torch.Size, needed: torch.Tensor
    ) -> torch.Tensor:
        """Return the shares as they stand in a value, (K, *ones but for the axis)."""
        # `needed` tells on the first of its axes which masks have to be known
        rows = self.rows
        length = 0 if axis is None else shape[axis]
        if axis is not None and length and length % rows.shape[1] == 0:
            # one row of the input may be several rows in a row
            rows = rows.repeat_interleave(length // rows.shape[1], 1)
        else:
            alike = (rows == rows[:, :1]).all(1)
            if not (alike | ~needed.flatten(1).any(1)).all():
                raise RowsDiffer
            rows, axis = rows[:, :1], -1
        sizes = [1] * len(shape)
        if sizes:
            sizes[axis] = rows.shape[1]
        return rows.reshape(len(rows), *sizes)


def _may_settle(part: Any) -> bool:
    """Tell whether it is worth to multiply out: a mask of zeros or of ones is there."""
    if not isinstance(part, LowRank):
        return True
    weights = part.members.weights
    every = (weights == 1).sum(1) == len(part.basis)
    return bool((every | ~(weights != 0).any(1)).any())


def _not_zero(values: torch.Tensor) -> torch.Tensor:
    return torch.where(values == 0, 1, values)
