"""The carrier has all of Tensor's face, and writes reach what they should."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sktrim.propagation import UnsupportedOperationError, contextual_decomposition
from sktrim.propagation.carrier import Carrier
from sktrim.propagation.decomposition._method import ContextualDecomposition
from sktrim.propagation.registry import find_operation
from sktrim.propagation.spelling import spell
from tests.propagation.calls import arguments, put

X = torch.arange(1.0, 13.0, dtype=torch.float64).reshape(3, 4) / 10


def make(x=X):
    method = ContextualDecomposition("channel", "relevant", False)
    rel = torch.stack([x * 0.25, x * (torch.arange(x.shape[-1]) % 2)])
    return Carrier(method, x.clone(), rel, -x.ndim)


OBJECT = set(dir(object)) | {
    "__dict__", "__module__", "__annotations__", "__weakref__", "__array_priority__",
    "__torch_dispatch__", "__setstate__", "__cuda_array_interface__", "__doc__",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(dir(torch.Tensor)) - OBJECT))
def test_every_member_of_tensor_is_on_the_carrier(name):
    assert hasattr(Carrier, name)


def test_queries_are_answered_from_the_whole():
    c = make()
    assert c.shape == (3, 4) == c.size()
    assert (c.size(0), c.size(-1), c.dim(), c.ndim, len(c)) == (3, 4, 2, 2, 3)
    assert (c.dtype, c.device.type, c.is_cuda, c.numel()) == (X.dtype, "cpu", False, 12)
    assert not c.requires_grad
    assert c.is_floating_point()
    assert c[0, 0].item() == float(c[0, 0]) == 0.1
    assert int(c[2, 3] * 10) == 12
    assert bool(c[0, 0])
    assert 0.1 in c
    assert c.tolist() == X.tolist()
    for got, expected in (
        (c > 0.5, X > 0.5), (c == c, X == X), (c != 0, X != 0), (0.5 <= c, X >= 0.5),
        (c.argmax(1), X.argmax(1)), (torch.zeros_like(c), 0 * X),
        (c.new_ones(2), X.new_ones(2)), (torch.isnan(c), torch.isnan(X)),
    ):  # fmt: skip
        assert isinstance(got, torch.Tensor)
        assert torch.equal(got, expected)
    assert hash(c) == hash(c)
    assert "3, 4" in repr(c)


def test_iteration_and_reversal_give_carriers():
    c = make()
    assert [row.shape for row in c] == [(4,)] * 3
    assert torch.equal(list(c)[1].rel, c.rel[:, 1])
    assert torch.equal(reversed(c).full, X.flip(0))
    for attribute in ("T", "mT", "H", "mH"):
        assert torch.equal(getattr(c, attribute).rel, c.rel.transpose(1, 2))
    assert torch.equal(c.data.full, X)
    assert torch.equal(c.real.rel, c.rel)


BINARY = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "/": lambda a, b: a / b, "@": lambda a, b: a @ b.T,
}  # fmt: skip


@pytest.mark.parametrize("symbol", BINARY)
def test_operators_and_their_reflections(symbol):
    f = BINARY[symbol]
    c, other = make(), make(X + 1)
    for a, b in ((c, X), (X, c), (c, other)):
        got = f(a, b)
        whole = f(*(v.full if isinstance(v, Carrier) else v for v in (a, b)))
        torch.testing.assert_close(got.full, whole)
        assert got.rel.shape == (2, *whole.shape)
    if symbol != "@":
        for a, b in ((c, 2), (2.0, c)):
            torch.testing.assert_close(
                f(a, b).full, f(*(v.full if v is c else v for v in (a, b)))
            )
    torch.testing.assert_close((-c).rel, -c.rel)
    torch.testing.assert_close((+c).rel, c.rel)
    torch.testing.assert_close(abs(c).full, X)
    torch.testing.assert_close((c**2).full, X**2)


# of vectors and stacks of matrices: test_every_function calls them
OTHER_SHAPES = {"addmv_", "addr_", "baddbmm_"}


def in_place_methods():
    for name in sorted(dir(torch.Tensor)):
        func = getattr(torch.Tensor, name)
        dunder = name.startswith("__i") and name.endswith("__")
        if callable(func) and (dunder or (name[-1] == "_" and not name[0] == "_")):
            spelling = spell(func)
            known = find_operation(func, spelling.name)
            wanted = spelling.in_place and name not in OTHER_SHAPES
            if wanted and known is not None and known.kind != "query":
                yield name


def arguments_of(name):
    values = {"copy_": (X[:, :3],), "fill_": (0.3,), "zero_": (), "clamp_": (0.2, 0.9)}
    values |= {"squeeze_": (), "unsqueeze_": (0,), "swapaxes_": (0, 1)}
    values |= {"transpose_": (0, 1), "swapdims_": (0, 1), "floor_divide_": (2.0,)}
    if name in values:
        return values[name]
    dummies = torch.overrides.get_testing_overrides()
    func = getattr(torch.Tensor, name)
    base = name.strip("_")[1:] if name.startswith("__") else name
    own = arguments(dummies.get(func, lambda self, other: 0), base)
    return put(own[1:], lambda tensor: tensor)


CHANGES_SHAPE = {"t_", "transpose_", "swapaxes_", "swapdims_", "unsqueeze_", "resize_"}
CHANGES_SHAPE |= {"as_strided_"}


@pytest.mark.parametrize("aliased", [False, True])
@pytest.mark.parametrize("name", list(in_place_methods()))
def test_in_place_forms_write_when_the_result_is_discarded(name, aliased):
    square = 0.3 + 0.05 * torch.arange(9.0, dtype=torch.float64).reshape(3, 3)
    if name in CHANGES_SHAPE:
        with pytest.raises((UnsupportedOperationError, RuntimeError)):
            getattr(make(torch.ones(2, 3)), name)(*arguments_of(name))
        return
    args = arguments_of(name)
    expected = make(square)
    out = getattr(expected, name)(*args)
    target = make(square)
    base = target
    if aliased:
        base = make(torch.cat([square, square], 1))
        target = base[:, :3]
        target.rel.copy_(make(square).rel)
    getattr(target, name)(*args)
    seen = base[:, :3] if aliased else base
    torch.testing.assert_close(seen.full, out.full, equal_nan=True)
    torch.testing.assert_close(seen.rel, out.rel, equal_nan=True)
    plain = square.clone()
    getattr(plain, name)(*args)
    torch.testing.assert_close(seen.full, plain, equal_nan=True)


FUNCTIONAL = {
    "relu": lambda x: F.relu(x, inplace=True),
    "relu positional": lambda x: F.relu(x, True),
    "leaky relu": lambda x: F.leaky_relu(x, 0.1, inplace=True),
    "elu": lambda x: F.elu(x, inplace=True),
    "silu": lambda x: F.silu(x, inplace=True),
    "hardtanh": lambda x: F.hardtanh(x, inplace=True),
    "relu6": lambda x: F.relu6(x, inplace=True),
    "threshold": lambda x: F.threshold(x, 0.5, 0.1, inplace=True),
    "dropout": lambda x: F.dropout(x, 0.5, False, inplace=True),
    "torch name": lambda x: torch.relu_(x),
    "module": lambda x: torch.nn.Hardswish(inplace=True)(x),
    "setitem": lambda x: x.__setitem__((slice(None), 1), 0.0),
    "augmented": lambda x: x.__iadd__(1.0),
}


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functions_in_place_write_through_views(name, view, grad):
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=grad)

    def run(v):
        h = v * 2.0
        FUNCTIONAL[name](h.view(-1, 2) if view else h)
        return h

    with torch.set_grad_enabled(grad):
        out, rest = contextual_decomposition(run, x, x * (torch.arange(4) < 2))
        torch.testing.assert_close(out + rest, run(x))
        if grad:
            out.sum().backward()
            assert x.grad.isfinite().all()


def test_writing_a_decomposed_value_into_a_plain_tensor_is_refused():
    c = make()
    for write in (
        lambda p: p.__setitem__(0, c[0]),
        lambda p: p.add_(c),
        lambda p: torch.add(p, c, out=p),
        lambda p: p.copy_(c),
    ):
        with pytest.raises(UnsupportedOperationError, match=r"plain tensor|out="):
            write(torch.zeros(3, 4, dtype=torch.float64))


def test_leaving_for_numpy_or_a_copy_is_refused():
    c = make()
    for leave in (
        np.asarray, lambda v: v.numpy(), copy.deepcopy, lambda v: v.backward(),
        lambda v: v.register_hook(print), torch.linalg.svd,
    ):  # fmt: skip
        with pytest.raises(UnsupportedOperationError):
            leave(c)
    with pytest.raises(UnsupportedOperationError):
        c.data = X


def test_the_error_names_operation_place_and_registration():
    def forward(x):
        return torch.linalg.det(x)

    x = torch.eye(2)[None]
    with pytest.raises(UnsupportedOperationError) as error:
        contextual_decomposition(forward, x, x)
    text = str(error.value)
    assert "linalg_det" in text or "linalg.det" in text
    assert "test_carrier.py" in text
    assert "in forward" in text
    assert "register_operation(" in text
