"""Nonlinear rules equal naive re-implementations."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import contextual_decomposition, register_operation
from tests.propagation.naive import max_pool2d_parts, symmetric


def pair(*shape, seed=0, masks=2):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, dtype=torch.float64, generator=generator)
    rel = x * torch.rand(masks, *x.shape, dtype=torch.float64, generator=generator)
    return x, rel


def run(f, x, rel, **options):
    return contextual_decomposition(f, x, rel, **options)[0]


@pytest.mark.parametrize("f", [torch.relu, F.relu6, lambda v: F.leaky_relu(v, 0.2)])
def test_rectifiers_act_on_the_relevant_part(f):
    x, rel = pair(3, 5)
    torch.testing.assert_close(run(f, x, rel), f(rel))


SMOOTH = {
    "relu": torch.relu, "gelu": F.gelu, "silu": F.silu, "elu": F.elu,
    "tanh": torch.tanh,
    "hardswish": F.hardswish, "mish": F.mish, "softsign": F.softsign, "selu": F.selu,
    "clamp": lambda v: v.clamp(-0.5, 0.4), "hardtanh": F.hardtanh, "abs": torch.abs,
    "square": lambda v: v**2, "cube": lambda v: v.pow(3), "erf": torch.erf,
    "leaky relu": F.leaky_relu, "sin": torch.sin,
    "prelu": lambda v: F.prelu(v, torch.linspace(0.1, 0.5, 5).double()),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SMOOTH)
def test_symmetric_rule(name, seed):
    f = SMOOTH[name]
    x, rel = pair(3, 5, seed=seed)
    out = run(f, x, rel, nonlinearity="symmetric")
    expected = torch.stack([symmetric(f, part, x) for part in rel])
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("bias", ["channel", "proportional", "context"])
@pytest.mark.parametrize(
    "f", [F.softplus, torch.exp, torch.cos], ids=["softplus", "exp", "cos"]
)
def test_value_at_zero_is_shared_like_a_bias(f, bias):
    x, rel = pair(3, 5)
    out = run(f, x, rel, bias=bias)
    base = torch.stack([symmetric(f, part, x) for part in rel])
    part, rest = rel.abs(), (x - rel).abs()
    share = {
        "channel": (part.sum(-1) / (part + rest).sum(-1))[..., None],
        "proportional": part / (part + rest),
        "context": 0,
    }[bias]
    torch.testing.assert_close(out, base + share * f(torch.zeros(()).double()))


@pytest.mark.parametrize(
    "f", [torch.log, torch.sqrt, lambda v: 2 / v], ids=["log", "sqrt", "reciprocal"]
)
def test_what_is_singular_at_zero_is_shared_whole(f):
    x, rel = pair(3, 5)
    x, rel = x.abs() + 0.1, rel.abs()
    out = run(f, x, rel, bias="proportional")
    share = rel.abs() / (rel.abs() + (x - rel).abs())
    torch.testing.assert_close(out, share * f(x))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("size", "stride", "padding", "dilation"),
    [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 0, 2), (2, 3, 1, 1)],
)
def test_max_pooling_takes_the_winner_of_the_whole(
    size, stride, padding, dilation, seed
):
    x, rel = pair(2, 3, 8, 7, seed=seed)
    x[0, 0, :3] = 0
    rel = rel * (x != 0)
    out = run(nn.MaxPool2d(size, stride, padding, dilation).eval(), x, rel)
    for k in range(2):
        expected = max_pool2d_parts(rel[k], x, size, stride, padding, dilation)
        torch.testing.assert_close(out[k], expected)


WINNERS = {
    "max over an axis": lambda v: v.max(dim=1).values,
    "max, keepdim": lambda v: torch.max(v, 2, keepdim=True)[0],
    "amax": lambda v: v.amax((1, 2)),
    "min": lambda v: v.min(1)[0],
    "one window": lambda v: F.adaptive_max_pool1d(v, 1),
    "windows": lambda v: F.max_pool1d(v, 3, 1, ceil_mode=True),
    "with indices": lambda v: F.max_pool1d(v, 2, return_indices=True)[0],
    "sorted": lambda v: v.sort(dim=-1).values,
    "best two": lambda v: v.topk(2, -1)[0],
}


@pytest.mark.parametrize("name", WINNERS)
def test_selection_is_the_gradient_times_the_part(name):
    # a selection is linear with the derivative of the selection of the whole
    f = WINNERS[name]
    x, rel = pair(2, 3, 6)
    out = run(f, x, rel)
    for k in range(2):
        expected = torch.autograd.functional.jvp(f, x, rel[k])[1]
        torch.testing.assert_close(out[k], expected)


def test_larger_of_two_takes_the_parts_of_the_winner():
    x, rel = pair(2, 6)
    out = run(lambda v: torch.maximum(v[:, :3], v[:, 3:]), x, rel)
    wins = x[:, :3] > x[:, 3:]
    torch.testing.assert_close(out, torch.where(wins, rel[..., :3], rel[..., 3:]))
    torch.testing.assert_close(
        run(lambda v: v.maximum(torch.zeros(())), x, rel), torch.where(x > 0, rel, 0)
    )


PRODUCTS = {
    "mul": lambda a, b: a * b,
    "matmul": lambda a, b: a @ b.transpose(-1, -2),
    "einsum": lambda a, b: torch.einsum("nij,nkj->nik", a, b),
    "bmm": lambda a, b: torch.bmm(a, b.mT),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_cross_terms_of_products_are_split_evenly(name):
    f = PRODUCTS[name]
    x, rel = pair(2, 3, 8)
    a, b = x[..., :4], x[..., 4:]
    ra, rb = rel[0, ..., :4], rel[0, ..., 4:]
    out = run(lambda v: f(v[..., :4], v[..., 4:]), x, rel)
    expected = f(ra, rb) + 0.5 * (f(ra, b - rb) + f(a - ra, rb))
    torch.testing.assert_close(out[0], expected)
    square = run(lambda v: PRODUCTS["mul"](v, v), x, rel)
    torch.testing.assert_close(square, rel * x)


@pytest.mark.parametrize(
    "layer",
    [
        nn.LayerNorm(6, elementwise_affine=False),
        nn.GroupNorm(2, 4, affine=False),
        nn.InstanceNorm1d(4),
        nn.RMSNorm(6, elementwise_affine=False),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_norms_divide_the_parts_by_the_statistics_of_the_whole(layer):
    x, rel = pair(3, 4, 6)
    layer = layer.double().eval()
    out = run(layer, x, rel)
    # linear in the part, and the norm of the whole where the part is the whole
    torch.testing.assert_close(run(layer, x, x[None])[0], layer(x))
    both = run(layer, x, (rel[0] + 2 * rel[1])[None])
    torch.testing.assert_close(both[0], out[0] + 2 * out[1])


def test_softmax_inside_is_symmetric_and_masked_places_stay_masked():
    x, rel = pair(2, 4, 5)
    hidden = torch.zeros(4, 5, dtype=torch.bool)
    hidden[1, 2:] = True

    def f(v):
        return v.masked_fill(hidden, -math.inf).softmax(-1) * 1.0

    out, rest = contextual_decomposition(f, x, rel, bias="context")
    assert (out[..., hidden] == 0).all()
    torch.testing.assert_close(out + rest, f(x).expand_as(out))
    expected = symmetric(f, rel[0], x)
    torch.testing.assert_close(out[0], expected)


def lstm_by_hand(cell, x, rel):
    """Murdoch et al. 2018 for one sample, in loops over gates."""
    w_ih, w_hh = cell.weight_ih_l0, cell.weight_hh_l0
    bias = cell.bias_ih_l0 + cell.bias_hh_l0
    size = cell.hidden_size
    big_b = big_g = cb = cg = torch.zeros(size, dtype=x.dtype)
    s, tanh = torch.sigmoid, torch.tanh

    def three(a, b, c, f):
        return (
            0.5 * (f(a + c) - f(c) + f(a + b + c) - f(b + c)),
            0.5 * (f(b + c) - f(c) + f(a + b + c) - f(a + c)),
            f(c),
        )

    for t in range(len(x)):
        gates = []
        for k, f in enumerate((s, s, tanh)):
            rows = slice(k * size, (k + 1) * size)
            a = w_ih[rows] @ rel[t] + w_hh[rows] @ big_b
            b = w_ih[rows] @ (x[t] - rel[t]) + w_hh[rows] @ big_g
            gates.append(three(a, b, bias[rows], f))
        (ir, ii, ib), (fr, fi, fb), (gr, gi, gb) = gates
        rows = slice(3 * size, None)
        o = s(w_ih[rows] @ x[t] + w_hh[rows] @ (big_b + big_g) + bias[rows])
        cb, cg = (
            ir * (gr + gb) + ib * gr + (fr + fb) * cb,
            ii * (gr + gi + gb) + (ir + ib) * gi + (fr + fi + fb) * cg + fi * cb,
        )
        if torch.equal(rel[t], x[t]):
            cb = cb + ib * gb
        else:
            cg = cg + ib * gb
        big_b = o * 0.5 * (tanh(cb) + tanh(cb + cg) - tanh(cg))
        big_g = o * 0.5 * (tanh(cg) + tanh(cb + cg) - tanh(cb))
    return big_b, big_g


@pytest.mark.parametrize("seed", range(3))
def test_lstm_follows_murdoch_equation_by_equation(seed):
    torch.manual_seed(seed)
    cell = nn.LSTM(4, 5, batch_first=True).double().eval()
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    window = torch.zeros(2, 6, 1, dtype=torch.float64)
    window[0, 1:3] = window[1, 4:] = 1
    rel = window[:, None] * x
    out, rest = contextual_decomposition(
        lambda v: cell(v)[0][:, -1], x, rel, bias="channel"
    )
    for k in range(2):
        for i in range(2):
            relevant, other = lstm_by_hand(cell, x[i], rel[k, i])
            torch.testing.assert_close(out[k, i], relevant)
            torch.testing.assert_close(rest[k, i], other)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_layers_and_cells_agree(kind):
    torch.manual_seed(0)
    layer = kind(4, 3).double().eval()
    cell = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}[kind](4, 3)
    cell.double().eval()
    for name, value in layer.named_parameters():
        getattr(cell, name.removesuffix("_l0")).data.copy_(value)

    def by_cells(v):
        state = None
        for step in v.transpose(0, 1):
            state = cell(step, state)
        return state[0] if kind is nn.LSTM else state

    x, rel = pair(2, 5, 4)
    whole = run(lambda v: layer(v.transpose(0, 1))[0][-1], x, rel, bias="context")
    torch.testing.assert_close(run(by_cells, x, rel, bias="context"), whole)


def test_attention_spellings_agree():
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=True).double().eval()
    x, rel = pair(2, 5, 8)

    def by_hand(v):
        q, k, w = F.linear(v, layer.in_proj_weight, layer.in_proj_bias).chunk(3, -1)
        q, k, w = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in (q, k, w))
        mixed = F.scaled_dot_product_attention(q, k, w, is_causal=True)
        return layer.out_proj(mixed.transpose(1, 2).flatten(2))

    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    for mask in (causal, causal < 0):
        by_module = run(
            lambda v, mask=mask: layer(v, v, v, attn_mask=mask)[0],
            x, rel, bias="context",
        )  # fmt: skip
        expected = run(by_hand, x, rel, bias="context")
        torch.testing.assert_close(by_module, expected)


@pytest.mark.parametrize("nested", [False, True])
def test_padding_mask_hides_keys(nested):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 6, batch_first=True).double().eval()
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()
    x, rel = pair(2, 5, 8)
    hidden = torch.zeros(2, 5, dtype=torch.bool)
    hidden[0, 3:] = True
    f = encoder(x, src_key_padding_mask=hidden)
    out, rest = contextual_decomposition(
        lambda v: encoder(v, src_key_padding_mask=hidden)[:, 0], x, rel
    )
    torch.testing.assert_close(out + rest, f[:, 0].expand_as(out))
    changed = x.clone()
    changed[0, 3:] += 1
    again = run(lambda v: encoder(v, src_key_padding_mask=hidden)[:, 0], changed, rel)
    torch.testing.assert_close(again[:, 1], out[:, 1])


def test_packed_sequences_are_refused_clearly():
    cell = nn.LSTM(4, 3, batch_first=True).double().eval()
    x, rel = pair(2, 5, 4)

    def packed(v):
        bundle = nn.utils.rnn.pack_padded_sequence(v, [5, 3], batch_first=True)
        return cell(bundle)[1][0][-1]

    with pytest.raises(TypeError, match="pack"):
        run(packed, x, rel)


def cube_rule(full, rel, irrel, scale):
    return scale * rel * full**2


def test_a_registered_rule_is_used():
    def cubed(x, scale):
        if torch.overrides.has_torch_function_unary(x):
            return torch.overrides.handle_torch_function(cubed, (x,), x, scale)
        return scale * x**3

    x, rel = pair(2, 3)
    with pytest.raises(TypeError, match="cubed has no rule"):
        run(lambda v: cubed(v, 2.0), x, rel)
    register_operation(cubed, "elementwise")
    expected = torch.stack([symmetric(lambda v: 2 * v**3, p, x) for p in rel])
    torch.testing.assert_close(run(lambda v: cubed(v, 2.0), x, rel), expected)
    register_operation(cubed, "elementwise", decomposition=cube_rule)
    torch.testing.assert_close(run(lambda v: cubed(v, 2.0), x, rel), 2 * rel * x**2)


@pytest.mark.parametrize(
    ("func", "kind", "message"),
    [(torch.erf, "odd", "is not known"), ("erf", "elementwise", "not a callable")],
)
def test_registration_checks_its_arguments(func, kind, message):
    with pytest.raises(ValueError, match=message):
        register_operation(func, kind)


@pytest.mark.parametrize("bias", ["channel", "proportional", "context"])
def test_the_bias_of_a_bilinear_layer_is_shared_like_any_other(bias):
    torch.manual_seed(0)
    layer = nn.Bilinear(5, 3, 4).double().eval()
    x, rel = pair(2, 5)
    other = torch.randn(2, 3, dtype=torch.float64)

    def product(v):
        return F.bilinear(v, other, layer.weight) + layer.bias

    expected = run(product, x, rel, bias=bias)
    torch.testing.assert_close(
        run(lambda v: layer(v, other), x, rel, bias=bias), expected
    )
    both = run(lambda v: layer(v, v[:, :3]), x, torch.stack([x, 0 * x]), bias=bias)
    assert not both[1].any()
    if bias != "context":
        torch.testing.assert_close(both[0], layer(x, x[:, :3]))


@pytest.mark.parametrize("bias", ["channel", "proportional", "context"])
def test_a_number_is_scattered_as_a_tensor_of_it_is(bias):
    x, rel = pair(2, 5)
    index, source = torch.tensor([[1], [3]]), torch.full((2, 1), 5.0).double()
    given = (
        (lambda v: v.scatter(1, index, 5.0)),
        (lambda v: v.clone().scatter_(1, index, value=5.0)),
    )
    expected = run(lambda v: v.scatter(1, index, source), x, rel, bias=bias)
    for scattered in given:
        torch.testing.assert_close(run(scattered, x, rel, bias=bias), expected)


def test_scattering_products_is_refused():
    x, rel = pair(2, 5)
    index = torch.tensor([[1], [3]])
    with pytest.raises(TypeError, match='reduce="multiply"'):
        run(lambda v: v.scatter(1, index, 2.0, reduce="multiply"), x, rel)


REDUCTIONS = {
    "norm": (lambda v: v.norm(2, 2), lambda v: v.norm(dim=2)),
    "norm kept": (lambda v: v.norm(2, 2, True), lambda v: v.norm(dim=2, keepdim=True)),
    "vector_norm": (
        lambda v: torch.linalg.vector_norm(v, 2, 1),
        lambda v: torch.linalg.vector_norm(v, dim=1),
    ),
    "var": (lambda v: v.var(1, True), lambda v: v.var(dim=1)),
    "var kept": (
        lambda v: v.var(1, False, True),
        lambda v: v.var(dim=1, correction=0, keepdim=True),
    ),
    "std kept": (
        lambda v: torch.std(v, 2, False, True),
        lambda v: torch.std(v, 2, correction=0, keepdim=True),
    ),
}


@pytest.mark.parametrize("bias", ["channel", "proportional", "context"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_agree_in_positional_and_named_spelling(name, bias):
    positional, named = REDUCTIONS[name]
    x, rel = pair(3, 4, 5)
    found, expected = (
        run(lambda v, f=f: f(v) + 0.3, x, rel, bias=bias) for f in (positional, named)
    )
    torch.testing.assert_close(found, expected)
    alone = run(lambda v: positional(v) + 0.3, x[1:2], rel[:, 1:2], bias=bias)
    torch.testing.assert_close(alone, found[:, 1:2])


@pytest.mark.parametrize("bias", ["channel", "proportional"])
def test_a_constant_state_of_an_lstm_counts_as_a_bias(bias):
    lstm = nn.LSTM(4, 3, num_layers=2, batch_first=True).double().eval()
    cell = nn.LSTMCell(4, 3).double().eval()
    given = torch.linspace(-1, 1, 3, dtype=torch.float64)

    def from_state(v):
        start = given.expand(2, len(v), 3)
        return lstm(v, (start, 2 * start))[0].flatten(1)

    def from_input(v):
        h = torch.tanh(v[:, 0, :3])
        return torch.cat(cell(torch.ones_like(v[:, 0]), (h, given.expand_as(h))), 1)

    x, _ = pair(2, 5, 4)
    for f in (from_state, from_input):
        out = run(f, x, torch.stack([x, 0 * x]), bias=bias)
        torch.testing.assert_close(out[0], f(x))
        torch.testing.assert_close(out[1], torch.zeros_like(out[1]))


PARTITIONED = {
    "clamp": lambda v: v.clamp(min=torch.linspace(-0.5, 0.5, 5).double()),
    "threshold": lambda v: F.threshold(v, 0.1, 0.7),
    "causal": lambda v: F.scaled_dot_product_attention(v, v, v, is_causal=True),
}


@pytest.mark.parametrize("bias", ["channel", "proportional"])
@pytest.mark.parametrize("name", PARTITIONED)
def test_where_no_part_makes_a_difference_the_whole_partition_gets_the_value(
    name, bias
):
    f = PARTITIONED[name]
    x, rel = pair(3, 4, 5, masks=1)
    rel = torch.cat([rel, x - rel])
    out = run(f, x, rel, bias=bias, partition=True)
    torch.testing.assert_close(out.sum(0), f(x))


def test_module_and_function_of_the_logarithm_of_the_sigmoid():
    x, rel = pair(3, 5)
    expected = torch.stack([symmetric(F.logsigmoid, part, x) for part in rel])
    torch.testing.assert_close(run(nn.LogSigmoid().eval(), x, rel), expected)


def test_sums_of_products_take_their_operands_by_name():
    x, rel = pair(3, 4, 4)
    vector = torch.linspace(-1, 1, 4).double()
    spellings = {
        torch.baddbmm: (
            lambda v: torch.baddbmm(v, batch2=v.mT, batch1=v, beta=0.5),
            lambda v: torch.baddbmm(v, v, v.mT, beta=0.5),
        ),
        torch.addmm: (
            lambda v: torch.addmm(v[0], mat1=v[1], mat2=v[2])[None],
            lambda v: torch.addmm(v[0], v[1], v[2])[None],
        ),
        torch.addmv: (
            lambda v: torch.addmv(v[0, 0], mat=v[1], vec=vector)[None],
            lambda v: torch.addmv(v[0, 0], v[1], vector)[None],
        ),
        torch.addr: (
            lambda v: torch.addr(v[0], vec1=v[1, 0], vec2=vector)[None],
            lambda v: torch.addr(v[0], v[1, 0], vector)[None],
        ),
    }
    for named, positional in spellings.values():
        torch.testing.assert_close(run(named, x, rel), run(positional, x, rel))
