"""Networks, signals and groups that several benchmarks share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.decomposition import TruncatedSVD
from torch import nn

from sktrim import FourierTransformer
from sktrim.targets import Target
from tests.zoo import ResNet18, randomise


@dataclass
class Problem:
    """What is decomposed: a network, its input, a fitted transformer and groups."""

    title: str
    model: nn.Module
    X: Any
    transformer: Any
    groups: Any

    @property
    def n_inputs(self):
        """One network input for every pair of sample and group."""
        return len(self.X) * len(self.groups)


def _signals(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def lenet():
    """Build LeNet-5 of modules, which acd needs; one group for each frequency."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10),
    )  # fmt: skip
    X = _signals(1, 1, 28, 28)
    transformer = FourierTransformer().fit(X)
    groups = transformer.feature_groups()
    title = f"LeNet, {len(groups)} frequencies x 1 image 28 x 28"
    return Problem(title, model.eval(), X, transformer, groups)


def resnet():
    """Build ResNet-18 of the original width on maps of one channel."""
    torch.manual_seed(0)
    model = randomise(ResNet18(n_in=1))
    X = _signals(16, 1, 64, 64)
    transformer = FourierTransformer().fit(X)
    groups = transformer.feature_groups(by="band", n_bands=32)
    return Problem(
        "ResNet-18, 32 bands x 16 maps 64 x 64", model.eval(), X, transformer, groups
    )


class Encoder(nn.Module):
    """A Transformer encoder on sequences of vectors, and a linear readout."""

    def __init__(self, width=128, n_layers=4):
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            width, 8, 4 * width, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, n_layers, enable_nested_tensor=False
        )
        self.out = nn.Linear(width, 10)

    def forward(self, x):
        return self.out(self.encoder(x).mean(1))


def encoder():
    """Build a Transformer encoder; bands of frequencies along the tokens."""
    torch.manual_seed(0)
    model = Encoder()
    X = _signals(16, 64, 128)
    transformer = FourierTransformer(signal_shape=(64, 128), axes=(0,)).fit(X)
    groups = transformer.feature_groups(by="band", n_bands=16)
    return Problem(
        "Transformer encoder, 16 bands x 16 sequences of 64 tokens",
        model.eval(),
        X,
        transformer,
        groups,
    )


def topics():
    """Build a network of word counts; ten components of documents, kept sparse."""
    n_documents, n_words = 4000, 50_000
    rng = np.random.default_rng(0)
    frequencies = 1 / np.arange(1, n_words + 1)
    shape, places = (n_documents, n_words), (n_documents, 110)
    words = rng.choice(n_words, places, p=frequencies / frequencies.sum())
    ends = np.arange(0, words.size + 1, words.shape[1])
    ones = np.ones(words.size, np.float32)
    X = sp.csr_matrix((ones, words.ravel(), ends), shape)
    X.sum_duplicates()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(n_words, 64), nn.ReLU(), nn.Linear(64, 2))
    transformer = TruncatedSVD(10, random_state=0).fit(X)
    title = "MLP of 50,000 words, 10 topics x 4,000 documents"
    return Problem(title, model.eval(), X, transformer, "natural")


def scorer_alone(trim, X, n_outputs, **extras):
    """Give a function from the coefficients to the scores of the first output."""
    target = Target(torch.eye(n_outputs)[None, :1])
    parts = list(trim.composed_models(X))

    def run():
        return [
            trim.scorer.attribute(model, model.s, masks, target, **extras)
            for _, model, _, masks in parts
        ]

    return run


PROBLEMS = {"lenet": lenet, "resnet": resnet, "encoder": encoder}
