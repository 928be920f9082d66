"""Rows together are rows alone, wherever a network puts the axis of its samples."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import contextual_decomposition, explained_output

torch.set_num_threads(1)

BIASES = ["channel", "proportional"]


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


WEIGHT, SHIFT = drawn(6, 4, seed=1), drawn(6, seed=2)


def layer(x):
    return F.linear(x, WEIGHT, SHIFT).relu()


class Network(nn.Module):
    """A function as a module, which may write into tensors of its own."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def first_rows(x):
    """Take the class tokens of the first frames, all the first sample's: TimeSformer.

    They are all the same constant, but its parts are those of the frame.
    """
    frames = x.reshape(-1, 2, 4)
    frames = torch.cat([torch.ones(len(frames), 1, 4, dtype=x.dtype), frames], 1)
    token = layer(frames[: len(x), 0])[:, None]
    return torch.cat([token, layer(x)], 1).tanh().mean(1)


def picked_rows(x):
    flat = x.reshape(-1, 4)
    chosen = torch.where(flat[:, 0] > 0)[0]
    out = torch.zeros(len(flat), 6, dtype=x.dtype)
    out = out.index_add(0, chosen, layer(flat[chosen]))
    return (out.reshape(len(x), -1, 6) + SHIFT).tanh().mean(1)


def turned(x):
    """A dead layer shares its bias as the input is shared, row by row."""
    dead = layer(0 * x.flip(0)).flip(0)
    return (dead + layer(x)).tanh().mean(1)


def in_another_order(x):
    order = torch.arange(len(x)).flip(0)
    dead = layer(0 * x[order])[order]
    return (dead + layer(x)).tanh().mean(1)


def copied(x):
    order = torch.arange(len(x)).flip(0)
    other = torch.zeros(x.shape, dtype=x.dtype).index_copy(0, order, 0 * x)
    return (layer(other)[order] + layer(x)).tanh().mean(1)


def repeated(x):
    twice = layer(x.repeat_interleave(2, 0))
    return F.linear(twice.tanh(), WEIGHT.T, SHIFT[:4]).tanh().reshape(len(x), -1)


def times_first(x):
    """As many times as samples, so that sizes do not tell which is which."""
    return (torch.einsum("bti,oi->tbo", x, WEIGHT) + SHIFT).tanh().mean(0)


def queried(x):
    query = torch.einsum("btd,d->bd", x, drawn(4, seed=5))
    scores = torch.einsum("bd,btd->bt", query, x)
    return (scores + 0.5).tanh().softmax(-1) * 1.0


def written_by_time(x):
    out = torch.ones(x.shape[1], len(x), 6, dtype=x.dtype)
    for t in range(x.shape[1] - 1):
        out[t] = layer(x[:, t])
    return (out + SHIFT).tanh().mean(0)


def copies(x):
    return torch.arange(len(x)).repeat_interleave(4)


def weighed(rows):
    """A layer of copies of every row, each with weights of its own, one by one."""
    weights = drawn(4, *rows.shape[1:], seed=8).repeat(len(rows) // 4, 1, 1)
    return layer(rows * weights).reshape(len(rows) // 4, -1, 6).tanh().mean(1)


def for_every_window(x):
    return weighed(x.repeat_interleave(4, dim=0))


def selected(x):
    return weighed(x.index_select(0, copies(x)))


def indexed(x):
    return weighed(x[copies(x)])


def indexed_with_times(x):
    return weighed(x[copies(x)[:, None], torch.tensor([0, 2, 3])])


def indexed_within_times(x):
    times = torch.tensor([0, 2, 3, 1])
    return layer(x[torch.arange(len(x))[None], times[:, None]]).tanh().mean(0)


def time_first(x):
    rows = x.transpose(0, 1)[:, copies(x)] * drawn(6, 4, 4, seed=8).repeat(1, len(x), 1)
    return layer(rows).reshape(6, len(x), 4, 6).tanh().mean((0, 2))


def chosen_times(x):
    chosen = torch.tensor([1, 0, 1, 1, 0, 1]).bool().expand(len(x), -1)
    return layer(x[chosen]).reshape(len(x), -1, 6).tanh().mean(1)


def indexed_behind_a_slice(x):
    """What indices with a slice between them take comes first."""
    squares = x[:, :, None] * drawn(3, 1, seed=9)
    taken = squares[:, torch.tensor([0, 2, 3, 1]), :, torch.tensor([0, 2, 1, 1])]
    return F.linear(taken, WEIGHT[:, :3], SHIFT).relu().tanh().mean(0)


NETWORKS = [
    first_rows,
    picked_rows,
    turned,
    in_another_order,
    copied,
    repeated,
    times_first,
    queried,
    written_by_time,
    for_every_window,
    selected,
    indexed,
    indexed_with_times,
    indexed_within_times,
    time_first,
    chosen_times,
    indexed_behind_a_slice,
]


def parts_of(x):
    drawn_ = torch.rand(3, *x.shape[1:], generator=torch.Generator().manual_seed(6))
    return drawn_.double()[:, None] * x / 3


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("bias", [*BIASES, "context"])
@pytest.mark.parametrize("network", NETWORKS)
def test_rows_together_are_rows_alone(network, bias, partition):
    network = Network(network).eval()
    x = drawn(6, 6, 4)
    rel = parts_of(x)
    options = {"bias": bias, "partition": partition, "strip": False}
    together, rest = contextual_decomposition(network, x, rel, **options)
    whole = together.sum(0) if partition else together
    torch.testing.assert_close(whole + rest, network(x).expand_as(whole))
    for i in range(len(x)):
        one = slice(i, i + 1)
        alone, _ = contextual_decomposition(network, x[one], rel[:, one], **options)
        torch.testing.assert_close(alone, together[:, one])


@pytest.mark.parametrize("bias", BIASES)
def test_rows_of_several_inputs_run_alone_too(bias):
    a, b = drawn(5, 6, 4), drawn(5, 6, 4, seed=7)
    keep = torch.tensor([1.0, 0, 1, 1, 0, 1], dtype=a.dtype)[:, None]

    def network(a, b, keep):
        return picked_rows(a * keep) + first_rows(b)

    parts = parts_of(a), parts_of(b), None
    together, _ = contextual_decomposition(network, (a, b, keep), parts, bias=bias)
    for i in range(len(a)):
        one = slice(i, i + 1)
        inputs, own = (a[one], b[one], keep), (parts[0][:, one], parts[1][:, one], None)
        alone, _ = contextual_decomposition(network, inputs, own, bias=bias)
        torch.testing.assert_close(alone, together[:, one])


def siamese(x):
    half = len(x) // 2
    return layer(x[:half]).mean(1).repeat(2, 1) * layer(x[half:]).mean(1).repeat(2, 1)


def averaged(x):
    return first_rows(x) + x.mean()


def unlike(x):
    """A layer of what rows have in common, and of nothing where that is nothing."""
    common = x.abs().amax((0, 1))
    return layer(x).mean(1) + layer(common - common) + layer(common)


@pytest.mark.parametrize("network", [siamese, averaged, unlike])
@pytest.mark.parametrize("bias", BIASES)
def test_rows_that_meet_each_other_are_one_sample(bias, network):
    x = drawn(4, 6, 4)
    rel = torch.cat([parts_of(x), x[None], 0 * x[None]])
    options = {"bias": bias, "strip": False}
    out, rest = contextual_decomposition(network, x, rel, **options)
    torch.testing.assert_close(out + rest, network(x).expand_as(out))
    torch.testing.assert_close(out[3], network(x))
    assert (out[4] == 0).all()
    joined, _ = contextual_decomposition(
        lambda one: network(one.squeeze(0)), x[None], rel[:, None], **options
    )
    torch.testing.assert_close(out, joined)


NUMBERS = {
    "mean": lambda x: x * (x.mean() + 1),
    "largest": lambda x: x * (1 / x.amax()),
    "zero": lambda x: x * ((0 * x).sum() + 1),
    "exponential of zero": lambda x: x * (0 * x).sum().exp(),
    "dead": lambda x: x * ((-x.abs()).relu().sum() + 1),
}


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_all_rows_has_shares_too(name, bias, partition, grad):
    network, x = NUMBERS[name], drawn(4, 6)
    rel = torch.stack([0 * x, x]) if partition else torch.stack([0 * x, x / 3, x])
    options = {"bias": bias, "partition": partition, "strip": False}
    with torch.set_grad_enabled(grad):
        out, rest = contextual_decomposition(network, x, rel, **options)
    torch.testing.assert_close(out[-1], network(x))
    assert (out[0] == 0).all()
    whole = out.sum(0) if partition else out
    torch.testing.assert_close(whole + rest, network(x).expand_as(whole))


@pytest.mark.parametrize("strip", [True, False])
@pytest.mark.parametrize("bias", ["channel", "proportional"])
def test_a_model_that_writes_its_input_and_goes_row_by_row_leaves_x_as_it_is(
    bias, strip
):
    torch.manual_seed(0)
    layer = nn.Linear(24, 3).double()

    def model(x):
        x.mul_(1.5)
        rows = torch.stack([row.tanh() for row in x])
        return layer(torch.cat([rows.flatten(1), x.flatten(1)], 1))

    x = torch.randn(2, 2, 6, dtype=torch.float64)
    before = x.clone()
    parts = torch.stack([0 * x, 0.3 * x, x])
    with torch.no_grad():
        whole = model(x.clone())
        explained_output(model, x, strip)
        rel, rest = contextual_decomposition(model, x, parts, bias=bias, strip=strip)
    assert torch.equal(x, before)
    torch.testing.assert_close(rel + rest, whole.expand(3, 2, 3))
    torch.testing.assert_close(rel[2], whole)
