"""How a bias is split between the relevant and the irrelevant part."""

from __future__ import annotations

from typing import Any

import torch

# below this fraction of the operation's mean magnitude, in machine epsilons,
# both parts count as zero: an inverse FFT leaves as much noise in a zero border
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
    if axis is None:
        whole_part, whole_total, size = part, total, 1
    else:
        others = tuple(d for d in range(-linear.ndim, 0) if d != axis)
        whole_part = part.sum(others, keepdim=True) if others else part
        whole_total = total.sum(others, keepdim=True) if others else total
        size = max(1, total[0].numel() // total.shape[axis])
    half = 1 / (1 + (rel.shape[0] if options.partition else 1))
    noise = _NOISE * torch.finfo(total.dtype).eps / size
    empty = whole_total == 0
    whole = torch.where(empty, half, whole_part / torch.where(empty, 1, whole_total))
    small = total <= noise * whole_total
    return torch.where(small, whole, part / torch.where(small, 1, total))


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
        parts = _total(rel, pool)
        rest = _total((linear - rel.sum(0))[None], pool)
        return parts, (parts.sum(0, keepdim=True) + rest).expand_as(parts)
    part = _total(rel, pool)
    if torch.is_grad_enabled() or not pool:
        return part, part + _total(linear - rel, pool)
    # one mask at a time through one buffer, which stays in the cache
    total, buffer = part.clone(), torch.empty_like(linear)
    for index, one in enumerate(rel):
        total[index] += _total(torch.sub(linear, one, out=buffer), pool)
    return part, total


def _total(values: torch.Tensor, pool: tuple[int, ...]) -> torch.Tensor:
    if not pool:
        return values.abs()
    if torch.is_grad_enabled():
        return values.abs().sum(pool, keepdim=True)
    return torch.linalg.vector_norm(values, 1, pool, keepdim=True)
