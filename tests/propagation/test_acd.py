"""Equal to the reference code of ACD on the networks that it handles right."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
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
        nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Dropout(),
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


# pooled before the ReLU, whose zeros would tie
LENETS = {
    "max pooling": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    ),
    "average pooling": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.AvgPool2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(256, 10),
    ),
}  # fmt: skip


def digits(noise):
    """Real digits of 8 x 8 pixels, made 28 x 28."""
    images = torch.from_numpy(load_digits().images[:4, None]) / 16
    images = F.interpolate(images, scale_factor=3, mode="nearest")
    generator = torch.Generator().manual_seed(0)
    images = F.pad(images, (2, 2, 2, 2))
    return images + noise * torch.randn(
        images.shape, dtype=torch.float64, generator=generator
    )


@pytest.fixture
def double(monkeypatch):
    """Have the reference, which asks for float and the default, work in float64."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(torch, "float", torch.float64)
    yield
    torch.set_default_dtype(default)


@torch.no_grad()
def both(acd, net, x, mask):
    """Our parts and those of the reference."""
    ours, _ = contextual_decomposition(net, x, x * mask, bias="proportional")
    return ours, acd.cd(x, net, mask=mask.numpy(), device="cpu")[0]


@pytest.mark.parametrize("name", LENETS)
def test_lenets_on_digits_without_ties(acd, double, name):
    torch.manual_seed(0)
    net, x = LENETS[name]().eval(), digits(noise=1e-3)
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        mask = torch.rand(28, 28, generator=generator).round()
        ours, theirs = both(acd, net, x, mask)
        assert relative(ours, theirs) < 1e-10


def test_the_reference_gives_a_tie_to_its_first_value(acd, double):
    net, x = nn.MaxPool2d(2).eval(), torch.ones(1, 1, 2, 2, dtype=torch.float64)
    mask = torch.tensor([[1.0, 0], [0, 0]])
    ours, theirs = both(acd, net, x, mask)
    assert (ours.item(), theirs.item()) == (0.25, 1)


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
