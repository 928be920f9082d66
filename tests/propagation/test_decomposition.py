"""What holds for contextual decomposition of every network."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import (
    UnsupportedOperationError,
    contextual_decomposition,
    explained_output,
)
from tests import zoo

BIASES = ("channel", "proportional", "context")
RULES = ("relevant", "symmetric")


def logits(net, x):
    with torch.no_grad():
        return explained_output(net, x)[0]


@pytest.mark.parametrize("nonlinearity", RULES)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", zoo.NETS)
def test_parts_sum_to_the_output(name, bias, nonlinearity):
    net, x = zoo.build(name), zoo.inputs(name)
    rel, irrel = contextual_decomposition(
        net, x, zoo.parts(x), bias=bias, nonlinearity=nonlinearity
    )
    f = logits(net, x)
    torch.testing.assert_close(rel + irrel, f.expand_as(rel), rtol=0, atol=1e-10)
    assert rel.shape == (3, *f.shape)
    assert (rel - f).abs().max() > 1e-3


@pytest.mark.parametrize("nonlinearity", RULES)
@pytest.mark.parametrize("bias", ["channel", "proportional"])
@pytest.mark.parametrize("name", zoo.NETS)
def test_full_mask_gives_the_output_and_empty_mask_nothing(name, bias, nonlinearity):
    net, x = zoo.build(name), zoo.inputs(name)
    options = {"bias": bias, "nonlinearity": nonlinearity}
    every = [torch.ones_like(p[:1]) for p in as_tuple(zoo.parts(x, 1))]
    whole = tuple(
        one if not v.is_floating_point() else v[None]
        for one, v in zip(every, as_tuple(x), strict=True)
    )
    rel = tuple(torch.cat([part, 0 * part]) for part in whole)
    out, _ = contextual_decomposition(net, as_tuple(x), rel, **options)
    f = logits(net, x)
    torch.testing.assert_close(out[0], f, rtol=0, atol=1e-10 * f.abs().max().item())
    torch.testing.assert_close(out[1], 0 * f, rtol=0, atol=1e-12)


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", zoo.NETS)
def test_batch_equals_single_and_masks_equal_a_loop(name, bias):
    net, x = zoo.build(name), as_tuple(zoo.inputs(name))
    rel = as_tuple(zoo.parts(x))
    together, _ = contextual_decomposition(net, x, rel, bias=bias)
    for i in range(len(x[0])):
        for k in range(2):
            alone, _ = contextual_decomposition(
                net,
                tuple(v[i : i + 1] for v in x),
                tuple(p[k, i : i + 1] for p in rel),
                bias=bias,
            )
            torch.testing.assert_close(alone[0], together[k, i], rtol=1e-9, atol=1e-11)


def conv_twins():
    """One network in six spellings."""
    conv1, conv2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    bn, fc, relu = nn.BatchNorm2d(4), nn.Linear(64, 3), nn.ReLU()
    modules = nn.ModuleList([conv1, conv2, bn, fc])
    zoo.randomise(modules).double().eval()

    def as_modules(x):
        a = nn.ReLU()(bn(conv1(x)))
        b = nn.ReLU()(torch.add(a, conv2(a)))
        return fc(nn.Flatten()(nn.MaxPool2d(2)(b)))

    def functional(x):
        a = F.relu(
            F.batch_norm(conv1(x), bn.running_mean, bn.running_var, bn.weight, bn.bias)
        )
        b = (a + conv2(a)).relu()
        return F.linear(F.max_pool2d(b, 2).flatten(1), fc.weight, fc.bias)

    def reused(x):
        a = relu(bn(conv1(x)))
        b = relu(conv2(a) + a)
        return fc(F.max_pool2d(b, 2).view(len(x), -1))

    def in_place(x):
        a = bn(conv1(x))
        a.relu_()
        b = conv2(a)
        b += a
        F.relu(b, inplace=True)
        return fc(F.max_pool2d(b, 2).reshape(x.size(0), -1))

    def through_views(x):
        a = bn(conv1(x))
        a.view(-1).relu_()
        b = conv2(a).add_(a)
        nn.ReLU(inplace=True)(b[:, :2])
        b[:, 2:] = F.relu(b[:, 2:])
        return fc(F.max_pool2d(b, 2).flatten(1))

    def torch_names(x):
        h = torch.batch_norm(
            torch.conv2d(x, conv1.weight, conv1.bias, padding=1), bn.weight, bn.bias,
            bn.running_mean, bn.running_var, False, 0.1, bn.eps, True,
        )  # fmt: skip
        a = torch.relu(h)
        b = torch.relu(conv2(a).__radd__(a))
        b = b.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2).max(-1).values
        return torch.addmm(fc.bias, b.flatten(1), fc.weight.t())

    return as_modules, functional, reused, in_place, through_views, torch_names


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", ["channel", "proportional"])
def test_spellings_of_one_network_agree(bias, grad):
    torch.manual_seed(0)
    first, *others = conv_twins()
    x = zoo.inputs("lenet")[..., 8:16, 8:16]
    rel = zoo.parts(x)
    with torch.set_grad_enabled(grad):
        expected, _ = contextual_decomposition(first, x, rel, bias=bias)
        for twin in others:
            out, _ = contextual_decomposition(twin, x, rel, bias=bias)
            torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", ["mlp", "m5", "spectral"])
def test_gradients_are_those_of_finite_differences(name, bias):
    net = zoo.build(name).requires_grad_(False)
    x = torch.randn(2, *zoo.NETS[name][1], dtype=torch.float64)
    rel = zoo.parts(x, 2)

    def f(x, rel):
        return contextual_decomposition(net, x, rel, bias=bias)[0]

    x.requires_grad_(), rel.requires_grad_()
    assert torch.autograd.gradcheck(f, (x, rel), atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("bias", ["channel", "proportional"])
def test_no_nan_gradients_where_everything_is_zero(bias):
    net = zoo.build("lenet")
    x = torch.zeros(2, 1, 28, 28, dtype=torch.float64, requires_grad=True)
    out, _ = contextual_decomposition(net, x, 0.3 * x, bias=bias)
    out.sum().backward()
    assert x.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_parameters_get_gradients_and_a_penalty_trains():
    torch.manual_seed(0)
    net = zoo.build("mlp")
    x = torch.randn(16, 10, dtype=torch.float64)
    rel = x * (torch.arange(10) < 2)
    optimiser = torch.optim.SGD(net.parameters(), 0.05)
    losses = []
    for _ in range(10):
        loss = contextual_decomposition(net, x, rel, bias="channel")[0].square().mean()
        optimiser.zero_grad(), loss.backward(), optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", [n for n in zoo.NETS if n != "two inputs"])
def test_a_partition_sums_to_the_output(name, bias):
    net, x = zoo.build(name), zoo.inputs(name)
    last = torch.arange(x.shape[-1]) % 4
    masks = torch.stack([(last == k).double().expand(x.shape) for k in range(3)])
    rel = masks if not x.is_floating_point() else masks * x
    out, rest = contextual_decomposition(net, x, rel, bias=bias, partition=True)
    f = logits(net, x)
    torch.testing.assert_close(out.sum(0) + rest, f, rtol=0, atol=1e-10)
    if bias != "context":
        every = torch.stack([(last == k).double().expand(x.shape) for k in range(4)])
        rel = every if not x.is_floating_point() else every * x
        out, rest = contextual_decomposition(net, x, rel, bias=bias, partition=True)
        torch.testing.assert_close(out.sum(0), f, rtol=0, atol=1e-10)


@pytest.mark.parametrize("nonlinearity", RULES)
@pytest.mark.parametrize("name", zoo.NETS)
def test_gradients_and_no_gradients_give_the_same(name, nonlinearity):
    net, x = zoo.build(name), zoo.inputs(name)
    rel = zoo.parts(x)
    for bias in BIASES:
        options = {"bias": bias, "nonlinearity": nonlinearity}
        with torch.no_grad():
            quick, _ = contextual_decomposition(net, x, rel, **options)
        slow, _ = contextual_decomposition(net, x, rel, **options)
        torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-11)


def to_float32(value):
    if isinstance(value, tuple):
        return tuple(map(to_float32, value))
    return value.float() if value.is_floating_point() else value


@pytest.mark.parametrize("bias", ["channel", "context"])
@pytest.mark.parametrize("name", zoo.NETS)
def test_single_precision_is_close_to_double(name, bias):
    net, x = zoo.build(name), zoo.inputs(name, 8)
    rel = zoo.parts(x, 4)
    with torch.no_grad():
        out, rest = contextual_decomposition(net, x, rel, bias=bias)
        single = contextual_decomposition(
            copy.deepcopy(net).float(), to_float32(x), to_float32(rel), bias=bias
        )[0]
    f = (out + rest)[0]
    assert (out - single).abs().max() <= 1e-5 * (f.max() - f.min())


def causal_attention(x):
    return F.scaled_dot_product_attention(x, x, x, is_causal=True)


def causal_heads(x):
    weights = torch.ones(12, 4).to(x.device), torch.ones(12).to(x.device)
    out = torch.ones(4, 4).to(x.device), None
    return F.multi_head_attention_forward(
        x, x, x, 4, 2, *weights, None, None, False, 0.0, *out, is_causal=True,
        training=False, need_weights=False,
    )[0]  # fmt: skip


@pytest.fixture
def without_values(monkeypatch):
    """On the meta device there are no values to decide by; other devices mix there."""
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda _: True)
    monkeypatch.setattr(torch.Tensor, "item", lambda _: 0.0)
    monkeypatch.setattr(
        torch.Tensor, "nonzero", lambda v: v.new_empty(0, v.ndim).long()
    )


def to_meta(value):
    if isinstance(value, tuple):
        return tuple(to_meta(v) for v in value)
    return value.to("meta")


@pytest.mark.parametrize("nonlinearity", RULES)
@pytest.mark.parametrize(
    ("bias", "partition"), [("context", False), ("context", True), ("channel", True)]
)
@pytest.mark.parametrize("name", zoo.NETS)
def test_all_constants_are_made_on_the_device_of_the_input(
    name, bias, partition, nonlinearity, without_values
):
    net, x = zoo.build(name), zoo.inputs(name)
    if name in zoo.TOKENS:
        x, net.embed = net.embed(x).detach(), nn.Identity().eval()
    rel = zoo.parts(x)
    with torch.no_grad():
        parts = contextual_decomposition(
            net.to("meta"),
            to_meta(x),
            to_meta(rel),
            bias=bias,
            nonlinearity=nonlinearity,
            partition=partition,
        )
    assert {part.device.type for part in parts} == {"meta"}


@pytest.mark.parametrize("function", [causal_attention, causal_heads])
def test_the_mask_of_causal_attention_is_made_on_the_device(function, without_values):
    x = torch.randn(5, 2, 4, device="meta")
    rel, _ = contextual_decomposition(function, x, x[None])
    assert rel.device.type == "meta"


def test_model_and_arguments_are_bit_identical_afterwards():
    net, x = zoo.build("lenet in place"), zoo.inputs("lenet in place")
    rel = zoo.parts(x)
    before = copy.deepcopy(net.state_dict()), x.clone(), rel.clone()
    state = torch.get_rng_state()
    contextual_decomposition(net, x, rel)
    contextual_decomposition(lambda v: F.relu_(v) + v.zero_(), x, rel)
    assert all(torch.equal(v, before[0][k]) for k, v in net.state_dict().items())
    assert torch.equal(x, before[1])
    assert torch.equal(rel, before[2])
    assert torch.equal(state, torch.get_rng_state())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_twelve_threads_share_one_model():
    net = zoo.build("resnet18")
    x = zoo.inputs("resnet18", 6)
    rel = zoo.parts(x)
    expected, _ = contextual_decomposition(net, x, rel)

    def one(i):
        part = slice(i % 6, i % 6 + 1)
        return contextual_decomposition(net, x[part], rel[:, part])[0]

    with ThreadPoolExecutor(12) as pool:
        for i, out in enumerate(pool.map(one, range(24))):
            alone = expected[:, i % 6 : i % 6 + 1]
            torch.testing.assert_close(out, alone, rtol=1e-9, atol=1e-11)


def test_one_mask_has_no_leading_axis():
    net, x = zoo.build("mlp"), zoo.inputs("mlp")
    rel = zoo.parts(x)
    many, _ = contextual_decomposition(net, x, rel)
    one, rest = contextual_decomposition(net, x, rel[1])
    assert one.shape == rest.shape == (3, 3)
    torch.testing.assert_close(one, many[1])


def test_what_is_random_is_refused_in_training_mode():
    net, x = zoo.build("lenet"), torch.ones(1, 1, 28, 28).double()
    net.drop.train()
    with pytest.raises(UnsupportedOperationError, match="random"):
        contextual_decomposition(net, x, x)
    lstm = nn.LSTM(2, 3, num_layers=2, dropout=0.5)
    with pytest.raises(UnsupportedOperationError, match="random"):
        contextual_decomposition(lstm, torch.ones(1, 4, 2), torch.ones(1, 4, 2))


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.InstanceNorm1d])
def test_training_mode_uses_running_statistics_and_leaves_them(norm):
    torch.manual_seed(0)
    layers = nn.Conv1d(2, 3, 3), norm(3, track_running_stats=True), nn.ReLU()
    net = nn.Sequential(*layers, nn.Dropout(0.0), nn.Flatten(), nn.Linear(9, 2))
    net(torch.randn(8, 2, 5))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x, rel = torch.randn(4, 2, 5), torch.randn(4, 2, 5)
    trained = contextual_decomposition(net, x, rel)
    assert all(part.training for part in net.modules())
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    torch.testing.assert_close(trained, contextual_decomposition(net.eval(), x, rel))


def test_a_norm_without_running_statistics_is_refused_in_training_mode():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=False))
    with pytest.raises(UnsupportedOperationError, match="statistics of the batch"):
        contextual_decomposition(net, torch.ones(4, 2), torch.ones(4, 2))


def test_recurrent_layers_without_dropout_train():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 2)
    lstm = nn.LSTM(2, 3, num_layers=2, batch_first=True)
    trained = contextual_decomposition(lstm, x, x / 2)
    torch.testing.assert_close(trained, contextual_decomposition(lstm.eval(), x, x / 2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_script_and_compiled_modules_are_refused():
    net, x = zoo.build("mlp"), zoo.inputs("mlp")
    traced = torch.jit.trace(net, x)
    with pytest.raises(UnsupportedOperationError, match="TorchScript"):
        contextual_decomposition(traced, x, x)
    with pytest.raises(UnsupportedOperationError, match="_orig_mod"):
        contextual_decomposition(torch.compile(net), x, x)
    with pytest.raises(UnsupportedOperationError, match="TorchScript"):
        contextual_decomposition(nn.Sequential(traced).eval(), x, x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_function_inside_the_model_is_refused():
    x = torch.ones(2, 3)
    scripted = torch.jit.trace(torch.relu, x)
    with pytest.raises(UnsupportedOperationError, match="function that was scripted"):
        contextual_decomposition(lambda v: scripted(v) + 1, x, x)


def test_a_batched_function_inside_the_model_is_refused():
    layer = nn.Linear(4, 3).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    with pytest.raises(UnsupportedOperationError, match="vmap"):
        contextual_decomposition(lambda v: torch.vmap(layer)(v), x, x)


BAD = {
    "shape": (lambda x: x[:, :4], {}, "expected that of x"),
    "dtype": (lambda x: x.float(), {}, "cast one"),
    "bias": (lambda x: x, {"bias": "half"}, "choose one of"),
    "nonlinearity": (lambda x: x, {"nonlinearity": "odd"}, "choose one of"),
    "number": (lambda x: (x, x), {}, "2 parts for 1 inputs"),
    "nothing": (lambda x: (None,), {}, "None for every input"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(case):
    change, options, message = BAD[case]
    net, x = zoo.build("mlp"), zoo.inputs("mlp")
    with pytest.raises(ValueError, match=message):
        contextual_decomposition(net, x, change(x), **options)


def test_output_without_a_decomposed_value_is_an_error():
    x = torch.ones(2, 3)
    with pytest.raises(UnsupportedOperationError, match="no decomposed value"):
        contextual_decomposition(lambda v: torch.ones(2), x, x)
