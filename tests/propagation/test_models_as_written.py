"""Models as people write them: masks, empty batches and other spellings."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import UnsupportedOperationError, contextual_decomposition
from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._lrp_input import AffineInput
from sktrim.propagation.backward._lrp_method import RelevancePropagation
from sktrim.propagation.backward._lrp_rules import RULES
from sktrim.propagation.backward._lrp_values import relevance_of
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import Deconvolution, GuidedBackpropagation
from tests.propagation.parts import BIASES, decomposed, drawn


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("recorded", [False, True])
def test_an_expert_that_gets_no_rows(bias, recorded, partition):
    """A mixture of experts hands every expert the rows that chose it, maybe none."""
    layer = nn.Sequential(
        nn.Linear(6, 6), nn.GroupNorm(2, 6), nn.Sigmoid(), nn.Softmax(1)
    )
    layer = layer.double().eval()
    x = drawn(3, 6)
    rel = 0.3 * x[None]

    def experts(x):
        h = torch.cos(layer(x))
        none = h[torch.zeros(len(h), dtype=torch.bool)]
        return h + layer(none).sum(0)

    with torch.set_grad_enabled(recorded):
        options = {"bias": bias, "partition": partition}
        found, _ = contextual_decomposition(experts, x, rel, **options)
        expected, _ = contextual_decomposition(
            lambda x: torch.cos(layer(x)), x, rel, **options
        )
    torch.testing.assert_close(found, expected)


def test_deeplift_of_an_empty_group_norm():
    x, base = drawn(3, 6), drawn(3, 6, seed=1).requires_grad_()
    norm = nn.GroupNorm(2, 6).double()
    out = run(lambda x: x + norm(x[:0]).sum(0), DeepLiftRescale().enter(base, x)).full
    torch.testing.assert_close(out, base)


def masked_by(number, x, fills):
    """Causal attention, its mask as libraries write it."""
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    scores = x @ x.mT
    if fills:
        scores = scores.masked_fill(later, number)
    else:
        scores = scores + torch.zeros(5, 5).double().masked_fill(later, number)
    return (scores.softmax(-1) @ x).flatten(1)


@pytest.mark.parametrize("options", [{}, {"nonlinearity": "symmetric"}])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("fills", [False, True])
@pytest.mark.parametrize("number", [-1e9, torch.finfo(torch.float64).min])
def test_what_a_large_number_masks_is_masked_as_by_infinity(
    number, fills, bias, options
):
    x = drawn(2, 5, 4)
    found = decomposed(lambda x: masked_by(number, x, fills), x, bias=bias, **options)
    expected = decomposed(
        lambda x: masked_by(-torch.inf, x, fills), x, bias=bias, **options
    )
    torch.testing.assert_close(found, expected)


RELUS = {
    "clamp": lambda x: x.clamp(min=0),
    "clip": lambda x: torch.clip(x, 0),
    "clamp in place": lambda x: x.clone().clamp_(0, None),
    "clamp_min": lambda x: torch.clamp_min(x, 0.0),
    "threshold": lambda x: F.threshold(x, 0, 0),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, torch.inf),
}
RELU6S = {
    "module": nn.ReLU6(),
    "in place": lambda x: nn.ReLU6(inplace=True)(1 * x),
    "clamp": lambda x: x.clamp(0, max=6),
}
SPELLINGS = [(f, F.relu) for f in RELUS.values()]
SPELLINGS += [(f, F.relu6) for f in RELU6S.values()]


@pytest.mark.parametrize(
    ("spelling", "relu"), SPELLINGS, ids=[*RELUS, *(f"6 {k}" for k in RELU6S)]
)
def test_every_spelling_of_relu_is_relu(spelling, relu):
    x, weight = 3 * drawn(3, 6), drawn(6, 6, seed=1)
    for bias in BIASES:
        found = decomposed(lambda x: spelling(x @ weight), x, bias=bias)
        expected = decomposed(lambda x: relu(x @ weight), x, bias=bias)
        torch.testing.assert_close(found, expected)
    for method in (GuidedBackpropagation, Deconvolution):
        found, expected = (
            gradient(method(), lambda x, f=f: f(x @ weight).sin(), x)
            for f in (spelling, relu)
        )
        torch.testing.assert_close(found, expected)


def test_bounds_of_other_functions_are_no_relu():
    x = drawn(3, 6)
    for f in (F.hardtanh, lambda x: x.clamp(-0.5, 1), lambda x: x.clamp_min(0.5)):
        plain = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(f(plain).sin().sum(), plain)
        found = gradient(GuidedBackpropagation(), lambda x, f=f: f(x).sin(), x)
        torch.testing.assert_close(found, expected)


def gradient(method, f, x):
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(run(f, method.enter(leaf)).full.sum(), leaf)[0]


def test_a_gradient_inside_a_model_is_refused():
    """It is no operation of the model's path: its result would count as constant."""
    weight = drawn(4, 4)

    def force(x):
        with torch.enable_grad():
            (slope,) = torch.autograd.grad((x @ weight).tanh().sum(), x)
        return x - slope

    with pytest.raises(UnsupportedOperationError, match="grad has no rule"):
        contextual_decomposition(force, drawn(2, 4).requires_grad_(), drawn(2, 4))


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_to_single(dtype, bias):
    narrow = small_network(dtype)
    wide = small_network(dtype).float()
    x = drawn(3, 8).to(dtype)
    rel = x * (torch.arange(8) % 2)
    with torch.no_grad():
        found, _ = contextual_decomposition(narrow, x, rel, bias=bias)
        expected, _ = contextual_decomposition(wide, x.float(), rel.float(), bias=bias)
    error = (found.float() - expected).abs().max() / wide(x.float()).abs().max()
    assert error < 0.05


def small_network(dtype):
    layers = nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()
    net = nn.Sequential(*layers, nn.Linear(16, 3)).eval()
    generator = torch.Generator().manual_seed(2)
    for p in net.parameters():
        nn.init.normal_(p, std=0.4, generator=generator)
    return net.to(dtype)


@pytest.mark.parametrize("rule", ["alpha_beta", "flat", "gamma", "w_square", "z_plus"])
def test_relevance_under_autocast(rule):
    net = small_network(torch.float32)
    x = drawn(3, 8).float()

    def cast(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return net(x)

    found, expected = (
        relevance(f, x, {"conv": RULES[rule], "linear": RULES[rule]})
        for f in (cast, net)
    )
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


def relevance(f, x, rules):
    method = RelevancePropagation({**rules, "join": RULES["epsilon"]})
    leaf, twin, s = (x.clone().requires_grad_() for _ in range(3))
    affine = AffineInput(twin, True, s, lambda s: s)
    out = relevance_of(method, run(f, method.enter(leaf, affine)))
    parts = torch.autograd.grad(out.sum(), (leaf, twin), allow_unused=True)
    ratio, own = (torch.zeros_like(x) if p is None else p for p in parts)
    return ratio * x + own


def test_values_are_printed_in_a_format():
    seen = []

    def logged(x):
        seen.append(f"{x.mean():.3f} of {x.sum():8.2e}")
        return 2 * x

    x = drawn(2, 3)
    contextual_decomposition(logged, x, x)
    logged(x)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("method", [GuidedBackpropagation, Deconvolution])
def test_filling_an_empty_tensor_is_refused_with_the_way_out(method):
    def flow(x):
        out = torch.empty_like(x)
        out[:, ::2] = x[:, 1::2]
        return out

    x = drawn(2, 4)
    with pytest.raises(UnsupportedOperationError, match="stack"):
        contextual_decomposition(flow, x, x)
    with pytest.raises(UnsupportedOperationError, match="stack"):
        run(flow, method().enter(x))


def test_models_that_ask_whether_they_were_given_a_tensor_take_their_usual_branch():
    def strict(x):
        assert torch.is_tensor(x)
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"expected a Tensor, got {type(x)}")
        return 2 * x

    def doubling(x):
        return x * 2 if isinstance(x, torch.Tensor) else x

    x = drawn(2, 3)
    rel = x * (torch.arange(3) > 0)
    for model in (strict, doubling):
        out, rest = contextual_decomposition(model, x, rel)
        torch.testing.assert_close(out, 2 * rel)
        torch.testing.assert_close(out + rest, 2 * x)
