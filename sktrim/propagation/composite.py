"""Operations written once in terms of others, so that their rules apply."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.axes import axis_kept
from sktrim.propagation.carrier import Carrier
from sktrim.propagation.layouts import laid_out, missed_quick_path
from sktrim.propagation.method import Call
from sktrim.propagation.registry import EVERY, rule


@rule(EVERY, "addmm", "baddbmm", "addmv", "addr")
def add_product(method: Any, call: Call) -> Any:
    """Add beta * input and alpha * (a @ b)."""
    value, a, b, beta, alpha = call.bind("input", "a", "b", beta=1, alpha=1)
    named = sorted(k for k in call.kwargs if k.startswith(("mat", "vec", "batch")))
    factors = [v for v in (a, b) if v is not None] + [call.kwargs[k] for k in named]
    a, b = factors
    inner = torch.outer if call.operation.name == "addr" else torch.matmul
    product = inner(a, b)
    product = product if alpha == 1 else product * alpha
    value = value if beta == 1 else value * beta
    # torch lays the sum out as its first operand
    return value + product if inner is torch.outer else product + value


def product_with_weights(method: Any, call: Call) -> Any:
    """Apply a linear layer whose weight or bias depends on the input."""
    x, weight, bias = call.bind("input", "weight", bias=None)
    product = torch.matmul(x, weight.mT if weight.dim() > 1 else weight)
    return product if bias is None else product + bias


@rule(EVERY, "addcmul", "addcdiv")
def add_elementwise(method: Any, call: Call) -> Any:
    """Add value * a * b, or value * a / b."""
    x, a, b, value = call.bind("input", "tensor1", "tensor2", value=1)
    product = torch.mul(a, b) if call.operation.name == "addcmul" else torch.div(a, b)
    return x + (product if value == 1 else product * value)


@rule(EVERY, "lerp")
def lerp(method: Any, call: Call) -> Any:
    """Move from start by weight * (end - start)."""
    start, end, weight = call.bind("input", "end", "weight")
    return start + (end - start) * weight


@rule(EVERY, "glu")
def glu(method: Any, call: Call) -> Any:
    """Gate the first half by the second."""
    x, dim = call.bind("input", dim=-1)
    a, b = torch.chunk(x, 2, dim)
    return a * torch.sigmoid(b)


@rule(EVERY, "broadcast_tensors")
def broadcast_tensors(method: Any, call: Call) -> Any:
    """Expand every operand to the common shape."""
    values = call.args[0] if isinstance(call.args[0], tuple | list) else call.args
    shape = torch.broadcast_shapes(*(v.shape for v in values))
    return tuple(v.expand(shape) for v in values)


@rule(EVERY, "column_stack")
def column_stack(method: Any, call: Call) -> Any:
    """Join along columns; vectors are columns."""
    columns = [v.unsqueeze(1) if v.dim() == 1 else v for v in call.args[0]]
    return torch.cat(columns, 1)


@rule(EVERY, "local_response_norm")
def local_response_norm(method: Any, call: Call) -> Any:
    """Divide by a power of the mean square over neighbouring channels."""
    x, size, alpha, beta, k = call.bind("input", "size", alpha=1e-4, beta=0.75, k=1.0)
    squares = F.pad(torch.square(x).flatten(2), (0, 0, size // 2, (size - 1) // 2))
    mean = F.avg_pool2d(squares, (size, 1), stride=1).reshape(x.shape)
    return x / (mean * alpha + k) ** beta


@rule(EVERY, "cosine_similarity")
def cosine_similarity(method: Any, call: Call) -> Any:
    """Sum the products of vectors of length 1."""
    x1, x2, dim, eps = call.bind("x1", "x2", dim=1, eps=1e-8)
    pair = torch.broadcast_tensors(x1, x2)
    a, b = (F.normalize(x, dim=dim, eps=eps) for x in pair)
    return torch.sum(a * b, dim)


@rule(EVERY, "lp_pool1d", "lp_pool2d", "lp_pool3d")
def power_pool(method: Any, call: Call) -> Any:
    """Take the p-th root of the sum of p-th powers over windows."""
    x, p, size, stride, ceil = call.bind(
        "input", "norm_type", "kernel_size", stride=None, ceil_mode=False
    )
    spatial = int(call.operation.name[-2])
    sizes = (size,) * spatial if isinstance(size, int) else tuple(size)
    pool = getattr(F, f"avg_pool{spatial}d")
    mean = pool(torch.pow(x, p), sizes, stride, ceil_mode=ceil)
    return torch.pow(mean * math.prod(sizes), 1 / p)


@rule("cd", "embedding")
def embedding(method: Any, call: Call) -> torch.Tensor:
    """Start here: the mask over tokens times their vectors."""
    tokens, weight = call.bind("input", "weight")[:2]
    if isinstance(weight, Carrier) or not isinstance(tokens, Carrier):
        method.refuse(call.func, "of a decomposed table has no rule")
    call.axis = None if tokens.axis is None else tokens.axis - 1
    return tokens.rel.to(call.full.dtype)[..., None] * call.full


@rule("cd", "one_hot")
def one_hot(method: Any, call: Call) -> torch.Tensor:
    """Mark tokens by their mask."""
    tokens = call.args[0]
    call.axis = axis_kept(tokens, call.full)
    # stays a token carrier: the part is taken where it becomes floating point
    return tokens.rel[..., None].expand(-1, *call.full.shape)


@rule(EVERY, "scaled_dot_product_attention")
def attention(method: Any, call: Call) -> Any:
    """Weigh v by softmax(q k^T scale + mask)."""
    q, k, v, mask, dropout, causal, scale, shared = call.bind(
        "query", "key", "value", attn_mask=None, dropout_p=0.0, is_causal=False,
        scale=None, enable_gqa=False,
    )  # fmt: skip
    if dropout:
        method.refuse(call.func, "with dropout is random and has no rule")
    if shared:
        k, v = (t.repeat_interleave(q.shape[-3] // t.shape[-3], -3) for t in (k, v))
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = torch.matmul(q * scale, k.transpose(-2, -1))
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    weights = torch.softmax(_masked(scores, mask), -1)
    return _as_fused(torch.matmul(weights, v), q, call)


def _as_fused(out: Any, q: Any, call: Call) -> Any:
    """Lay the result of several heads out as torch's kernels for them do."""
    if out.dim() != 4 or (q.is_cpu and q.is_contiguous()):
        return out
    with torch.no_grad():
        return laid_out(out, call.on_full())


def _masked(scores: Any, mask: Any) -> Any:
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -math.inf)
    return scores + mask


_MULTI_HEAD = inspect.signature(F.multi_head_attention_forward)


@rule(EVERY, "multi_head_attention_forward")
def multi_head_attention(method: Any, call: Call) -> Any:
    """Project, attend per head, project; the weights are returned where asked for."""
    bound = _MULTI_HEAD.bind(*call.args, **call.kwargs)
    bound.apply_defaults()
    a = bound.arguments
    if a["bias_k"] is not None or a["add_zero_attn"] or a["static_k"] is not None:
        method.refuse(call.func, "with bias_k, add_zero_attn or static_k has no rule")
    if a["training"] and a["dropout_p"]:
        method.refuse(call.func, "with training=True is random and has no rule")
    batched = a["query"].dim() == 3
    inputs = [a[n] if batched else a[n].unsqueeze(1) for n in ("query", "key", "value")]
    q, k, v = (_heads(t, a["num_heads"]) for t in _project(inputs, a))
    weights = torch.softmax(
        _masked_heads(torch.matmul(q / math.sqrt(q.shape[-1]), k.transpose(-2, -1)), a),
        -1,
    )
    # (n, heads, L, d) -> (n, L, heads, d), or (L, n, heads, d)
    mixed = torch.matmul(weights, v).transpose(1, 2)
    quick = missed_quick_path()
    mixed = (mixed if quick else mixed.transpose(0, 1)).flatten(2)
    out = F.linear(mixed, a["out_proj_weight"], a["out_proj_bias"])
    out = out.transpose(0, 1) if quick else out
    if a["need_weights"]:
        weights = weights.mean(1) if a["average_attn_weights"] else weights
    if not batched:
        out, weights = out.squeeze(1), weights.squeeze(0)
    return out, weights if a["need_weights"] else None


def _project(inputs: list[Any], a: Any) -> Sequence[Any]:
    weights = [a[f"{n}_proj_weight"] for n in "qkv"]
    if not a["use_separate_proj_weight"]:
        weights = a["in_proj_weight"].chunk(3)
    biases = [None] * 3 if a["in_proj_bias"] is None else a["in_proj_bias"].chunk(3)
    if not a["use_separate_proj_weight"] and all(x is inputs[0] for x in inputs):
        # one product instead of three
        return F.linear(inputs[0], a["in_proj_weight"], a["in_proj_bias"]).chunk(3, -1)
    triples = zip(inputs, weights, biases, strict=True)
    return [F.linear(x, w, b) for x, w, b in triples]


def _heads(x: Any, count: int) -> Any:
    """(L, n, E) -> (n, heads, L, E / heads)."""
    return x.unflatten(-1, (count, -1)).permute(1, 2, 0, 3)


def _masked_heads(scores: Any, a: Any) -> Any:
    mask, padding = a["attn_mask"], a["key_padding_mask"]
    if mask is None and a["is_causal"]:
        shape = scores.shape[-2:]
        mask = torch.ones(shape, dtype=torch.bool, device=scores.device).triu(1)
    if mask is not None:
        if mask.dim() == 3 and mask.shape[0] != 1:
            mask = mask.unflatten(0, (-1, a["num_heads"]))
        boolean = mask.dtype == torch.bool
        scores = scores.masked_fill(mask, -math.inf) if boolean else scores + mask
    if padding is None:
        return scores
    padding = padding[:, None, None] if padding.dim() == 2 else padding
    if padding.dtype == torch.bool:
        return scores.masked_fill(padding, -math.inf)
    return scores + padding


def pairwise(method: Any, call: Call) -> Any:
    """Multiply the first two of more operands of an einsum, then the rest."""
    equation, *operands = call.args
    if call.operation.name != "einsum" or "->" not in str(equation):
        method.refuse(call.func, "of more than two decomposed values has no rule")
    if len(operands) == 1:
        operands = operands[0]
    terms, out = equation.replace(" ", "").split("->")
    first, second, *others = terms.split(",")
    pair, needed = first + second, "".join(others) + out
    kept = "".join(sorted(set(pair) & set(needed) - {"."}))
    kept = f"...{kept}" if "..." in pair else kept
    product = torch.einsum(f"{first},{second}->{kept}", *operands[:2])
    return torch.einsum(",".join([kept, *others]) + f"->{out}", product, *operands[2:])
