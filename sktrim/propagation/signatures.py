"""How the arguments of operations are read, by every method alike."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.carrier import Carrier, is_plain
from sktrim.propagation.method import Call
from sktrim.propagation.registry import find_operation

_DIRECT = ("stride", "padding", "dilation", "groups")
_TRANSPOSED = ("stride", "padding", "output_padding", "groups", "dilation")


CONVOLUTION = {f"conv{d}d": _DIRECT for d in (1, 2, 3)} | {
    f"conv_transpose{d}d": _TRANSPOSED for d in (1, 2, 3)
}


def batch_norm_arguments(call: Call) -> Any:
    """Return what is normalised, mean, variance, weight, bias, training and eps."""
    # torch.batch_norm orders its nine arguments differently from F.batch_norm
    if len(call.args) + len(call.kwargs) == 9:
        names = ("weight", "bias", "running_mean", "running_var", "training")
        x, weight, bias, mean, variance, training, _, eps = call.bind(
            "input", *names, "momentum", "eps"
        )
        return [x, mean, variance, weight, bias, training, eps]
    names = {"weight": None, "bias": None, "training": False, "momentum": 0.1}
    values = call.bind("input", "running_mean", "running_var", **names, eps=1e-5)
    return [*values[:6], values[7]]


_FIXED = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_ADAPTIVE = ("output_size", "return_indices")


def pool_arguments(call: Call) -> tuple[Any, dict[str, Any], bool]:
    """Return what is max pooled, the options, and whether indices are returned."""
    names = _ADAPTIVE if call.operation.name.startswith("adaptive") else _FIXED
    x, *values = call.bind("input", *names)
    options = {k: v for k, v in zip(names, values, strict=True) if v is not None}
    wants_indices = options.pop("return_indices", False)
    return x, options, wants_indices or call.func.__name__.endswith("with_indices")


def per_channel(full: torch.Tensor, *values: Any) -> list[Any]:
    """Lay values of the channels out beside all others."""
    shape = (-1, *(1,) * (full.ndim - 2))
    return [None if v is None else v.reshape(shape) for v in values]


def variance_arguments(call: Call) -> tuple[Any, Any, bool]:
    """Return axes, correction and whether axes are kept, of `torch.var` and `std`."""
    first = call.args[1] if len(call.args) > 1 else None
    names = ("unbiased",) if isinstance(first, bool) else ("dim", "unbiased", "keepdim")
    arguments = dict(zip(names, call.args[1:], strict=False)) | call.kwargs
    correction = arguments.get("correction", int(arguments.get("unbiased", True)))
    dims = arguments.get("dim", arguments.get("axis"))
    correction = 1 if correction is None else correction
    return None if dims == () else dims, correction, arguments.get("keepdim", False)


# what other spellings of ReLU and ReLU6 call their bounds, with the defaults
BOUNDS: dict[str, dict[str, Any]] = {
    "hardtanh": {"min_val": -1.0, "max_val": 1.0},
    "clamp": {"min": None, "max": None},
    "clamp_min": {"min": None},
    "threshold": {"threshold": None, "value": None},
}


def as_rectifier(call: Call) -> Call:
    """Return the call of ReLU or ReLU6 that a call spells otherwise, or itself."""
    # `torch.nn.ReLU6` calls hardtanh, and many write ``x.clamp(min=0)``
    name = call.operation.name
    x, low, high = (*call.bind("input", **BOUNDS[name]), None)[:3]
    if any((is_plain(bound) or isinstance(bound, Carrier)) for bound in (low, high)):
        return call
    ends = (0,) if name == "threshold" else (None, math.inf, 6)
    if low != 0 or high not in ends:
        return call
    func = F.relu6 if high == 6 else F.relu
    operation = find_operation(func, func.__name__)
    return call if operation is None else Call(operation, func, (x,), {}, call.in_place)
