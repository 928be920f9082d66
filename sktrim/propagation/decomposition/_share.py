"""How a bias is split between the relevant and the irrelevant part."""

from __future__ import annotations

import math
from typing import Any

import torch

from sktrim.propagation.axes import need_one_sample
from sktrim.propagation.masking import masked

# below this fraction of the operation's magnitude, in machine epsilons, a part counts
# as zero: an inverse FFT leaves as much noise in a zero border, and so do two orders
# of summation in what should be no irrelevant part at all; in half precision so many
# machine epsilons are most of the whole
_NOISE = 100
_MOST_NOISE = 0.01
# an operation this small beside its bias, in machine epsilons, is what round-off left
# of one that is zero
_NOTHING = 16


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
    otherwise: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return ``rel + share * bias``."""
    # `rel` (K, *shape) and `linear` (shape) are W applied to the relevant part and to
    # the whole; `rel` may be written to where no gradient is recorded; `otherwise` is
    # the share where the whole operation is 0/0, by default the mask's own share of the
    # input
    if options.bias == "context":
        return rel
    if not _is_quick(options, rel, axis, otherwise) or masked(linear) is not None:
        share = bias_share(options, rel, linear, bias, axis, otherwise, beside=bias)
        return rel + share * bias
    pool = _positions(options, linear, bias, -linear.ndim)
    inverse = _inverse_share(options, rel, linear, pool, bias)
    if inverse.shape == rel.shape:
        return rel.addcdiv_(bias.expand(linear.shape), inverse)
    return rel.add_(bias / inverse)


def bias_share(
    options: Any,
    rel: torch.Tensor,
    linear: torch.Tensor,
    bias: torch.Tensor,
    axis: int | None,
    otherwise: torch.Tensor | None = None,
    beside: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the share of a bias that the relevant part gets."""
    # proportional: |rel| / (|rel| + |irrel|) per unit; channel: the magnitudes are
    # summed over the positions first, that is over the axes along which the bias does
    # not vary, the sample axis excepted; where both are 0, the share of the whole
    # operation over that sample; where that is 0/0 too, the mask's share of the input;
    # what is no more than round-off beside `beside` counts as 0, and so does a mask
    rel, linear = _beside_masks(rel, linear)
    if _is_quick(options, rel, axis, otherwise):
        pool = _positions(options, linear, bias, -linear.ndim)
        return _inverse_share(options, rel, linear, pool, beside).reciprocal_()
    # with biases as context, and where a share is given, each unit is by itself
    apart = axis is None and (otherwise is not None or options.bias == "context")
    if axis is None and not apart:
        need_one_sample(options)
    pool = () if apart else _positions(options, linear, bias, axis)
    dims = () if apart else _but(axis, linear.ndim)
    share = _divide(options, rel, linear, pool, axis, dims, otherwise, beside)
    return _settle(options, share, axis)


def _beside_masks(
    rel: torch.Tensor, linear: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return parts and whole without what is masked, which outweighs all else."""
    hidden = masked(linear)
    if hidden is None:
        return rel, linear
    return torch.where(hidden, 0, rel), torch.where(hidden, 0, linear)


def _settle(options: Any, share: torch.Tensor, axis: int | None, **how: Any) -> Any:
    return options.start.settle(share, axis, **how) if _settles(options) else share


def _unsettled(options: Any, wanted: torch.Tensor) -> torch.Tensor:
    """Return which of (mask, row) are wanted, but for those that will be settled."""
    return options.start.unsettled(wanted) if _settles(options) else wanted


def _settles(options: Any) -> bool:
    # with biases as context the full mask has less than everything
    return options.start is not None and options.bias != "context"


def settle_parts(
    options: Any, rel: torch.Tensor, full: torch.Tensor, axis: int | None
) -> torch.Tensor:
    """Return parts: all of a value for masks with all of the input, or nothing."""
    # may write to `rel`; with biases as context the full mask has less than everything
    start = options.start
    return rel if start is None else start.settle_parts(rel, full, axis)


def _is_quick(
    options: Any, rel: torch.Tensor, axis: int | None, otherwise: Any
) -> bool:
    """Tell whether masks and samples lead, and nothing needs to be recorded."""
    plain = not (torch.is_grad_enabled() or options.partition or rel.is_complex())
    return plain and otherwise is None and axis == 1 - rel.ndim < -1 and rel.numel() > 0


def _divide(
    options: Any,
    rel: torch.Tensor,
    linear: torch.Tensor,
    pool: tuple[int, ...],
    axis: int | None,
    dims: tuple[int, ...],
    otherwise: Any,
    beside: torch.Tensor | None,
) -> torch.Tensor:
    part, total, least = _magnitudes(options, rel, linear, ())
    few = total <= _nothing(beside, total.dtype)
    few = _all(few, pool)
    part, total, least = (_sum(v, pool) for v in (part, total, least))
    none = _all(few, dims)
    sums = _sum(part, dims), _sum(total, dims)
    whole, settled = _whole_share(options, *sums, none, axis, otherwise)
    small = few | (total <= _noise(total.dtype) * _mean(least, dims))
    share = torch.where(small, whole, part / torch.where(small, 1, total))
    # wholly relevant, or not at all: no unit's round-off may say otherwise
    return share if settled is None else torch.where(settled, whole, share)


def _inverse_share(
    options: Any,
    rel: torch.Tensor,
    linear: torch.Tensor,
    pool: tuple[int, ...],
    beside: torch.Tensor | None,
) -> torch.Tensor:
    """Return 1 / share, with the care of `_divide` only where it is needed."""
    if pool:
        part, total, least = _magnitudes(options, rel, linear, pool)
        inverse = total.div_(part)
    else:
        least = linear.abs()
        # (|a| + |l - a|) / |a| = 1 + |l / a - 1|
        inverse = torch.div(linear, rel, out=options.scratch(rel))
        inverse.sub_(1).abs_().add_(1)
    nothing = _nothing(beside, linear.dtype) * math.prod(linear.shape[d] for d in pool)
    special = _unsettled(options, _special(inverse, least, nothing))
    masks, rows = special.nonzero(as_tuple=True)
    if len(masks):
        every = 4 * len(masks) > len(rel) * len(linear)
        picked = (rel, linear) if every else (rel[masks, rows][None], linear[rows])

        def own(needed: torch.Tensor) -> torch.Tensor:
            shares = options.start.along(-linear.ndim, linear.shape, needed)
            return shares if every else shares[masks, rows][None]

        axis, dims = -linear.ndim, _but(-linear.ndim, linear.ndim)
        careful = 1 / _divide(options, *picked, pool, axis, dims, own, beside)
        if every:
            return _settle(options, careful, -linear.ndim, inverse=True)
        inverse[masks, rows] = careful[0]
    return _settle(options, inverse, -linear.ndim, inverse=True)


def _special(
    inverse: torch.Tensor, least: torch.Tensor, nothing: float
) -> torch.Tensor:
    """Tell which masks and samples may have a 0/0, or are all or nothing."""
    units, noise = least.flatten(1), _noise(inverse.dtype)
    # all or nothing shows at the unit where the whole is largest
    top = units.argmax(1, keepdim=True).expand(len(inverse), -1, -1)
    at = inverse.flatten(2).gather(2, top).squeeze(2)
    inside = (at < 1 / noise) & (at > 1 / (1 - noise))
    return ~inside | (units.amin(1) <= noise * units.mean(1) + nothing)


def _noise(dtype: torch.dtype) -> float:
    return min(_NOISE * torch.finfo(dtype).eps, _MOST_NOISE)


def _all(values: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return values.all(dims, keepdim=True) if dims else values


def _mean(values: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return values.mean(dims, keepdim=True) if dims else values


def whole_share(
    options: Any,
    rel: torch.Tensor,
    full: torch.Tensor,
    axis: int | None,
) -> torch.Tensor:
    """Return the share of the whole operation, with axes of length 1 (but samples)."""
    if axis is None:
        need_one_sample(options)
    dims = _but(axis, full.ndim)
    rel, full = _beside_masks(rel, full)
    part, total, _ = _magnitudes(options, rel, full, dims)
    share, _ = _whole_share(options, part, total, total == 0, axis)
    return _settle(options, share, axis)


def _positions(
    options: Any, linear: torch.Tensor, bias: torch.Tensor, axis: int | None
) -> tuple[int, ...]:
    """Return the axes that are pooled over: where the bias is the same, but samples."""
    if options.bias != "channel":
        return ()
    sizes = (1,) * (linear.ndim - bias.ndim) + tuple(bias.shape)
    return tuple(d for d in _but(axis, linear.ndim) if sizes[d] == 1)


def _but(axis: int | None, ndim: int) -> tuple[int, ...]:
    """Return all axes but that of the samples."""
    return tuple(d for d in range(-ndim, 0) if d != axis)


def _magnitudes(
    options: Any, rel: torch.Tensor, linear: torch.Tensor, pool: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return sum |rel|, sum |rel| + sum |irrel| and a lower bound of the latter."""
    whole = linear.abs()
    least = _sum(whole, pool)
    if options.partition:
        part = _sum(rel.abs(), pool)
        rest = _sum((linear - rel.sum(0)).abs()[None], pool)
        return part, part.sum(0, keepdim=True) + rest, least
    if linear.is_complex():
        part = _sum(rel.abs(), pool)
        return part, part + _sum((linear - rel).abs(), pool), least
    # |a| + |l - a| = max(|l|, |l - 2 a|)
    if torch.is_grad_enabled():
        total = torch.maximum((linear - 2 * rel).abs(), whole)
        return _sum(rel.abs(), pool), _sum(total, pool), least
    total = torch.sub(linear, rel, alpha=2, out=options.scratch(rel, 1))
    torch.maximum(total.abs_(), whole, out=total)
    if not pool:
        return rel.abs(), total, least
    pooled = _sum(total, pool)
    return _sum(torch.abs(rel, out=total), pool), pooled, least


def _whole_share(
    options: Any,
    part: torch.Tensor,
    total: torch.Tensor,
    none: torch.Tensor,
    axis: int | None,
    otherwise: Any = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the share of a whole operation, and where it is all or nothing."""
    # `otherwise` is the share where it is nothing but round-off, as `none` says, or
    # gives it for the masks in need
    share = part / torch.where(none, 1, total)
    if not share.numel():
        return share, None
    low, high = (value.item() for value in share.aminmax())
    noise, nothing = _noise(total.dtype), bool(none.any())
    if low > noise and high < 1 - noise and not nothing:
        return share, None
    if nothing:
        if otherwise is None:
            otherwise = options.start.along(axis, part.shape[1:], none)
        elif callable(otherwise):
            otherwise = otherwise(none)
        share = torch.where(none, otherwise.to(share.dtype), share)
    share = torch.where(share <= noise, 0, torch.where(share >= 1 - noise, 1, share))
    return share, (share == 0) | (share == 1)


def _nothing(beside: torch.Tensor | None, dtype: torch.dtype) -> float:
    """Return the size of an operation which is round-off beside a bias."""
    if beside is None or not beside.numel():
        return 0.0
    return beside.detach().abs().amax().item() * _NOTHING * torch.finfo(dtype).eps


def _sum(values: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return values.sum(dims, keepdim=True) if dims else values
