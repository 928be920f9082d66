"""Normalisations and attention for the slow interpreter."""

import inspect
import math

import torch
import torch.nn.functional as F

from tests.propagation.naive_pairs import NotInterpreted
from tests.propagation.naive_rules import result, rule, with_bias


@rule("layer_norm")
def layer_norm(run, func, args, kwargs):
    x, shape, w, b, eps = _norm_arguments(args, kwargs)
    dims = tuple(range(-len(tuple(shape)), 0))
    return _standard(run, func, args, kwargs, x, dims, w, b, eps)


def _norm_arguments(args, kwargs):
    names = ("input", "normalized_shape", "weight", "bias", "eps")
    given = dict(zip(names, args, strict=False)) | kwargs
    given.setdefault("normalized_shape", given.get("num_groups"))
    defaults = (None, None, None, None, 1e-5)
    return [given.get(k, d) for k, d in zip(names, defaults, strict=True)]


@rule("group_norm")
def group_norm(run, func, args, kwargs):
    x, groups, w, b, eps = _norm_arguments(args, kwargs)
    w, b = _channels(x, w), _channels(x, b)
    split = (1, groups, -1)
    whole, *parts = (p.reshape(split) for p in (x.full, x.rel, x.irr))
    parts = [p.reshape(x.full.shape) for p in _centred(whole, parts, (-1,), eps)]
    return _scaled(run, func, args, kwargs, parts, w, b, x.axis)


@rule("instance_norm")
def instance_norm(run, func, args, kwargs):
    names = ("input", "running_mean", "running_var", "weight", "bias")
    given = dict(zip(names, args, strict=False)) | kwargs
    x, w, b = given["input"], given.get("weight"), given.get("bias")
    if given.get("running_mean") is not None:
        raise NotInterpreted("running statistics")
    dims = tuple(range(2, x.full.ndim))
    w, b = _channels(x, w), _channels(x, b)
    return _standard(run, func, args, kwargs, x, dims, w, b, given.get("eps", 1e-5))


def _channels(x, value):
    return None if value is None else value.reshape(-1, *(1,) * (x.full.ndim - 2))


def _standard(run, func, args, kwargs, x, dims, w, b, eps):
    parts = _centred(x.full, (x.rel, x.irr), dims, eps)
    return _scaled(run, func, args, kwargs, parts, w, b, x.axis)


def _centred(whole, parts, dims, eps):
    """Subtract means and divide; equal values differ by nothing but round-off."""
    spread = (whole.var(dims, correction=0, keepdim=True) + eps).sqrt()
    even = _even(whole, dims)
    return [
        torch.where(even & _even(p, dims), 0, p - p.mean(dims, keepdim=True)) / spread
        for p in parts
    ]


def _even(x, dims):
    spread = x.std(dims, correction=0, keepdim=True)
    noise = 16 * torch.finfo(x.dtype).eps
    return spread <= noise * x.mean(dims, keepdim=True).abs()


def _scaled(run, func, args, kwargs, parts, w, b, axis):
    rel, irr = parts if w is None else [p * w for p in parts]
    if b is not None and b.any():
        rel, irr = with_bias(run, rel, irr, b, axis, shape=b.shape)
    return result(run, func, args, kwargs, rel, irr)


@rule("rms_norm")
def rms_norm(run, func, args, kwargs):
    names = ("input", "normalized_shape", "weight", "eps")
    given = dict(zip(names, args, strict=False)) | kwargs
    x, shape, w, eps = (given.get(name) for name in names)
    eps = torch.finfo(x.full.dtype).eps if eps is None else eps
    dims = tuple(range(-len(tuple(shape)), 0))
    scale = (x.full.square().mean(dims, keepdim=True) + eps).rsqrt()
    scale = scale if w is None else scale * w
    return result(run, func, args, kwargs, x.rel * scale, x.irr * scale)


@rule("normalize")
def unit_length(run, func, args, kwargs):
    x = args[0]
    dim = kwargs.get("dim", 1)
    length = x.full.square().sum(dim, keepdim=True).sqrt().clamp_min(1e-12)
    return result(run, func, args, kwargs, x.rel / length, x.irr / length)


# attention


@rule("scaled_dot_product_attention")
def attention(run, func, args, kwargs):
    q, k, v = args[:3]
    if any(p.axis is not None for p in (q, k, v)):
        raise NotInterpreted("attention of merged rows")
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    if kwargs.get("is_causal"):
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    return torch.softmax(scores, -1) @ v


_HEADS = inspect.signature(F.multi_head_attention_forward)


@rule("multi_head_attention_forward")
def heads(run, func, args, kwargs):
    bound = _HEADS.bind(*args, **kwargs)
    bound.apply_defaults()
    a = bound.arguments
    if a["need_weights"] or a["attn_mask"] is not None or a["key"] is not a["query"]:
        raise NotInterpreted("attention with more arguments")
    x, count = a["query"], a["num_heads"]
    qkv = F.linear(x, a["in_proj_weight"], a["in_proj_bias"])
    q, k, v = (
        t.unflatten(-1, (count, -1)).permute(1, 2, 0, 3) for t in qkv.chunk(3, -1)
    )
    weights = torch.softmax((q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1), -1)
    # rows first in memory, as the quick path of a prediction has them
    mixed = (weights @ v).transpose(1, 2).flatten(2)
    out = F.linear(mixed, a["out_proj_weight"], a["out_proj_bias"])
    return out.transpose(0, 1), None
