"""AttnLRP (Achtibat et al. 2024) written out: relevance in from relevance out.

Every function returns the relevance of its inputs by an explicit formula, without
autograd and without the library.
"""

import math

import torch
import torch.nn.functional as F


def through_linear(x, weight, bias, relevance):
    z = x @ weight.T + (0 if bias is None else bias)
    return torch.einsum("...i,ji,...j->...i", x, weight, relevance / z)


def through_sum(terms, relevance):
    total = sum(terms)
    return [term * relevance / total for term in terms]


def through_matmul(a, b, relevance):
    ratio = relevance / (2 * (a @ b))
    return (
        torch.einsum("...ik,...kj,...ij->...ik", a, b, ratio),
        torch.einsum("...ik,...kj,...ij->...kj", a, b, ratio),
    )


def through_softmax(x, relevance):
    """Along the last axis; x may be minus infinity."""
    s = torch.softmax(x, -1)
    share = relevance - s * relevance.sum(-1, keepdim=True)
    return torch.where(torch.isinf(x), 0, torch.where(torch.isinf(x), 0, x) * share)


def through_layer_norm(x, norm, relevance):
    n = x.shape[-1]
    y = norm(x)
    scale = 1 / torch.sqrt(x.var(-1, correction=0, keepdim=True) + norm.eps)
    centring = torch.eye(n, dtype=x.dtype) - 1 / n
    ratio = relevance / y * norm.weight * scale
    return torch.einsum("...i,ji,...j->...i", x, centring, ratio)


class NaiveAttention:
    """Multi-head self-attention of `torch.nn.MultiheadAttention`, batch first."""

    def __init__(self, layer, x, mask):
        self.layer, self.x = layer, x
        self.qkv = F.linear(x, layer.in_proj_weight, layer.in_proj_bias)
        q, k, v = (self._heads(t) for t in self.qkv.chunk(3, -1))
        self.q, self.k, self.v = q / math.sqrt(q.shape[-1]), k.mT, v
        scores = self.q @ self.k
        self.scores = scores if mask is None else scores + mask
        self.weights = torch.softmax(self.scores, -1)
        self.mixed = self._joined(self.weights @ v)
        self.out = layer.out_proj(self.mixed)

    def _heads(self, t):
        return t.unflatten(-1, (self.layer.num_heads, -1)).transpose(1, 2)

    def _joined(self, t):
        return t.transpose(1, 2).flatten(2)

    def relevance(self, r):
        out = self.layer.out_proj
        r = self._heads(through_linear(self.mixed, out.weight, out.bias, r))
        r_weights, r_v = through_matmul(self.weights, self.v, r)
        r_scores = through_softmax(self.scores, r_weights)
        r_q, r_k = through_matmul(self.q, self.k, r_scores)
        r = torch.cat([self._joined(t) for t in (r_q, r_k.mT, r_v)], -1)
        weight, bias = self.layer.in_proj_weight, self.layer.in_proj_bias
        return through_linear(self.x, weight, bias, r)


class NaiveEncoderLayer:
    """`torch.nn.TransformerEncoderLayer`, norms first or last."""

    def __init__(self, layer, x, mask):
        self.layer, self.x = layer, x
        first = layer.norm_first
        self.attention = NaiveAttention(
            layer.self_attn, layer.norm1(x) if first else x, mask
        )
        self.sum1 = x + self.attention.out
        self.h = self.sum1 if first else layer.norm1(self.sum1)
        self.into = layer.norm2(self.h) if first else self.h
        self.hidden = layer.linear1(self.into)
        self.active = layer.activation(self.hidden)
        self.change = layer.linear2(self.active)
        self.sum2 = self.h + self.change
        self.out = self.sum2 if first else layer.norm2(self.sum2)

    def relevance(self, r):
        layer, first = self.layer, self.layer.norm_first
        if not first:
            r = through_layer_norm(self.sum2, layer.norm2, r)
        r_h, r = through_sum([self.h, self.change], r)
        r = through_linear(self.active, layer.linear2.weight, layer.linear2.bias, r)
        # the activation passes it on
        r = through_linear(self.into, layer.linear1.weight, layer.linear1.bias, r)
        r = through_layer_norm(self.h, layer.norm2, r) if first else r
        r = r_h + r
        if not first:
            r = through_layer_norm(self.sum1, layer.norm1, r)
        r_x, r = through_sum([self.x, self.attention.out], r)
        r = self.attention.relevance(r)
        r = through_layer_norm(self.x, layer.norm1, r) if first else r
        return r_x + r


def transformer_relevance(net, x, mask, column):
    """Relevance of x in a linear layer, encoder layers, a mean and a linear layer."""
    h = net.first(x)
    layers = []
    for layer in net.encoder.layers:
        layers.append(NaiveEncoderLayer(layer, h, mask))
        h = layers[-1].out
    pooled = h.mean(1)
    out = net.last(pooled)
    r = torch.zeros_like(out)
    r[:, column] = out[:, column]
    r = through_linear(pooled, net.last.weight, net.last.bias, r)
    r = h / h.shape[1] * (r / pooled)[:, None]
    for layer in reversed(layers):
        r = layer.relevance(r)
    return through_linear(x, net.first.weight, net.first.bias, r)
