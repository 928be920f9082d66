"""What share of the model's input each mask has, for operations that are all zero."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, cast

import torch

from sktrim.propagation.axes import RowsDiffer
from sktrim.propagation.decomposition._lowrank import LowRank
from sktrim.propagation.decomposition._share import _noise


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
        return self._shares(list(map(_dense, self._parts)), self._weights)

    def _shares(self, parts: list[torch.Tensor], weights: Any) -> torch.Tensor:
        """Return the shares that parts have of the inputs."""
        sizes = [self._sizes(*pair) for pair in zip(self._inputs, parts, strict=True)]
        known: Any = sum((total != 0).to(total.dtype) for _, total in sizes)
        shares: Any = sum(part / _not_zero(total) for part, total in sizes)
        own = torch.zeros_like(shares[:, :1])
        if weights is not None:
            own = weights.to(shares).reshape(len(shares), -1)
        return torch.where(known == 0, own, shares / _not_zero(known))

    @cached_property
    def _settled(self) -> tuple[torch.Tensor, ...] | None:
        """Masks with all of the input or nothing of it; None: there is none."""
        # their numbers (k,), and for them where that holds and the share, (k, n)
        if self._partition:
            return None
        pairs = zip(self._inputs, self._parts, strict=True)
        may = [_may_settle(*pair, len(self._parts)) for pair in pairs]
        some = torch.stack(may).all(0).nonzero().squeeze(1)
        if not len(some):
            return None
        weights = self._weights if self._weights is None else self._weights[some]
        rows = self._shares([_dense(part)[some] for part in self._parts], weights)
        noise = _noise(rows.dtype)
        settled = (rows <= noise) | (rows >= 1 - noise)
        kept = settled.any(1)
        if not kept.any():
            return None
        return some[kept], settled[kept], rows[kept].round()

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
        if self._settled is None:
            return values
        some, settled, rows = self._settled_along(axis, values.shape[1:])
        wanted = torch.where(settled, value(rows), values[some])
        if torch.is_grad_enabled():
            return values.index_put((some,), wanted)
        values[some] = wanted
        return values

    def unsettled(self, wanted: torch.Tensor) -> torch.Tensor:
        """Return which of (mask, row) are wanted beside those that are settled."""
        # may write to `wanted`
        if self._settled is not None:
            some, settled, _ = self._settled_along(-1, wanted.shape[1:])
            wanted[some] &= ~settled
        return wanted

    def _settled_along(
        self, axis: int | None, shape: torch.Size
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return `_settled` as it stands in a value, (k, *ones but for the axis)."""
        some, settled, rows = cast(tuple[torch.Tensor, ...], self._settled)
        length = 0 if axis is None else shape[axis]
        if axis is not None and length and length % rows.shape[1] == 0:
            times = length // rows.shape[1]
            if times > 1:
                settled, rows = (v.repeat_interleave(times, 1) for v in (settled, rows))
        else:
            alike = settled & (rows == rows[:, :1])
            settled, rows, axis = alike.all(1, keepdim=True), rows[:, :1], -1
        sizes = [1] * len(shape)
        if sizes:
            sizes[axis] = rows.shape[1]
        settled, rows = (v.reshape(len(v), *sizes) for v in (settled, rows))
        return some, settled, rows

    def _sizes(self, value: torch.Tensor, part: torch.Tensor) -> tuple[Any, Any]:
        """Return the sizes of the parts of an input and of the whole, (K, n)."""
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
            if not (alike | ~needed[..., None].flatten(1).any(1)).all():
                raise RowsDiffer
            rows, axis = rows[:, :1], -1
        sizes = [1] * len(shape)
        if sizes:
            sizes[axis] = rows.shape[1]
        return rows.reshape(len(rows), *sizes)


# so many values of a row tell that a part is neither all of it nor nothing
_SOME = 32


def _may_settle(value: torch.Tensor, part: Any, n_inputs: int) -> torch.Tensor:
    """Tell which masks may have all or nothing of an input, without a long look."""
    if isinstance(part, LowRank):
        return part.members.empty_or_full(len(part.basis))
    if not (value.is_floating_point() and len(value) and value[0].numel() > _SOME):
        return torch.ones(len(part), dtype=torch.bool, device=part.device)
    value, part = value.flatten(1), part.flatten(2)
    # round-off of all of the row
    bound = 2 * n_inputs * _noise(value.dtype) * value.abs().sum(1)
    step = value.shape[1] // _SOME
    some = part[..., ::step]
    rest = (value[:, ::step] - some).abs().sum(2)
    return ((some.abs().sum(2) <= bound) | (rest <= bound)).any(1)


def _dense(part: Any) -> torch.Tensor:
    return part.dense() if isinstance(part, LowRank) else part


def _not_zero(values: torch.Tensor) -> torch.Tensor:
    return torch.where(values == 0, 1, values)
