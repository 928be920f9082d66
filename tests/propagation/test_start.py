"""Where an operation is zero altogether, its bias is shared as the input is."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.propagation import (
    LowRankParts,
    contextual_decomposition,
    decompose,
)
from sktrim.scorers import ContextualDecomposition
from tests import zoo
from tests.propagation.parts import drawn

BIASES = ["channel", "proportional"]


class Dead(nn.Module):
    """Nothing comes through; what follows has its biases alone to go on."""

    def __init__(self, after, kill):
        super().__init__()
        self.after, self.kill = after, kill

    def forward(self, x):
        return self.after(self.kill(x))


def sequence(x):
    return x.flatten(1)[:, :12].reshape(-1, 3, 4)


class Gru(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell, self.last = kind(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.last(self.cell(sequence(x))[0][:, -1])


def conv():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 8), nn.Softplus(), nn.Linear(8, 3),
    )  # fmt: skip


def windows(after):
    """Rows are split into windows and joined again, as in Swin."""

    def net(x):
        parts = x.reshape(-1, 2, 3, 2, 3).permute(0, 1, 3, 2, 4).reshape(-1, 9)
        return after(parts).reshape(-1, 4 * 5)

    return net


AFTER = {
    "conv": conv,
    "mlp": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(36, 5), nn.GELU(), nn.Linear(5, 3)
    ),
    "norm": lambda: nn.Sequential(nn.Flatten(), nn.LayerNorm(36), nn.Linear(36, 3)),
    "lstm": lambda: Gru(nn.LSTM),
    "gru": lambda: Gru(nn.GRU),
    "attention": lambda: nn.Sequential(
        nn.Flatten(2), nn.Linear(36, 8),
        nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), nn.Flatten(),
        nn.Linear(8, 3),
    ),
}  # fmt: skip
KILLS = {
    "weights": lambda x: 0 * x,
    "relus": lambda x: F.relu(-x.abs() - 0.1),
    "some": lambda x: torch.cat([0 * x[:, :, :5], x[:, :, 5:]], 2),
}


def build(name, kill, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        after = zoo.randomise(AFTER[name]()).double().eval()
    return Dead(after, KILLS[kill]).eval()


@pytest.mark.parametrize(
    ("nonlinearity", "partition"),
    [("relevant", False), ("symmetric", False), ("relevant", True)],
)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("name", AFTER)
def test_full_and_empty_masks_of_dead_networks(
    name, kill, bias, nonlinearity, partition
):
    net, x = build(name, kill), drawn(3, 1, 6, 6)
    options = {"bias": bias, "nonlinearity": nonlinearity, "partition": partition}
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            out, _ = contextual_decomposition(
                net, x, torch.stack([x, 0 * x]), **options
            )
        f = net(x)
        torch.testing.assert_close(out[0], f, rtol=0, atol=1e-9)
        torch.testing.assert_close(out[1], 0 * f, rtol=0, atol=1e-9)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("kill", ["weights", "relus"])
def test_a_bias_is_shared_as_the_input_is(kill, bias):
    net = Dead(nn.Linear(8, 3).double(), KILLS[kill]).eval()
    x, masks = drawn(4, 8), torch.rand(2, 1, 8).double()
    rel = masks * x
    out, _ = contextual_decomposition(net, x, rel, bias=bias, nonlinearity="symmetric")
    share = rel.abs().sum(2) / x.abs().sum(1)
    expected = share[..., None] * net.after.bias
    torch.testing.assert_close(out, expected)
    masks = masks / masks.sum(0)
    parts, rest = contextual_decomposition(net, x, masks * x, bias=bias, partition=True)
    share = (masks * x).abs().sum(2) / x.abs().sum(1)
    torch.testing.assert_close(parts, share[..., None] * net.after.bias)
    torch.testing.assert_close(rest, 0 * rest, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", AFTER)
def test_no_gradient_is_nan(name, bias):
    net = build(name, "relus").requires_grad_(True)
    x = drawn(2, 1, 6, 6).requires_grad_()
    masks = torch.tensor([0.0, 0.3, 1]).double().reshape(3, 1, 1, 1, 1).requires_grad_()
    for value in (x, 0 * x):
        out, _ = contextual_decomposition(net, value, masks * value, bias=bias)
        found = torch.autograd.grad(
            out.sum(), [x, masks, *net.parameters()], allow_unused=True
        )
        assert all(g is None or g.isfinite().all() for g in found)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("kill", ["weights", "relus"])
@pytest.mark.parametrize("name", ["conv", "mlp"])
def test_folded_parts_equal_dense_parts(name, kill, bias):
    net, x = build(name, kill), drawn(5, 1, 6, 6)
    basis = torch.linalg.qr(drawn(36, 36, seed=1))[0]
    masks = torch.rand(3, 36, dtype=torch.float64).round()
    coefficients = x.flatten(1) @ basis.T
    rel = ((masks[:, None] * coefficients) @ basis).reshape(3, *x.shape)
    with torch.no_grad():
        expected, _ = contextual_decomposition(net, x, rel, bias=bias)
        low = LowRankParts(coefficients, basis.reshape(36, 1, 6, 6), masks)
        out, _ = decompose(net, x, low, bias=bias, rows_at_once=4)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("bias", BIASES)
def test_rows_that_are_split_and_joined_keep_their_shares(bias):
    layers = nn.Sequential(nn.Linear(9, 5), nn.ReLU()).double()
    net = windows(Dead(layers, KILLS["weights"]))
    x = drawn(3, 36)
    rel = x * torch.rand(2, *x.shape)
    out, _ = contextual_decomposition(net, x, rel, bias=bias)
    share = rel.abs().sum(2) / x.abs().sum(1)
    expected = torch.relu(share[..., None, None] * layers[0].bias).expand(2, 3, 4, 5)
    torch.testing.assert_close(out, expected.flatten(2))


def merged(x):
    """Times and samples share an axis, times first."""
    h = (0 * x).reshape(-1, 3, 4).transpose(0, 1).reshape(-1, 4)
    h = F.linear(h, torch.ones(2, 4).double(), torch.tensor([1.0, -2]).double())
    return h.reshape(3, -1, 2).transpose(0, 1).flatten(1)


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("bias", BIASES)
def test_rows_that_are_lost_run_alone(bias, partition):
    x = drawn(4, 12)
    rel = x * torch.rand(2, 4, 12) / 2
    options = {"bias": bias, "partition": partition}
    out, _ = contextual_decomposition(merged, x, rel, **options)
    share = rel.abs().sum(2) / x.abs().sum(1)
    expected = share[..., None] * torch.tensor([1.0, -2] * 3).double()
    torch.testing.assert_close(out, expected)
    for i in range(4):
        alone, _ = contextual_decomposition(
            merged, x[i : i + 1], rel[:, i : i + 1], **options
        )
        torch.testing.assert_close(alone, out[:, i : i + 1])
    both, _ = contextual_decomposition(
        lambda a, b: merged(a + b), (x, x), (rel, rel), **options
    )
    torch.testing.assert_close(both, out)


@pytest.mark.parametrize("bias", BIASES)
def test_tokens_and_several_inputs(bias):
    embed, last = nn.Embedding(9, 4).double(), nn.Linear(4, 3).double()

    def dead(tokens):
        return last(0 * embed(tokens).mean(1))

    tokens = torch.arange(10).reshape(2, 5) % 9
    mask = torch.tensor([[0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
    mask = mask[:, None].expand(3, 2, 5).double()
    out, _ = contextual_decomposition(dead, tokens, mask, bias=bias)
    share = torch.tensor([0, 0.4, 1]).double()[:, None, None]
    torch.testing.assert_close(out, (share * last.bias).expand(3, 2, 3))

    def both(tokens, x, silent):
        return dead(tokens) + last(0 * x) + 0 * silent

    x = drawn(2, 4)
    rel = torch.tensor([0, 0.5, 1]).double()[:, None, None] * x
    silent = torch.zeros(2, 3).double()
    out, _ = contextual_decomposition(
        both, (tokens, x, silent), (mask, rel, silent.expand(3, 2, 3)), bias=bias
    )
    share = torch.tensor([0, 0.45, 1]).double()[:, None, None]
    torch.testing.assert_close(out, (2 * share * last.bias).expand(3, 2, 3))


@pytest.mark.parametrize("bias", BIASES)
def test_a_row_of_zeros_takes_the_share_that_it_is_told(bias):
    net = nn.Linear(4, 3).double().eval()
    x, rel = torch.zeros(2, 4).double(), torch.zeros(3, 2, 4).double()
    for share in (
        torch.tensor([0, 0.25, 0.75]),
        torch.tensor([[0, 1], [0.5, 0], [0.5, 0]]),
    ):
        for partition in (False, True):
            out, rest = contextual_decomposition(
                net, x, rel, bias=bias, share=share, partition=partition
            )
            expected = share.double().reshape(3, -1, 1) * net.bias
            torch.testing.assert_close(out, expected.expand(3, 2, 3))
        torch.testing.assert_close(out.sum(0) + rest, net(x))
    out, _ = contextual_decomposition(net, x, rel, bias=bias)
    assert not out.any()


@pytest.mark.parametrize(
    ("share", "partition"),
    [
        ([0.5, 0.5], False),
        ([0, -0.1, 1], False),
        ([0, 1.1, 0], False),
        ([1, 1, 0], True),
    ],
)
def test_a_share_that_does_not_fit_is_refused(share, partition):
    x = torch.zeros(2, 4)
    with pytest.raises(ValueError, match="share"):
        contextual_decomposition(
            nn.Linear(4, 3).eval(),
            x,
            x.expand(3, 2, 4),
            share=torch.tensor(share),
            partition=partition,
        )


@pytest.mark.parametrize("n_samples", [1, 60])
@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("bias", BIASES)
def test_groups_of_a_signal_of_zeros_share_by_their_weights(bias, partition, n_samples):
    net = nn.Sequential(nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 1)).double().eval()
    X = np.random.default_rng(0).standard_normal((n_samples, 12))
    X[0] = 0
    fourier = FourierTransformer().fit(X)
    scorer = ContextualDecomposition(bias, partition=partition)
    groups = (
        {"all": np.ones(12)}
        if not partition
        else fourier.feature_groups(by="band", n_bands=3)
    )
    trim = TransformImportance(net, fourier, scorer, groups=groups, output="raw").fit(X)
    found = trim.explain(X[:1])
    expected = net(torch.zeros(1, 12).double()).item()
    assert found.values.sum() == pytest.approx(expected, abs=1e-9)
    assert found.base_values[0] == pytest.approx(0, abs=1e-9)


LAYERS = {
    "three units": lambda v: (F.linear(v, drawn(3, 8), drawn(3)), drawn(3)),
    "many units": lambda v: (F.linear(v, drawn(500, 8), drawn(500)), drawn(500)),
    "positions": lambda v: (
        F.conv1d(v.repeat(1, 50)[:, None], drawn(3, 1, 2), drawn(3)),
        drawn(3)[:, None].expand(3, 399),
    ),
    "average": lambda v: (v.mean(1, keepdim=True) + 0.4, 0.4 + 0 * drawn(1)),
}


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", ["channel", "proportional"])
@pytest.mark.parametrize("name", LAYERS)
def test_what_round_off_leaves_of_nothing_decides_no_share(name, bias, grad):
    torch.manual_seed(0)

    def net(v):
        # for some rows and parts of them exactly nothing, for others nearly so
        return LAYERS[name](v * 3 - v - v - v)[0]

    x = torch.randn(16, 8, dtype=torch.float64)
    rel = torch.rand(5, 16, 8, dtype=torch.float64) * x
    with torch.set_grad_enabled(grad):
        found, _ = contextual_decomposition(net, x, rel, bias=bias)
    part, rest = rel.abs().sum(2), (x - rel).abs().sum(2)
    expected = LAYERS[name](x)[1]
    share = (part / (part + rest)).reshape(5, 16, *(1,) * expected.ndim)
    torch.testing.assert_close(found, share * expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", ["channel", "proportional"])
def test_one_unit_among_many_that_are_nothing_decides_its_share(bias, grad):
    # far more units than the machine epsilon of single precision makes up for
    weight = torch.zeros(300_000, 2)
    weight[7] = torch.tensor([1.0, 0.0])
    x = torch.tensor([[0.5, 3.0]])
    rel = torch.tensor([[[0.1, 2.0]]])
    with torch.set_grad_enabled(grad):
        found, _ = contextual_decomposition(
            lambda v: F.linear(v, weight, torch.ones(len(weight))), x, rel, bias=bias
        )
    torch.testing.assert_close(found[0, 0, 7].item(), 0.1 + 0.2)


def test_one_position_among_many_that_are_nothing_decides_its_share():
    x = torch.full((1, 2, 300_000), 3.0)
    x[:, 0] = 0.5 * (torch.arange(300_000) == 7)
    rel = torch.tensor([0.2, 0.9])[:, None] * x
    weight = torch.tensor([[1.0, 0.0], [0.0, 0.0]])[..., None]
    found, _ = contextual_decomposition(
        lambda v: F.conv1d(v, weight, torch.ones(2))[:, 0], x, rel, bias="channel"
    )
    torch.testing.assert_close(found, rel[:, 0] + 0.2)


NORMS = {
    "layer_norm": lambda x, w, b: F.layer_norm(x, (9,), w, b),
    "group_norm": lambda x, w, b: F.group_norm(x.mT, 3, w, b).mT,
    "instance_norm": lambda x, w, b: F.instance_norm(x, weight=w[:2], bias=b[:2]),
}


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", sorted(NORMS))
def test_round_off_about_the_mean_of_equal_values_decides_no_share(name, bias, grad):
    torch.manual_seed(0)
    w, b = torch.randn(2, 9, dtype=torch.float64)
    x = torch.randn(16, 1, 1, dtype=torch.float64).expand(16, 2, 9).clone()
    share = torch.tensor([0, 0.3, 0.6, 1]).double()[:, None, None, None]
    # equal values that were computed are seldom equal to the last bit
    share = share * (1 + 1e-16 * torch.randn(4, 16, 2, 9, dtype=torch.float64))
    norm = NORMS[name]
    with torch.set_grad_enabled(grad):
        found, _ = contextual_decomposition(
            lambda v: norm(v * (1 + 1e-16), w, b), x, share * x, bias=bias
        )
    expected = share * norm(0 * x, w, b)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", ["proportional", "channel"])
def test_units_of_round_off_do_not_cost_the_full_mask_its_bias(bias, grad):
    torch.manual_seed(0)
    a, b = torch.randn(2, 64, 32, dtype=torch.float64)
    shift, head = drawn(32), drawn(32, 2)

    def cancelling(x):
        # nothing but round-off, another for the parts than for the whole
        return torch.relu((x @ a + x @ b) - x @ (a + b) + shift) @ head

    x = drawn(5, 64)
    with torch.set_grad_enabled(grad):
        out, _ = contextual_decomposition(
            cancelling, x, torch.stack([x, 0 * x]), bias=bias
        )
    torch.testing.assert_close(out[0], cancelling(x), rtol=1e-9, atol=1e-12)
    assert (out[1] == 0).all()


def test_with_biases_as_context_the_full_mask_has_its_share_of_a_logarithm():
    x = drawn(5, 4)
    out, _ = contextual_decomposition(lambda v: (v.abs() + 0.5).log(), x, x)
    whole = x.abs() + 0.5
    torch.testing.assert_close(out, x.abs() / whole * whole.log())


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", BIASES)
def test_gates_that_are_shut_do_not_enlarge_the_round_off_of_the_full_mask(bias, grad):
    torch.manual_seed(0)
    weights = torch.randn(9, 2, 16, 16, dtype=torch.float64)

    def gated(x):
        # as in EfficientNet: gates of large numbers, most of them open or shut
        for a, b in weights:
            x = (x + x @ a) * torch.sigmoid(1e3 * (x @ b))
            x = x / x.abs().mean(1, keepdim=True)
        return x

    x = drawn(5, 16)
    with torch.set_grad_enabled(grad):
        out, _ = contextual_decomposition(gated, x, torch.stack([x, 0 * x]), bias=bias)
    torch.testing.assert_close(out[0], gated(x), rtol=1e-11, atol=1e-11)
    assert (out[1] == 0).all()
