"""Results lie in memory as those of a prediction do, whatever the layout of arguments.

Where they do not, a view of torch's is a copy of ours, and a write goes astray.
"""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import (
    Mixtures,
    UnsupportedOperationError,
    contextual_decomposition,
    explained_output,
    windows,
)
from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._lrp_input import AffineInput
from sktrim.propagation.backward._lrp_method import RelevancePropagation
from sktrim.propagation.backward._lrp_rules import named_rule
from sktrim.propagation.backward._lrp_run import run_for_relevance
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import Deconvolution, GuidedBackpropagation
from sktrim.propagation.carrier import Carrier, find_carriers
from sktrim.propagation.decomposition._method import ContextualDecomposition
from sktrim.propagation.passthrough import PassThrough
from tests.propagation.calls import In, arguments, cases, declared, invoke, put

EPSILON = dict.fromkeys(("conv", "linear", "join"), named_rule("epsilon", epsilon=0.0))
METHODS = {
    "cd": lambda: ContextualDecomposition("channel", "relevant", False),
    "deeplift": DeepLiftRescale,
    "lrp": lambda: RelevancePropagation(EPSILON),
    "guided": GuidedBackpropagation,
    "deconvnet": Deconvolution,
    "endings": PassThrough,
}
ORDERS = {
    "as they come": lambda count: list(range(count)),
    "reversed": lambda count: list(range(count))[::-1],
    "channels last": lambda count: [0, *range(2, count), 1][:count],
}


def turned(tensor, order):
    """Return a copy of a tensor with another order of its axes in memory."""
    order = ORDERS[order](tensor.ndim)
    if tensor.ndim < 2 or order == sorted(order):
        return tensor.clone()
    like = torch.empty([tensor.shape[d] for d in order])
    like = like.permute(sorted(range(tensor.ndim), key=order.__getitem__))
    room = torch.empty_strided(tensor.shape, like.stride(), dtype=tensor.dtype)
    return room.copy_(tensor)


def entered(method, tensor):
    floating = tensor.is_floating_point() or tensor.is_complex()
    if isinstance(method, ContextualDecomposition):
        rel = torch.stack([0.3 * tensor, 0.5 * tensor]) if floating else None
        rel = torch.ones(2, *tensor.shape).double() if rel is None else rel
        return Carrier(method, tensor.clone(), rel, -tensor.ndim)
    full = tensor.clone()
    if floating and not isinstance(method, PassThrough):
        full = full.requires_grad_().clone()
    base = 0.9 * tensor if floating else tensor.clone()
    return Carrier(method, full, base if isinstance(method, DeepLiftRescale) else None)


def arguments_of(shape):
    return In.of(torch.randn(shape, generator=torch.Generator().manual_seed(3)))


def strides(tensor):
    return [s for n, s in zip(tensor.shape, tensor.stride(), strict=True) if n > 1]


def plainly(func, name, args, order):
    """Return what torch gives, None where it takes no view of this layout."""
    given = put(args, lambda t: turned(t, order))
    with torch.no_grad():
        try:
            found = invoke(func, name, given)
        except RuntimeError as error:
            if "size is not compatible" in str(error) or "stride 1" in str(error):
                return None
            raise
    return given[0] if name.endswith("__setitem__") else found


def mislaid(method, func, name, args, order, plain):
    """Return the results of a call whose layouts are not torch's."""
    given = put(args, lambda t: entered(method, turned(t, order)))
    with torch.set_grad_enabled(not isinstance(method, ContextualDecomposition)):
        found = invoke(func, name, given)
    found = given[0] if name.endswith("__setitem__") else found
    found = list(find_carriers(list(found) if isinstance(found, tuple) else found))
    wholes = [plain] if isinstance(plain, torch.Tensor) else list(plain)
    wholes = [whole for whole in wholes if isinstance(whole, torch.Tensor)]
    for carrier, whole in zip(found, wholes, strict=False):
        both = [carrier.full]
        if isinstance(method, DeepLiftRescale):
            both.append(carrier.rel)
        for ours in both:
            if strides(ours) != strides(whole):
                yield f"{name}: {ours.stride()}, torch has {whole.stride()}"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("method", METHODS)
def test_every_function(method, order):
    found, seen = [], 0
    for func, dummy, name in (case.values for case in cases()):
        known = declared(func, name)
        if known is None or known.kind == "query":
            continue
        args = arguments(dummy, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = plainly(func, name, args, order)
            if plain is None:
                continue
            try:
                found += mislaid(METHODS[method](), func, name, args, order, plain)
            except UnsupportedOperationError:
                continue
        seen += 1
    assert not found
    assert seen > 200


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("method", METHODS)
def test_pools_of_many_values(method, order, monkeypatch):
    monkeypatch.setattr(windows, "_MANY", 0)
    test_every_pool(method, order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("method", METHODS)
def test_every_pool(method, order):
    for dims in (1, 2, 3):
        shape = (2, 3, 6, 5, 4)[: dims + 2]
        given = (arguments_of(shape), 2)
        for name in (f"max_pool{dims}d", f"adaptive_max_pool{dims}d"):
            func = getattr(F, name)
            plain = plainly(func, name, given, order)
            assert not list(mislaid(METHODS[method](), func, name, given, order, plain))


def test_pools_that_record_gradients():
    x = turned(torch.randn(2, 3, 6, 5).double(), "channels last").requires_grad_()
    method = ContextualDecomposition("context", "relevant", False)
    found = F.max_pool2d(Carrier(method, x, 0.5 * x[None], -4), 2).full
    assert strides(found) == strides(F.max_pool2d(x, 2))


def outputs(f, x):
    """Return what every method takes the output of a function to be, by its name."""
    whole, rest = contextual_decomposition(f, x, x)
    found = {"cd": whole + rest}
    for name, make in METHODS.items():
        if name in ("deeplift", "guided", "deconvnet"):
            method, leaf = make(), x.clone().requires_grad_()
            base = 0.5 * x if name == "deeplift" else None
            out = run(f, method.enter(leaf, base))
            found[name] = out.full.detach()
            if base is not None:
                found["baseline"] = out.rel
    point, twin, leaf = (x.clone().requires_grad_() for _ in range(3))
    affine = AffineInput(
        twin, True, leaf.flatten(1), lambda s: s.unflatten(-1, x.shape[1:])
    )
    found["lrp"] = run_for_relevance(METHODS["lrp"](), f, point, affine).full.detach()
    found["endings"] = explained_output(f, x.clone().requires_grad_())[0].detach()
    signals, weights = torch.stack([x, 2 * x]), torch.eye(2).double()
    found["mixtures"] = Mixtures(signals).run(f, f, weights)
    return found


def assert_as_predicted(f, x):
    inputs = {"baseline": 0.5 * x, "mixtures": torch.cat([x, 2 * x])}
    for name, found in outputs(f, x).items():
        with torch.no_grad():
            expected = f(inputs.get(name, x).clone())
        torch.testing.assert_close(found, expected, msg=lambda m, n=name: f"{n}: {m}")


def heads(seed=0, size=4, count=2, **options):
    torch.manual_seed(seed)
    layer = nn.MultiheadAttention(size, count, **options)
    return layer.double().eval().requires_grad_(False)


WRITES = {
    "through flatten": lambda h: h.flatten(1).mul_(-0.7),
    "through a turned view": lambda h: h.flatten(1).transpose(0, 1).relu_(),
    "through reshape": lambda h: h.reshape(-1, h.shape[-1])[:, 0].sigmoid_(),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "options",
    [
        {"batch_first": True},
        {"batch_first": False},
        {"batch_first": True, "bias": False},
        {"batch_first": True, "count": 1},
        {"batch_first": True, "add_zero_attn": False, "kdim": 4, "vdim": 4},
    ],
)
def test_writes_behind_attention(options, write):
    layer = heads(**options)

    def f(x):
        h = layer(x, x, x, need_weights=False)[0]
        WRITES[write](h)
        return h.reshape(len(x), -1) * 1.5

    for n_rows in (1, 3):
        assert_as_predicted(f, torch.randn(n_rows, 2, 4).double())


def test_writes_behind_attention_to_others():
    layer = heads(batch_first=True)

    def f(x):
        h, weights = layer(x, x[:, :2], x[:, :2])
        h.flatten(1).mul_(-0.7)
        return torch.cat([h.reshape(len(x), -1), weights.reshape(len(x), -1)], 1)

    assert_as_predicted(f, torch.randn(3, 3, 4).double())


def test_attention_called_as_a_function():
    layer = heads(batch_first=True)

    def f(x):
        t = x.transpose(0, 1)
        weights = layer.in_proj_weight, layer.in_proj_bias
        out = (None, None, False, 0.0, layer.out_proj.weight, layer.out_proj.bias)
        h = F.multi_head_attention_forward(t, t, t, 4, 2, *weights, *out, False)[0]
        h = h.transpose(0, 1)
        h.flatten(1).mul_(-0.7)
        return h.reshape(len(x), -1) * 1.5

    assert_as_predicted(f, torch.randn(3, 2, 4).double())


def test_views_behind_attention_of_four_axes():
    w = torch.randn(12, 4).double()

    def f(x):
        qkv = F.linear(x, w).unflatten(-1, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(*qkv)
        return h.transpose(1, 2).view(len(x), -1)

    assert_as_predicted(f, torch.randn(3, 5, 4).double())


def test_what_is_written_in_place_lies_as_before():
    def f(x):
        h = x.transpose(1, 2) * 1.5
        h.masked_fill_(torch.arange(3) == 1, 0.2)
        h.contiguous().add_(0.3)
        g = x.transpose(1, 2).tanh()
        g.cumsum_(1)
        g.reshape(len(x), -1).mul_(2)
        return torch.cat([h.flatten(1), g.flatten(1)], 1)

    for n_rows in (1, 3):
        assert_as_predicted(f, torch.randn(n_rows, 3, 4).double())


@pytest.mark.parametrize("name", ["transpose_", "swapaxes_"])
def test_turning_in_place_writes_nothing(name):
    def f(x):
        h = x[:, 1:] * 1.5
        view = h[:, 1:]
        getattr(h, name)(1, 2)
        h.flatten(1).mul_(-0.7)
        return torch.cat([h.flatten(1), view.flatten(1)], 1)

    assert_as_predicted(f, torch.randn(2, 4, 3).double())


def test_a_baseline_that_lies_otherwise():
    def f(x):
        x.reshape(len(x), -1)[:, 1].mul_(3)
        return x.flatten(1) * 1.5

    x = turned(torch.randn(2, 3, 4).double(), "channels last")
    base = torch.randn(2, 3, 4).double()
    out = run(f, DeepLiftRescale().enter(x.clone().requires_grad_(), base))
    torch.testing.assert_close(out.rel, f(turned(base, "channels last")))


@pytest.mark.parametrize("n_rows", [1, 2])
def test_gradients_of_complex_values_seen_as_pairs(n_rows):
    def f(x):
        pairs = torch.view_as_real(torch.fft.fft(x))
        inner = torch.view_as_real(torch.complex(x[:, :3], x[:, 3:6]))
        joined = (x, pairs.flatten(1), inner.flatten(1))
        return torch.cat([v.reshape(len(v), -1) for v in joined], 1)

    x = torch.randn(n_rows, 7).double()
    scale = 1 + torch.arange(27).double()
    leaf = x.clone().requires_grad_()
    # plain autograd fails for one row: torch cannot see an odd part as complex
    rows = [leaf.detach()[[i, i]].requires_grad_() for i in range(n_rows)]
    expected = torch.cat(
        [torch.autograd.grad((f(r) * scale).sum(), r)[0][:1] for r in rows]
    )
    outs = [run(f, GuidedBackpropagation().enter(leaf)).full]
    outs.append(run(f, DeepLiftRescale().enter(leaf, 0 * x)).full)
    outs.append(explained_output(f, leaf)[0])
    whole, rest = contextual_decomposition(f, leaf, leaf)
    outs.append(whole + rest)
    for out in outs:
        found = torch.autograd.grad((out * scale).sum(), leaf)[0]
        torch.testing.assert_close(found, expected)
    twin, side = (x.clone().requires_grad_() for _ in range(2))
    raw = AffineInput(twin, True, side.flatten(1), lambda s: s)
    out = run_for_relevance(METHODS["lrp"](), f, leaf, raw).full
    parts = torch.autograd.grad((out * scale).sum(), (leaf, twin), allow_unused=True)
    found = sum(p for p in parts if p is not None)
    assert found.isfinite().all()
