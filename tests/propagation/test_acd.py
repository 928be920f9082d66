"""Equal to the reference code of ACD on the networks that it handles right."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sktrim.propagation import contextual_decomposition


@pytest.fixture(scope="module")
def acd():
    # its agglomeration needs scikit-image, its decomposition does not
    sys.modules.setdefault("skimage", SimpleNamespace(measure=None))
    import acd.scores.cd as module

    return module


def relative(out, expected):
    return (out - expected).abs().max() / expected.abs().max()


NETS = {
    "mlp": lambda: nn.Sequential(nn.Linear(36, 20), nn.ReLU(), nn.Linear(20, 3)),
    "conv": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(),
        nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETS)
def test_feed_forward_networks(acd, name, seed):
    torch.manual_seed(seed)
    net = NETS[name]().eval()
    image = torch.randn(1, 1, 6, 6)
    mask = (torch.rand(6, 6) > 0.5).float()
    x = image.flatten(1) if name == "mlp" else image
    rel = (image * mask).reshape(x.shape)
    with torch.no_grad():
        ours, rest = contextual_decomposition(net, x, rel, bias="proportional")
        theirs, other = acd.cd(image, net, mask=mask.numpy(), device="cpu")
    assert relative(ours, theirs) < 1e-4
    assert relative(rest, other) < 1e-4


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@pytest.mark.parametrize("seed", range(3))
def test_text_lstm(acd, seed):
    torch.manual_seed(seed)

    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden_dim = 6
            self.embed = nn.Embedding(30, 5)
            self.lstm = nn.LSTM(5, 6)
            self.hidden_to_label = nn.Linear(6, 2, bias=False)

        def forward(self, text):
            return self.hidden_to_label(self.lstm(self.embed(text.T))[0][-1])

    net = Text().eval().requires_grad_(False)
    text = torch.randint(30, (1, 9))
    start, stop = 2, 5
    theirs = acd.cd_text(SimpleNamespace(text=text.T), net, start, stop)
    window = torch.zeros(1, 9)
    window[:, start : stop + 1] = 1
    ours, _ = contextual_decomposition(net, text, window, bias="proportional")
    np.testing.assert_allclose(ours[0].numpy(), theirs, rtol=1e-4, atol=1e-5)
