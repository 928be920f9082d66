"""Composites equal what they are by definition, and their parts a naive sum."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sktrim.propagation import UnsupportedOperationError, contextual_decomposition
from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._method import run
from tests.propagation.parts import BIASES, drawn

SEEDS = [0, 1]


def parts_of(f, x, rel, bias):
    out, rest = contextual_decomposition(f, x, rel, bias=bias)
    torch.testing.assert_close(out + rest, f(x))
    return out


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("size", [2, 3])
def test_local_response_norm_divides_by_what_surrounds_the_whole(size, bias, seed):
    x, rel = drawn(2, 5, 3, 3, seed=seed), drawn(2, 5, 3, 3, seed=seed + 10)
    expected = np.empty(x.shape)
    for n, c, i, j in np.ndindex(*x.shape):
        near = x[n, max(0, c - size // 2) : c + (size - 1) // 2 + 1, i, j]
        response = (1.2 + 0.4 * (near**2).sum().item() / size) ** 0.7
        expected[n, c, i, j] = rel[n, c, i, j].item() / response
    found = parts_of(
        lambda x: F.local_response_norm(x, size, 0.4, 0.7, 1.2), x, rel, bias
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bias", BIASES)
def test_cosine_similarity_splits_the_product_of_directions(bias, seed):
    x, rel = drawn(3, 2, 5, seed=seed), drawn(3, 2, 5, seed=seed + 10)
    expected = np.zeros(3)
    for n in range(3):
        (a, b), (p, q) = x[n].numpy(), rel[n].numpy()
        lengths = np.sqrt(a @ a) * np.sqrt(b @ b)
        expected[n] = 0.5 * (p @ b + a @ q) / lengths
    found = parts_of(
        lambda x: F.cosine_similarity(x[:, 0], x[:, 1], dim=1), x, rel, bias
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("prototypes_first", [False, True])
def test_cosine_similarity_to_constants_is_linear_in_the_parts(prototypes_first):
    x, rel, prototypes = drawn(3, 5), drawn(3, 5, seed=1), drawn(4, 5, seed=2)

    def similar(x):
        pair = x[:, None], prototypes
        return torch.cosine_similarity(*pair[:: -1 if prototypes_first else 1], dim=-1)

    directions = prototypes / prototypes.square().sum(1, keepdim=True).sqrt()
    expected = rel @ directions.T / x.square().sum(1, keepdim=True).sqrt()
    for bias in BIASES:
        torch.testing.assert_close(parts_of(similar, x, rel, bias), expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("stride", [None, 1])
def test_power_pooling_shares_the_root_as_the_sum_of_squares_is_split(
    stride, bias, seed
):
    x, rel = drawn(2, 3, 5, 4, seed=seed), drawn(2, 3, 5, 4, seed=seed + 10)
    whole = F.lp_pool2d(x, 2, (2, 3), stride)
    step = stride or np.array([2, 3])
    expected = np.empty(whole.shape)
    for n, c, i, j in np.ndindex(*whole.shape):
        top, left = step * np.array([i, j])
        at = (n, c, slice(top, top + 2), slice(left, left + 3))
        v, p = x[at].numpy(), rel[at].numpy()
        part = (p * v).sum()  # 1/2 [p^2 + v^2 - (v - p)^2]
        rest = (v * v).sum() - part
        expected[n, c, i, j] = (
            abs(part) / (abs(part) + abs(rest)) * (v * v).sum() ** 0.5
        )
    found = parts_of(lambda x: F.lp_pool2d(x, 2, (2, 3), stride), x, rel, bias)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


COMPOSITES = {
    "response": lambda x: F.local_response_norm(x, 2, 0.5),
    "response of a line": lambda x: F.local_response_norm(x.flatten(2), size=3, k=2),
    "cosine": lambda x: F.cosine_similarity(x, x.sin().flip(1), dim=1),
    "line": lambda x: F.lp_pool1d(x[:, 0], 4, 2),
    "plane": lambda x: F.lp_pool2d(x.abs(), 1.5, (2, 3), ceil_mode=True),
    "three factors": lambda x: torch.einsum("nabc,nab,nc->nb", *three(x)),
    "hyper": lambda x: F.linear(x[:, 0, 0], x[0, 1].tanh(), x[0, 2, 0]),
    "volume": lambda x: F.lp_pool3d(x[:, None], 2, 2, stride=1),
}


@pytest.mark.parametrize("name", sorted(COMPOSITES))
def test_deeplift_of_composites_is_complete(name):
    f, x, base = COMPOSITES[name], drawn(2, 4, 4, 4), drawn(2, 4, 4, 4, seed=1)
    base[0, :, :2] = 0
    leaf = x.clone().requires_grad_()
    out: torch.Tensor = run(f, DeepLiftRescale().enter(leaf, base)).full
    weights = drawn(*out.shape, seed=2)
    (slope,) = torch.autograd.grad((weights * out).sum(), leaf)
    gap = (weights * (f(x) - f(base))).sum()
    torch.testing.assert_close((slope * (x - base)).sum(), gap)


def three(x):
    return x, x[..., 0].sin(), x[:, 0, 0].cos()


CHAINS = {
    "nabc,nab,nc->nb": lambda a, b, c: ((a * b[..., None]).sum(1) * c[:, None]).sum(2),
    "nabc, nab, nc -> nabc": lambda a, b, c: a * b[..., None] * c[:, None, None],
    "...abc,...ab,...c->...": lambda a, b, c: ((a * b[..., None]).sum((1, 2)) * c).sum(
        1
    ),
}


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("equation", sorted(CHAINS))
def test_many_factors_are_multiplied_one_after_the_other(equation, listed, bias):
    x, rel = drawn(2, 3, 4, 5), drawn(2, 3, 4, 5, seed=1)

    def product(x):
        factors = three(x)
        return torch.einsum(equation, *([factors] if listed else factors))

    found = parts_of(product, x, rel, bias)
    expected = parts_of(lambda x: CHAINS[equation](*three(x)), x, rel, bias)
    torch.testing.assert_close(found, expected)


def test_many_factors_in_an_equation_without_an_arrow_are_refused():
    x = drawn(2, 3, 3)
    with pytest.raises(UnsupportedOperationError, match="more than two"):
        contextual_decomposition(lambda x: torch.einsum("nab,nbc,ncd", x, x, x), x, x)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("varies", ["all", "weight", "bias", "one output"])
def test_a_layer_whose_weight_depends_on_the_input_is_a_product(varies, bias):
    x, rel = drawn(1, 4, 4), drawn(1, 4, 4, seed=1)
    constant = drawn(4, 4, seed=2)

    def layer(x, by_hand):
        weight = constant if varies == "bias" else x[0].sin()
        shift = constant[0] if varies == "weight" else x[0, 0].cos()
        weight, shift = (weight[0], None) if varies == "one output" else (weight, shift)
        if not by_hand:
            return F.linear(x[:, 1], weight, shift)
        out = (x[:, 1, None] * weight).sum(-1)
        return out[:, 0] if shift is None else out + shift

    found = parts_of(lambda x: layer(x, False), x, rel, bias)
    expected = parts_of(lambda x: layer(x, True), x, rel, bias)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("nonlinearity", ["relevant", "symmetric"])
@pytest.mark.parametrize("bias", ["channel", "proportional"])
def test_one_row_of_one_token_is_attended_as_among_others(bias, nonlinearity):
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(6, 2, batch_first=True).double().eval()

    def net(x):
        return layer(x, x, x, need_weights=False)[0].flatten(1)

    x = drawn(3, 1, 6)
    options = {"bias": bias, "nonlinearity": nonlinearity}
    part = torch.rand(x.shape, generator=torch.Generator().manual_seed(3)).to(x) * x
    found, _ = contextual_decomposition(net, x, part, **options)
    for i in range(len(x)):
        row = slice(i, i + 1)
        alone, _ = contextual_decomposition(net, x[row], part[row], **options)
        torch.testing.assert_close(alone, found[row])
