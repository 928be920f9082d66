"""Networks written with einops run as those written without it."""

import einops
import pytest
import torch
from einops.layers.torch import Rearrange, Reduce
from torch import nn

from sktrim.propagation import contextual_decomposition, explained_output
from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import GuidedBackpropagation

torch.manual_seed(0)
X = torch.randn(3, 2, 8, 8, dtype=torch.float64)
LINEAR = nn.Linear(32, 6).double()


def patches(x):
    return einops.rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4)


def patches_by_hand(x):
    x = x.unflatten(3, (2, 4)).unflatten(2, (2, 4))
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2).unflatten(2, (16, 2))


PAIRS = {
    "rearrange": (
        lambda x: LINEAR(patches(x)).relu().sum(1),
        lambda x: LINEAR(patches_by_hand(x).flatten(2)).relu().sum(1),
    ),
    "reduce": (
        lambda x: einops.reduce(x.tanh(), "b c h w -> b c", "mean"),
        lambda x: x.tanh().mean((2, 3)),
    ),
    "repeat": (
        lambda x: einops.repeat(x[:, :, 0, 0], "b c -> b (c r)", r=2).relu(),
        lambda x: x[:, :, 0, 0].repeat_interleave(2, 1).relu(),
    ),
    "einsum": (
        lambda x: einops.einsum(x, LINEAR.weight[:, :8], "b c h w, o w -> b o"),
        lambda x: x.sum((1, 2)) @ LINEAR.weight[:, :8].T,
    ),
    "layers": (
        nn.Sequential(
            Rearrange("b c h w -> b (c h) w"), Reduce("b c w -> b w", "sum")
        ).eval(),
        lambda x: x.flatten(1, 2).sum(1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_einops_needs_no_registration(name):
    written, by_hand = PAIRS[name]
    rel = X * (torch.arange(8) % 2)
    for found, expected in zip(
        contextual_decomposition(written, X, rel),
        contextual_decomposition(by_hand, X, rel),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(explained_output(written, X)[0], written(X))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("method", [GuidedBackpropagation, DeepLiftRescale])
def test_einops_passes_modified_gradients(name, method):
    gradients = []
    for net in PAIRS[name]:
        x = X.clone().requires_grad_()
        rest = (0 * X,) if method is DeepLiftRescale else ()
        out = run(net, method().enter(x, *rest)).full
        gradients += torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(*gradients)
