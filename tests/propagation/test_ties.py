"""What ties for a place shares it: the order of the values decides nothing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim import transform_importance
from sktrim.propagation import contextual_decomposition
from sktrim.scorers import LRPEpsilon, LRPZPlus
from tests.propagation.naive_pairs import decomposed
from tests.propagation.parts import BIASES

SEEDS = range(3)


def tied(*shape, seed=0, levels=3):
    """Draw from few values, so that most windows are tied; parts are all different."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(levels, shape, generator=generator).double() - 1
    return x, torch.randn(2, *shape, dtype=torch.float64, generator=generator)


def run(f, x, rel, **options):
    out, rest = contextual_decomposition(f, x, rel, **options)
    torch.testing.assert_close(out + rest, f(x.clone()).expand_as(out))
    with torch.no_grad():
        quick, _ = contextual_decomposition(f, x, rel, **options)
    torch.testing.assert_close(quick, out)
    return out


def mean_of_winners(x, rel, windows):
    """Means over the largest values of every window, given as tuples of positions."""
    out = torch.zeros(*rel.shape[:3], len(windows), dtype=x.dtype)
    x, rel = x.flatten(2), rel.flatten(3)
    for i, ch in np.ndindex(*x.shape[:2]):
        for w, window in enumerate(windows):
            best = [p for p in window if x[i, ch, p] == x[i, ch, window].max()]
            out[:, i, ch, w] = rel[:, i, ch, best].mean(-1)
    return out


def fixed_windows(shape, counts, size, stride, padding, dilation):
    """Flat positions of every window, axis by axis."""
    windows = []
    for at in np.ndindex(*counts):
        inside = []
        for step in np.ndindex(*(size,) * len(shape)):
            place = [
                a * stride - padding + s * dilation
                for a, s in zip(at, step, strict=True)
            ]
            if all(0 <= p < n for p, n in zip(place, shape, strict=True)):
                inside.append(int(np.ravel_multi_index(place, shape)))
        windows.append(inside)
    return windows


POOLS = {
    "plain": (2, 2, 0, 1, False),
    "overlapping": (3, 1, 0, 1, False),
    "padded": (3, 2, 1, 1, False),
    "dilated": (2, 1, 1, 2, False),
    "with gaps": (2, 3, 0, 1, False),
    "ceiling": (3, 2, 0, 1, True),
    "all of it": (3, 2, 1, 2, True),
}


@pytest.mark.parametrize("shape", [(8,), (7, 6), (5, 6, 5)])
@pytest.mark.parametrize("name", POOLS)
def test_max_pooling_gives_the_mean_of_its_winners(name, shape):
    size, stride, padding, dilation, ceil = POOLS[name]
    pool = getattr(F, f"max_pool{len(shape)}d")
    for seed in SEEDS[: 3 if len(shape) < 3 else 1]:
        x, rel = tied(2, 2, *shape, seed=seed)

        def f(v):
            return pool(v, size, stride, padding, dilation, ceil)

        counts = f(x).shape[2:]
        windows = fixed_windows(shape, counts, size, stride, padding, dilation)
        expected = mean_of_winners(x, rel, windows).unflatten(-1, counts)
        torch.testing.assert_close(run(f, x, rel), expected)


@pytest.mark.parametrize("counts", [(1, 1), (3, 2), (4, 5), (2, None)])
def test_adaptive_pooling_gives_the_mean_of_its_winners(counts):
    x, rel = tied(2, 2, 7, 6)
    sizes = F.adaptive_max_pool2d(x, counts).shape[2:]
    windows = []
    for r, q in np.ndindex(*sizes):
        rows = range(r * 7 // sizes[0], -(-(r + 1) * 7 // sizes[0]))
        columns = range(q * 6 // sizes[1], -(-(q + 1) * 6 // sizes[1]))
        windows.append([6 * y + z for y in rows for z in columns])
    expected = mean_of_winners(x, rel, windows).unflatten(-1, sizes)
    out = run(lambda v: F.adaptive_max_pool2d(v, counts), x, rel)
    torch.testing.assert_close(out, expected)


LARGEST = {
    "amax": lambda v: v.amax(-1),
    "max of dim": lambda v: v.max(-1).values,
    "max of dim, kept": lambda v: v.max(-1, keepdim=True)[0].squeeze(-1),
    "two axes": lambda v: v.unflatten(-1, (3, 4)).amax((1, 2)),
    "one window": lambda v: F.adaptive_max_pool1d(v[:, None], 1).flatten(1)[:, 0],
    "one window, fixed": lambda v: F.max_pool1d(v, 12).flatten(),
    "first of topk": lambda v: v.topk(3, -1).values[:, 0],
    "last of sort": lambda v: v.sort(-1).values[:, -1],
    "last of kthvalue": lambda v: v.kthvalue(12, -1).values,
    "smallest": lambda v: -(-v).amin(-1),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", LARGEST)
def test_spellings_of_the_largest_agree(name, seed):
    x, rel = tied(4, 12, seed=seed)
    best = x == x.amax(1, keepdim=True)
    expected = torch.where(best, rel, 0).sum(-1) / best.sum(-1)
    torch.testing.assert_close(run(LARGEST[name], x, rel), expected)


ORDERLESS = LARGEST | {
    "median": lambda v: v.median(-1).values,
    "mode": lambda v: v.mode(-1).values,
    "kthvalue": lambda v: v.kthvalue(5, -1).values,
    "topk": lambda v: v.topk(5, -1)[0],
    "sort": lambda v: v.sort(-1, descending=True)[0],
    "pooled windows": lambda v: F.max_pool1d(v, 6),
}


@pytest.mark.parametrize("name", ORDERLESS)
def test_the_order_of_values_does_not_matter(name):
    x, rel = tied(3, 12)
    f = ORDERLESS[name]
    expected = run(f, x, rel)
    for order in (
        [5, 4, 3, 2, 1, 0, 6, 8, 7, 11, 10, 9],
        [1, 2, 0, 3, 5, 4, *range(6, 12)],
    ):
        out = run(f, x[:, order], rel[..., order])
        torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("function", [torch.maximum, torch.minimum, torch.fmax])
def test_the_larger_of_two_is_half_of_both_in_a_tie(function, bias):
    x, rel = tied(3, 12)
    options = {"bias": bias}
    out = run(lambda v: function(v[:, :6], v[:, 6:]), x, rel, **options)
    turned = run(lambda v: function(v[:, 6:], v[:, :6]), x, rel, **options)
    torch.testing.assert_close(out, turned)
    if function is torch.maximum:
        naive, _ = decomposed(
            lambda v: torch.maximum(v[:, :6], v[:, 6:]),
            x,
            rel,
            bias=bias,
            nonlinearity="relevant",
        )
        torch.testing.assert_close(out, naive)
    a, b = rel[..., :6], rel[..., 6:]
    same = x[:, :6] == x[:, 6:]
    torch.testing.assert_close(out[:, same], ((a + b) / 2)[:, same])


def test_windows_without_a_number_or_without_an_end_take_torchs_winner():
    x = torch.tensor([[[1.0, 1, -torch.inf, -torch.inf, torch.nan, torch.nan]]])
    rel = torch.arange(6.0).expand(1, 1, 1, 6)
    out, _ = contextual_decomposition(lambda v: F.max_pool1d(v, 2), x, rel)
    assert out[0, 0, 0, :2].tolist() == [0.5, 2.5]
    assert out[0, 0, 0, 2] in (4, 5)


def test_gradients_of_shared_winners_are_those_of_finite_differences():
    x, rel = tied(1, 1, 6, 6)

    def f(rel):
        return contextual_decomposition(lambda v: F.max_pool2d(v, 3, 2, 1), x, rel)[0]

    assert torch.autograd.gradcheck(f, (rel.requires_grad_(),), fast_mode=True)


def test_windows_without_any_number():
    x = torch.full((1, 1, 4), torch.nan)
    out, _ = contextual_decomposition(
        lambda v: F.max_pool1d(v, 2), x, torch.ones(1, 1, 1, 4)
    )
    assert out.tolist() == [[[[1.0, 1.0]]]]


def test_layouts_in_memory_do_not_matter():
    x, rel = tied(2, 3, 6, 6)
    expected = run(lambda v: F.max_pool2d(v, 3, 1, 1), x, rel)
    last = x.contiguous(memory_format=torch.channels_last)
    out = run(lambda v: F.max_pool2d(v, 3, 1, 1), last, rel)
    torch.testing.assert_close(out, expected)
    turned = run(lambda v: F.max_pool2d(v.mT, 3, 1, 1).mT, x, rel)
    torch.testing.assert_close(turned, expected)


@pytest.mark.parametrize("scorer", [LRPEpsilon(), LRPZPlus()])
def test_relevance_is_shared_among_the_winners_of_a_window(scorer):
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(2, 1, bias=False)

        def forward(self, x):
            return self.last(F.max_pool1d(x[:, None], 3)[:, 0])

    net = Pooled().double().eval()
    nn.init.ones_(net.last.weight)
    X = np.array([[2.0, 2, 1, 3, 3, 3], [1, 2, 2, 4, 1, 0]])
    found = transform_importance(net, X, scorer=scorer, output="raw").values
    expected = [[1, 1, 0, 1, 1, 1], [0, 1, 1, 4, 0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-3)
