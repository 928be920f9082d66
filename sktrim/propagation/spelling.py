"""In how many ways torch spells one operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

_DUNDERS = {
    f"__{prefix}{name}__": (base, prefix == "r", prefix == "i")
    for name, base in {
        "add": "add",
        "sub": "sub",
        "mul": "mul",
        "truediv": "div",
        "div": "div",
        "matmul": "matmul",
        "pow": "pow",
        "floordiv": "floor_divide",
        "mod": "remainder",
        "and": "bitwise_and",
        "or": "bitwise_or",
        "xor": "bitwise_xor",
        "lshift": "bitwise_left_shift",
        "rshift": "bitwise_right_shift",
    }.items()
    for prefix in ("", "r", "i")
} | {
    "__neg__": ("neg", False, False),
    "__pos__": ("positive", False, False),
    "__abs__": ("abs", False, False),
    "__invert__": ("bitwise_not", False, False),
}


_ALIASES = {
    "concat": "cat",
    "concatenate": "cat",
    "row_stack": "vstack",
    "subtract": "sub",
    "rsub": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "negative": "neg",
    "absolute": "abs",
    "special_expit": "sigmoid",
    "special_softmax": "softmax",
    "special_log_softmax": "log_softmax",
    "special_exp2": "exp2",
    "special_expm1": "expm1",
    "special_erf": "erf",
    "special_log1p": "log1p",
    "clip": "clamp",
    "moveaxis": "movedim",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "fft_fftshift": "roll",
    "fft_ifftshift": "roll",
    "im2col": "unfold",
    "arctan": "atan",
    "arccos": "acos",
    "arcsin": "asin",
    "arctanh": "atanh",
    "special_erfinv": "erfinv",
    "arcsinh": "asinh",
    "upsample": "interpolate",
    "upsample_nearest": "interpolate",
    "upsample_bilinear": "interpolate",
    "linalg_matmul": "matmul",
    "_threshold": "threshold",
    "log_sigmoid": "logsigmoid",
    "ger": "outer",
    "max_pool1d_with_indices": "max_pool1d",
    "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d",
    "adaptive_max_pool1d_with_indices": "adaptive_max_pool1d",
    "adaptive_max_pool2d_with_indices": "adaptive_max_pool2d",
    "adaptive_max_pool3d_with_indices": "adaptive_max_pool3d",
}


# in place by nature, with no out-of-place twin of the same name
_WRITERS: dict[str, tuple[str, Callable]] = {
    "zero_": ("zero", torch.zeros_like),
    "fill_": ("fill", torch.full_like),
    "copy_": ("copy", lambda target, source, *_: source.expand_as(target).clone()),
}
_PLAIN_UNDERSCORE = frozenset({"requires_grad_", "share_memory_"})


@dataclass(frozen=True)
class Spelling:
    """What a torch function means: canonical name, function, reflected, in place."""

    name: str
    func: Callable
    reflected: bool = False
    in_place: bool = False


_spellings: dict[Any, Spelling] = {}


def _base_function(name: str) -> Callable | None:
    places = (torch.Tensor, torch, F)
    return next((getattr(p, name) for p in places if hasattr(p, name)), None)


def _spell(func: Callable) -> Spelling:
    raw = getattr(func, "__name__", repr(func))
    if func is torch.autograd.grad:
        # not the property of that name
        return Spelling("autograd_grad", func)
    if raw in _DUNDERS:
        name, reflected, in_place = _DUNDERS[raw]
        base = getattr(torch, name, func)
        return Spelling(name, base, reflected, in_place)
    if raw in _WRITERS:
        name, base = _WRITERS[raw]
        return Spelling(name, base, False, True)
    if raw in _PLAIN_UNDERSCORE or not raw.endswith("_"):
        name = _ALIASES.get(raw, raw)
        # torch.func has no batching rule for this spelling
        func = torch.movedim if raw == "moveaxis" else func
        reflected = raw == "rsub"
        return Spelling(name, torch.sub if reflected else func, reflected)
    if raw.startswith("__"):
        return Spelling(raw, func)
    base = _base_function(raw[:-1])
    name = _ALIASES.get(raw[:-1], raw[:-1])
    return Spelling(name, base or func, False, base is not None)


def spell(func: Callable) -> Spelling:
    """Return what a spelling of an operation means (cached)."""
    try:
        return _spellings[func]
    except KeyError:
        # threads may compute it twice; they store the same value
        return _spellings.setdefault(func, _spell(func))
