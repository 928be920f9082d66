"""
Pictures of an explanation
==========================

A network learns which of two faint waves hides in the noise of an image. The truth is
known here, so every picture can be checked: one wave has (3, 5) cycles per image along
the rows and the columns, the other (6, -2).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn

from sktrim import FourierTransformer, TransformImportance

# %%
# Images of noise; a wave of random phase in two classes out of three.

WAVES = np.array([[0, 0], [3, 5], [6, -2]])


def simulate(n_samples, seed, side=24):
    """Return images of noise with the wave of their class, and the classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(WAVES), n_samples)
    turns = np.tensordot(WAVES[y], np.indices((side, side)), 1) / side
    phases = rng.random((n_samples, 1, 1))
    strength = 0.6 * (y > 0)[:, None, None]
    X = strength * np.cos(2 * np.pi * (turns + phases))
    X = X + rng.standard_normal(X.shape)
    return X[:, None].astype(np.float32), y


X_train, y_train = simulate(3000, seed=0)
X_test, y_test = simulate(500, seed=1)
torch.manual_seed(0)
net = NeuralNetClassifier(
    nn.Sequential(
        nn.Conv2d(1, 16, 7),
        nn.ReLU(),
        nn.AvgPool2d(18),
        nn.Flatten(),
        nn.Linear(16, len(WAVES)),
    ),
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.01,
    max_epochs=15,
    batch_size=64,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
).fit(X_train, y_train)
print(f"accuracy: {net.score(X_test, y_test):.3f}")

# %%
# One score per frequency of every image, and one per band.

by_frequency = TransformImportance(FrozenEstimator(net), FourierTransformer())
frequencies = by_frequency.fit(X_train).explain(X_test)
by_band = TransformImportance(
    FrozenEstimator(net),
    FourierTransformer(),
    groups=lambda fourier: fourier.feature_groups(by="band", n_bands=17),
)
bands = by_band.fit(X_train).explain(X_test)

# %%
# The heat map of one image has its frequencies in their plane; the bars rank them over
# all images, the curve has the bands of every class, and the components are the parts
# of the image that the best frequencies carry.

sample = int(np.flatnonzero(y_test == 1)[0])
classes = np.array(["noise", "(3, 5)", "(6, -2)"])
figures = {
    "heatmap": frequencies.plot.heatmap(sample=sample),
    "bars": frequencies.plot.bar(k=6),
    "curve": bands.plot.curve(by=classes[y_test]),
    "components": frequencies.plot.components(sample, k=3, n_columns=4),
}

# %%
# Run as a script, it leaves the figures in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    for name, display in figures.items():
        display.figure_.savefig(f"demo/picture_{name}.png", dpi=100)
    plt.close("all")
