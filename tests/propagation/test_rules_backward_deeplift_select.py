"""DeepLIFT of what picks a value: complete, bounded, and blind to the order of ties."""

import pytest
import torch
import torch.nn.functional as F

from sktrim.propagation import UnsupportedOperationError
from tests.propagation.multipliers import assert_complete, rescaled, some


def small(shape, seed):
    """A few different values, so that many are equal."""
    return (1.2 * some(shape, seed)).round()


PICKS = {
    "pool": lambda x: F.max_pool1d(x, 3),
    "overlapping": lambda x: F.max_pool1d(x, 4, 1, 2),
    "dilated": lambda x: F.max_pool1d(x, 2, 2, 1, 3, ceil_mode=True),
    "adaptive": lambda x: F.adaptive_max_pool1d(x, 5),
    "max": lambda x: x.max(-1).values,
    "amin": lambda x: x.amin((0, 2), keepdim=True),
    "of all": lambda x: x.max().reshape(1),
    "topk": lambda x: x.topk(4).values,
    "smallest": lambda x: x.topk(3, 1, largest=False)[0],
    "sort": lambda x: x.sort(-1, descending=True).values,
    "kthvalue": lambda x: x.kthvalue(3, 1, keepdim=True).values,
    "median": lambda x: x.median(-1).values,
    "median of all": lambda x: x.median().reshape(1),
    "cummax": lambda x: x.cummax(-1).values,
    "cummin": lambda x: x.cummin(1).values,
}


@pytest.mark.parametrize("draw", [some, small])
@pytest.mark.parametrize("name", sorted(PICKS))
def test_every_pick_is_complete_with_multipliers_that_are_shares(name, draw):
    for seed in range(3):
        x, base = draw((2, 3, 12), seed), draw((2, 3, 12), seed + 10)
        for start in (base, torch.zeros_like(x)):
            assert_complete(PICKS[name], (x,), (start,))
        out = PICKS[name](x)
        for number in range(0, out.numel(), 5):
            (found,) = rescaled(
                lambda v, i=number: -PICKS[name](v).flatten()[i : i + 1], (x,), (base,)
            )[2]
            assert found.min() >= 0
            assert found.sum() <= 1 + 1e-12


def of_whole(name):
    """What does not depend on where a value stands along the last axis."""
    return {
        "one window": lambda x: F.max_pool1d(x, x.shape[-1]),
        "down to one": lambda x: F.adaptive_max_pool1d(x, 1),
        **PICKS,
    }[name]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "name", ["one window", "down to one", "max", "of all", "topk", "sort", "median"]
)
def test_permuted_values_have_permuted_multipliers(name, seed):
    x, base = small((2, 3, 8), seed), small((2, 3, 8), seed + 10)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    (first,) = rescaled(of_whole(name), (x,), (base,))[2]
    (second,) = rescaled(of_whole(name), (x[..., order],), (base[..., order],))[2]
    torch.testing.assert_close(second, first[..., order], rtol=1e-12, atol=1e-12)


def test_tied_pixels_of_an_image_share():
    x = torch.tensor([[[[5.0, 1], [5, 5]]]], dtype=torch.float64)
    (found,) = rescaled(lambda v: -F.max_pool2d(v, 2), (x,), (0 * x,))[2]
    expected = torch.tensor([[[[1.0, 0], [1, 1]]]], dtype=torch.float64) / 3
    torch.testing.assert_close(found, expected)


def test_what_wins_in_sample_and_baseline_has_all():
    # it is the largest all the way from the baseline to the sample
    x = torch.tensor([[5.0, 5, 1]], dtype=torch.float64)
    base = torch.tensor([[0.0, 1, -1]], dtype=torch.float64)
    for function in (lambda v: -v.amax(1), lambda v: -v.topk(1).values):
        (found,) = rescaled(function, (x,), (base,))[2]
        torch.testing.assert_close(found, torch.tensor([[0.0, 1, 0]]).double())


def test_what_falls_is_given_to_the_winner_of_the_baseline():
    x = torch.tensor([[2.0, -4, -4]], dtype=torch.float64)
    base = torch.tensor([[1.0, 6, 6]], dtype=torch.float64)
    (found,) = rescaled(lambda v: -v.amax(1), (x,), (base,))[2]
    expected = torch.tensor([[0.0, -2, -2]]).double()
    torch.testing.assert_close(found * (x - base), expected)


def test_a_rank_that_no_value_keeps_is_shared_among_those_that_crossed():
    # the second largest rises from 1 to 3; neither 3 nor 1 has risen by so much
    x = torch.tensor([[3.0, 5, 0.5, 0]], dtype=torch.float64)
    base = torch.tensor([[2.0, 0, 1, -1]], dtype=torch.float64)
    (found,) = rescaled(lambda v: -v.topk(2).values[:, 1:], (x,), (base,))[2]
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.4, 0, 0]]).double())


def test_what_is_picked_by_frequency_is_refused():
    x = some((2, 5), 0)
    with pytest.raises(UnsupportedOperationError, match="mode"):
        rescaled(lambda v: v.mode(-1).values, (x,), (x,))


COMPLEX = {
    "abs": torch.abs,
    "square": lambda z: torch.view_as_real(z.square()),
    "power": lambda z: torch.view_as_real(z**3),
    "product": lambda z: torch.view_as_real(z * z.roll(1, -1)),
    "own conjugate": lambda z: (z * z.conj()).real,
    "matmul": lambda z: torch.view_as_real(z @ z.mT.conj()),
    "quotient": lambda z: torch.view_as_real(z / (z.roll(1, -1) + 3)),
    "tanh": lambda z: torch.view_as_real((0.3 * z).tanh()),
    "exp": lambda z: torch.view_as_real((0.3 * z).exp()),
    "unit": lambda z: torch.view_as_real(z / z.abs()),
    "log of abs": lambda z: (z.abs() + 1e-3).log(),
    "norm": lambda z: torch.linalg.vector_norm(z, dim=-1),
    "var": lambda z: z.var(-1),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", sorted(COMPLEX))
def test_complex_values_are_complete(name, seed):
    def spectrum(x):
        return COMPLEX[name](torch.fft.rfft(x))

    x, base = some((2, 3, 6), seed), some((2, 3, 6), seed + 10)
    assert_complete(spectrum, (x,), (base,))
    base[0] = x[0]
    assert_complete(spectrum, (x,), (base,))
    if name not in ("unit",):
        assert_complete(spectrum, (x,), (torch.zeros_like(x),))
