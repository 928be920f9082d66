"""Views, copies and writes treat the parts as they treat the whole."""

import pytest
import torch
import torch.nn.functional as F

from sktrim.propagation import contextual_decomposition
from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import GuidedBackpropagation
from tests.propagation.parts import BIASES, decomposed, drawn

WEIGHT = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)


def assert_twins(f, g, x):
    """Two spellings decompose alike, with and without recording gradients."""
    for bias in BIASES:
        expected = decomposed(g, x, bias=bias)
        torch.testing.assert_close(decomposed(f, x, bias=bias), expected)
        with torch.no_grad():
            torch.testing.assert_close(decomposed(f, x, bias=bias), expected)


def assert_full_and_empty(f, x, **options):
    """All of the input gives the output, none of it nothing; alone as in a batch."""
    for bias in ("channel", "proportional"):
        out = decomposed(f, x, bias=bias, **options)
        torch.testing.assert_close(out[1], f(x.clone()))
        torch.testing.assert_close(out[2], torch.zeros_like(out[2]))
    for bias in BIASES:
        out = decomposed(f, x, bias=bias, **options)
        soft = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)).to(x)
        one, part = x[1:2], (soft * x)[1:2]
        alone, _ = contextual_decomposition(f, one, part, bias=bias, **options)
        torch.testing.assert_close(alone, out[0, 1:2])


def joined(*values):
    return torch.cat([v.flatten(1) for v in values], 1)


def contiguous_copy(x):
    h = torch.sin(x)
    copy = h.transpose(1, 2).contiguous()
    copy.relu_()
    return joined(h, copy)


def reshaped_copy(x):
    h = torch.sin(x).transpose(1, 2) + 0.1
    copy = h.reshape(len(h), -1)
    copy[:, :2] = 0
    return joined(h, copy)


def norm_seen_twice(x):
    h = F.layer_norm(x.transpose(1, 2), (4,))
    first, flat = h[:, 0], h.view(len(h), -1)
    flat.sin_()
    return joined(h, first)


PURE = {
    contiguous_copy: lambda x: joined(
        torch.sin(x), torch.relu(torch.sin(x)).transpose(1, 2)
    ),
    reshaped_copy: lambda x: joined(
        h := torch.sin(x).transpose(1, 2) + 0.1,
        h.flatten(1) * torch.tensor([0.0] * 2 + [1.0] * 10).to(x),
    ),
    norm_seen_twice: lambda x: joined(
        h := torch.sin(F.layer_norm(x.transpose(1, 2), (4,))), h[:, 0]
    ),
}


@pytest.mark.parametrize("f", [contiguous_copy, reshaped_copy])
def test_writing_into_a_copy_leaves_the_parts_of_the_original(f):
    assert_twins(f, PURE[f], drawn(3, 4, 3))


@pytest.mark.parametrize("size", [1, 3])
def test_writing_through_a_view_reaches_the_parts_whatever_their_layout(size):
    assert_twins(norm_seen_twice, PURE[norm_seen_twice], drawn(size, 4, 3))


def windows(x):
    h = x * 2
    h.unfold(1, 2, 2).mul_(3)
    h.unfold(1, 2, 2).relu_()
    return h


def test_windows_are_a_view():
    x = drawn(3, 6)
    assert_twins(windows, lambda v: torch.relu(v * 6), x)
    for method in (GuidedBackpropagation(), DeepLiftRescale()):
        out = run(windows, method.enter(x.clone().requires_grad_(), 0 * x))
        torch.testing.assert_close(out.full, torch.relu(x * 6))


def test_broadcast_tensors_are_views():
    x = drawn(3, 6)

    def f(v):
        h = v * 2
        torch.broadcast_tensors(h, h[:1])[0].mul_(3)
        return h

    leaf = x.clone().requires_grad_()
    out = run(f, GuidedBackpropagation().enter(leaf)).full
    torch.testing.assert_close(out, x * 6)
    (found,) = torch.autograd.grad(out.sum(), leaf)
    torch.testing.assert_close(found, torch.full_like(x, 6))


def apart(x):
    h = x.clone()
    h[:, [0, 2], :, [0, 1]] = torch.sin(x[:, :2, :, 2]).transpose(0, 1)
    return h


def apart_stacked(x):
    first, second = torch.sin(x[:, 0, :, 2]), torch.sin(x[:, 1, :, 2])
    rows = list(x.unbind(1))
    rows[0] = torch.stack([first, rows[0][..., 1], rows[0][..., 2]], -1)
    rows[2] = torch.stack([rows[2][..., 0], second, rows[2][..., 2]], -1)
    return torch.stack(rows, 1)


def test_writing_at_indices_that_are_apart():
    assert_twins(apart, apart_stacked, drawn(3, 3, 4, 3))


def test_a_written_value_may_have_more_axes():
    def f(x):
        h = x.clone()
        h[:, 0] = torch.sin(x[:, 1])[None]
        return h

    def g(x):
        return torch.cat([torch.sin(x[:, 1:2]), x[:, 1:]], 1)

    assert_twins(f, g, drawn(3, 2, 4))


CONSTANT = torch.linspace(0.5, 1, 4, dtype=torch.float64)
FIRST = {
    "where": lambda x: CONSTANT.where(x > 0, x),
    "where in full": lambda x: torch.where(x > 0, CONSTANT, x),
    "masked_fill": lambda x: CONSTANT.expand(x.shape).masked_fill(x[0] > 0, x[0, 0]),
}


def test_a_constant_that_comes_first_is_a_constant():
    assert_twins(FIRST["where"], FIRST["where in full"], drawn(3, 4))
    assert_full_and_empty(FIRST["where"], drawn(3, 4))
    out = decomposed(FIRST["masked_fill"], drawn(1, 4), bias="context")
    torch.testing.assert_close(out[2], torch.zeros_like(out[2]))


def test_a_constant_that_replaces_everything_is_shared_as_what_it_replaces():
    def f(x):
        h = x * 2
        h[:] = 0.3
        return h

    assert_full_and_empty(f, drawn(3, 4))
    assert_twins(f, lambda x: (x * 2).fill_(0.3), drawn(3, 4))


def test_samples_are_found_again_where_their_rows_are_joined():
    def rows(x):
        h = F.linear(torch.relu(x).view(-1, 3), WEIGHT).view(len(x), 5, 4)
        return h + CONSTANT

    def whole(x):
        return F.linear(torch.relu(x), WEIGHT) + CONSTANT

    x = drawn(3, 5, 3)
    x[:, 1] = -1
    assert_twins(rows, whole, x)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    "repeated",
    [
        lambda v, n: v.expand(n, *v.shape),
        lambda v, n: v.broadcast_to(n, *v.shape),
        lambda v, n: v.repeat(n, 1, 1),
        lambda v, n: v.tile(n, 1, 1),
    ],
)
def test_new_axes_come_before_that_of_the_samples(repeated, count):
    def f(x):
        return repeated(x, count).transpose(0, 1) + CONSTANT

    def g(x):
        return torch.stack([x] * count, 1) + CONSTANT

    assert_twins(f, g, drawn(3, 4))
    assert_full_and_empty(f, drawn(3, 4))


NAMED = {
    "flatten": lambda x: torch.flatten(input=x, start_dim=1),
    "reshape": lambda x: torch.reshape(input=x, shape=(-1, 6)),
    "view": lambda x: x.view(size=(-1, 6)),
}


@pytest.mark.parametrize("name", NAMED)
def test_reshapes_in_named_spelling(name):
    assert_twins(NAMED[name], lambda x: x.reshape(len(x), 6), drawn(3, 2, 3))


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", ["context", "channel", "proportional"])
@pytest.mark.parametrize("index", [1, slice(0, 1)])
def test_a_write_into_an_expanded_value_reaches_all_of_it(index, bias, grad):
    def write(x):
        h = (x * 1.5).unsqueeze(1)
        wide = h.expand(-1, 3, -1)
        wide[:, index, 2:] = 0.5
        return torch.cat([h.flatten(1), wide.flatten(1)], 1)

    x = drawn(4, 6)
    rel = torch.stack([0.3 * x, x * (x > 0), x, 0 * x])
    with torch.set_grad_enabled(grad):
        found, rest = contextual_decomposition(write, x, rel, bias=bias)
    # as what is left is shared
    part, other = (v[..., :2].abs().sum(2) for v in (rel, x - rel))
    share = (part / (part + other))[..., None] * (bias != "context")
    expected = torch.cat([1.5 * rel[..., :2], (0.5 * share).expand(-1, -1, 4)], 2)
    torch.testing.assert_close(found + rest, write(x).expand_as(found))
    torch.testing.assert_close(found, expected.repeat(1, 1, 4))
