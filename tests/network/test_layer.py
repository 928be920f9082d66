"""Channels of a series or an image: what the network begins with tells."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from torch import nn

from sktrim import CosineTransformer, FourierTransformer, TransformImportance
from sktrim import WaveletTransformer as Wavelet
from tests.nets import seeded

X = np.random.default_rng(0).standard_normal((6, 3, 16))


class Transposed(nn.Module):
    """Eats (n, time, channels)."""

    def __init__(self):
        super().__init__()
        self.inner = series(16)

    def forward(self, x):
        return self.inner(x.transpose(1, 2))


def series(channels=3):
    layers = nn.Conv1d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)
    return nn.Sequential(*layers)


def picture():
    return nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.Conv2d(1, 4, 3), nn.Flatten(), nn.LazyLinear(2)
    )


def explained(build, transformer=None):
    net = seeded(build, 0).double()
    net(torch.as_tensor(X))
    transformer = FourierTransformer() if transformer is None else transformer
    return TransformImportance(net.eval(), transformer, "gradient").fit(X)


@pytest.mark.parametrize(
    ("build", "axes"), [(series, (-1,)), (Transposed, (-2,)), (picture, (-2, -1))]
)
@pytest.mark.parametrize("kind", [FourierTransformer, CosineTransformer, Wavelet])
def test_the_first_convolution_tells_the_axes(kind, build, axes):
    trim = explained(build, kind())
    assert trim.transformer_.axes_ == axes
    assert trim.transformer.axes is None


def test_what_was_said_counts():
    for transformer in (FourierTransformer((3, 16)), FourierTransformer(axes=(-2, -1))):
        assert explained(series, transformer).transformer_.axes_ == (-2, -1)


def test_the_first_step_of_a_pipeline_is_told_too():
    trim = explained(series, make_pipeline(FourierTransformer(), PCA(4)))
    assert trim.transformer_[0].axes_ == (-1,)


def test_other_networks_tell_nothing():
    with pytest.raises(ValueError, match="axes=-1"):
        explained(lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 2)))
