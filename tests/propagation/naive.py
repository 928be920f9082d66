"""Contextual decomposition once more, in matrix form and with loops: the reference."""

import numpy as np
import torch


def affine_parts(layer, rel, x, bias, pooled):
    """Return the relevant output of an affine layer, from its dense matrix.

    `pooled` tells whether the outputs (n, channels, positions) share per channel.
    """
    zero = torch.zeros_like(x[:1])
    offset = layer(zero)[0]
    out_shape = offset.shape
    basis = torch.eye(x[0].numel(), dtype=x.dtype).reshape(-1, *x.shape[1:])
    matrix = (layer(basis) - offset).detach().flatten(1).numpy()
    b = offset.detach().flatten().numpy()
    a = rel.detach().flatten(1).numpy() @ matrix
    c = (x - rel).detach().flatten(1).numpy() @ matrix
    channels = out_shape[0]
    split = np.empty_like(a)
    for i in range(len(a)):
        part, rest = rel[i].abs().sum().item(), (x - rel)[i].abs().sum().item()
        own = part / (part + rest) if part + rest > 0 else 0
        share = shares(
            a[i].reshape(channels, -1), c[i].reshape(channels, -1), bias, pooled, own
        )
        split[i] = a[i] + share.ravel() * b
    return torch.from_numpy(split).reshape(-1, *out_shape)


def shares(a, c, bias, pooled, own):
    """Return the share of every unit of one sample: (channels, positions).

    `own` is the mask's share of the input.
    """
    if bias == "context":
        return np.zeros_like(a)
    pa, pc = np.abs(a), np.abs(c)
    whole = pa.sum() / (pa.sum() + pc.sum()) if pa.sum() + pc.sum() > 0 else own
    share = np.empty_like(a)
    for ch in range(a.shape[0]):
        if bias == "channel" and pooled:
            top, bottom = pa[ch].sum(), pa[ch].sum() + pc[ch].sum()
            share[ch] = top / bottom if bottom > 0 else whole
            continue
        for p in range(a.shape[1]):
            bottom = pa[ch, p] + pc[ch, p]
            share[ch, p] = pa[ch, p] / bottom if bottom > 0 else whole
    return share


def symmetric(phi, rel, x):
    """Return the symmetric rule without the share of phi(0)."""
    zero = phi(torch.zeros_like(x))
    return 0.5 * (phi(rel) - zero + phi(x) - phi(x - rel))


def max_pool2d_parts(rel, x, size, stride, padding, dilation):
    """Return the mean relevant part of the winners of every window, by loops."""
    n, channels, height, width = x.shape
    span = dilation * (size - 1) + 1
    rows = (height + 2 * padding - span) // stride + 1
    columns = (width + 2 * padding - span) // stride + 1
    out = torch.zeros(n, channels, rows, columns, dtype=x.dtype)
    for i, ch, r, q in np.ndindex(n, channels, rows, columns):
        best, parts = -np.inf, []
        for u, v in np.ndindex(size, size):
            y = r * stride - padding + u * dilation
            z = q * stride - padding + v * dilation
            if 0 <= y < height and 0 <= z < width and x[i, ch, y, z] >= best:
                parts = parts if x[i, ch, y, z] == best else []
                best, parts = x[i, ch, y, z], [*parts, rel[i, ch, y, z]]
        out[i, ch, r, q] = sum(parts) / len(parts)
    return out
