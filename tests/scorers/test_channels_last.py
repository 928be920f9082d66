"""The faster copy of an image network gives what the network gives."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sktrim.scorers._channels_last import _copy
from tests.nets import seeded

POOLS = {
    "square": (nn.AvgPool2d(2), True),
    "overlapping": (nn.AvgPool2d((2, 3), stride=1), True),
    "padded": (nn.AvgPool2d(3, 2, padding=(1, 0)), True),
    "large": (nn.AvgPool2d(5), False),
    "padding left out": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), False),
    "ragged": (nn.AvgPool2d(3, ceil_mode=True), False),
    "divisor": (nn.AvgPool2d(2, divisor_override=3), False),
}


class Names(TorchDispatchMode):
    """Notes which operations run."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", POOLS)
def test_small_averages_are_convolutions_with_the_same_result(name):
    pool, changes = POOLS[name]
    net = seeded(lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), pool)).eval()
    x = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    expected, copied = net(x), _copy(net)
    with Names() as names:
        found = copied(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert ("avg_pool2d" not in names.found) == changes
    with Names() as names:
        net(x)
    assert "avg_pool2d" in names.found
