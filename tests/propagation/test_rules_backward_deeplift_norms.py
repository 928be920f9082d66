"""DeepLIFT of normalisations: complete, and no larger than it need be."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import contextual_decomposition
from sktrim.propagation.backward._gaps import completeness_gaps
from tests.propagation.multipliers import assert_complete, rescaled, some

EPS = 1e-5


def mean_square(x):
    return x.pow(2).mean(-1, keepdim=True) + EPS


def centred(x):
    return x - x.mean(-1, keepdim=True)


ROOTS = {
    "rsqrt": lambda x: x * torch.rsqrt(mean_square(x)),
    "rsqrt first": lambda x: torch.rsqrt(mean_square(x)) * x,
    "a power": lambda x: x * mean_square(x) ** -0.5,
    "one over": lambda x: x * (1 / mean_square(x).sqrt()),
    "quotient": lambda x: x / torch.sqrt(mean_square(x)),
    "reciprocal": lambda x: x.mul(mean_square(x).pow(0.5).reciprocal()),
    "squeezed": lambda x: x * mean_square(x).squeeze(-1).rsqrt()[..., None].double(),
    "halved": lambda x: x * (0.5 * mean_square(x).rsqrt()) / 0.5,
    "in place": lambda x: x.clone().mul_(torch.rsqrt(mean_square(x))),
    "product": lambda x: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS),
    "own": lambda x: F.rms_norm(x, (8,), eps=EPS),
    "weight that varies": lambda x: F.rms_norm(x, (8,), 0 * x[0, 0] + 1, EPS),
}
STANDARD = {
    "own": lambda x: F.layer_norm(x, (8,), eps=EPS),
    "quotient": lambda x: centred(x) / torch.sqrt(mean_square(centred(x))),
    "var": lambda x: (
        centred(x) * torch.rsqrt(x.var(-1, correction=0, keepdim=True) + EPS)
    ),
    "one group": lambda x: F.group_norm(x.flatten(0, 1), 1, eps=EPS).reshape(x.shape),
    "instance": lambda x: F.instance_norm(x, eps=EPS),
    "weight that varies": lambda x: F.layer_norm(x, (8,), 0 * x[0, 0] + 1, eps=EPS),
}
LENGTHS = {
    "own": lambda x: F.normalize(x, dim=-1),
    "norm": lambda x: x / x.norm(dim=-1, keepdim=True),
    "linalg": lambda x: x * (1 / torch.linalg.vector_norm(x, dim=-1, keepdim=True)),
    "clamped": lambda x: x / x.norm(2, -1, True).clamp_min(1e-12),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", [ROOTS, STANDARD, LENGTHS])
def test_spellings_of_a_normalisation_agree(kind, seed):
    x, base = some((3, 4, 8), seed), 1e-3 * some((3, 4, 8), seed + 5)
    (expected,) = rescaled(kind["own"], (x,), (base,))[2]
    for name, function in kind.items():
        assert_complete(function, (x,), (base,))
        (found,) = rescaled(function, (x,), (base,))[2]
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9, msg=name)


NORMS = {
    "layer_norm": (lambda x: F.layer_norm(x, (8,)), 1e-5),
    "rms_norm": (lambda x: F.rms_norm(x, (8,), eps=1e-12), 1e-12),
    "instance_norm": (lambda x: F.instance_norm(x[:, None])[:, 0], 1e-5),
    "group_norm": (lambda x: F.group_norm(x.T[None], 1)[0].T, 1e-5),
    "normalize": (lambda x: F.normalize(x) * math.sqrt(8), 0),
}


@pytest.mark.parametrize("scale", [0, 1e-6, 0.1, 1, 1e4])
@pytest.mark.parametrize("name", sorted(NORMS))
def test_multipliers_are_bounded_by_the_larger_divisor(name, scale):
    function, eps = NORMS[name]
    x, base = some((1, 8), 0), scale * some((1, 8), 1)

    def divisor(v):
        v = v if name in ("rms_norm", "normalize") else centred(v)
        return torch.sqrt(v.square().mean() + eps)

    units = [
        rescaled(lambda v, u=u: function(v)[:, u], (x,), (base,))[2][0].flatten()
        for u in range(8)
    ]
    size = torch.linalg.matrix_norm(torch.stack(units), 2)
    bound = (1 + math.sqrt(2)) / max(divisor(x), divisor(base))
    assert size <= bound * (1 + 1e-9)


class Block(nn.Module):
    """A residual block with attention or without, normalised before or after."""

    def __init__(self, width, norm, attention, after):
        super().__init__()
        self.norms = nn.ModuleList([norm(width), norm(width)])
        self.attention = nn.MultiheadAttention(width, 4, bias=False, batch_first=True)
        self.attends, self.after = attention, after
        self.up = nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def mixed(self, x):
        return self.attention(x, x, x, need_weights=False)[0] if self.attends else x

    def forward(self, x):
        first, second = self.norms
        if self.after:
            x = first(x + self.mixed(x))
            return second(x + self.down(F.gelu(self.up(x))))
        x = x + self.mixed(first(x))
        return x + self.down(F.gelu(self.up(second(x))))


def network(norm, blocks, attention, after, seed=0):
    torch.manual_seed(seed)
    width = 16
    parts = [Block(width, norm, attention, after) for _ in range(blocks)]
    net = nn.Sequential(*parts, nn.Flatten(), nn.Linear(5 * width, 1))
    return net.double().eval().requires_grad_(False)


class ByHand(nn.Module):
    def __init__(self, width):
        super().__init__()

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("blocks", "attention"), [(4, False), (2, True), (12, True)])
@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm, ByHand])
def test_deep_normalised_networks_are_complete_at_the_zero_baseline(
    norm, blocks, attention, after
):
    net, x = network(norm, blocks, attention, after), some((3, 5, 16), 1)
    _, _, (multiplier,) = rescaled(net, (x,), (torch.zeros_like(x),))
    weight = torch.linspace(-1, 2, 3).double()
    explained = (net(x) - net(torch.zeros_like(x)))[:, 0] * weight
    scores = multiplier * x
    torch.testing.assert_close(
        scores.flatten(1).sum(1), explained, rtol=0, atol=1e-9 * explained.abs().max()
    )
    # the rule that splits evenly gives 1e9 to 1e50
    assert scores.abs().sum() < 100 * explained.abs().sum()


def test_rows_together_are_rows_alone_in_a_normalised_network():
    net, x = network(nn.LayerNorm, 2, True, False), some((5, 5, 16), 1)
    base = torch.zeros_like(x)

    def multiplier(rows):
        out, _, (found,) = rescaled(net, (x[rows],), (base[rows],))
        weight = torch.linspace(-1, 2, out.full.numel(), dtype=x.dtype)
        return found / weight.reshape(-1, 1, 1)

    together = multiplier(slice(None))
    for row in (0, 3):
        alone = multiplier(slice(row, row + 1))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-9, atol=0)


def test_the_diagnosis_follows_the_same_rule():
    net, x = network(ByHand, 4, False, False), some((3, 5, 16), 1)
    assert not completeness_gaps(net, x, torch.zeros_like(x), lambda out: out)


def test_normalised_scores_are_near_the_path_integral():
    net, x = network(nn.LayerNorm, 2, False, True), some((3, 5, 16), 1)
    base = some((3, 5, 16), 2)
    weight = torch.linspace(-1, 2, 3).double()
    (multiplier,) = rescaled(net, (x,), (base,))[2]
    total, steps = torch.zeros_like(x), 200
    for step in range(steps):
        middle = base + (step + 0.5) / steps * (x - base)
        middle.requires_grad_()
        total += torch.autograd.grad((net(middle)[:, 0] * weight).sum(), middle)[0]
    scores, integral = multiplier * (x - base), total / steps * (x - base)
    both = torch.stack([scores.flatten(), integral.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.9


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("kind", [nn.Softmax, nn.LogSoftmax, nn.Softmin])
@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_a_softmax_without_an_axis_takes_that_of_torch(kind, shape):
    x, base = some(shape, 0), some(shape, 1)
    dim = {1: 0, 2: 1, 3: 0, 4: 1}[len(shape)]

    def implied(v):
        return 2 * kind()(v)

    def explicit(v):
        return 2 * kind(dim)(v)

    assert_complete(implied, (x,), (base,))
    found, expected = (rescaled(f, (x,), (base,))[2][0] for f in (implied, explicit))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    parts = some((2, *shape), 2)
    found, expected = (
        contextual_decomposition(f, x, parts)[0] for f in (implied, explicit)
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


TOTALS = {
    "softmax": lambda x: 2 * x.softmax(-1),
    "softmin": lambda x: 2 * F.softmin(x, -1),
    "log_softmax": lambda x: 2 * x.log_softmax(-1),
    "logsumexp": lambda x: x.logsumexp(-1),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(TOTALS))
def test_round_off_of_equal_values_does_not_move_a_softmax(name, seed):
    x, base = some((3, 4, 8), seed), some((3, 4, 1), seed + 5).expand(3, 4, 8)
    (expected,) = rescaled(TOTALS[name], (x,), (base,))[2]
    noise = 1e-15 * some((3, 4, 8), seed + 9)
    (found,) = rescaled(TOTALS[name], (x,), (base + noise,))[2]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert_complete(TOTALS[name], (x,), (base + noise,))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(set(TOTALS) - {"logsumexp"}))
def test_a_shift_of_all_values_has_no_part_in_a_softmax(name, seed):
    x, base = some((3, 4, 8), seed), 3 * some((3, 4, 8), seed + 5)
    (found,) = rescaled(TOTALS[name], (x,), (base,))[2]
    zero = torch.zeros(3, 4).double()
    torch.testing.assert_close(found.sum(-1), zero, rtol=0, atol=1e-12)
    (moved,) = rescaled(TOTALS[name], (x + 1,), (base - 2,))[2]
    torch.testing.assert_close(found, moved, rtol=0, atol=1e-12)


EXACT = {
    "larger than a copy": lambda x: torch.where(
        x > torch.maximum(x, 0 * x + 0.2), 0.3, x
    ),
    "smaller than a copy": lambda x: torch.where(
        x < torch.minimum(x, 0 * x + 0.2), 0.3, x
    ),
    "the largest of two": lambda x: x * (torch.fmax(x, x.flip(-1)) == x),
    "no deviation": lambda x: torch.where(x.std(-1) == 0, 5.0, x.mean(-1)),
    "no variance": lambda x: x[..., 0] / torch.where(x.var(-1) == 0, 1, x.var(-1)),
    "length 1": lambda x: F.normalize(x[..., None], dim=-1).floor()[..., 0] * x,
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", sorted(EXACT))
def test_a_value_is_that_of_torch_to_the_last_bit(name, seed):
    x = some((3, 4, 7), seed)
    x[0] = x[0, :, :1]
    # which takes the same branches
    base = 0.5 * x
    assert_complete(EXACT[name], (x,), (base,))
    out, _, _ = rescaled(EXACT[name], (x,), (base,))
    assert torch.equal(out.full, EXACT[name](x))
    assert torch.equal(out.rel, EXACT[name](base))
