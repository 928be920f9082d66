"""The modified gradients of AttnLRP in plain autograd (Achtibat et al. 2024)."""

import inspect
import math

import torch
import torch.nn.functional as F

RULES = {}
# written here in terms of operations that lay their result out otherwise
COMPOSED = frozenset("layer_norm rms_norm group_norm instance_norm normalize".split())


def modified(*names):
    def register(function):
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


class NotInterpreted(Exception):
    """Relevance that is no gradient: that of a value of 0, or shared among equals."""


def half(x):
    """Return x with half of its gradient."""
    return (x + x.detach()) / 2


def _varies(x):
    return isinstance(x, torch.Tensor) and x.requires_grad


@modified("mul", "rmul", "imul", "matmul", "rmatmul", "bmm", "mm", "einsum")
def products(mode, func, *args, **kwargs):
    """Give half of the gradient to each of two factors."""
    pair = args[1:] if func.__name__ == "einsum" else args
    if sum(map(_varies, pair)) > 1:
        args = tuple(half(a) if _varies(a) else a for a in args)
    reflected = func.__name__.startswith("__r")
    args = args[::-1] if reflected else args
    operation = {"mul": torch.mul, "matmul": torch.matmul}
    name = func.__name__.strip("_").removeprefix("r").removeprefix("i")
    return operation.get(name, func)(*args, **kwargs)


@modified("div", "truediv", "rdiv", "rtruediv", "itruediv")
def quotients(mode, func, a, b):
    """Hold a divisor that varies."""
    if func.__name__.startswith("__r"):
        a, b = b, a
    if not _varies(b):
        return torch.div(a, b)
    if _varies(a):
        return torch.div(a, b.detach())
    value = torch.div(a, b).detach()
    return b * (value / b).detach()


def _standard(x, dims, eps, centre=True):
    x = x - x.mean(dims, keepdim=True) if centre else x
    return x / (x.detach().square().mean(dims, keepdim=True) + eps).sqrt()


def _affine(x, weight, bias, shape=(-1,)):
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


@modified("layer_norm")
def layer_norm(mode, func, x, shape, weight=None, bias=None, eps=1e-5, *_):
    return _affine(_standard(x, (-1,), eps), weight, bias)


@modified("rms_norm")
def rms_norm(mode, func, x, shape, weight=None, eps=None):
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return _affine(_standard(x, (-1,), eps, centre=False), weight, None)


@modified("group_norm")
def group_norm(mode, func, x, groups, weight=None, bias=None, eps=1e-5):
    out = _standard(x.reshape(len(x), groups, -1), (-1,), eps).reshape(x.shape)
    return _affine(out, weight, bias, (-1, *(1,) * (x.ndim - 2)))


@modified("instance_norm")
def instance_norm(mode, func, x, mean=None, var=None, weight=None, bias=None, **_):
    out = _standard(x, tuple(range(2, x.ndim)), 1e-5)
    return _affine(out, weight, bias, (-1, *(1,) * (x.ndim - 2)))


@modified("normalize")
def normalize(mode, func, x, dim=1, **_):
    return x / x.detach().norm(dim=dim, keepdim=True).clamp_min(1e-12)


@modified("var")
def variance(mode, func, x, *args, **kwargs):
    return func(half(x), *args, **kwargs)


def _attend(q, k, v, mask=None):
    scores = half(q) @ half(k).mT / math.sqrt(q.shape[-1])
    scores = scores if mask is None else scores.masked_fill(mask, -math.inf)
    return half(scores.softmax(-1)) @ half(v)


@modified("scaled_dot_product_attention")
def attention(mode, func, q, k, v, is_causal=False):
    size = q.shape[-2]
    mask = torch.ones(size, size, dtype=torch.bool).triu(1) if is_causal else None
    return _attend(q, k, v, mask)


@modified("multi_head_attention_forward")
def heads(mode, func, *args, **kwargs):
    given = inspect.signature(func).bind(*args, **kwargs).arguments
    x = given["query"]
    qkv = F.linear(x, given["in_proj_weight"], given["in_proj_bias"]).chunk(3, -1)
    split = (t.unflatten(-1, (given["num_heads"], -1)).permute(1, 2, 0, 3) for t in qkv)
    mixed = _attend(*split).permute(2, 0, 1, 3).flatten(2)
    return F.linear(mixed, given["out_proj_weight"], given["out_proj_bias"]), None


def _step(kind, x, state, weights):
    """Run one step; to be called within the mode, for its nonlinearities."""
    w, u, *biases = weights
    b, c = biases if biases else (None, None)
    left, right = F.linear(x, w, b), F.linear(state[0], u, c)
    if kind.startswith("rnn"):
        return (torch.tanh(left + right),)
    if kind.startswith("gru"):
        (xr, xz, xn), (hr, hz, hn) = left.chunk(3, -1), right.chunk(3, -1)
        keep = torch.sigmoid(xz + hz)
        new = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        if (keep == 1).any():
            raise NotInterpreted("1 and the gate cancel: nothing is shared out")
        return ((1 - keep) * new + keep * state[0],)
    i, f, g, o = (left + right).chunk(4, -1)
    memory = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


@modified("lstm", "gru", "rnn_tanh")
def recurrent(
    mode, func, x, start, weights, biases, layers, dropout, train, both, first
):
    """Run one layer, batch first."""
    outs, each = [], len(weights) // (2 if both else 1)
    starts = start if isinstance(start, tuple | list) else [start]
    with mode():
        for way in range(2 if both else 1):
            state, seen = [s[way] for s in starts], []
            steps = x.unbind(1)[::-1] if way else x.unbind(1)
            for step in steps:
                own = weights[way * each : (way + 1) * each]
                state = _step(func.__name__, step, state, own)
                seen.append(state[0])
            outs.append(torch.stack(seen[::-1] if way else seen, 1))
    return (torch.cat(outs, -1), None, None)[: len(starts) + 1]


@modified("lstm_cell", "gru_cell", "rnn_tanh_cell")
def cell(mode, func, x, start, *weights):
    with mode():
        state = start if isinstance(start, tuple | list) else [start]
        out = _step(func.__name__, x, state, weights)
    return out if len(out) > 1 else out[0]
