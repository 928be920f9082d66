"""Networks drawn from the kinds at random keep every promise."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sktrim.propagation import contextual_decomposition
from tests import zoo

CHANNELS = 4


def conv(size, stride):
    return nn.Conv2d(CHANNELS, CHANNELS, size, stride, size // 2, bias=size > 1)


class Skip(nn.Module):
    def __init__(self, inner, joined):
        super().__init__()
        self.inner = inner
        self.mix = nn.Conv2d(2 * CHANNELS, CHANNELS, 1) if joined else None

    def forward(self, x):
        out = self.inner(x)
        return x + out if self.mix is None else self.mix(torch.cat([x, out], 1))


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3))))[:, :, None, None]


class Attend(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(CHANNELS, 3 * CHANNELS)

    def forward(self, x):
        h = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(h).chunk(3, -1)
        h = h + F.scaled_dot_product_attention(q, k, v)
        return h.transpose(1, 2).reshape(x.shape)


class Scan(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(CHANNELS, CHANNELS, batch_first=True)

    def forward(self, x):
        steps = x.flatten(2).transpose(1, 2)[:, :5]
        return x + self.cell(steps)[0][:, -1, :, None, None]


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(CHANNELS, 1, 1))

    def forward(self, x):
        return F.pad(x + self.shift, (1, 0, 0, 1), value=0.3)[..., :-1, 1:]


simple = st.sampled_from(
    [
        lambda: conv(3, 1), lambda: conv(1, 1), lambda: nn.BatchNorm2d(CHANNELS),
        nn.ReLU, lambda: nn.ReLU(inplace=True), nn.GELU, nn.Tanh, nn.Softplus,
        lambda: nn.LeakyReLU(0.1), lambda: nn.GroupNorm(2, CHANNELS),
        lambda: nn.MaxPool2d(3, 1, 1), lambda: nn.AvgPool2d(3, 1, 1), Gate, Attend,
        Scan, Constant, nn.Dropout, lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
        nn.Hardswish, lambda: nn.PReLU(CHANNELS), lambda: nn.Softmax(dim=1),
    ]
)  # fmt: skip
blocks = st.recursive(
    simple,
    lambda inner: st.builds(
        lambda parts, joined: (
            lambda: Skip(nn.Sequential(*(part() for part in parts)), joined)
        ),
        st.lists(inner, min_size=1, max_size=3),
        st.booleans(),
    ),
    max_leaves=4,
)


def build(layers, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, CHANNELS, 3, padding=1), *(layer() for layer in layers),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(CHANNELS * 9, 3),
        )  # fmt: skip
        return zoo.randomise(net).double().eval()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    layers=st.lists(blocks, min_size=1, max_size=5),
    seed=st.integers(0, 1000),
    bias=st.sampled_from(["channel", "proportional", "context"]),
    nonlinearity=st.sampled_from(["relevant", "symmetric"]),
    partition=st.booleans(),
)
def test_identities(layers, seed, bias, nonlinearity, partition):
    net = build(layers, seed)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 1, 6, 6, dtype=torch.float64, generator=generator)
    x[:, :, :2] = 0
    part = x * torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=generator)
    options = {"bias": bias, "nonlinearity": nonlinearity}
    f = net(x)
    scale = f.abs().max().item() + 1
    rel = torch.stack([part, x, 0 * x])
    out, rest = contextual_decomposition(net, x, rel, **options)
    torch.testing.assert_close(out + rest, f.expand_as(out), rtol=0, atol=1e-10 * scale)
    if bias != "context":
        torch.testing.assert_close(out[1], f, rtol=0, atol=1e-9 * scale)
        torch.testing.assert_close(out[2], 0 * f, rtol=0, atol=1e-10 * scale)
    alone, _ = contextual_decomposition(net, x[1:], part[1:], **options)
    torch.testing.assert_close(alone[0], out[0, 1], rtol=1e-9, atol=1e-10 * scale)
    if partition:
        rel = torch.stack([part, 0.5 * (x - part)])
        out, rest = contextual_decomposition(net, x, rel, partition=True, **options)
        torch.testing.assert_close(out.sum(0) + rest, f, rtol=0, atol=1e-10 * scale)
        rel = torch.stack([part, x - part])
        if bias != "context":
            out, _ = contextual_decomposition(net, x, rel, partition=True, **options)
            torch.testing.assert_close(out.sum(0), f, rtol=0, atol=1e-8 * scale)
