"""What keeps a position out: minus infinity, or a number that leaves it no weight."""

from __future__ import annotations

import torch

# masks add or fill in -1e4, -1e9 or the lowest number; no unmasked logit is as low
_MASK = -1e3


def unmasked(constant: torch.Tensor) -> torch.Tensor:
    """Return a constant without what masks: -inf, or the least number of its type."""
    if not (constant.is_floating_point() or constant.is_complex()):
        return constant
    # softmax knows what is masked, so that it stays out of the parts; two masks on one
    # position would be beyond all numbers
    return torch.where(_beyond(constant), 0, constant)


def masked(x: torch.Tensor) -> torch.Tensor | None:
    """Return where values are beyond what is a number; None where nowhere."""
    if not (x.numel() and x.is_floating_point()):
        return None
    low, high = (value.item() for value in x.detach().aminmax())
    bound = _bound(x)
    return _beyond(x) if low <= -bound or high >= bound else None


def without_weight(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor | None:
    """Return where a mask leaves no weight; None where nowhere."""
    if not x.numel() or x.amin() > _MASK:
        return None
    return (x <= _MASK) & (weights == 0)


def _beyond(x: torch.Tensor) -> torch.Tensor:
    return x.abs() >= _bound(x)


def _bound(x: torch.Tensor) -> float:
    return torch.finfo(x.dtype).max / 2
