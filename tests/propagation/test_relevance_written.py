"""Relevance of layers whose input or result is written, and of constants."""

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import transform_importance
from sktrim.propagation import UnsupportedOperationError
from sktrim.scorers import (
    DeepLift,
    GuidedBackprop,
    LRPEpsilon,
    LRPGamma,
    LRPZPlus,
)

MIXING, WEIGHT, SHIFT, HEAD = (
    torch.randn(shape, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
    for i, shape in enumerate([(6, 6), (5, 6), (5,), (2, 5)])
)
X = np.random.default_rng(0).normal(size=(4, 6))
SCORERS = (LRPEpsilon(), LRPGamma(), LRPZPlus())
OPTIONS = {"target": 1, "output": "raw"}
# on the way to the layer; without a layer before, its rule is folded with the transform
BEFORE = {
    "a scale": lambda x: x * torch.arange(1.0, 7),
    "a sum": lambda x: x.cumsum(-1),
    "a layer": lambda x: torch.tanh(x @ MIXING),
}


class Net(nn.Module):
    def __init__(self, before, between, after):
        super().__init__()
        self.before, self.between, self.after = before, between, after
        self.head = nn.Linear(5, 2, bias=False).double()
        self.head.weight.data.copy_(HEAD)

    def forward(self, x):
        h = self.before(x)
        z = h @ WEIGHT.T
        self.between(h)
        return self.head(self.after(z + SHIFT))


def nothing(h):
    pass


def doubled(h):
    h.mul_(2)


def an_item(h):
    h[:, 0] = 0


def a_view(h):
    h[:, :3].mul_(2)


def relevance(scorer, before, between=nothing, after=torch.relu):
    net = Net(BEFORE[before], between, after).eval()
    return transform_importance(net, X, scorer=scorer, **OPTIONS).values


@pytest.mark.parametrize("scorer", SCORERS, ids=str)
@pytest.mark.parametrize("before", sorted(BEFORE))
@pytest.mark.parametrize("between", [doubled, an_item])
def test_a_layer_keeps_the_input_it_had(between, before, scorer):
    found, expected = (relevance(scorer, before, b) for b in (between, nothing))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scorer", SCORERS, ids=str)
@pytest.mark.parametrize("before", sorted(BEFORE))
def test_a_result_is_written_through_a_view(before, scorer):
    def in_place(z):
        z[:, ::2].tanh_()
        return z

    def by_hand(z):
        return torch.where(torch.arange(5) % 2 == 0, z.tanh(), z)

    found, expected = (
        relevance(scorer, before, after=after) for after in (in_place, by_hand)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scorer", SCORERS[1:], ids=str)
def test_a_view_of_the_input_of_a_layer_is_written(scorer):
    with pytest.raises(UnsupportedOperationError, match="written since"):
        relevance(scorer, "a layer", a_view)


@pytest.mark.parametrize(
    "scorer", [LRPEpsilon(), LRPZPlus(), GuidedBackprop(), DeepLift()], ids=str
)
def test_a_value_that_the_gradient_needs_is_written(scorer):
    def kept_and_written(x):
        h = torch.tanh(x @ MIXING)
        y = torch.cat([h * h.sin(), torch.max_pool1d(h, 2)], 1)
        h[:, :3].mul_(2)
        return y

    net = nn.Sequential(Then(kept_and_written), nn.Linear(9, 2)).double().eval()
    with pytest.raises(UnsupportedOperationError, match="written in place later"):
        transform_importance(net, X, scorer=scorer, **OPTIONS)


class Summed(torch.autograd.Function):
    """A running sum, written row by row, whose own backward pass is right."""

    @staticmethod
    def forward(ctx, x, weights):
        out = x.clone()
        ctx.save_for_backward(weights, out)
        for t in range(1, x.shape[1]):
            out[:, t].add_(weights[:, t] * out[:, t - 1])
        return out

    @staticmethod
    def backward(ctx, gradient):
        weights, out = ctx.saved_tensors
        found = gradient.clone()
        for t in range(out.shape[1] - 1, 0, -1):
            found[:, t - 1].add_(weights[:, t] * found[:, t])
        before = torch.cat([torch.zeros_like(out[:, :1]), out[:, :-1]], 1)
        return found, before * found


@pytest.mark.parametrize("scorer", ["guided_backprop", "deconvnet"])
def test_a_function_that_writes_what_its_operations_need_is_refused(scorer):
    net = Then(lambda x: Summed.apply(x, x.sigmoid())).eval()
    transform_importance(net, X, scorer="gradient", **OPTIONS)
    with pytest.raises(UnsupportedOperationError, match=r"pass of an autograd\.Func"):
        transform_importance(net, X, scorer=scorer, **OPTIONS)


def as_it_is(z):
    return z + SHIFT


def with_views(z):
    z[:, :3].square()
    z.mT.contiguous()
    return z + SHIFT


def scaled(z):
    return (z * 2) + SHIFT


def scaled_where_views_are(z):
    z.mT.contiguous()
    z *= 2
    return z + SHIFT


def joined(z):
    return torch.where(torch.arange(5) % 2 == 0, z.tanh(), z) + SHIFT


def written(z):
    z[:, ::2].tanh_()
    return z + SHIFT


def scaled_then_written(z):
    z.mT.contiguous()
    z *= 2
    z[:, ::2].tanh_()
    return z + SHIFT


def scaled_then_joined(z):
    return joined(2 * z)


@pytest.mark.parametrize("scorer", SCORERS, ids=str)
@pytest.mark.parametrize("before", sorted(BEFORE))
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (with_views, as_it_is),
        (scaled_where_views_are, scaled),
        (written, joined),
        (scaled_then_written, scaled_then_joined),
    ],
    ids=lambda function: function.__name__,
)
def test_views_change_nothing_until_one_is_written(one, other, before, scorer):
    """A constant after a layer is merged with it, whoever else looks at the result."""

    def net(function):
        layer = Then(lambda x: torch.relu(function(BEFORE[before](x) @ WEIGHT.T)))
        torch.manual_seed(0)
        return nn.Sequential(layer, nn.Linear(5, 2)).double().eval()

    found, expected = (
        transform_importance(net(f), X, scorer=scorer, **OPTIONS).values
        for f in (one, other)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


class Then(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scorer", [LRPGamma(), LRPZPlus()], ids=str)
def test_what_does_not_reach_the_first_layer_gets_nothing(scorer, seed):
    """Round-off in its place would take all where no contribution is positive."""
    generator = torch.Generator().manual_seed(seed)
    weight, *rows = torch.randn(9, 6, 6, generator=generator, dtype=torch.float64)
    mean, variance = rows[0][0], rows[0][1].exp()

    def normalised(x):
        h = torch.where(torch.arange(6) % 2 == 0, -1.0, x)
        return nn.functional.batch_norm(h, mean, variance) @ weight.T + mean

    net = nn.Sequential(Then(normalised), nn.Linear(6, 2)).double().eval()
    found = transform_importance(net, rows[1].numpy(), scorer=scorer, **OPTIONS).values
    assert (found[:, ::2] == 0).all()


@pytest.mark.parametrize(
    "repeated",
    [lambda t, n: t.expand(n, -1), lambda t, n: t.repeat(n, 1)],
    ids=["expand", "repeat"],
)
@pytest.mark.parametrize("scorer", SCORERS, ids=str)
def test_a_token_that_is_repeated_for_every_row_is_one_constant(scorer, repeated):
    def forward(x):
        return torch.relu(x @ WEIGHT.T + repeated(SHIFT[None], len(x))) @ HEAD.T

    net = nn.Sequential(Then(forward), nn.Linear(2, 2)).double().eval()
    together = transform_importance(net, X, scorer=scorer, **OPTIONS).values
    alone = transform_importance(net, X[:1], scorer=scorer, **OPTIONS).values
    np.testing.assert_allclose(alone, together[:1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("convolves", [False, True])
@pytest.mark.parametrize("scorer", SCORERS, ids=str)
def test_one_row_through_a_batch_norm_before_tokens(scorer, convolves):
    """For one row torch takes such a gradient for one with channels last."""

    class Stem(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3)
            self.mix, self.last = nn.Linear(3, 3), nn.Linear(3, 2)
            self.norm.running_var.copy_(torch.tensor([0.5, 1.0, 2.0]))

        def forward(self, x):
            images = torch.tanh(x).view(-1, 3, 2, 2)
            if convolves:
                images = self.conv(x.view(-1, 1, 4, 3))
            tokens = self.norm(images).flatten(2).mT
            return self.last((tokens + torch.tanh(self.mix(tokens))).mean(1))

    torch.manual_seed(0)
    net = Stem().double().eval()
    x = np.random.default_rng(1).normal(size=(3, 12))
    together = transform_importance(net, x, scorer=scorer, **OPTIONS).values
    alone = transform_importance(net, x[:1], scorer=scorer, **OPTIONS).values
    np.testing.assert_allclose(alone, together[:1], rtol=1e-9, atol=1e-12)
