"""Relevance through attention, normalisations, gates and recurrent layers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim import transform_importance
from sktrim.propagation import UnsupportedOperationError
from sktrim.scorers import LRPEpsilon
from tests.nets import seeded
from tests.propagation.naive_relevance import transformer_relevance

N, LENGTH, WIDTH = 3, 5, 6


def signals(seed=0):
    return np.random.default_rng(seed).standard_normal((N, LENGTH, WIDTH))


def relevance(net, X, scorer=None, **options):
    scorer = LRPEpsilon(0) if scorer is None else scorer
    options = {"target": 1, "output": "raw", **options}
    return transform_importance(net, X, scorer=scorer, **options)


class Encoder(nn.Module):
    def __init__(self, norm_first, activation, mask=None):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            8, 2, 12, 0.1, activation, batch_first=True, norm_first=norm_first
        )
        self.first, self.last = nn.Linear(WIDTH, 8), nn.Linear(8, 3)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.mask = mask
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0.1, 0.4)

    def forward(self, x):
        h = self.encoder(self.first(x), mask=self.mask)
        return self.last(h.mean(1))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_transformer_equals_the_recursion_written_out(norm_first, activation, masked):
    mask = None
    if masked:
        mask = torch.full((LENGTH, LENGTH), -torch.inf, dtype=torch.float64).triu(1)
    for seed in range(3):
        net = seeded(lambda: Encoder(norm_first, activation, mask), seed)
        net, X = net.double().eval(), signals(seed)
        found = relevance(net, X)
        with torch.no_grad():
            expected = transformer_relevance(net, torch.tensor(X), mask, 1)
        expected = expected.flatten(1).numpy()
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found.values, expected, atol=1e-9 * scale)


def test_rows_together_are_rows_alone():
    net, X = seeded(lambda: Encoder(True, "gelu")).double().eval(), signals()
    for scorer in (LRPEpsilon(0.01), "lrp_composite", "lrp_alpha_beta"):
        together = relevance(net, X, scorer).values
        alone = [relevance(net, X[i : i + 1], scorer).values for i in range(N)]
        np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-8)


class Bare(nn.Module):
    """Linear layers without biases about what is asked for."""

    def __init__(self, step, out=None):
        super().__init__()
        self.first = nn.Linear(WIDTH, 8, bias=False)
        self.gate = nn.Linear(8, 8, bias=False)
        self.step = step
        self.last = nn.Linear(8 if out is None else out, 3, bias=False)

    def forward(self, x):
        return self.last(self.step(self.first(x), self.gate).mean(1))


def squeeze_excite(h, gate):
    return h * torch.sigmoid(gate(h.mean(1, keepdim=True)))


def attend_without_softmax(h, gate):
    return torch.matmul(torch.einsum("nik,njk->nij", gate(h), h), h)


def by_hand(h, gate):
    centred = h - h.mean(-1, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-5)


def recurrent(cell):
    layer = seeded(lambda: cell(8, 8, bias=False, batch_first=True)).double().eval()
    return lambda h, gate: layer(h)[0]


CONSERVING = {
    "gate": lambda h, gate: h * F.silu(gate(h)),
    "glu": lambda h, gate: F.glu(torch.cat([h, gate(h)], -1)),
    "squeeze excite": squeeze_excite,
    "three factors": lambda h, gate: torch.einsum("nij,nij,nij->nij", h, gate(h), h),
    "no softmax": attend_without_softmax,
    "layer norm": lambda h, gate: F.layer_norm(h, (8,)),
    "rms norm": lambda h, gate: F.rms_norm(h, (8,)),
    "group norm": lambda h, gate: F.group_norm(h.mT, 4).mT,
    "instance norm": lambda h, gate: F.instance_norm(h),
    "normalize": lambda h, gate: F.normalize(h, dim=-1),
    "by hand": by_hand,
    "quotient": lambda h, gate: h / gate(h).abs().sum(-1, keepdim=True),
    "norm": lambda h, gate: h.norm(dim=1, keepdim=True),
    "deviation": lambda h, gate: h.std(1, keepdim=True),
    "variance": lambda h, gate: h.var(1, keepdim=True),
    "modulus": lambda h, gate: torch.fft.fft(h, dim=1).abs(),
    "dynamic layer": lambda h, gate: torch.stack(
        [F.linear(row, gate.weight * row.mean(0)) for row in h]
    ),
    "lstm": recurrent(nn.LSTM),
    "rnn": recurrent(nn.RNN),
}


@pytest.mark.parametrize("name", sorted(CONSERVING))
def test_relevance_is_conserved_without_biases_and_softmax(name):
    for seed in range(2):
        net = seeded(lambda: Bare(CONSERVING[name]), seed).double().eval()
        found = relevance(net, signals(seed))
        explained = found.explained
        np.testing.assert_allclose(found.values.sum(1), explained, rtol=1e-6)
        np.testing.assert_allclose(found.metadata["conservation"], 1, rtol=1e-6)


def test_each_factor_gets_half_and_the_statistic_nothing():
    """On values of their own: f = sum_i w_i a_i silu(b_i) / |c|."""
    w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(w)

        def forward(self, x):
            a, b, c = x.chunk(3, 1)
            y = a * F.silu(b) / c.norm(dim=1, keepdim=True)
            return (y * self.weight).sum(1, keepdim=True)

    X = np.random.default_rng(0).standard_normal((4, 9))
    found = relevance(Gate(), X, target=0).values
    a, b, c = torch.tensor(X).chunk(3, 1)
    half = w * a * F.silu(b) / c.norm(dim=1, keepdim=True) / 2
    expected = torch.cat([half, half, 0 * c], 1)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def spelled(how):
    def norm(h, gate):
        mean = h.mean(-1, keepdim=True)
        variance = h.var(-1, correction=0, keepdim=True) + 1e-5
        if how == "layer_norm":
            return F.layer_norm(h, (8,))
        if how == "group_norm":
            return F.group_norm(h.flatten(0, 1), 1).view(h.shape)
        if how == "instance_norm":
            return F.instance_norm(h)
        if how == "quotient":
            return (h - mean) / variance.sqrt()
        if how == "power":
            return (h - mean) * variance**-0.5
        if how == "vector":
            return (h - mean) * torch.rsqrt(variance.squeeze(-1))[..., None]
        return (h - mean) * (2 / (2 * variance.sqrt()))

    return norm


@pytest.mark.parametrize(
    "how", ["group_norm", "instance_norm", "quotient", "power", "vector", "inverse"]
)
@pytest.mark.parametrize("scorer", [LRPEpsilon(0), "lrp_alpha_beta"])
def test_normalisations_in_other_words(how, scorer):
    for seed in range(2):
        X = signals(seed)
        expected, found = (
            relevance(seeded(lambda h=h: Bare(spelled(h))).double().eval(), X, scorer)
            for h in ("layer_norm", how)
        )
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-3, atol=1e-4)


def gates(kind, layer, left, state):
    """One step in terms of other layers; what the input gives is there already."""
    right = F.linear(state[0], layer.weight_hh_l0, layer.bias_hh_l0)
    if kind == "RNN":
        return (torch.tanh(left + right),)
    if kind == "GRU":
        (xr, xz, xn), (hr, hz, hn) = left.chunk(3, -1), right.chunk(3, -1)
        keep = torch.sigmoid(xz + hz)
        new = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        return ((1 - keep) * new + keep * state[0],)
    i, f, g, o = (left + right).chunk(4, -1)
    cell = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


class Recurrent(nn.Module):
    def __init__(self, kind, stepwise):
        super().__init__()
        self.kind, self.stepwise = kind, stepwise
        self.layer = getattr(nn, kind)(WIDTH, 4, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        if not self.stepwise:
            return self.last(self.layer(x)[0][:, -1])
        state = [x.new_zeros(len(x), 4) for _ in range(2)]
        # one layer for all steps: that of a step would merge with what no step varies
        inputs = F.linear(x, self.layer.weight_ih_l0, self.layer.bias_ih_l0)
        for t in range(LENGTH):
            state = gates(self.kind, self.layer, inputs[:, t], state)
        return self.last(state[0])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("scorer", [LRPEpsilon(0), "lrp_alpha_beta", "lrp_composite"])
def test_recurrent_layers_go_step_by_step(kind, scorer):
    found, expected = (
        relevance(
            seeded(lambda s=stepwise: Recurrent(kind, s)).double().eval(),
            signals(), scorer,
        ).values
        for stepwise in (False, True)
    )  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


class Attentive(nn.Module):
    """Attention of the functional sort, written out or not."""

    def __init__(self, fused):
        super().__init__()
        self.qkv, self.last, self.fused = nn.Linear(WIDTH, 12), nn.Linear(4, 3), fused

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        if self.fused:
            h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = torch.bmm(q, k.transpose(1, 2)) / 2
            hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
            h = torch.bmm(scores.softmax(-1), v)
        # what comes later is hidden from the second step
        return self.last(h[:, 1])


def test_what_a_mask_hides_has_no_relevance():
    found, expected = (
        relevance(
            seeded(lambda f=fused: Attentive(f)).double().eval(), signals()
        ).values
        for fused in (True, False)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert not found.reshape(N, LENGTH, WIDTH)[:, 2:].any()
    assert found.reshape(N, LENGTH, WIDTH)[:, :2].all()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            lambda h, gate: torch.stack([F.layer_norm(r, (8,), r[0]) for r in h]),
            "weight that depends",
        ),
        (lambda h, gate: h.div(gate(h), rounding_mode="floor"), "rounding"),
        (
            lambda h, gate: F.grid_sample(
                h[:, None], h[:, :, None, :2], align_corners=False
            )[:, 0].expand(-1, -1, 8),
            "several values",
        ),
    ],
)
def test_what_has_no_rule(step, message):
    with pytest.raises(UnsupportedOperationError, match=message):
        relevance(Bare(step).double().eval(), signals())
