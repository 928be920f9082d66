"""Networks that weigh the universe: convolutional regressors of maps."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

# the convergence is about .02, and its variance as small as what batch norm adds to
# variances so as not to divide by zero
_EPS = 1e-9


class Rescale(nn.Module):
    """Give standardised outputs their scales and means back."""

    scale: Tensor
    shift: Tensor

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(n_outputs))
        self.register_buffer("shift", torch.zeros(n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return scale times x plus shift."""
        return x * self.scale + self.shift


def _normalised(
    n_in: int, n_out: int, size: int = 3, stride: int = 1
) -> list[nn.Module]:
    """Return a convolution, batch norm and ReLU."""
    convolution = nn.Conv2d(n_in, n_out, size, stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(n_out, _EPS), nn.ReLU()]


def _averaged(n_features: int, n_outputs: int) -> list[nn.Module]:
    """Return the average over the map, a linear layer and the outputs' scales."""
    linear = nn.Linear(n_features, n_outputs)
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear, Rescale(n_outputs)]


def small_network(n_outputs: int) -> nn.Sequential:
    """Three convolutions in steps of two pixels, one more, and two linear layers.

    For maps of 128 x 128 pixels on two cores.
    """
    layers = [
        *_normalised(1, 16, 5, 2),
        *_normalised(16, 32, 3, 2),
        *_normalised(32, 64, 3, 2),
        *_normalised(64, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    last = nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, n_outputs)
    return nn.Sequential(*layers, *last, Rescale(n_outputs))


class _Residual(nn.Module):
    """Two convolutions and a way around them (He et al. 2016, figure 2)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        first = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        second = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.body = nn.Sequential(
            first, nn.BatchNorm2d(n_out), nn.ReLU(), second, nn.BatchNorm2d(n_out)
        )
        self.around: nn.Module = nn.Identity()
        if stride > 1 or n_in != n_out:
            narrow = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
            self.around = nn.Sequential(narrow, nn.BatchNorm2d(n_out))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Add both ways."""
        return self.relu(self.body(x) + self.around(x))


def resnet18(n_outputs: int) -> nn.Sequential:
    """ResNet-18 with one input channel (He et al. 2016)."""
    layers = [*_normalised(1, 64, 7, 2), nn.MaxPool2d(3, 2, padding=1)]
    widths = (64, 64, 128, 256, 512)
    for at, (n_in, n_out) in enumerate(pairwise(widths)):
        layers += [_Residual(n_in, n_out, 2 if at else 1), _Residual(n_out, n_out, 1)]
    return nn.Sequential(*layers, *_averaged(512, n_outputs))


# three convolutions each
_BLOCKS = (32, 32, 64, 64, 128, 128)


def zorrilla_network(n_outputs: int) -> nn.Sequential:
    """Eighteen convolutions in six blocks that end in average pooling.

    Batch norm and ReLU follow each but the last (Zorrilla Matilla et al. 2020, section
    II C). The widths are ours.
    """
    layers: list[nn.Module] = []
    n_in = 1
    for width in _BLOCKS:
        for _ in range(3):
            layers += _normalised(n_in, width)
            n_in = width
        layers.append(nn.AvgPool2d(2))
    last = nn.Conv2d(_BLOCKS[-1], _BLOCKS[-1], 3, padding=1)
    # in place of the last convolution, its batch norm and its ReLU
    layers[-4:-1] = [last]
    return nn.Sequential(*layers, *_averaged(_BLOCKS[-1], n_outputs))


ARCHITECTURES = {
    "small": small_network,
    "resnet18": resnet18,
    "zorrilla": zorrilla_network,
}
# sides below which nothing is left to average
_LEAST_PIXELS = {"small": 16, "resnet18": 32, "zorrilla": 64}


def check_architecture(name: Any) -> None:
    """Refuse unknown architectures."""
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture={name!r}; expected one of {[*ARCHITECTURES]}.")


def least_pixels(name: str) -> int:
    """Return the side of the smallest maps that a network takes."""
    return _LEAST_PIXELS[name]
