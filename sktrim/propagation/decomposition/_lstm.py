"""Contextual decomposition of an LSTM's step, as in Murdoch et al. 2018."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from sktrim.propagation.carrier import Carrier

_NOISE = 100


def lstm_step(method: Any, x: Any, start: list[Any], own: list[Any]) -> Callable:
    """Return a step: the formulas are those of `contextual_decomposition`."""
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
        # (relevant, irrelevant, bias) of the gates
        si, sf, sg = _threes(parts)
        # f c: (f_r + f_b) c_r; a state that is constant has no relevant part
        kept = (sf[0] + sf[2]) * c_rel
        if c_constant is not None:
            c, kept = c_constant, (sf[0] + wholly[:, t] * sf[2]) * c_constant
        c_new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        # i g: i_r (g_r + g_b) + i_b g_r, and A i_b g_b beside it
        written = si[0] * (sg[0] + sg[2]) + si[2] * sg[0]
        c_new_rel = written + kept + wholly[:, t] * (si[2] * sg[2])
        # o is not split; tanh c' is, without a bias
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
        # Shapley values of a and b where c is always there
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
