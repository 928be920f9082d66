"""Twins, in plain torch, of what was broken in networks that people publish."""

import pytest
import torch
from torch import nn
from torch.nn.attention.flex_attention import flex_attention

from sktrim import transform_importance
from sktrim.propagation import (
    OutputMismatchError,
    UnsupportedOperationError,
    contextual_decomposition,
    explained_output,
)
from sktrim.propagation.backward._deeplift import DeepLiftRescale
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import GuidedBackpropagation
from sktrim.scorers import DeepLift

torch.set_num_threads(1)


class NormedThenTransposed(nn.Module):
    """Batch norm whose result is multiplied with its axes exchanged, as in LeViT.

    For a single row, torch's backward pass then takes the gradient for one that is
    laid out as the input is.
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 3)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        h = self.norm(self.conv(x)).flatten(2).transpose(1, 2)
        return (h @ self.last.weight.t()).tanh().mean(1)


def normed():
    torch.manual_seed(0)
    net = NormedThenTransposed().double().eval().requires_grad_(False)
    return net, torch.randn(3, 2, 6, 7, dtype=torch.float64)


def guided(net, x):
    leaf = x.clone().requires_grad_()
    out = run(net, GuidedBackpropagation().enter(leaf)).full
    return torch.autograd.grad(out[:, 0].sum(), leaf)[0]


def deeplift(net, x):
    leaf = x.clone().requires_grad_()
    out = run(net, DeepLiftRescale().enter(leaf, torch.zeros_like(x))).full
    return torch.autograd.grad(out[:, 0].sum(), leaf)[0]


def explained(net, x):
    leaf = x.clone().requires_grad_()
    out, _ = explained_output(net, leaf)
    return torch.autograd.grad(out[:, 0].sum(), leaf)[0]


@pytest.mark.parametrize("method", [guided, deeplift, explained])
def test_one_row_through_batch_norm_has_its_gradient(method):
    net, x = normed()
    together = method(net, x)
    for row in range(3):
        alone = method(net, x[row : row + 1])
        torch.testing.assert_close(alone[0], together[row])


@pytest.mark.parametrize("scorer", ["gradient", "input_x_gradient"])
def test_scores_of_one_row_through_batch_norm_are_those_among_others(scorer):
    net, x = normed()

    def scores(x):
        found = transform_importance(net, x.numpy(), scorer=scorer, target=0)
        return torch.as_tensor(found.values)

    torch.testing.assert_close(scores(x[1:2])[0], scores(x)[1])


class Twice(torch.autograd.Function):
    """x^2 with the backward pass of 3 x^2, to tell the two apart."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 6 * x


class WithFunction(nn.Module):
    def __init__(self, ending):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)
        self.ending = ending

    def forward(self, x):
        out = self.last(Twice.apply(self.first(x)) + self.first(x))
        return out.softmax(-1) if self.ending else out


def test_a_backward_pass_of_the_models_own_is_in_the_gradient():
    torch.manual_seed(0)
    net = WithFunction(False).double().eval()
    x = torch.randn(3, 4, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (plain,) = torch.autograd.grad(net(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(explained(net, x), plain)


def test_a_backward_pass_of_the_models_own_before_a_softmax_is_refused():
    net = WithFunction(True).double().eval()
    x = torch.randn(3, 4, dtype=torch.float64)
    with pytest.raises(UnsupportedOperationError, match="return its logits"):
        explained(net, x)
    with torch.no_grad():
        assert explained_output(net, x)[1] == "softmax"


class Experts(nn.Module):
    """A mixture of experts: the two best, their results added row by row."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(4, 3)
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.last = nn.Linear(4, 2)

    def routed(self, x):
        flat = x.reshape(-1, 4)
        weights, chosen = self.router(flat).softmax(-1).topk(2, dim=-1)
        return flat, weights, chosen

    def forward(self, x):
        flat, weights, chosen = self.routed(x)
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            rows, place = torch.where(chosen == number)
            share = weights[rows, place, None]
            out.index_add_(0, rows, expert(flat[rows]).tanh() * share)
        return self.last(out.reshape(x.shape)).mean(1)


class ExpertsJoined(Experts):
    def forward(self, x):
        flat, weights, chosen = self.routed(x)
        out = 0
        for number, expert in enumerate(self.experts):
            share = torch.where(chosen == number, weights, 0).sum(-1, keepdim=True)
            out = out + expert(flat).tanh() * share
        return self.last(out.reshape(x.shape)).mean(1)


def test_experts_added_by_rows_are_experts_added():
    torch.manual_seed(0)
    net = Experts().double().eval()
    joined = ExpertsJoined().double().eval()
    joined.load_state_dict(net.state_dict())
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    rel = torch.rand(4, 1, 5, 4, dtype=x.dtype) * x
    mine, rest = contextual_decomposition(net, x, rel)
    right, _ = contextual_decomposition(joined, x, rel)
    torch.testing.assert_close(mine, right)
    torch.testing.assert_close(mine + rest, net(x).expand_as(mine))


class State:
    """What a state-space model carries along, made anew in every call."""

    def __init__(self, like, width):
        self.kept = like.new_zeros(len(like), like.shape[-1], width)

    def update(self, value):
        self.kept.copy_(value)
        return self.kept


class StateSpace(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        state, out = State(x, 3), torch.zeros_like(x)
        for t in range(x.shape[1]):
            step = self.inner(x[:, t])[..., None] * torch.tensor([1.0, 0.5, 0.2])
            seen = state.update((0.9 * state.kept + step).tanh())
            out[:, t] = seen.sum(-1)
        return self.last(out).mean(1)


class StateSpaceJoined(StateSpace):
    def forward(self, x):
        kept, out = 0, []
        for t in range(x.shape[1]):
            step = self.inner(x[:, t])[..., None] * torch.tensor([1.0, 0.5, 0.2])
            kept = (0.9 * kept + step).tanh()
            out.append(kept.sum(-1))
        return self.last(torch.stack(out, 1)).mean(1)


def test_states_that_are_written_are_states_that_are_returned():
    torch.manual_seed(0)
    net = StateSpace().double().eval()
    joined = StateSpaceJoined().double().eval()
    joined.load_state_dict(net.state_dict())
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    rel = torch.rand(4, 1, 5, 4, dtype=x.dtype) * x
    mine, _ = contextual_decomposition(net, x, rel)
    right, _ = contextual_decomposition(joined, x, rel)
    torch.testing.assert_close(mine, right)
    torch.testing.assert_close(deeplift(net, x), deeplift(joined, x))


LEAST = torch.finfo(torch.float64).min


class Masked(nn.Module):
    """Causal attention; how it masks, and how often, is spelled in several ways."""

    def __init__(self, mask):
        super().__init__()
        self.key, self.value = nn.Linear(4, 4), nn.Linear(4, 4)
        self.mask = mask

    def forward(self, x):
        scores = self.key(x) @ x.transpose(1, 2)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return (self.mask(scores, later).softmax(-1) @ self.value(x)).sum(1)


def lowest(later):
    return torch.where(later, torch.tensor(LEAST, dtype=torch.float64), 0.0)


MASKS = {
    "twice": lambda s, later: torch.where(later, LEAST, s) + lowest(later),
    "added twice": lambda s, later: s + lowest(later) + lowest(later),
    "filled": lambda s, later: s.masked_fill(later, LEAST),
    "bounded": lambda s, later: torch.max(
        s + lowest(later), torch.tensor(LEAST, dtype=s.dtype)
    ),
    "bounded by infinity": lambda s, later: torch.max(
        s + lowest(later), torch.tensor(-torch.inf, dtype=s.dtype)
    ),
}


@pytest.mark.parametrize("mask", MASKS)
def test_masks_by_the_least_number_are_masks_by_infinity(mask):
    torch.manual_seed(0)
    net = Masked(MASKS[mask]).double().eval().requires_grad_(False)
    right = Masked(lambda s, later: s.masked_fill(later, -torch.inf)).double().eval()
    right.load_state_dict(net.state_dict())
    x, base = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    rel = torch.rand(3, 1, 4, 4, dtype=x.dtype) * x
    if "bounded" not in mask:
        for bias in ("context", "channel", "proportional"):
            found = contextual_decomposition(net, x, rel, bias=bias)[0]
            expected = contextual_decomposition(right, x, rel, bias=bias)[0]
            torch.testing.assert_close(found, expected)
    leaf = x.clone().requires_grad_()
    out = run(net, DeepLiftRescale().enter(leaf, base)).full
    torch.testing.assert_close(out.detach(), right(x).detach())
    (grad,) = torch.autograd.grad(out.sum(), leaf)
    total = (grad * (x - base)).flatten(1).sum(1)
    torch.testing.assert_close(total, (right(x) - right(base)).sum(1).detach())


@pytest.mark.parametrize("seed", range(3))
def test_deeplift_refuses_a_baseline_that_takes_another_path(seed):
    torch.manual_seed(seed)
    net = Experts().double().eval()
    x = torch.randn(3, 20, dtype=torch.float64)

    def whole(rows):
        return net(rows.reshape(-1, 5, 4))

    wrapped = Wrapped(whole, net).eval()
    with pytest.raises(OutputMismatchError, match="another path"):
        transform_importance(wrapped, x.numpy(), scorer="deeplift", target=0)
    near = DeepLift(baseline=x[0].numpy() + 1e-6)
    found = transform_importance(wrapped, x[:1].numpy(), scorer=near, target=0)
    assert abs(found.completeness_error[0]) < 1e-12


class Wrapped(nn.Module):
    def __init__(self, function, net):
        super().__init__()
        self.function, self.net = function, net

    def forward(self, x):
        return self.function(x)


class Flexible(nn.Module):
    """Attention by a function that torch compiles as it runs, as in ViTND."""

    def forward(self, x):
        return flex_attention(x[:, None], x[:, None], x[:, None])[:, 0].mean(1)


def test_a_function_that_torch_compiles_as_it_runs_is_refused():
    net, x = Flexible().eval(), torch.randn(2, 8, 16)
    with pytest.raises(UnsupportedOperationError, match="scaled_dot_product"):
        contextual_decomposition(net, x, x)
    for refused in (explained, guided, deeplift):
        with pytest.raises(UnsupportedOperationError, match="scaled_dot_product"):
            refused(net, x)
    for scorer in ("occlusion", "lrp_epsilon"):
        with pytest.raises(ValueError, match="scaled_dot_product"):
            transform_importance(net, x.numpy(), scorer=scorer, target=0)
