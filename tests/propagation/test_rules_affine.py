"""Every affine operation equals its matrix form."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import contextual_decomposition
from tests.propagation.naive import affine_parts

BIASES = ("channel", "proportional", "context")


def batch_norm(features, kind=nn.BatchNorm2d):
    layer = kind(features).double()
    with torch.no_grad():
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.3, 2)
        layer.weight.normal_()
        layer.bias.normal_()
    return layer


LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (6,), False),
    "linear without bias": (lambda: nn.Linear(6, 5, bias=False), (6,), False),
    "conv1d": (lambda: nn.Conv1d(2, 4, 3, stride=2, padding=1), (2, 9), True),
    "conv2d": (lambda: nn.Conv2d(2, 4, 3, padding=1), (2, 6, 5), True),
    "conv2d groups": (
        lambda: nn.Conv2d(4, 4, 3, groups=2, dilation=2),
        (4, 7, 6),
        True,
    ),
    "conv2d same": (lambda: nn.Conv2d(1, 2, 3, padding="same"), (1, 5, 5), True),
    "conv3d": (lambda: nn.Conv3d(1, 2, 2), (1, 4, 3, 3), True),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 3, 3), True),
    "transposed output padding": (
        lambda: nn.ConvTranspose1d(2, 2, 3, stride=2, output_padding=1, dilation=2),
        (2, 4),
        True,
    ),
    "batch norm": (lambda: batch_norm(3), (3, 4, 4), True),
    "batch norm 1d": (lambda: batch_norm(5, nn.BatchNorm1d), (5,), True),
    "add constant": (lambda: lambda x: x + torch.arange(5.0).double(), (5,), False),
    "circular padding": (
        lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"),
        (1, 5, 5),
        True,
    ),
    "average pooling": (lambda: nn.AvgPool2d(3, 2, 1), (2, 7, 7), True),
    "adaptive average": (lambda: nn.AdaptiveAvgPool2d((3, 2)), (2, 7, 5), True),
    "average pooling 1d": (lambda: nn.AvgPool1d(2), (2, 7), True),
    "mean": (lambda: lambda x: x.mean(dim=(-1, -2)), (2, 4, 3), False),
    "sum": (lambda: lambda x: torch.sum(x, 2, keepdim=True), (2, 4), True),
    "bilinear interpolation": (
        lambda: lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        (2, 3, 3),
        True,
    ),
    "reflected padding": (lambda: nn.ReflectionPad1d(2), (2, 4), True),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", LAYERS)
def test_equals_its_matrix_form(name, bias, seed):
    torch.manual_seed(seed)
    build, shape, pooled = LAYERS[name]
    layer = build()
    layer = layer.double().eval() if isinstance(layer, nn.Module) else layer
    x = torch.randn(3, *shape, dtype=torch.float64)
    x[0, ..., :3] = 0
    rel = x * torch.rand(2, *x.shape[1:], dtype=torch.float64)[:, None]
    out, rest = contextual_decomposition(layer, x, rel, bias=bias)
    for k in range(2):
        expected = affine_parts(layer, rel[k], x, bias, pooled)
        torch.testing.assert_close(out[k], expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(out + rest, layer(x).expand_as(out), rtol=0, atol=1e-13)


def test_scalar_bias_is_pooled_over_the_sample():
    x = torch.randn(4, 5, dtype=torch.float64)
    rel = x * (torch.arange(5) < 2)
    share = rel.abs().sum(1) / (rel.abs().sum(1) + (x - rel).abs().sum(1))
    out, _ = contextual_decomposition(lambda v: v + 3.0, x, rel, bias="channel")
    torch.testing.assert_close(out, rel + 3 * share[:, None])
    out, _ = contextual_decomposition(lambda v: 3.0 - v, x, rel, bias="channel")
    torch.testing.assert_close(out, 3 * share[:, None] - rel)


@pytest.mark.parametrize("bias", ["channel", "proportional"])
def test_padding_with_a_constant_shares_it_as_the_operation_does(bias):
    x = torch.randn(2, 1, 6, dtype=torch.float64)
    rel = x * (torch.arange(6) % 2)
    out, _ = contextual_decomposition(
        lambda v: F.pad(v, (1, 1), value=2.0), x, rel, bias=bias
    )
    share = rel.abs().sum((1, 2)) / x.abs().sum((1, 2))
    torch.testing.assert_close(out[..., 1:-1], rel)
    torch.testing.assert_close(out[:, 0, 0], 2 * share)


@pytest.mark.parametrize("bias", ["channel", "proportional"])
@pytest.mark.parametrize("mask", ["full", "empty"])
def test_zero_borders_do_not_break_full_and_empty_masks(bias, mask):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), batch_norm(3), nn.Conv2d(3, 2, 3)).double()
    net.eval()
    x = torch.zeros(2, 1, 14, 14, dtype=torch.float64)
    x[:, :, 6:8, 6:8] = torch.randn(2, 1, 2, 2, dtype=torch.float64)
    # round-off of an inverse transform in the border counts as zero
    rel = torch.fft.irfft2(torch.fft.rfft2(x), s=(14, 14))
    rel = rel if mask == "full" else 0 * rel
    out, _ = contextual_decomposition(net, x, rel, bias=bias)
    expected = net(x) if mask == "full" else torch.zeros_like(out)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)


FOURIER = {
    "fft2": lambda x: torch.fft.fft2(x).real,
    "rfft": lambda x: torch.view_as_real(torch.fft.rfft(x)),
    "round trip": lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:]),
    "shift": lambda x: torch.fft.fftshift(x, dim=-1),
    "cumsum": lambda x: torch.cumsum(x, -1),
    "matrix": lambda x: x @ torch.linspace(0, 1, 8).double().reshape(4, 2),
    "matrix from the left": lambda x: torch.ones(2, 3).double() @ x,
    "einsum": lambda x: torch.einsum("nij,jk->nki", x, torch.ones(4, 2).double()),
    "unfold": lambda x: F.unfold(x[:, None], 2),
}


@pytest.mark.parametrize("name", FOURIER)
def test_linear_operations_act_on_the_relevant_part_alone(name):
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    rel = torch.randn(5, *x.shape, dtype=torch.float64)
    out, _ = contextual_decomposition(FOURIER[name], x, rel, bias="proportional")
    expected = torch.stack([FOURIER[name](part) for part in rel])
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)


def test_averaging_over_the_first_axis_keeps_the_samples():
    bias = torch.randn(3, 1, dtype=torch.float64)
    x = torch.randn(4, 3, 5, 2, dtype=torch.float64)
    rel = x * torch.rand(2, *x.shape, dtype=torch.float64)
    for keepdim in (False, True):

        def first(v, keepdim=keepdim):
            out = v.permute(2, 0, 1, 3).mean(0, keepdim=keepdim)
            return (out[0] if keepdim else out) + bias

        found, _ = contextual_decomposition(first, x, rel, bias="channel")
        expected, _ = contextual_decomposition(
            lambda v: v.mean(2) + bias, x, rel, bias="channel"
        )
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("bias", ["channel", "proportional", "context"])
def test_a_constant_of_wider_type_widens_the_parts(bias):
    x = torch.randn(4, 3, dtype=torch.float32)
    shift, weight = torch.randn(3).double(), torch.randn(2, 3).double()

    def f(v):
        return torch.nn.functional.linear(torch.relu(v + shift), weight)

    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            rel, rest = contextual_decomposition(f, x, x * 0.3, bias=bias)
        assert rel.dtype == torch.float64
        torch.testing.assert_close(rel + rest, f(x))
