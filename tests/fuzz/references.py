"""Plain autograd with a few operations replaced: what modified gradients must equal."""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from tests.fuzz import attention

RECTIFIERS = frozenset(
    """relu relu_ clamp clamp_ clamp_min clamp_min_ threshold threshold_ relu6
    hardtanh""".split()
)


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, cap):
        ctx.save_for_backward((x > 0) & (x < cap))
        return x.clamp(0, cap)

    @staticmethod
    def backward(ctx, gradient):
        (open_,) = ctx.saved_tensors
        return gradient.clamp(min=0) * open_, None


class _Rectified(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, cap):
        return x.clamp(0, cap)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clamp(min=0), None


class Predicted(TorchFunctionMode):
    """Results lie in memory as in a prediction, which is made without gradients."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        return predicted(func(*args, **kwargs), func, args, kwargs)


def predicted(out, func, args, kwargs):
    """Return what a call gave in the layout that it has without gradients."""
    if func.__name__ == "multi_head_attention_forward":
        # the quick path of `nn.MultiheadAttention` has the rows first
        return out[0].transpose(0, 1).contiguous().transpose(0, 1), out[1]
    if func.__name__ not in ("max_pool1d", *attention.COMPOSED):
        return out
    with torch.no_grad():
        like = func(*args, **kwargs)
    room = torch.empty_strided(like.shape, like.stride(), dtype=like.dtype)
    return out if out.stride() == like.stride() else room.copy_(out)


class _Mode(Predicted):
    function: type

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        cap = _cap(func, args, kwargs)
        if cap is None:
            return super().__torch_function__(func, types, args, kwargs)
        out = self.function.apply(args[0], cap)
        if func.__name__.endswith("_") or kwargs.get("inplace"):
            return args[0].copy_(out)
        return out


def _cap(func, args, kwargs):
    """Return the upper bound of a ReLU in any spelling, None for what is none."""
    name = func.__name__.strip("_")
    if name not in {n.strip("_") for n in RECTIFIERS} or not args:
        return None
    if not isinstance(args[0], torch.Tensor) or not args[0].is_floating_point():
        return None
    if name in ("relu", "relu6"):
        return 6.0 if name == "relu6" else float("inf")
    bounds = [*args[1:], *(kwargs[k] for k in ("min", "max") if k in kwargs)]
    if bounds[:1] != [0] or any(b not in (None, 0) for b in bounds[1:]):
        return None
    return float("inf")


class GuidedMode(_Mode):
    """Springenberg et al. 2015."""

    function = _Guided


class DeconvolutionMode(_Mode):
    """Zeiler and Fergus 2014."""

    function = _Rectified


ELEMENTWISE = frozenset(
    """relu gelu tanh sigmoid silu softplus elu leaky_relu relu6 sin abs square pow
    clamp clamp_min threshold exp sqrt log reciprocal hardtanh""".split()
)


def input_times_gradient(f, x):
    """Return relevance of a weighted sum of the outputs.

    Input times this gradient is relevance by the epsilon rule without epsilon, unless
    an elementwise function of 0 is not 0, the values in a window of a max pooling are
    equal, or values cancel to 0: that raises `attention.NotInterpreted`.
    """
    leaf = x.clone().requires_grad_()
    with torch.enable_grad(), _Held():
        out = f(leaf.clone())
        weights = 1 + 0.3 * torch.arange(out[0].numel(), dtype=out.dtype)
        total = (out.flatten(1) * weights).sum()
        (gradient,) = torch.autograd.grad(total, leaf, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient * x


class _Held(TorchFunctionMode):
    """Elementwise functions are y / x; `tests.fuzz.attention` has the others."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        given = dict(kwargs or {})
        kwargs = {k: v for k, v in given.items() if k != "inplace"}
        name = func.__name__
        writes = name.endswith("_") and not name.endswith("__")
        writes = bool(given.get("inplace")) or writes
        name = name.strip("_")
        x = args[0] if args else None
        if name in ELEMENTWISE and isinstance(x, torch.Tensor) and not x.is_complex():
            with torch.no_grad():
                y = _out_of_place(name, func)(x.detach(), *args[1:], **kwargs)
                if ((x == 0) & (y != 0)).any():
                    raise attention.NotInterpreted("relevance of a value of 0")
            out = x * torch.where(x == 0, 0, y / x).detach()
            # to the last bit, on which ties depend
            out = out + (y - out).detach()
        elif "max_pool" in name and _repeats(x, func(*args, **given)):
            raise attention.NotInterpreted("relevance of equal values")
        elif name in attention.RULES:
            out = attention.RULES[name](_Held, func, *args, **kwargs)
            out = predicted(out, func, args, kwargs)
        elif name in DIFFERENCES and not writes and _cancels(func, args, given):
            raise attention.NotInterpreted("relevance of a sum of 0")
        else:
            return predicted(func(*args, **given), func, args, given)
        return x.copy_(out) if writes else out


DIFFERENCES = frozenset("diff sub rsub add sum mean cumsum linear matmul".split())


@torch.no_grad()
def _cancels(func, args, given):
    """Tell whether the terms of a sum cancel, as clamped values do in a difference."""
    generator = torch.Generator().manual_seed(0)

    def other_sizes(value):
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return value
        return value * (1 + torch.rand(value.shape, generator=generator))

    moved = func(*tree_map(other_sizes, args), **tree_map(other_sizes, given))
    return ((func(*args, **given) == 0) & (moved != 0)).any()


def _repeats(x, pooled):
    """Tell whether a maximum other than 0 stands in several places."""
    top = (pooled[0] if isinstance(pooled, tuple) else pooled).unique()
    values, counts = x.unique(return_counts=True)
    return torch.isin(values[(counts > 1) & (values != 0)], top).any()


def _out_of_place(name, func):
    if func.__name__.strip("_") == name and not func.__name__.endswith("_"):
        return func
    return next(getattr(p, name) for p in (torch, F) if hasattr(p, name))


AFFINE = frozenset(
    """view reshape flatten unflatten unsqueeze squeeze transpose permute movedim t T mT
    narrow select getitem chunk split split_with_sizes unbind expand repeat len
    repeat_interleave flip roll index_select gather tril unfold diagonal contiguous
    clone real imag view_as_real view_as_complex conj resolve_conj complex mean sum
    avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d neg cumsum diff
    fft_fft fft_ifft fft_rfft fft_irfft zeros_like cat stack pad linear addmm conv1d
    conv2d conv_transpose1d batch_norm add sub iadd isub radd rsub get size dim
    setitem fill zero copy shape is_floating_point arange tensor""".split()
)


class Affine(Predicted):
    """Notes whether all that a program does is affine for certain."""

    def __init__(self):
        super().__init__()
        self.holds = True

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = func.__name__.strip("_")
        self.holds &= name in AFFINE
        return super().__torch_function__(func, types, args, kwargs)
