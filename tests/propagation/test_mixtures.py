"""A forward pass of mixtures is the forward pass of their sums."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sktrim.propagation import Mixtures, explained_output
from tests import zoo

FLOATING = [n for n in zoo.NETS if n not in (*zoo.TOKENS, "two inputs")]


def draw(shape, n_signals=4, n_samples=2, n_points=5):
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    signals = torch.randn(n_signals, n_samples, *shape, **options)
    return signals, torch.randn(n_points, n_signals, **options)


def mixed(signals, weights):
    return torch.einsum("pm,mn...->pn...", weights, signals).flatten(0, 1)


def assert_alike(model, shape, **sizes):
    signals, weights = draw(shape, **sizes)
    mixtures = Mixtures(signals)
    with torch.no_grad():
        for some in (weights, weights.flip(0)[: len(weights) - 1]):
            if len(some):
                expected = model(mixed(signals, some))
                found = mixtures.run(model, model, some)
                torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", FLOATING)
def test_every_network_gives_what_it_gives_for_the_mixtures(name):
    assert_alike(zoo.build(name), zoo.NETS[name][1])


@pytest.mark.parametrize("name", FLOATING)
def test_endings_are_left_out_alike(name):
    net = nn.Sequential(zoo.build(name), nn.Softmax(-1)).eval()
    signals, weights = draw(zoo.NETS[name][1])

    def forward(x):
        return explained_output(net, x)[0]

    with torch.no_grad():
        found = Mixtures(signals).run(forward, net, weights)
        expected = forward(mixed(signals, weights))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


class Rows(TorchDispatchMode):
    """Notes how many rows the products and convolutions take, in their order."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("convolution", "mkldnn_convolution"):
            self.found.append(len(args[0]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("wrap", [nn.Identity, lambda: nn.Softmax(-1)])
def test_the_first_convolution_sees_each_signal_once(wrap):
    layers = nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.Flatten(), wrap()
    net = nn.Sequential(*layers).double().eval()
    signals, weights = draw((1, 8, 8), n_signals=4, n_samples=2, n_points=50)
    mixtures = Mixtures(signals)
    with Rows() as rows, torch.no_grad():
        for _ in range(2):
            mixtures.run(lambda x: explained_output(net, x)[0], net, weights)
    assert rows.found == [8, 100, 100]


def in_place(x):
    x.mul_(2)
    return x.flatten(1).sum(1)


def writes_an_item(x):
    x[:, 0] = 1.0
    return x.flatten(1).sum(1)


def relu_first(x):
    return F.relu(x).flatten(1).sum(1)


def twice(x):
    return (x + F.conv2d(x, KERNEL, padding=1)).relu().flatten(1).sum(1)


def turned(x):
    a, b = (F.conv2d(v, KERNEL) for v in (x, x.transpose(2, 3)))
    return (a.relu() - 2 * b.relu()).flatten(1).sum(1)


def two_shifts(x):
    a, b = (F.conv2d(x, KERNEL, shift) for shift in (SHIFT[:1], SHIFT[1:2]))
    return (a.relu() - b.relu()).flatten(1).sum(1)


def two_strides(x):
    a, b = (F.conv2d(x, KERNEL, stride=stride) for stride in (1, 2))
    return a.relu().flatten(1).sum(1) - b.relu().flatten(1).sum(1)


def rows_are_channels(x):
    kernel = torch.arange(len(x) * 9.0, dtype=x.dtype).view(1, len(x), 3, 3)
    return F.conv2d(x.squeeze(1), kernel).relu().flatten()


def one_more_axis(x):
    return F.conv3d(x.unsqueeze(0).transpose(0, 1), KERNEL[None]).relu().flatten(1)


def rows_as_channels(x):
    return F.conv2d(x.flatten(0, 1)[:, None], KERNEL).relu().reshape(len(x), -1)


def rows_last(x):
    return (x.flatten(1).T * 2).sum(0)


def by_size(x):
    n, _, high, wide = x.shape
    return F.linear(x.view(n, high * wide), MATRIX, SHIFT).relu() * x.size(0)


def tokens(x):
    return F.linear(x.squeeze(1), MATRIX[:, :6], SHIFT).relu().mean(1)


def new_weights(x):
    return F.conv2d(x, KERNEL * 2, SHIFT[:1]).relu().flatten(1).sum(1)


def dynamic(x):
    return F.conv2d(x, x[:1, :, :3, :3]).relu().flatten(1).sum(1)


def through_numpy(x):
    return torch.from_numpy(x.numpy() * 2).flatten(1)


def only_moves(x):
    return x.transpose(2, 3).flatten(1)


def one_dimensional(x):
    return F.conv1d(x[:, 0], MATRIX[:, :18].view(3, 6, 3), SHIFT).relu().flatten(1)


def transposed(x):
    return F.conv_transpose2d(x, KERNEL, SHIFT[:1], stride=2).relu().flatten(1)


def writes_when_turned(x):
    x.transpose(0, 1).tanh_()
    return x.flatten(1).sum(1)


def writes_into_a_column(x):
    x[:, 0].unbind(1)[0].mul_(2)
    return F.linear(x, MATRIX[:, :6], SHIFT).flatten(1)


def writes_into_a_copy_that_is_none(x):
    same = x.contiguous()
    same.relu_()
    return x.flatten(1)


def writes_into_a_part(x):
    F.relu(x.chunk(2, -1)[1], inplace=True)
    return x.flatten(1)


def compares_with_a_part(x):
    first = x[..., :1].relu()
    return torch.where(first > x, first, 0.3).flatten(1)


def compares_a_part(x):
    return 1.0 * torch.less(x[..., :1], x + 0.0).flatten(1)


GENERATOR = torch.Generator().manual_seed(1)
KERNEL = torch.randn(1, 1, 3, 3, generator=GENERATOR, dtype=torch.float64)
MATRIX = torch.randn(3, 36, generator=GENERATOR, dtype=torch.float64)
SHIFT = torch.randn(3, generator=GENERATOR, dtype=torch.float64)
MODELS = [
    in_place, writes_an_item, relu_first, twice, turned, two_shifts,
    two_strides, rows_are_channels, one_more_axis, rows_as_channels, rows_last,
    by_size, tokens, new_weights, dynamic, through_numpy, one_dimensional, transposed,
    writes_when_turned, writes_into_a_column, writes_into_a_copy_that_is_none,
    writes_into_a_part, only_moves, compares_with_a_part, compares_a_part,
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("n_points", [1, 4, 6])
@pytest.mark.parametrize("n_samples", [1, 6])
def test_whatever_comes_first_the_result_is_the_same(model, n_points, n_samples):
    assert_alike(model, (1, 6, 6), n_samples=n_samples, n_points=n_points)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_model_runs_on_the_mixtures_themselves():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()).double().eval()
    assert_alike(torch.jit.script(net), (1, 6, 6))


def test_channels_last_weights_give_the_same():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten())
    net = net.double().to(memory_format=torch.channels_last).eval()
    assert_alike(net, (1, 6, 6))


def test_the_error_of_a_model_is_its_own():
    net = nn.Linear(7, 2).double().eval()
    signals, weights = draw((6,))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        Mixtures(signals).run(net, net, weights)


@pytest.mark.parametrize("error", [AssertionError, KeyError, IndexError])
def test_models_that_insist_on_tensors_get_the_mixtures(error):
    def net(x):
        if not isinstance(x, torch.Tensor):
            raise error("a tensor is wanted")
        return F.conv2d(x, KERNEL).relu().flatten(1).sum(1)

    assert_alike(net, (1, 6, 6))
