"""Chunks and pushed basis signals change nothing but the time."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import (
    DenseParts,
    LowRankParts,
    contextual_decomposition,
    decompose,
)
from tests import zoo

BIASES = ("channel", "proportional", "context")


def low_rank(x, groups=5, seed=0):
    """Random soft groups of the coefficients of an orthogonal transform."""
    generator = torch.Generator().manual_seed(seed)
    size = x[0].numel()
    matrix = torch.randn(size, size, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(matrix)[0].to(x.dtype)
    coefficients = x.flatten(1) @ basis.T
    masks = torch.rand(groups, size, generator=generator).to(x.dtype)
    masks = masks * (torch.rand(groups, size, generator=generator) < 0.1)
    rel = ((masks[:, None] * coefficients) @ basis).unflatten(2, x.shape[1:])
    return LowRankParts(coefficients, basis.unflatten(1, x.shape[1:]), masks), rel


SPELLINGS = {
    "linear": lambda lin: lambda v: torch.relu(lin(v)),
    "viewed": lambda lin: lambda v: torch.relu(lin(v.view(len(v), 1, -1))).squeeze(1),
    "flattened": lambda lin: lambda v: F.relu(lin(nn.Flatten()(v[:, None]))),
    "transposed": lambda lin: lambda v: lin(v.reshape(-1, 3, 4).mT.flatten(1)).relu(),
    "scaled first": lambda lin: lambda v: torch.relu(lin((v - 0.3) / 2)),
    "read twice": lambda lin: lambda v: torch.relu(lin(v)) + v[:, :5],
    "written to": lambda lin: lambda v: lin(v.relu_()),
    "written through a view": lambda lin: (
        lambda v: (
            F.relu_(v.view(-1, 2, 6)),
            lin(v),
        )[1]
    ),
    "rows split and joined": lambda lin: (
        lambda v: lin(v.repeat(1, 3).reshape(-1, 12)).reshape(len(v), 3, 5).relu() + 1
    ),
    "written through a view that is multiplied out": lambda lin: (
        lambda v: (v[:, :6].mT.mul_(2), lin(v))[1]
    ),
    "written when read": lambda lin: (
        lambda v: (part := v[:, 2:7], v.sum(1), v.relu_(), part * 1)[3]
    ),
    "an item written when read": lambda lin: (
        lambda v: (part := v[:, 2:7], v.sum(1), v.__setitem__((..., 3), 0.0), part * 1)[
            3
        ]
    ),
    "matrix": lambda lin: lambda v: F.softplus(v @ lin.weight.T),
}


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", SPELLINGS)
def test_pushed_basis_equals_dense_parts(name, bias, grad):
    torch.manual_seed(0)
    net = SPELLINGS[name](nn.Linear(12, 5).double())
    x = torch.randn(7, 12, dtype=torch.float64)
    parts, rel = low_rank(x)
    with torch.set_grad_enabled(grad):
        expected, _ = contextual_decomposition(net, x, rel, bias=bias)
        out, full = decompose(net, x, parts, bias=bias, rows_at_once=11)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(full, net(x.clone()))


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", ["vgg", "lenet in place", "densenet", "spectral"])
def test_networks_of_the_zoo(name, bias):
    net, x = zoo.build(name), zoo.inputs(name, 5)
    parts, rel = low_rank(x)
    with torch.no_grad():
        expected, _ = contextual_decomposition(net, x, rel, bias=bias)
        out, _ = decompose(net, x, parts, bias=bias, rows_at_once=10)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("rows_at_once", [1, 2, 5, 12, 1000])
@pytest.mark.parametrize("name", ["mlp", "resnet18", "m5"])
def test_chunk_size_does_not_matter(name, rows_at_once):
    net, x = zoo.build(name), zoo.inputs(name, 5)
    rel = zoo.parts(x)
    dense = DenseParts(3, lambda rows, masks: rel[masks, rows])
    with torch.no_grad():
        expected, rest = contextual_decomposition(net, x, rel)
        out, full = decompose(net, x, dense, rows_at_once=rows_at_once)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(full, (expected + rest)[0])


def test_many_samples_push_the_basis_once(monkeypatch):
    net = nn.Linear(12, 5).double().eval()
    x = torch.randn(20, 12, dtype=torch.float64)
    parts, _ = low_rank(x)
    shapes, linear = [], nn.functional.linear
    monkeypatch.setattr(
        nn.functional,
        "linear",
        lambda x, *args: shapes.append(tuple(x.shape)) or linear(x, *args),
    )
    with torch.no_grad():
        decompose(net, x, parts, rows_at_once=10)
    n_basis = len(parts.take(slice(0, 2), slice(0, 5)).basis)
    assert shapes.count((n_basis, 1, 12)) == 1


def test_with_a_graph_the_basis_is_pushed_anew():
    net = nn.Linear(12, 5).double().eval()
    parts, _ = low_rank(torch.randn(20, 12, dtype=torch.float64))
    for _ in range(2):
        net.zero_grad()
        rel, _ = decompose(net, torch.randn(20, 12, dtype=torch.float64), parts)
        rel.sum().backward()
    assert net.weight.grad.abs().sum() > 0


LINEAR = nn.Linear(4, 5).double()
KERNEL = torch.randn(3, 1, 3, dtype=torch.float64)
CELL = nn.RNNCell(4, 5).double()


def recurrent(v):
    state = v.new_zeros(len(v), 5)
    for part in v.split(4, 1):
        state = CELL(part, state)
    return state


def squared(v):
    table = v.view(-1, 3, 4)
    return (table @ table.mT).flatten(1)


# one cache must tell apart what is read through different views, or by one weight in
# different ways
READ_TWICE = {
    "two views": lambda v: LINEAR(torch.cat([v[:, :2].tanh(), v[:, 2:4]], 1)),
    "twins": lambda v: LINEAR(v[:, :4]).relu() - LINEAR(v[:, 4:8]).relu(),
    "strided views": lambda v: LINEAR(v[:, ::3]) + LINEAR(v[:, :4]).relu(),
    "dilated": lambda v: torch.cat(
        [F.conv1d(v[:, None], KERNEL, dilation=d).relu() for d in (1, 2)], 2
    ).flatten(1),
    "strides": lambda v: torch.cat(
        [F.conv1d(v[:, None], KERNEL, stride=d).relu() for d in (1, 2, 3)], 2
    ).flatten(1),
    "both ways": lambda v: (
        F.conv1d(v[:, None], KERNEL).sum(2) + F.conv_transpose1d(v[:, None].expand(
            -1, 3, -1), KERNEL).sum(2)
    ),
    "many weights": lambda v: sum(
        F.linear(v, LINEAR.weight.repeat(1, 3) * k).relu() for k in range(1, 8)
    ),
    "a cell in a loop": recurrent,
    "by its own transpose": squared,
    "viewed after an index": lambda v: (
        v.view(-1, 3, 2, 2)[:, [0, 2]].view(len(v), -1).sin()
    ),
    "a column": lambda v: torch.stack([v[:, 0], v[:, 3] * 2], 1).relu(),
    "a column alone": lambda v: v[:, 2],
    "columns through a matrix": lambda v: torch.stack(
        [F.linear(v[:, :1], LINEAR.weight[:, :1]), LINEAR(v[:, :4])]
    ).sum(0),
    "unbatched": lambda v: F.conv1d(v.T[None].mT, torch.ones(
        2, len(v), 1, dtype=torch.float64)).sum(1).T[:, None],
    "conjugate": lambda v: F.linear(
        torch.view_as_complex(v.view(-1, 6, 2)).conj().imag, LINEAR.weight.repeat(
            1, 2)[:, :6]
    ) + F.linear(torch.view_as_complex(v.view(-1, 6, 2)).imag, LINEAR.weight.repeat(
            1, 2)[:, :6]).relu(),
}  # fmt: skip
ALONE = set(READ_TWICE) - {"unbatched"}


@pytest.mark.parametrize("n_rows", [1, 2, 4, 7])
@pytest.mark.parametrize("name", READ_TWICE)
def test_every_reading_of_the_input_has_a_product_of_its_own(name, n_rows):
    torch.manual_seed(1)
    net = READ_TWICE[name]
    x = torch.randn(n_rows, 12, dtype=torch.float64)
    parts, rel = low_rank(x, seed=n_rows)
    expected, _ = contextual_decomposition(net, x, rel)
    with torch.no_grad():
        out, full = decompose(net, x, parts)
        again, _ = decompose(net, x, parts)
        torch.testing.assert_close(full, net(x))
        alone = out
        if name in ALONE:
            pieces = [decompose(net, x, parts, rows_at_once=5)[0]]
            alone = torch.cat(pieces, 1)
    for found in (out, again, alone):
        torch.testing.assert_close(found, expected)
