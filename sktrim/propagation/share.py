"""How a bias is split between the relevant and the irrelevant part."""

from __future__ import annotations

from typing import Any

import torch

# below this fraction of the operation's magnitude, in machine epsilons, a part counts
# as zero: an inverse FFT leaves as much noise in a zero border, and so do two orders
# of summation in what should be no irrelevant part at all
_NOISE = 100


def leading(rel: torch.Tensor, ndim: int) -> torch.Tensor:
    """Return rel with ndim axes beside that of the masks."""
    missing = ndim + 1 - rel.ndim
    if missing <= 0:
        return rel
    return rel.reshape(rel.shape[0], *(1,) * missing, *rel.shape[1:])


def add_bias(
    options: Any,
    rel: torch.Tensor,
    linear: torch.Tensor,
    bias: torch.Tensor,
    axis: int | None,
) -> torch.Tensor:
    """Return ``rel + share * bias``.

    Parameters
    ----------
    options : object
        With `bias` and `partition`.
    rel : torch.Tensor
        W applied to the relevant part, of shape ``(K, *shape)``. May be written to
        where no gradient is recorded.
    linear : torch.Tensor
        W applied to the whole activation, of shape ``shape``.
    bias : torch.Tensor
        Broadcastable to ``shape``.
    axis : int or None
        The sample axis, counted from the end.
    """
    if options.bias == "context":
        return rel
    share = bias_share(options, rel, linear, bias, axis)
    if torch.is_grad_enabled() or share.numel() * bias.numel() == 0:
        return rel + share * bias
    if share.shape == rel.shape:
        return rel.addcmul_(share, bias.expand(linear.shape))
    return rel.add_(share * bias)


def bias_share(
    options: Any,
    rel: torch.Tensor,
    linear: torch.Tensor,
    bias: torch.Tensor,
    axis: int | None,
) -> torch.Tensor:
    """Return the share of a bias that the relevant part gets (DESIGN section 5).

    Proportional: |rel| / (|rel| + |irrel|) per unit. Channel: the magnitudes are
    summed over the positions first, that is over the axes along which the bias does
    not vary, the sample axis excepted. Where both are 0, the share of the whole
    operation over that sample; where that is 0/0 too, one half.
    """
    pool = _positions(options, linear, bias, axis)
    part, total = _magnitudes(options, rel, linear, pool)
    everywhere = tuple(d for d in range(-linear.ndim, 0) if d != axis)
    everywhere = () if axis is None else everywhere
    whole_part, whole = _sum(part, everywhere), _sum(total, everywhere)
    fallback = _whole_share(options, whole_part, whole, len(rel))
    share = _divide(part, total, whole, fallback, _count(part, everywhere))
    settled = (fallback == 0) | (fallback == 1)
    if everywhere and settled.any():
        # wholly relevant, or not at all: no unit's round-off may say otherwise
        share = torch.where(settled, fallback, share)
    return share


def whole_share(
    options: Any, rel: torch.Tensor, full: torch.Tensor, axis: int | None
) -> torch.Tensor:
    """Return the share of the whole operation, with axes of length 1 (but samples)."""
    dims = tuple(d for d in range(-full.ndim, 0) if d != axis)
    part, total = _magnitudes(options, rel, full, () if axis is None else dims)
    return _whole_share(options, part, total, len(rel))


def _positions(
    options: Any, linear: torch.Tensor, bias: torch.Tensor, axis: int | None
) -> tuple[int, ...]:
    if options.bias != "channel" or axis is None:
        return ()
    sizes = (1,) * (linear.ndim - bias.ndim) + tuple(bias.shape)
    dims = range(-linear.ndim, 0)
    return tuple(d for d in dims if sizes[d] == 1 and d != axis)


def _magnitudes(
    options: Any, rel: torch.Tensor, linear: torch.Tensor, pool: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sum |rel| and sum |rel| + sum |irrel| over the pooled axes."""
    if options.partition:
        part = _sum(rel.abs(), pool)
        rest = _sum((linear - rel.sum(0)).abs()[None], pool)
        return part, part.sum(0, keepdim=True) + rest
    if linear.is_complex():
        return _sum(rel.abs(), pool), _sum(rel.abs() + (linear - rel).abs(), pool)
    # |a| + |l - a| = max(|l|, |l - 2 a|)
    if torch.is_grad_enabled():
        total = torch.maximum((linear - 2 * rel).abs(), linear.abs())
        return _sum(rel.abs(), pool), _sum(total, pool)
    total = torch.sub(linear, rel, alpha=2, out=options.scratch(rel))
    torch.maximum(total.abs_(), linear.abs(), out=total)
    if not pool:
        return torch.abs(rel, out=options.scratch(rel, 1)), total
    whole = _sum(total, pool)
    return _sum(torch.abs(rel, out=total), pool), whole


def _whole_share(
    options: Any, part: torch.Tensor, total: torch.Tensor, n_masks: int
) -> torch.Tensor:
    half = 1 / (1 + (n_masks if options.partition else 1))
    none = total == 0
    share = torch.where(none, half, part / torch.where(none, 1, total))
    noise = _NOISE * torch.finfo(total.dtype).eps
    share = torch.where(share <= noise, 0, share)
    return torch.where(share >= 1 - noise, 1, share)


def _divide(
    part: torch.Tensor,
    total: torch.Tensor,
    whole: torch.Tensor,
    fallback: torch.Tensor,
    count: int,
) -> torch.Tensor:
    """Return part / total, the fallback where the total is but noise."""
    small = total <= _NOISE * torch.finfo(total.dtype).eps / count * whole
    if not small.any():
        return part / total if torch.is_grad_enabled() else part.div_(total)
    return torch.where(small, fallback, part / torch.where(small, 1, total))


def _sum(values: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return values.sum(dims, keepdim=True) if dims else values


def _count(values: torch.Tensor, dims: tuple[int, ...]) -> int:
    count = 1
    for d in dims:
        count *= values.shape[d]
    return max(1, count)
