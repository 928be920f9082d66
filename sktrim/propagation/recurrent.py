"""Recurrent layers, step by step, in terms of other operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.method import Call
from sktrim.propagation.registry import EVERY, rule


@rule(EVERY, "lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(method: Any, call: Call) -> Any:
    """Run layers and directions step by step."""
    if len(call.args) != 9 or isinstance(call.args[3], tuple | list):
        method.refuse(
            call.func,
            "on a packed sequence has no rule (run it on the padded sequence)",
        )
    x, hx, weights, has_biases, layers, dropout, training, both, first = call.args
    kind = call.operation.name
    if training and dropout and layers > 1:
        method.refuse(call.func, "with training=True is random and has no rule")
    states = hx if kind == "lstm" else (hx,)
    single = x.dim() == 2
    x = x.unsqueeze(0) if single else x.transpose(0, 1) if first else x
    states = [s.unsqueeze(1) if single else s for s in states]
    each = len(weights) // (layers * (2 if both else 1))
    last: list[Any] = []
    for layer in range(layers):
        outs = []
        for way in range(2 if both else 1):
            index = layer * (2 if both else 1) + way
            own = list(weights[index * each : (index + 1) * each])
            own = _complete(own, bool(has_biases))
            start = [s[index] for s in states]
            steps, final = _run(method, kind, x, start, own, reverse=bool(way))
            outs.append(steps)
            last.append(final)
        x = torch.cat(outs, -1) if both else outs[0]
    finals = [torch.stack([f[i] for f in last]) for i in range(len(states))]
    if single:
        x, finals = x.squeeze(0), [f.squeeze(1) for f in finals]
    x = x.transpose(0, 1) if first and not single else x
    return (x, *finals)


@rule(EVERY, "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(method: Any, call: Call) -> Any:
    """One step."""
    x, hx, *weights = call.bind("input", "hx", "w_ih", "w_hh", b_ih=None, b_hh=None)
    kind = call.operation.name.removesuffix("_cell")
    state = list(hx) if kind == "lstm" else [hx]
    _, final = _run(method, kind, x.unsqueeze(0), state, weights, reverse=False)
    return tuple(final) if kind == "lstm" else final[0]


def _complete(own: list[Any], has_biases: bool) -> list[Any]:
    if not has_biases:
        own = [*own[:2], None, None, *own[2:]]
    return own


def _run(
    method: Any, kind: str, x: Any, state: list[Any], own: list[Any], reverse: bool
) -> tuple[Any, list[Any]]:
    """Return the outputs (L, n, h) and the final state of one direction."""
    if len(own) > 4:
        method.refuse(torch.lstm, "with a projection has no rule")
    length = x.shape[0]
    order = range(length - 1, -1, -1) if reverse else range(length)
    step = method.recurrent_step(kind, x, state, own)
    step = step or _elementary(kind, x, own, apart=method.key == "lrp")
    outs: list[Any] = [None] * length
    for t in order:
        state = step(t, state)
        outs[t] = state[0]
    return torch.stack(outs), state


def _elementary(kind: str, x: Any, own: list[Any], apart: bool) -> Callable:
    """Return a step in terms of linear, sigmoid, tanh and products."""
    w_ih, w_hh, b_ih, b_hh = own
    inputs = F.linear(x, w_ih, b_ih)

    def rnn(t: int, state: list[Any]) -> list[Any]:
        h = inputs[t] + F.linear(state[0], w_hh, b_hh)
        return [torch.tanh(h) if kind == "rnn_tanh" else torch.relu(h)]

    def gru(t: int, state: list[Any]) -> list[Any]:
        (h,) = state
        xr, xz, xn = inputs[t].chunk(3, -1)
        hr, hz, hn = F.linear(h, w_hh, b_hh).chunk(3, -1)
        reset, keep = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        new = torch.tanh(xn + reset * hn)
        # relevance would cancel between the new state and its difference from the old:
        # these may be weighed apart
        if apart:
            return [(1 - keep) * new + keep * h]
        return [new + keep * (h - new)]

    def lstm(t: int, state: list[Any]) -> list[Any]:
        h, c = state
        i, f, g, o = (inputs[t] + F.linear(h, w_hh, b_hh)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return [torch.sigmoid(o) * torch.tanh(c), c]

    return {"gru": gru, "lstm": lstm}.get(kind, rnn)
