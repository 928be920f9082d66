"""Rules of modified backpropagation, each complete or conserving by itself."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sktrim.propagation import UnsupportedOperationError, explained_output
from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._gaps import completeness_gaps
from sktrim.propagation.backward._lrp_rules import (
    RULES,
    AffineMap,
    alpha_beta,
    named_rule,
    share_out,
)
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import Deconvolution, GuidedBackpropagation
from tests import zoo
from tests.propagation.multipliers import assert_complete, rescaled, some

SIGNALS = [name for name in zoo.NETS if name not in zoo.TOKENS]


@pytest.mark.parametrize("name", SIGNALS)
def test_deeplift_is_complete_on_every_kind_of_network(name):
    net, x = zoo.build(name), zoo.inputs(name)
    x = x if isinstance(x, tuple) else (x,)
    base = tuple(some(v.shape, 7) for v in x)

    def plain(*values):
        carried = any(not isinstance(v, torch.Tensor) for v in values)
        return net(*values) if carried else explained_output(net, values)[0]

    assert_complete(plain, x, base)


@pytest.mark.parametrize("name", zoo.TOKENS)
def test_deeplift_is_complete_after_an_embedding(name):
    net, tokens = zoo.build(name), zoo.inputs(name)
    vectors = net.embed(tokens).detach()

    class Given(nn.Module):
        def forward(self, _):
            return self.given

    net.embed = Given().eval()

    def from_vectors(v):
        net.embed.given = v
        try:
            return net(tokens)
        finally:
            del net.embed.given

    assert_complete(from_vectors, (vectors,), (some(vectors.shape, 3),))


OPERATIONS = {
    "pool": lambda x: F.max_pool2d(x, 2),
    "overlapping pool": lambda x: F.max_pool2d(x, 3, 1, 1),
    "adaptive pool": lambda x: F.adaptive_max_pool2d(x, 3),
    "pool of negatives": lambda x: F.max_pool2d(-x.abs() - 1, 2),
    "amax": lambda x: x.amax((1, 3)),
    "min": lambda x: x.min(-1, keepdim=True).values,
    "max of all": lambda x: x.max().reshape(1),
    "maximum": lambda x: torch.maximum(x, x.flip(-1)),
    "minimum": lambda x: torch.minimum(x, torch.tensor(0.1, dtype=x.dtype)),
    "square": lambda x: x * x,
    "quotient": lambda x: x / (x.exp() + 1),
    "one over": lambda x: 2 / (x.abs() + 1),
    "matmul": lambda x: x @ x.transpose(-1, -2),
    # times two, since an ending would be left out
    "softmax": lambda x: 2 * x.softmax(1),
    "log softmax": lambda x: 2 * F.log_softmax(x, -1),
    "softmin": lambda x: F.softmin(x, 1),
    "masked softmax": lambda x: (
        2 * x.masked_fill(torch.eye(6).bool(), float("-inf")).softmax(-1)
    ),
    "logsumexp": lambda x: torch.logsumexp(x, (1, 2)),
    "layer norm": lambda x: F.layer_norm(x, (6, 6)),
    "group norm": lambda x: F.group_norm(x, 2, torch.arange(4.0).double()),
    "instance norm": lambda x: F.instance_norm(x),
    "rms norm": lambda x: F.rms_norm(x, (6,), eps=0.01),
    "normalize": lambda x: F.normalize(x, dim=1),
    "norm": lambda x: x.norm(dim=(1, 2)),
    "std": lambda x: torch.std(x, dim=2),
    "var": lambda x: torch.var(x, dim=(1, 2), correction=0, keepdim=True),
    "glu": lambda x: F.glu(x, 1),
    "elu": F.elu,
    "gelu": F.gelu,
    "hardtanh": F.hardtanh,
    "leaky": lambda x: F.leaky_relu(x, 0.2),
    "pow": lambda x: torch.pow(x, 3),
    "log": lambda x: (x.abs() + 1).log(),
    "lerp": lambda x: torch.lerp(x, x.sin(), x.sigmoid()),
    "addmm": lambda x: torch.addmm(x[0, 0], x[0, 1], x[0, 2], beta=2, alpha=3),
    "write": lambda x: _written(x),
    "write into a quotient": lambda x: _written(1 / (x.abs() + 1)),
    "in place": lambda x: x.clone().sub_(0.1).relu_().mul_(x),
    "cat": lambda x: torch.cat([x, torch.ones_like(x), x.tanh()], 1),
    "column stack": lambda x: torch.column_stack([x[:, 0, 0, 0], x[:, 1, 1]]),
}


def _written(x):
    h = x.clone()
    h[:, 0] = torch.tanh(x[:, 1])
    h[:, 2] = 0.5
    return h * 2


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_is_complete_by_itself(name, seed):
    x, base = some((3, 4, 6, 6), seed), some((3, 4, 6, 6), seed + 10)
    # parts that do not move, ties and zeros
    base[:, 0, :2] = x[:, 0, :2]
    x[:, 1, 2:4] = x[:, 1, :1, :1]
    base[:, 2, 4:] = 0
    assert_complete(OPERATIONS[name], (x,), (base,))


SPELLINGS = ("relu", "clamp", "clamp_min", "threshold")


class _Counted(TorchDispatchMode):
    """Counts what torch computes."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "function",
    [F.relu, lambda x: x.clamp(min=0), lambda x: F.threshold(x, 0, 0)],
)
def test_a_relu_is_applied_once_to_sample_and_baseline(function):
    x, base = some((2, 5), 0), some((2, 5), 1)
    with _Counted() as counted:
        rescaled(function, (x,), (base,))
    names = [name for name in counted.names if name.split(".")[1] in SPELLINGS]
    assert names == ["aten.relu.default"] * 2


def test_what_does_not_move_has_the_derivative_for_multiplier():
    x = some((2, 5), 0)
    _, weight, (multiplier,) = rescaled(torch.tanh, (x,), (x,))
    expected = (1 - torch.tanh(x) ** 2) * weight.reshape(2, 5)
    torch.testing.assert_close(multiplier, expected)
    for function in (torch.sqrt, torch.log, F.relu):
        zero = torch.zeros(2, 5, dtype=torch.float64)
        assert rescaled(function, (zero,), (zero,))[2][0].isfinite().all()


def test_a_nearly_equal_baseline_gives_the_derivative():
    x = some((2, 5), 0)
    _, weight, (multiplier,) = rescaled(torch.tanh, (x,), (x + 1e-14,))
    expected = (1 - torch.tanh(x) ** 2) * weight.reshape(2, 5)
    torch.testing.assert_close(multiplier, expected, rtol=1e-10, atol=0)


def test_pooling_gives_the_difference_to_one_of_the_two_winners():
    x = torch.tensor([[[1.0, 5.0, 2.0, 2.0]]], dtype=torch.float64)
    base = torch.tensor([[[4.0, 0.0, 9.0, 1.0]]], dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    out = run(lambda v: F.max_pool1d(v, 2), DeepLiftRescale().enter(leaf, base))
    (multiplier,) = torch.autograd.grad(out.full.sum(), leaf)
    # 5 - 4 to the sample's winner, 2 - 9 to the baseline's
    torch.testing.assert_close(
        multiplier * (x - base), torch.tensor([[[0.0, 1, -7, 0]]]).double()
    )


@pytest.mark.parametrize("method", [GuidedBackpropagation, Deconvolution])
def test_relu_rules_change_the_gradient_and_nothing_else(method):
    x = torch.tensor([-1.0, 0.0, 2.0, 3.0], requires_grad=True)
    out = run(F.relu, method().enter(x)).full
    assert torch.equal(out, F.relu(x))
    (gradient,) = torch.autograd.grad(out, x, torch.tensor([1.0, 2, 3, -4]))
    guided = method is GuidedBackpropagation
    assert gradient.tolist() == ([0, 0, 3, 0] if guided else [1, 2, 3, 0])


@pytest.mark.parametrize("name", SIGNALS)
def test_relu_rules_leave_the_output_bit_for_bit(name):
    net, x = zoo.build(name), zoo.inputs(name)
    x = x if isinstance(x, tuple) else (x,)
    method = GuidedBackpropagation()
    out = run(net, *(method.enter(v.clone().requires_grad_()) for v in x)).full
    assert torch.equal(out, explained_output(net, x)[0])


class Frequent(nn.Module):
    def forward(self, x):
        return x.mode(-1).values


@pytest.mark.parametrize(
    "spelling",
    [
        lambda v: v.clamp(min=0),
        lambda v: v.clamp_min(0),
        lambda v: F.threshold(v, 0, 0),
    ],
)
def test_deeplift_takes_a_relu_in_any_spelling_for_one(spelling):
    # 0 at the sample and at the baseline: a ReLU passes nothing on, a clamp would
    x, base = torch.tensor([[0.0, 1, -1]]), torch.zeros(1, 3)
    *_, (found,) = rescaled(lambda v: spelling(2 * v), [x.double()], [base.double()])
    *_, (expected,) = rescaled(lambda v: (2 * v).relu(), [x.double()], [base.double()])
    torch.testing.assert_close(found, expected)


def test_a_model_may_write_into_what_a_clamp_gave():
    def net(x):
        h = (3 * x).clamp(min=0)
        h[:, 0].zero_()
        h[:, 1:2] *= 2
        return h

    x = torch.tensor([[1.0, 1, -1, 2]], requires_grad=True)
    out = run(net, GuidedBackpropagation().enter(x)).full
    (found,) = torch.autograd.grad(out.sum(), x)
    assert found.tolist() == [[0, 6, 0, 3]]


def test_what_has_no_rule_is_refused_with_its_place():
    x = some((2, 5), 0)
    with pytest.raises(UnsupportedOperationError, match=r"mode.*test_backward_rules"):
        run(Frequent().eval(), DeepLiftRescale().enter(x, x))


class Cut(nn.Module):
    def forward(self, x):
        return x.tanh() * x.detach().exp()


class Own(torch.autograd.Function):
    """Swish with a backward pass of its own, as memory is saved."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)


def frozen(x):
    with torch.no_grad():
        return x * torch.sigmoid(x)


def never_trained(x):
    with torch.inference_mode():
        return x * torch.sigmoid(x)


@pytest.mark.parametrize("swish", [Own.apply, frozen, never_trained])
def test_parts_of_a_model_without_a_graph_are_followed(swish):
    x, base = some((3, 4), 0), some((3, 4), 1)

    def net(x):
        return swish(x.tanh()).relu() + x

    out, _, (found,) = rescaled(net, (x,), (base,))
    plain, _, (expected,) = rescaled(
        lambda v: F.relu(v.tanh() * torch.sigmoid(v.tanh())) + v, (x,), (base,)
    )
    torch.testing.assert_close(out.full, plain.full)
    torch.testing.assert_close(found, expected)


class Branching(nn.Module):
    def forward(self, x):
        return x * (x > 0)


def test_the_operation_that_loses_output_is_named():
    x, base = some((3, 4), 0), some((3, 4), 1)
    gaps = completeness_gaps(Branching().eval(), x, base, lambda out: out)
    assert "__gt__" in gaps[0].operation
    assert "test_backward_rules.py" in gaps[0].site


def stabilised(cut):
    """Random features of attention, as in Performer: what is subtracted is cut off."""

    def net(x):
        scores = x @ x.new_tensor(
            [[0.5, -1, 2], [1, 0.3, -0.2], [0.1, 1, 1], [1, 1, 0]]
        )
        features = (scores - cut(scores.amax(-1, keepdim=True))).exp() + 0.1
        return features / cut(features).sum(-1, keepdim=True)

    return net


@pytest.mark.parametrize("cut", [torch.Tensor.detach, lambda x: x.data])
def test_what_is_cut_off_the_graph_is_followed(cut):
    x, base = some((3, 4), 0), some((3, 4), 1)
    assert not completeness_gaps(Cut().eval(), x, base, lambda out: out)
    out, _, (found,) = rescaled(stabilised(cut), (x,), (base,))
    plain, _, (expected,) = rescaled(stabilised(lambda x: x), (x,), (base,))
    torch.testing.assert_close(out.full, plain.full)
    torch.testing.assert_close(found, expected)
    assert_complete(stabilised(cut), (x,), (base,))


def test_complete_networks_have_no_gaps():
    net = zoo.build("vit")
    x = zoo.inputs("vit")
    assert not completeness_gaps(net, x, some(x.shape, 1), lambda out: out)


def naive(rule, w, b, x, relevance):
    """Matrix form: contributions over their sums, unit by unit."""
    pos, neg = (lambda t: t.clamp(min=0)), (lambda t: t.clamp(max=0))
    z = x[:, None] * w
    sides = {
        "z_plus": [(1, pos(z), pos(b))],
        "alpha_beta": [(2, pos(z), pos(b)), (-1, neg(z), neg(b))],
        "z_box": [(1, z + 2 * pos(w) - 2 * neg(w), b - pos(b) - neg(b))],
        "w_square": [(1, (w**2).expand_as(z), b**2)],
        "flat": [(1, torch.ones_like(z), torch.zeros_like(b))],
    }
    if rule == "gamma":
        up = (z + 0.25 * pos(z), b + 0.25 * pos(b))
        down = (z + 0.25 * neg(z), b + 0.25 * neg(b))
        out = (z.sum(-1) + b) > 0
        found = torch.zeros_like(x)
        for where, (part, bias) in ((out, up), (~out, down)):
            share = relevance * where / (part.sum(-1) + bias)
            found += (part * share[..., None]).sum(1)
        return found
    found = torch.zeros_like(x)
    for factor, part, bias in sides[rule]:
        share = relevance / (part.sum(-1) + bias)
        found += factor * (part * share[..., None]).sum(1)
    return found


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    "rule", ["z_plus", "alpha_beta", "gamma", "z_box", "w_square", "flat"]
)
def test_rules_equal_their_matrix_form(rule, seed):
    w, b, x = some((4, 6), seed), some(4, seed + 1), some((3, 6), seed + 2)
    relevance = some((3, 4), seed + 3)
    chosen = RULES[rule]
    if rule == "z_box":
        chosen = named_rule("z_box", low=-2.0, high=2.0)
    found = share_out(chosen, AffineMap(F.linear, w, b), x, relevance)
    torch.testing.assert_close(found, naive(rule, w, b, x, relevance))
    # inputs without a negative one take a shorter way
    x = x.abs()
    found = share_out(chosen, AffineMap(F.linear, w, b), x, relevance)
    torch.testing.assert_close(found, naive(rule, w, b, x, relevance))


def test_without_bias_alpha_beta_conserves_alpha_minus_beta():
    w, x, relevance = some((4, 6), 0), some((3, 6), 1), some((3, 4), 2)
    for alpha, beta in ((1, 0), (2, 1), (1, 1), (0.5, 0.25)):
        rule = alpha_beta(alpha, beta)
        found = share_out(rule, AffineMap(F.linear, w, None), x, relevance)
        total = (alpha - beta) * relevance.sum(1)
        torch.testing.assert_close(found.sum(1), total, atol=1e-12, rtol=1e-10)


def test_nothing_to_share_among_gives_zeros():
    w, zero = some((4, 6), 0), torch.zeros(3, 6, dtype=torch.float64)
    for rule in RULES.values():
        if rule.sides and rule.name != "z_box":
            layer = AffineMap(F.linear, 0 * w, None)
            found = share_out(rule, layer, zero, some((3, 4), 1))
            assert found.isfinite().all()


@pytest.mark.parametrize("transposed", [False, True])
def test_merging_scales_the_channels_of_the_result(transposed):
    conv = nn.ConvTranspose2d(2, 3, 3) if transposed else nn.Conv2d(2, 3, 3)
    conv = conv.double()
    x, scale, shift = some((2, 2, 5, 5), 0), some(3, 1), some(3, 2)
    function = F.conv_transpose2d if transposed else F.conv2d
    layer = AffineMap(function, conv.weight, conv.bias, -3, int(transposed), "conv")
    merged = layer.merged(scale, shift)
    expected = conv(x) * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(function(x, merged.weight, merged.bias), expected)


VARIANCES = {
    "var": lambda v: v.var(1, False, True),
    "std": lambda v: torch.std(v, (1, 2), False),
    "of all": lambda v: v[0].var(False).reshape(1, 1),
}


@pytest.mark.parametrize("name", VARIANCES)
def test_variances_in_positional_spelling(name):
    f, x = VARIANCES[name], torch.randn(1, 4, 5, dtype=torch.float64)
    leaf, base = x.clone().requires_grad_(), torch.randn_like(x)
    out = run(f, DeepLiftRescale().enter(leaf, base))
    torch.testing.assert_close(out.full, f(x))
    torch.testing.assert_close(out.rel, f(base))
    (slope,) = torch.autograd.grad(out.full.sum(), leaf)
    torch.testing.assert_close((slope * (x - base)).sum(), (f(x) - f(base)).sum())


@pytest.mark.parametrize("scale", [1, 30, 1000])
@pytest.mark.parametrize("kind", ["softmax", "log_softmax", "logsumexp"])
def test_softmax_is_complete_however_far_the_baseline(kind, scale):
    weight = torch.randn(5, dtype=torch.float64)

    def f(v):
        if kind == "logsumexp":
            return torch.logsumexp(v, 1, keepdim=True) * 2
        return getattr(torch, kind)(v, 1) * weight

    x = scale * torch.randn(3, 5, dtype=torch.float64)
    for base in (torch.zeros_like(x), -x):
        leaf = x.clone().requires_grad_()
        out = run(f, DeepLiftRescale().enter(leaf, base))
        torch.testing.assert_close(out.rel, f(base))
        (slope,) = torch.autograd.grad(out.full.sum(), leaf)
        found, expected = (slope * (x - base)).sum(1), (f(x) - f(base)).sum(1)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_vectors_without_a_length_are_normalised_completely(dtype):
    x, base = some((3, 5), 0).to(dtype), some((3, 5), 1).to(dtype)
    base[0], x[1] = 0, 0
    leaf = x.clone().requires_grad_()
    out = run(lambda v: F.normalize(v), DeepLiftRescale().enter(leaf, base))
    for unit in range(5):
        start = out.full[:, unit].sum()
        (slope,) = torch.autograd.grad(start, leaf, retain_graph=True)
        found = (slope * (x - base)).sum(1)
        expected = (F.normalize(x) - F.normalize(base))[:, unit]
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("method", [GuidedBackpropagation, Deconvolution])
def test_an_integer_made_of_all_values_has_no_view(method):
    layer = nn.Linear(4, 2).double()

    def model(x):
        return layer(x) + 0 * x.sum().to(torch.int64)

    x = torch.randn(1, 4, dtype=torch.float64).requires_grad_()
    out = run(model, method().enter(x)).full
    torch.testing.assert_close(out, layer(x))
