"""A model writes into tensors that it made itself: constants until then."""

import pytest
import torch
from torch import nn

from sktrim.propagation import (
    DenseParts,
    UnsupportedOperationError,
    contextual_decomposition,
    decompose,
)
from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import GuidedBackpropagation

torch.set_num_threads(1)


class Written(nn.Module):
    """Joins what it computes by writing; `write` is how."""

    def __init__(self, write):
        super().__init__()
        self.first, self.last = nn.Linear(5, 4), nn.Linear(4, 3)
        self.write = write

    def forward(self, x):
        h = self.first(x).tanh()
        return self.last(self.write(h)).relu().sum(1)


def by_item(h):
    out = torch.zeros(h.shape, dtype=h.dtype)
    for t in range(h.shape[1]):
        out[:, t] = h[:, t] * (t + 1)
    return out


def by_item_joined(h):
    return torch.stack([h[:, t] * (t + 1) for t in range(h.shape[1])], 1)


def by_copy(h):
    out = torch.empty_like(h)
    out.copy_(h.flip(1))
    return out


def by_copy_joined(h):
    return h.flip(1)


def by_copy_to_views(h):
    out = h.new_empty(h.shape)
    out[..., :1].copy_(h[..., 3:])
    out[..., 1:].copy_(h[..., :3])
    return out


def by_copy_to_views_joined(h):
    return torch.cat([h[..., 3:], h[..., :3]], -1)


def by_index_add(h):
    flat = h.reshape(-1, 4)
    out = torch.zeros_like(flat)
    for e in range(2):
        rows = torch.arange(e, len(flat), 2)
        out.index_add_(0, rows, flat[rows] * (2 - 3 * e))
    return out.reshape(h.shape)


def by_index_add_joined(h):
    flat = h.reshape(-1, 4)
    parity = (torch.arange(len(flat)) % 2)[:, None]
    return (flat * torch.where(parity == 0, 2.0, -1.0)).reshape(h.shape)


def by_adding(h):
    out = torch.zeros_like(h[:, 0])
    for t in range(h.shape[1]):
        out += h[:, t] ** 2
    return out[:, None]


def by_adding_joined(h):
    return (h**2).sum(1)[:, None]


def by_adding_to_views(h):
    out = torch.zeros(len(h), 2, 4, dtype=h.dtype)
    out[:, 0] += h[:, 0]
    out[:, 1] -= h[:, 1]
    return out


def by_adding_to_views_joined(h):
    return torch.stack([h[:, 0], -h[:, 1]], 1)


def by_scatter(h):
    out = torch.zeros_like(h)
    index = torch.tensor([2, 0, 1, 2]).expand(h.shape)
    return out.scatter_add_(-1, index, h)


def by_scatter_joined(h):
    join = torch.zeros(4, 4, dtype=h.dtype)
    join[torch.arange(4), torch.tensor([2, 0, 1, 2])] = 1
    return h @ join


WRITES = [
    (by_item, by_item_joined),
    (by_copy, by_copy_joined),
    (by_copy_to_views, by_copy_to_views_joined),
    (by_index_add, by_index_add_joined),
    (by_adding, by_adding_joined),
    (by_adding_to_views, by_adding_to_views_joined),
    (by_scatter, by_scatter_joined),
]
SPELLINGS = pytest.mark.parametrize(
    ("write", "join"), WRITES, ids=[write.__name__ for write, _ in WRITES]
)


def networks(write, join, seed=0):
    torch.manual_seed(seed)
    written = Written(write).double().eval().requires_grad_(False)
    joined = Written(join).double().eval().requires_grad_(False)
    joined.load_state_dict(written.state_dict())
    return written, joined, torch.randn(3, 2, 5, dtype=torch.float64)


# rows by their numbers are of no known sample: "channel" has nothing to pool over
CHANNELS = [pair for pair in WRITES if pair[0] is not by_index_add]


@pytest.mark.parametrize(
    ("write", "join", "bias"),
    [(*pair, bias) for bias in ("context", "proportional") for pair in WRITES]
    + [(*pair, "channel") for pair in CHANNELS],
)
def test_writing_and_joining_are_the_same_to_cd(write, join, bias):
    written, joined, x = networks(write, join)
    masks = torch.rand(4, *x.shape[1:], dtype=x.dtype)
    rel = masks[:, None] * x
    mine, rest = contextual_decomposition(written, x, rel, bias=bias)
    right, _ = contextual_decomposition(joined, x, rel, bias=bias)
    torch.testing.assert_close(mine, right, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mine + rest, written(x).expand_as(mine))


@SPELLINGS
def test_writing_and_joining_are_the_same_to_deeplift(write, join):
    written, joined, x = networks(write, join)
    base = torch.randn_like(x)
    found = []
    for net in (written, joined):
        leaf = x.clone().requires_grad_()
        out = run(net, DeepLiftRescale().enter(leaf, base)).full
        (grad,) = torch.autograd.grad(out[:, 0].sum(), leaf)
        found.append(grad)
        torch.testing.assert_close(out.detach(), net(x))
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)
    total = (found[0] * (x - base)).flatten(1).sum(1)
    torch.testing.assert_close(total, (written(x) - written(base))[:, 0])


@SPELLINGS
def test_guided_backpropagation_goes_through_writes(write, join):
    written, joined, x = networks(write, join)
    found = []
    for net in (written, joined):
        leaf = x.clone().requires_grad_()
        out = run(net, GuidedBackpropagation().enter(leaf)).full
        found += torch.autograd.grad(out[:, 0].sum(), leaf)
    torch.testing.assert_close(*found)


def test_a_constant_that_is_partly_overwritten_is_shared_as_a_bias():
    def write(h):
        out = torch.full_like(h, 0.7)
        out[:, 0] = h[:, 0]
        return out

    written, _, x = networks(write, write)
    rel = torch.stack([torch.zeros_like(x), x])
    for bias in ("channel", "proportional"):
        (none, full), _ = contextual_decomposition(written, x, rel, bias=bias)
        assert not none.any()
        torch.testing.assert_close(full, written(x))


def test_rows_that_are_written_together_are_as_alone():
    written, _, x = networks(by_copy_to_views, by_copy_to_views_joined)
    mask = torch.rand(2, *x.shape[1:], dtype=x.dtype)

    def parts(x):
        return DenseParts(2, lambda rows, some: mask[some][:, None] * x[rows])

    together, _ = decompose(written, x, parts(x), bias="proportional")
    alone, _ = decompose(written, x[1:2], parts(x[1:2]), bias="proportional")
    torch.testing.assert_close(together[:, 1:2], alone)


def test_what_is_written_is_a_view_of_what_holds_it():
    def write(h):
        holder = [torch.zeros_like(h)]
        row = holder[0][:, 1]
        row += h[:, 0]
        later = holder[0][:, 1]
        row *= 3
        return holder[0] + later[:, None]

    def join(h):
        return torch.stack([0 * h[:, 0], 3 * h[:, 0]], 1) + 3 * h[:, :1]

    written, joined, x = networks(write, join)
    rel = torch.rand_like(x) * x
    mine, _ = contextual_decomposition(written, x, rel)
    right, _ = contextual_decomposition(joined, x, rel)
    torch.testing.assert_close(mine, right)


def overlapping(h):
    """Windows of two columns, as a view."""
    flat = h.contiguous().view(len(h), -1)
    return flat.as_strided((len(h), 3, 4), (flat.stride(0), 2, 1))


def overlapping_joined(h):
    flat = h.reshape(len(h), -1)
    return torch.stack([flat[:, k : k + 4] for k in (0, 2, 4)], 1)


@pytest.mark.parametrize("bias", ["context", "channel", "proportional"])
def test_views_by_strides_are_the_views_they_are(bias):
    strided, joined, x = networks(overlapping, overlapping_joined)
    rel = torch.rand(3, 1, *x.shape[1:], dtype=x.dtype) * x
    mine, _ = contextual_decomposition(strided, x, rel, bias=bias)
    right, _ = contextual_decomposition(joined, x, rel, bias=bias)
    torch.testing.assert_close(mine, right)


class Keeping(nn.Module):
    """Writes into what it keeps from call to call."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept
        self.register_buffer("buffer", torch.zeros(3, 5, dtype=torch.float64))
        self.listed = [{"here": torch.zeros(3, 5, dtype=torch.float64)}]
        self.weight = nn.Parameter(torch.zeros(3, 5, dtype=torch.float64), False)

    def forward(self, x):
        target = self.listed[0]["here"] if self.kept == "listed" else None
        target = getattr(self, self.kept) if target is None else target
        target[:] = x
        return target * 2


@pytest.mark.parametrize("kept", ["buffer", "listed", "weight"])
def test_what_the_model_keeps_is_not_written(kept):
    net = Keeping(kept).eval()
    x = torch.ones(3, 5, dtype=torch.float64)
    with pytest.raises(UnsupportedOperationError, match="plain tensor"):
        contextual_decomposition(net, x, x)
    with pytest.raises(UnsupportedOperationError, match="plain tensor"):
        contextual_decomposition(lambda v: net(v), x, x)
    for tensor in (net.buffer, net.listed[0]["here"], net.weight):
        assert type(tensor) in (torch.Tensor, nn.Parameter)
        assert not tensor.any()


def test_a_tensor_that_others_look_at_is_not_written():
    def write(h):
        out = torch.zeros_like(h)
        seen = out[:, 0]
        out[:] = h
        return out + seen[:, None]

    written, _, x = networks(write, write)
    with pytest.raises(UnsupportedOperationError, match="looked at by other"):
        contextual_decomposition(written, x, x)
