"""How results lie in memory: a write through a view reaches what torch's would reach.

Predictions are made without gradients, and it is their layout that counts, although
torch's own functions may lay results out otherwise where they record.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def laid_out(value: Any, like: torch.Tensor) -> Any:
    """Return a value, a tensor or a carrier, in the order of memory of another."""
    if lie_alike(value, like):
        return value
    order = sorted(range(like.ndim), key=lambda d: -like.stride(d))
    back = sorted(range(like.ndim), key=order.__getitem__)
    return value.permute(order).contiguous().permute(back)


def lie_alike(a: Any, b: torch.Tensor) -> bool:
    """Tell whether two values of one shape have the same strides, where they count."""
    axes = zip(b.shape, a.stride(), b.stride(), strict=True)
    return all(size == 1 or mine == its for size, mine, its in axes)


def as_predicted(name: str, result: Any) -> Any:
    """Return what torch gave for an operation as it would lie in a prediction."""
    if name == "multi_head_attention_forward" and missed_quick_path():
        out = result[0]
        return (out.transpose(0, 1).contiguous().transpose(0, 1), *result[1:])
    if name == "max_pool1d" and isinstance(result, torch.Tensor):
        # on a CPU it has a kernel of its own where no gradient is recorded
        return result.contiguous() if result.is_cpu else result
    return result


def lay_gradient_out(name: str, result: Any) -> None:
    """Have the gradient of a result laid out as torch's own backward pass needs it."""
    if name == "batch_norm" and result.requires_grad and len(result) == 1:
        # for one row torch mistakes a transposed gradient for one with channels last
        result.register_hook(torch.Tensor.contiguous)
    if name == "view_as_real" and result.requires_grad:
        result.register_hook(_in_pairs)


def _in_pairs(gradient: torch.Tensor) -> torch.Tensor:
    """Return a gradient that torch can view as complex; not every part of one is."""
    *steps, last = gradient.stride()
    odd = [v for v in (gradient.storage_offset(), *steps) if v % 2]
    kept = last == 1 and not odd
    return gradient if kept else gradient.clone(memory_format=torch.contiguous_format)


def pooled_as_predicted(
    values: torch.Tensor, x: torch.Tensor, name: str, options: Any
) -> torch.Tensor:
    """Return what a max pooling of x gave as torch lays it out."""
    if values.is_contiguous() and x.is_contiguous():
        return values
    if name == "max_pool1d" and not options.get("return_indices") and x.is_cpu:
        return values.contiguous()
    options = {**options, "return_indices": False}
    stand_in = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")
    return laid_out(values, getattr(F, name)(stand_in, **options))


def missed_quick_path() -> bool:
    """Tell whether `nn.MultiheadAttention` took the long way for a stand-in alone."""
    # its quick path gives batch, positions and features in this order; the long way
    # gives positions first and lets the module turn them
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code is not _FUNCTION:
        frame = frame.f_back
    frame = None if frame is None else frame.f_back
    if frame is None or frame.f_code is not _MODULE:
        return False
    names = frame.f_locals
    biased = names["self"].in_proj_bias is not None
    return biased and "has_torch_function" in names["why_not_fast_path"]


_FUNCTION = F.multi_head_attention_forward.__code__
_MODULE = nn.MultiheadAttention.forward.__code__
