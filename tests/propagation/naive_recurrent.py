"""Recurrent layers for the slow interpreter: LSTM as in Murdoch et al. 2018."""

import torch
import torch.nn.functional as F

from tests.propagation.naive_pairs import NotInterpreted, Pair
from tests.propagation.naive_rules import NOISE, rule


@rule("lstm", "gru", "rnn_tanh")
def recurrent(run, func, args, kwargs):
    x, hx, weights, biased, layers, _, _, both, batch_first = args
    if layers != 1 or x.axis is not None:
        raise NotInterpreted("several recurrent layers")
    name = func.__name__
    states = hx if name == "lstm" else (hx,)
    x = x.transpose(0, 1) if batch_first else x
    ways, outs, finals = 2 if both else 1, [], []
    each = len(weights) // ways
    for way in range(ways):
        own = list(weights[way * each : (way + 1) * each])
        own = own if biased else [*own, None, None]
        order = range(x.shape[0])
        order = reversed(order) if way else order
        steps, final = _run(run, name, x, [s[way] for s in states], own, order)
        outs.append(torch.stack(steps))
        finals.append(final)
    out = torch.cat(outs, -1) if both else outs[0]
    ends = [torch.stack([f[i] for f in finals]) for i in range(len(states))]
    return (out.transpose(0, 1) if batch_first else out, *ends)


@rule("lstm_cell", "gru_cell", "rnn_tanh_cell")
def cell(run, func, args, kwargs):
    x, hx, *own = args
    name = func.__name__.removesuffix("_cell")
    state = list(hx) if name == "lstm" else [hx]
    _, final = _run(run, name, x.unsqueeze(0), state, own, range(1))
    return tuple(final) if name == "lstm" else final[0]


def _run(run, name, x, state, own, order):
    step = {"lstm": _lstm, "gru": _gru, "rnn_tanh": _rnn}[name](run, x, own)
    outs = [None] * x.shape[0]
    for t in order:
        state = step(t, state)
        outs[t] = state[0]
    return outs, state


def _rnn(run, x, own):
    inputs = F.linear(x, own[0], own[2])

    def step(t, state):
        return [torch.tanh(inputs[t] + F.linear(state[0], own[1], own[3]))]

    return step


def _gru(run, x, own):
    inputs = F.linear(x, own[0], own[2])

    def step(t, state):
        h = state[0]
        a, b = inputs[t].chunk(3, -1), F.linear(h, own[1], own[3]).chunk(3, -1)
        reset, keep = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
        new = torch.tanh(a[2] + reset * b[2])
        return [new + keep * (h - new)]

    return step


def three(a, b, c, s):
    """Split s(a + b + c) into what a gives, what b gives, and s(c)."""
    rel = 0.5 * (s(a + c) - s(c) + s(a + b + c) - s(b + c))
    irr = 0.5 * (s(b + c) - s(c) + s(a + b + c) - s(a + c))
    return rel, irr, s(c)


def _lstm(run, x, own):
    w, v, b_ih, b_hh = own
    b = torch.zeros(len(w), dtype=w.dtype) if b_ih is None else b_ih + b_hh
    wholly = _wholly(run, x)

    def step(t, state):
        h, c = (_parts(value) for value in state)
        rel = F.linear(x.rel[t], w) + F.linear(h[0], v)
        irr = F.linear(x.irr[t], w) + F.linear(h[1], v)
        gates = [g.chunk(4, -1) for g in (rel, irr, b)]
        (ir, ii, ib), (fr, fi, fb), (gr, gi, gb) = (
            three(*(g[k] for g in gates), s)
            for k, s in enumerate((torch.sigmoid, torch.sigmoid, torch.tanh))
        )
        o = torch.sigmoid(sum(g[3] for g in gates))
        cell = ir * (gr + gb) + ib * gr + (fr + fb) * c[0]
        other = ii * (gr + gi + gb) + (ir + ib) * gi + (fr + fi + fb) * c[1]
        other = other + fi * c[0]
        cell, other = cell + wholly[t] * ib * gb, other + (1 - wholly[t]) * ib * gb
        both = torch.tanh(cell + other)
        alone, rest = torch.tanh(cell), torch.tanh(other)
        out = o * 0.5 * (alone + both - rest), o * 0.5 * (rest + both - alone)
        return [
            Pair(run, o * both, *out),
            Pair(run, cell + other, cell, other),
        ]

    return step


def _parts(value):
    if isinstance(value, Pair):
        return value.rel, value.irr
    if value.any():
        raise NotInterpreted("a state that is constant")
    return value, value


def _wholly(run, x):
    """Return 1 for the steps that are relevant altogether, else 0."""
    if run.bias == "context":
        return [0.0] * x.shape[0]
    a, c = x.rel.abs().sum(), x.irr.abs().sum()
    share = a / (a + c) if a + c > 0 else run.share
    level = 1e3 * NOISE * x.full.abs().amax()
    found = []
    for t in range(x.shape[0]):
        if x.full[t].abs().amax() <= level:
            found.append(float(share.round()))
        else:
            found.append(float(x.irr[t].abs().amax() <= level))
    return found
