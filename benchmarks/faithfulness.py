"""Faithfulness against the forward passes that it needs, 1,000 samples x 20 groups."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.evaluation import faithfulness_curves
from sktrim.inverse import inverse_module

from ._tables import Table, alternating_seconds, device_name

N_SAMPLES, N_GROUPS = 1000, 20
N_POINTS = 2 * N_GROUPS


def _perceptron(*sizes):
    layers = [
        layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())
    ]
    return nn.Sequential(*layers[:-1])


def _lenet():
    return nn.Sequential(
        nn.Unflatten(1, (1, 28)),
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        *_perceptron(400, 120, 84, 10),
    )


CASES = [
    ("perceptron 64-32-10", (64,), lambda: _perceptron(64, 32, 10), True),
    ("perceptron 100-100-2", (100,), lambda: _perceptron(100, 100, 2), True),
    ("perceptron 784-256-10", (784,), lambda: _perceptron(784, 256, 10), True),
    ("perceptron 784-256-10", (784,), lambda: _perceptron(784, 256, 10), False),
    ("LeNet", (28, 28), _lenet, True),
]


def _compare(shape, network, fourier):
    """Seconds of the passes alone, and of the curves."""
    X = np.random.default_rng(0).standard_normal((N_SAMPLES, *shape), np.float32)
    scores = np.random.default_rng(1).standard_normal((N_SAMPLES, N_GROUPS))
    axes = tuple(range(len(shape)))
    transformer = FourierTransformer(axes=axes).fit(X) if fourier else None
    width = int(np.prod(shape))
    trim = TransformImportance(
        network, transformer, "gradient", groups=np.arange(width) * N_GROUPS // width
    ).fit(X)
    s = X if transformer is None else transformer.transform(X)
    inverse = inverse_module(transformer, X=X[:10]).float()
    chunks = torch.as_tensor(s).float().split(_chunk(trim, X))

    @torch.no_grad()
    def passes():
        for _ in range(N_POINTS):
            for part in chunks:
                network(inverse(part).reshape(-1, *shape)).softmax(-1)

    return alternating_seconds(
        [passes, lambda: faithfulness_curves(trim, X, scores=scores)]
    )


def _chunk(trim, X):
    """How many samples sktrim takes at once, so that both sides take as many."""
    rows, *_ = next(trim.composed_models(X))
    return rows.stop


def measure():
    """Time perceptrons and a LeNet; seconds of one thread."""
    rows = []
    for name, shape, build, fourier in CASES:
        torch.manual_seed(0)
        passes, curves = _compare(shape, build().eval(), fourier)
        space = "Fourier" if fourier else "the signal's own"
        rows.append([name, space, passes, curves, curves / passes])
    return Table(
        f"faithfulness of {N_SAMPLES} samples x {N_GROUPS} groups, "
        f"{device_name('cpu')}",
        ["network", "space", "passes [s]", "curves [s]", "ratio"],
        rows,
        [
            f"The passes: {N_POINTS} of T^-1, network and softmax for each sample.",
            "To reach: a ratio of at most 1.2.",
        ],
    )
