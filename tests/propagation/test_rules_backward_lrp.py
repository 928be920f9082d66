"""Relevance through additions at indices and through transforms inside a network."""

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import transform_importance
from sktrim.scorers import LRPAlphaBeta, LRPComposite, LRPEpsilon
from tests.nets import linear_net, mlp

ADDITIONS = {
    "index_add": lambda h: h[:, :3].index_add(1, torch.arange(3), h[:, 3:]),
    "scatter_add": lambda h: h[:, :3].scatter_add(
        1, torch.arange(3).expand(len(h), 3), h[:, 3:]
    ),
    "index_put": lambda h: h[:, :3].index_put(
        (torch.arange(len(h))[:, None], torch.arange(3)), h[:, 3:], accumulate=True
    ),
}


class Adding(nn.Module):
    def __init__(self, add):
        super().__init__()
        self.first, self.last = mlp(12, 8, 6), linear_net([1.0, -2.0, 0.5])
        self.add = add

    def forward(self, x):
        return self.last(self.add(self.first(x)))


@pytest.mark.parametrize("scorer", [LRPEpsilon(0.01), LRPAlphaBeta(), LRPComposite()])
@pytest.mark.parametrize("how", sorted(ADDITIONS))
def test_values_that_are_added_share_the_relevance(how, scorer):
    X = np.random.default_rng(0).standard_normal((4, 12))
    plain = Adding(lambda h: h[:, :3] + h[:, 3:]).eval()
    adding = Adding(ADDITIONS[how]).eval()
    found, expected = (
        transform_importance(net, X, scorer=scorer).values for net in (adding, plain)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


class Spectral(nn.Module):
    """A Fourier transform inside, complex or written out in real numbers."""

    def __init__(self, is_complex):
        super().__init__()
        self.first, self.last = mlp(12, 8, 6), linear_net([1.0, -2, 0.5, 1, -1, 2])
        self.is_complex = is_complex

    def forward(self, x):
        h, factor = torch.relu(self.first(x)), 0.5 + 2j
        if self.is_complex:
            return self.last(torch.fft.irfft(torch.fft.rfft(h) * factor, 6))
        forth = torch.fft.rfft(torch.eye(6, dtype=h.dtype))
        back = torch.view_as_real(torch.eye(4, dtype=forth.dtype) * factor)
        h = h @ torch.cat([forth.real, forth.imag], 1)
        turned = torch.cat([back, torch.stack([-back[..., 1], back[..., 0]], -1)])
        h = h @ torch.cat([turned[..., 0], turned[..., 1]], 1)
        unit = torch.eye(4, dtype=forth.dtype)
        synthesis = torch.cat([torch.fft.irfft(unit, 6), torch.fft.irfft(1j * unit, 6)])
        return self.last(h @ synthesis)


def test_complex_values_are_pairs_of_real_ones():
    X = np.random.default_rng(0).standard_normal((4, 12))
    found, expected = (
        transform_importance(Spectral(kind).eval(), X, scorer=LRPEpsilon(1e-9)).values
        for kind in (True, False)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


class Coupled(nn.Module):
    """Half of the features is added to the other, in place or not."""

    def __init__(self, in_place):
        super().__init__()
        self.first, self.last = mlp(12, 8, 6), linear_net([1.0, -2, 0.5, 1, -1, 2])
        self.in_place = in_place

    def forward(self, x):
        h = torch.relu(self.first(x))
        if self.in_place:
            h[:, :3] += h[:, 3:]
            return self.last(h)
        return self.last(torch.cat([h[:, :3] + h[:, 3:], h[:, 3:]], 1))


@pytest.mark.parametrize("scorer", [LRPEpsilon(0.01), LRPAlphaBeta(), LRPComposite()])
def test_a_part_is_added_to_another_of_the_same_storage(scorer):
    X = np.random.default_rng(0).standard_normal((4, 12))
    found, expected = (
        transform_importance(Coupled(kind).eval(), X, scorer=scorer).values
        for kind in (True, False)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
