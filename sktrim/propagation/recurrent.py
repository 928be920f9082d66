"""Contextual decomposition of recurrent layers, LSTM as in Murdoch et al. 2018."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.carrier import Carrier
from sktrim.propagation.method import Call
from sktrim.propagation.registry import EVERY, rule

_NOISE = 100


@rule(EVERY, "lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(method: Any, call: Call) -> Any:
    """Run layers and directions step by step."""
    if len(call.args) != 9 or isinstance(call.args[3], tuple | list):
        method.refuse(
            call.func,
            "on a packed sequence has no rule (run it on the padded sequence)",
        )
    x, hx, weights, has_biases, layers, _, training, both, batch_first = call.args
    kind = call.operation.name
    if training:
        method.refuse(call.func, "with training=True is random and has no rule")
    states = hx if kind == "lstm" else (hx,)
    single = x.dim() == 2
    x = x.unsqueeze(0) if single else x.transpose(0, 1) if batch_first else x
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
    x = x.transpose(0, 1) if batch_first and not single else x
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
    if kind == "lstm" and method.key == "cd" and not method.partition:
        step = _murdoch(method, x, state, own)
    else:
        step = _elementary(kind, x, own, apart=method.key == "lrp")
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


def _murdoch(method: Any, x: Any, start: list[Any], own: list[Any]) -> Callable:
    """Return a step of Murdoch et al. 2018, equations 10 to 25."""
    w_ih, w_hh, b_ih, b_hh = own
    (full, x_rel, constant), wholly = _parts(x), _wholly_relevant(method, x, start)
    inputs_rel, inputs = F.linear(x_rel, w_ih), F.linear(full, w_ih)
    # an input or a state that is constant counts as a bias
    none = torch.zeros_like(inputs[:1, :1])
    biases = none if constant is None else F.linear(constant, w_ih)
    biases = biases if b_ih is None else biases + (b_ih + b_hh)

    def step(t: int, state: list[Any]) -> list[Any]:
        (h, h_rel, h_constant), (c, c_rel, c_constant) = map(_parts, state)
        bias = biases[min(t, len(biases) - 1)]
        bias = bias if h_constant is None else bias + F.linear(h_constant, w_hh)
        whole = inputs[t] + F.linear(h, w_hh)
        rel = inputs_rel[:, t] + F.linear(h_rel, w_hh)
        i, f, g, o = (whole + bias).chunk(4, -1)
        parts = zip(*(v.chunk(4, -1) for v in (rel, whole - rel, bias)), strict=True)
        si, sf, sg = _threes(parts)
        kept = (sf[0] + sf[2]) * c_rel
        if c_constant is not None:
            c, kept = c_constant, (sf[0] + wholly[:, t] * sf[2]) * c_constant
        c_new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        written = si[0] * (sg[0] + sg[2]) + si[2] * sg[0]
        c_new_rel = written + kept + wholly[:, t] * (si[2] * sg[2])
        gate, whole_tanh = torch.sigmoid(o), torch.tanh(c_new)
        rest_tanh = torch.tanh(c_new - c_new_rel)
        h_new_rel = gate * 0.5 * (torch.tanh(c_new_rel) + whole_tanh - rest_tanh)
        return [
            Carrier(method, gate * whole_tanh, h_new_rel, -2),
            Carrier(method, c_new, c_new_rel, -2),
        ]

    return step


def _threes(parts: Any) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Split input, forget and cell gates into relevant, irrelevant and bias."""
    splits = []
    for (a, b, c), s in zip(
        parts, (torch.sigmoid, torch.sigmoid, torch.tanh), strict=False
    ):
        ac, bc, abc, origin = s(a + c), s(b + c), s(a + b + c), s(c)
        splits.append(
            (
                0.5 * (ac - origin + abc - bc),
                0.5 * (bc - origin + abc - ac),
                origin,
            )
        )
    return splits


def _parts(value: Any) -> tuple[torch.Tensor, torch.Tensor, Any]:
    """Return whole, relevant part and what is constant, beside which both are zero."""
    if isinstance(value, Carrier):
        return value.full, value.rel, None
    zero = torch.zeros_like(value)
    return zero, zero[None], value


def _wholly_relevant(method: Any, x: Any, start: list[Any]) -> torch.Tensor:
    """Return (K, L, n, 1): 1 where all of x_t is relevant, so that bias x bias is."""
    length = x.shape[0]
    if not isinstance(x, Carrier):
        # where the input is constant, the states that are not decide
        varying: Any = [state for state in start if isinstance(state, Carrier)]
        x = torch.cat(varying, -1)[None]
    if method.bias == "context":
        return torch.zeros_like(x.rel[:, :1, :, :1]).expand(-1, length, -1, -1)
    rest = (x.full - x.rel).abs()
    noise = _NOISE * torch.finfo(x.full.dtype).eps * x.full.abs().amax((0, 2))[:, None]
    part, rest_sum = x.rel.abs().sum((1, 3)), rest.sum((1, 3))
    whole = part + rest_sum
    share = part / torch.where(whole == 0, 1, whole)
    # a sequence of zeros takes the share of the model's input
    if (whole == 0).any():
        own = method.start.along(-1, whole.shape[1:], whole == 0)
        share = torch.where(whole == 0, own.to(share.dtype), share)
    none = (x.full.abs().amax(-1, keepdim=True) <= noise).to(x.rel.dtype)
    every = (rest.amax(-1, keepdim=True) <= noise).to(x.rel.dtype)
    # a step of zeros takes the share of the sequence, rounded: the larger part has it
    wholly = torch.where(none > 0, share[:, None, :, None].round(), every)
    return wholly.expand(-1, length, -1, -1)
