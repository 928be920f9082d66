"""Relevance through sums, complex values, batch norm on other axes, small values."""

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import CosineTransformer, transform_importance
from sktrim.propagation import UnsupportedOperationError
from sktrim.scorers import LRPAlphaBeta, LRPComposite, LRPEpsilon
from tests.nets import linear_net, mlp, seeded

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


class OnOtherAxes(nn.Module):
    """A linear layer on the last axis, batch norm on the one before."""

    def __init__(self, spelled):
        super().__init__()
        self.first, self.norm = nn.Linear(5, 4), nn.BatchNorm1d(4)
        self.last, self.spelled = nn.Linear(16, 2), spelled
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        h, norm = self.first(x), self.norm
        if self.spelled:
            scale = torch.rsqrt(norm.running_var + norm.eps)[:, None]
            h = (h - norm.running_mean[:, None]) * scale
        else:
            h = norm(h)
        return self.last(torch.relu(h).flatten(1))


@pytest.mark.parametrize("scorer", [LRPEpsilon(1e-9), LRPAlphaBeta(), LRPComposite()])
def test_batch_norm_on_another_axis_than_the_channels(scorer):
    X = np.random.default_rng(0).standard_normal((3, 4, 5))
    found, expected = (
        transform_importance(
            seeded(lambda s=spelled: OnOtherAxes(s)).double().eval(), X, scorer=scorer
        ).values
        for spelled in (False, True)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def rfft(h):
    return torch.fft.rfft(h)


COMPLEX = {
    "conj": lambda h: rfft(h).conj().imag,
    "resolved": lambda h: rfft(h).conj().resolve_conj().imag,
    "twice": lambda h: rfft(h).conj().conj().imag,
    "adjoint": lambda h: rfft(h)[:, None].mH.resolve_conj().squeeze(-1).imag,
    "negative": lambda h: -rfft(h).conj().imag,
    "filtered": lambda h: torch.fft.irfft(rfft(h).conj() * (1 + 2j), 8),
    "sum": lambda h: (rfft(h) + 1j * rfft(h).conj()).imag,
    "cat": lambda h: torch.cat([rfft(h), rfft(h).conj() * 2j], 1).imag,
    "stack": lambda h: torch.stack([rfft(h), rfft(h) * 2j], 1).flatten(1).imag,
    "where": lambda h: torch.where(
        torch.arange(h.shape[1] // 2 + 1) > 2, rfft(h), 0
    ).imag,
    "pairs": lambda h: torch.view_as_complex(h.unflatten(1, (-1, 2))).conj().imag,
}  # fmt: skip


class Complex(nn.Module):
    """Linear, with complex values behind a first layer or at once."""

    def __init__(self, name, hidden):
        super().__init__()
        self.first = nn.Linear(12, 8) if hidden else nn.Identity()
        self.last, self.step = nn.LazyLinear(2), COMPLEX[name]
        self(torch.zeros(2, 12))

    def forward(self, x):
        return self.last(self.step(self.first(x)))


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("name", sorted(COMPLEX))
def test_parts_of_complex_values_keep_their_own_relevance(name, hidden):
    """Without epsilon and nonlinearities it is input times gradient."""
    X = np.random.default_rng(0).standard_normal((4, 12))
    net = seeded(lambda: Complex(name, hidden)).double().eval()
    found, expected = (
        transform_importance(net, X, scorer=scorer, target=1, output="raw").values
        for scorer in (LRPEpsilon(0), "input_x_gradient")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


class Bare(nn.Module):
    """What is asked for behind a linear layer."""

    def __init__(self, step):
        super().__init__()
        self.first, self.last, self.step = nn.Linear(4, 6), nn.Linear(6, 2), step

    def forward(self, x):
        return self.last(self.step(self.first(x)))


def written_conjugate(h):
    z = torch.complex(h, h)
    turned = z.conj()
    z *= 2
    return turned.real


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda h: h.div(2, rounding_mode="floor"), "rounding"),
        (lambda h: torch.div(h, torch.full((6,), 2.0), rounding_mode="trunc"), "round"),
        (written_conjugate, "conjugated"),
    ],
)
def test_what_is_refused_behind_a_layer(step, message):
    with pytest.raises(UnsupportedOperationError, match=message):
        transform_importance(
            Bare(step).eval(), np.ones((2, 4), "f4"), scorer="lrp_gamma"
        )


class Homogeneous(nn.Module):
    """Scales as its input does: no bias, ReLU, sums, means, pools."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3, padding=1, bias=False)
        self.mix = nn.Linear(6, 6, bias=False)
        self.last = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        h = torch.relu(self.conv(x[:, None]))
        h = nn.functional.avg_pool1d(h, 2)
        h = h - 0.5 * torch.relu(self.mix(h))
        return self.last(h.mean(2))


@pytest.mark.parametrize(
    "scorer",
    [
        LRPEpsilon(0.1, relative=True),
        LRPComposite(),
        LRPComposite({"conv": "z_plus", "linear": "epsilon"}),
    ],
)
def test_a_signal_in_other_units_is_explained_alike(scorer):
    X = np.random.default_rng(0).standard_normal((4, 12))
    net = seeded(Homogeneous).double().eval()
    options = {"scorer": scorer, "target": 1, "output": "raw"}
    whole, small = (
        transform_importance(net, X * factor, **options).values for factor in (1, 1e-9)
    )
    np.testing.assert_allclose(small * 1e9, whole, rtol=1e-6, atol=1e-12)


def test_an_epsilon_that_takes_the_relevance_is_told():
    X = np.random.default_rng(0).standard_normal((4, 12))
    net = seeded(Homogeneous).double().eval()
    with pytest.warns(UserWarning, match=r"epsilon takes up to 100 %.*relative=True"):
        found = transform_importance(net, X * 1e-9, scorer="lrp_epsilon")
    assert (np.abs(found.metadata["conservation"]) < 1e-3).all()


@pytest.mark.parametrize("scorer", [LRPEpsilon(0.1), LRPComposite(), "lrp_flat"])
def test_conservation_is_the_sum_over_the_start(scorer):
    X = np.random.default_rng(0).standard_normal((4, 12))
    found = transform_importance(mlp(), X, scorer=scorer, target=1, output="logit")
    expected = found.values.sum(1) / found.explained
    np.testing.assert_allclose(found.metadata["conservation"], expected)


class First(nn.Module):
    """Something before the first layer, which sees rows of six values."""

    def __init__(self, before):
        super().__init__()
        self.before, self.layer = before, linear_net([1.0, -2, 0.5, 1, -1, 2])

    def forward(self, x):
        h = self.before(x)
        return torch.tanh(self.layer(h)).reshape(len(x), -1)


BEFORE = {
    "rows split": lambda x: (2 * x).reshape(-1, 6),
    "a mask for each sample": lambda x: x.reshape(-1, 2, 6) * (x > 0).view(-1, 2, 6),
}


COSINES = CosineTransformer().fit(np.zeros((2, 12)))


@pytest.mark.parametrize("space", [None, COSINES])
@pytest.mark.parametrize("residual", ["constant", "component"])
@pytest.mark.parametrize("name", sorted(BEFORE))
def test_samples_have_maps_of_their_own_to_the_first_layer(name, residual, space):
    X = np.random.default_rng(0).standard_normal((3, 12))
    net = First(BEFORE[name]).double().eval()

    def explained(rows):
        return transform_importance(
            net, rows, transformer=space, scorer=LRPAlphaBeta(), residual=residual,
            groups="coefficients", target=0, output="raw",
        ).values  # fmt: skip

    together = explained(X)
    alone = np.concatenate([explained(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)
    assert np.abs(together).sum() > 0


def test_samples_that_are_not_first_are_refused_by_signed_rules():
    X = np.random.default_rng(0).standard_normal((2, 12))

    def turned(x):
        return (2 * x).reshape(-1, 2, 6).transpose(0, 1).contiguous()

    class Turned(First):
        def forward(self, x):
            return self.layer(self.before(x)).transpose(0, 1).reshape(len(x), -1)

    net = Turned(turned).double().eval()
    with pytest.raises(UnsupportedOperationError, match="not first"):
        transform_importance(net, X, scorer=LRPAlphaBeta(), target=0, output="raw")
    found = transform_importance(net, X, scorer=LRPEpsilon(0), target=0, output="raw")
    assert np.isfinite(found.values).all()


def test_answers_are_added_as_ones_and_zeros():
    """RecurrentGemma adds what is or is not the start of a sequence."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 3).double().requires_grad_(False)
    first = torch.tensor([True, False, True])

    def net(number):
        return nn.Sequential(layer, Added(number)).eval()

    x = torch.randn(2, 4, dtype=torch.float64).numpy()
    options = {"scorer": LRPEpsilon(0.01), "target": 0, "output": "raw"}
    found = transform_importance(net(first), x, **options)
    expected = transform_importance(net(first.double()), x, **options)
    np.testing.assert_allclose(found.values, expected.values)


class Added(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x):
        x = x.tanh()
        return (self.number + ~(self.number > 0.5) * x).relu() + x
