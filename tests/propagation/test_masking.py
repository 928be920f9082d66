"""What is masked has no part, and no say in the shares of what is not."""

import math

import pytest
import torch
from torch import nn

from sktrim.propagation import contextual_decomposition

torch.set_num_threads(1)

LATER = torch.ones(4, 4, dtype=torch.bool).triu(1)
LEAST = torch.finfo(torch.float64).min
BIAS = torch.tensor([0.3, -0.8, 1.1, 0.4], dtype=torch.float64)


def scores():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 4, dtype=torch.float64)
    some = torch.rand(3, 1, 4, 4, dtype=x.dtype) * x
    return x, torch.cat([some, x[None], 0 * x[None]])


def lowered(value):
    return torch.zeros(4, 4, dtype=torch.float64).masked_fill(LATER, value)


def written(v):
    v = v.clone()
    v[:, LATER] = -math.inf
    return v


def filled_in_place(v):
    v = v.clone()
    for row in range(3):
        v[:, row, row + 1 :].fill_(-math.inf)
    return v


def copied_in_place(v):
    v = v.clone()
    for row in range(3):
        v[:, row, row + 1 :].copy_(torch.full((3 - row,), LEAST, dtype=v.dtype))
    return v


def made_and_written(v):
    out = torch.full(v.shape, -math.inf, dtype=v.dtype)
    out[:, ~LATER] = v[:, ~LATER]
    return out


class Net(nn.Module):
    """A function as a module, which may write into tensors of its own."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


MASKS = {
    "filled": lambda v: v.masked_fill(LATER, -math.inf),
    "filled, least": lambda v: v.masked_fill(LATER, LEAST),
    "added": lambda v: v + lowered(-math.inf),
    "added, least": lambda v: v + lowered(LEAST),
    "chosen": lambda v: torch.where(LATER, -math.inf, v),
    "written": written,
    "filled in place": filled_in_place,
    "copied in place": copied_in_place,
    "made and written": made_and_written,
    "scaled": lambda v: 0.5 * (2 * v).masked_fill(LATER, -math.inf),
}
FUNCTIONS = {
    "exp": (torch.exp, 0.0),
    "exp2": (torch.exp2, 0.0),
    "sigmoid": (torch.sigmoid, 0.0),
    "tanh": (torch.tanh, -1.0),
}
WAYS = ["context", "proportional", "channel"]


def decomposed(f, bias, nonlinearity="relevant"):
    x, rel = scores()
    f = Net(f).eval()
    options = {"bias": bias, "nonlinearity": nonlinearity, "strip": False}
    parts, rest = contextual_decomposition(f, x, rel, **options)
    torch.testing.assert_close(parts + rest, f(x).expand_as(parts))
    torch.testing.assert_close(parts[4], torch.zeros_like(parts[4]))
    if bias != "context":
        torch.testing.assert_close(parts[3], f(x))
    return parts


def shown(values, at_masks=0.0):
    return torch.where(LATER, at_masks, values)


@pytest.mark.parametrize("bias", WAYS)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("mask", MASKS)
def test_a_function_of_a_mask_is_a_constant(mask, name, bias):
    phi, at_masks = FUNCTIONS[name]
    parts = decomposed(lambda v: phi(MASKS[mask](v)), bias)
    right = decomposed(lambda v: shown(phi(shown(v)), at_masks), bias)
    torch.testing.assert_close(parts, right)


@pytest.mark.parametrize("bias", WAYS)
@pytest.mark.parametrize("name", ["exp", "exp2", "sigmoid"])
def test_a_low_number_leaves_no_weight_as_infinity_does(name, bias):
    phi, _ = FUNCTIONS[name]
    parts = decomposed(lambda v: phi(v.masked_fill(LATER, -1e9)), bias)
    right = decomposed(lambda v: phi(v.masked_fill(LATER, -math.inf)), bias)
    torch.testing.assert_close(parts[..., LATER], right[..., LATER])
    if bias != "channel":
        torch.testing.assert_close(parts, right)


@pytest.mark.parametrize("bias", WAYS)
@pytest.mark.parametrize("mask", MASKS)
def test_a_bias_behind_a_mask_is_shared_as_if_there_were_none(mask, bias):
    parts = decomposed(lambda v: (MASKS[mask](v) + BIAS).exp(), bias)
    right = decomposed(lambda v: shown(shown(shown(v) + BIAS).exp()), bias)
    torch.testing.assert_close(parts, right)


@pytest.mark.parametrize("bias", WAYS)
def test_a_write_of_masks_and_numbers_shares_the_numbers(bias):
    def f(v, mask=-math.inf):
        v = v.clone()
        v[:, 0] = torch.tensor([2.0, mask, 1.0, mask], dtype=v.dtype)
        return v.exp()

    def right(v):
        out = f(v, 0.0)
        out[:, 0, 1] = out[:, 0, 3] = 0
        return out

    torch.testing.assert_close(decomposed(f, bias), decomposed(right, bias))


@pytest.mark.parametrize("bias", WAYS)
@pytest.mark.parametrize("mask", MASKS)
def test_parts_of_masked_scores_are_numbers(mask, bias):
    x, rel = scores()
    f = Net(MASKS[mask]).eval()
    parts, _ = contextual_decomposition(f, x, rel, bias=bias, strip=False)
    assert parts.isfinite().all()
    torch.testing.assert_close(parts[..., ~LATER], rel[..., ~LATER])


@pytest.mark.parametrize("bias", WAYS)
def test_what_replaces_masked_scores_is_shared_as_if_there_were_no_masks(bias):
    def f(v, mask):
        return mask(v).clone().fill_(0.7).exp()

    parts = decomposed(lambda v: f(v, MASKS["filled"]), bias)
    torch.testing.assert_close(parts, decomposed(lambda v: f(v, shown), bias))


@pytest.mark.parametrize("bias", WAYS)
def test_a_number_written_beside_masks_is_shared_as_if_there_were_none(bias):
    def f(v, mask):
        v = mask(v).clone()
        v[:, 3] = 0.7
        return v.exp()

    parts = decomposed(lambda v: f(v, MASKS["filled"]), bias)
    right = decomposed(lambda v: shown(f(v, shown)), bias)
    torch.testing.assert_close(parts, right)


@pytest.mark.parametrize("bias", ["proportional", "channel"])
def test_causal_sums_of_exponentials_keep_the_full_mask(bias):
    """The state space layers of Mamba2 and Bamba sum segments so."""

    def f(v):
        steps = v[..., None].expand(*v.shape, v.shape[-1])
        below = torch.ones(4, 4, dtype=torch.bool).tril(-1)
        sums = steps.masked_fill(~below, 0).cumsum(-2)
        kept = torch.ones(4, 4, dtype=torch.bool).tril(0)
        return sums.masked_fill(~kept, -math.inf).exp().sum(-1)

    decomposed(f, bias)


@pytest.mark.parametrize("bias", WAYS)
@pytest.mark.parametrize("mask", MASKS)
def test_a_partition_of_masked_scores_has_no_part_at_masks(mask, bias):
    x, _ = scores()
    rel = torch.stack([0.2 * x, 0.5 * x])

    def f(v):
        return MASKS[mask](v).exp()

    f = Net(f).eval()
    options = {"bias": bias, "partition": True, "strip": False}
    parts, rest = contextual_decomposition(f, x, rel, **options)
    assert (parts[..., LATER] == 0).all()
    assert (rest[..., LATER] == 0).all()
    torch.testing.assert_close(parts.sum(0) + rest, f(x))
