"""How a bias is split between the relevant and the irrelevant part."""

from __future__ import annotations

from typing import Any

import torch

# below this fraction of the operation's mean magnitude, in machine epsilons, a part
# counts as zero: an inverse FFT leaves as much noise in a zero border, and so do two
# summation orders in what should be no irrelevant part at all
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
    part, rest = _magnitudes(options, rel, linear, pool)
    everywhere = tuple(d for d in range(-linear.ndim, 0) if d != axis)
    everywhere = () if axis is None else everywhere
    whole_part, whole_rest = _sum(part, everywhere), _sum(rest, everywhere)
    whole = _joint(options, whole_part, whole_rest)
    noise = _NOISE * torch.finfo(whole.dtype).eps / _count(part, everywhere) * whole
    part = torch.where(part <= noise, 0, part)
    rest = torch.where(rest <= noise, 0, rest)
    total = _joint(options, part, rest)
    half = 1 / (1 + (rel.shape[0] if options.partition else 1))
    fallback = torch.where(
        whole == 0, half, whole_part / torch.where(whole == 0, 1, whole)
    )
    none = total == 0
    return torch.where(none, fallback, part / torch.where(none, 1, total))


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
    """Return sum |rel| and sum |irrel| over the pooled axes."""
    part = _total(rel, pool)
    if options.partition:
        return part, _total((linear - rel.sum(0))[None], pool)
    if torch.is_grad_enabled() or not pool:
        return part, _total(linear - rel, pool)
    # one mask at a time through one buffer, which stays in the cache
    rest, buffer = torch.empty_like(part), torch.empty_like(linear)
    for index, one in enumerate(rel):
        rest[index] = _total(torch.sub(linear, one, out=buffer), pool)
    return part, rest


def _joint(options: Any, part: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    return (part.sum(0, keepdim=True) if options.partition else part) + rest


def _total(values: torch.Tensor, pool: tuple[int, ...]) -> torch.Tensor:
    if not pool:
        return values.abs()
    if torch.is_grad_enabled():
        return values.abs().sum(pool, keepdim=True)
    return torch.linalg.vector_norm(values, 1, pool, keepdim=True)


def _sum(values: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return values.sum(dims, keepdim=True) if dims else values


def _count(values: torch.Tensor, dims: tuple[int, ...]) -> int:
    count = 1
    for d in dims:
        count *= values.shape[d]
    return max(1, count)
