"""
Bands and channels of a motion classifier
=========================================

Six channels of a smart watch tell standing, walking, running and badminton apart. In
which channel and at which frequency does a network look? The Fourier space of every
channel answers, and independent components of the channels do.
"""

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.decomposition import FastICA
from torch import nn

from sktrim import AlongAxis, FourierTransformer, TransformImportance

# %%
# The recordings ship in the package aeon: ten seconds at 10 Hz of a 3-axis
# accelerometer and a 3-axis gyroscope, 40 to learn from and 40 kept apart. Electrodes
# of an EEG are asked about in the same way; no package that ships labelled ones was
# found.

RATE = 10
CHANNELS = ["acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z"]
folder = Path(find_spec("aeon").origin).parent / "datasets" / "data" / "BasicMotions"


def read(part):
    """Return signals (n, 6, 100) and labels."""
    lines = (folder / f"BasicMotions_{part}.ts").read_text().splitlines()
    rows = [line.split(":") for line in lines if line and line[0] not in "#@"]
    signals = np.array([[row[c].split(",") for c in range(6)] for row in rows], float)
    return signals.astype("float32"), np.array([row[6].strip() for row in rows])


X_train, label_train = read("TRAIN")
X_test, label_test = read("TEST")
classes = np.unique(label_train)
y_train, y_test = (np.searchsorted(classes, own) for own in (label_train, label_test))
scale = X_train.std(axis=(0, 2), keepdims=True)
X_train, X_test = X_train / scale, X_test / scale

torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv1d(6, 16, 9, padding=4),
    nn.ReLU(),
    nn.MaxPool1d(2),
    nn.Conv1d(16, 16, 7, padding=3),
    nn.ReLU(),
    nn.AdaptiveAvgPool1d(1),
    nn.Flatten(),
    nn.Linear(16, 4),
)
optimizer = torch.optim.Adam(net.parameters(), 5e-3, weight_decay=1e-3)
x, y = torch.tensor(X_train), torch.tensor(y_train)
shifts = np.random.default_rng(0).integers(100, size=150)
for shift in shifts.tolist():
    optimizer.zero_grad()
    # a recording begins somewhere
    nn.functional.cross_entropy(net(x.roll(shift, dims=2)), y).backward()
    optimizer.step()
net.eval()


def accuracy(signals):
    """Share of test recordings that the network names."""
    found = net(torch.tensor(signals, dtype=torch.float32)).argmax(1).numpy()
    return (found == y_test).mean()


print(f"accuracy on recordings it never saw: {accuracy(X_test):.3f}")

# %%
# Bands in hertz, each channel for itself. DeepLIFT shares the margin of the true class
# out completely, in one pass.

edges = [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.5, 5]


def bands(fourier):
    """Every band of every channel."""
    return fourier.feature_groups(
        by="band",
        edges=edges,
        sample_spacing=1 / RATE,
        unit="Hz",
        channels="separate",
    )


trim = TransformImportance(
    net,
    FourierTransformer(axes=-1),
    "deeplift",
    groups=bands,
    target="true",
    random_state=0,
).fit(X_train)
explanation = trim.explain(X_test, y_test)
print(f"largest completeness error: {np.abs(explanation.completeness_error).max():.1e}")

shape = (len(CHANNELS), len(edges) - 1)
maps = [explanation.values[y_test == c].mean(axis=0).reshape(shape) for c in range(4)]
limit = max(np.abs(own).max() for own in maps)
figure, axes = plt.subplots(2, 2, figsize=(8.4, 5), layout="constrained", sharey=True)
names = [f"{a:g}-{b:g}" for a, b in pairwise(edges)]
for ax, own, name in zip(axes.flat, maps, classes, strict=True):
    picture = ax.imshow(own, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    ax.set_xticks(range(shape[1]), names, rotation=45, fontsize="small")
    ax.set_yticks(range(6), CHANNELS)
    ax.set_title(name)
for ax in axes[1]:
    ax.set_xlabel("frequency (Hz)")
figure.colorbar(picture, ax=axes, label="mean score for the true class (margin)")
figure.suptitle("Which band of which channel speaks for the activity")

# %%
# Is it so? What the scores call most important is taken away from the test recordings,
# and so is as much of what they call least important: the accuracy says which was used.

masks = trim.groups_.masks
ranked = np.argsort(-np.abs(explanation.values).mean(axis=0))
for title, picked in (("most", ranked[:8]), ("least", ranked[-8:])):
    kept = 1 - np.asarray(masks[picked].sum(axis=0)).ravel()
    s = trim.transformer_.transform(X_test) * kept
    without = trim.transformer_.inverse_transform(s)
    print(
        f"without the 8 {title} important of 48 bands: accuracy {accuracy(without):.3f}"
    )
top = ranked[0]
print(f"the most important: {CHANNELS[top // shape[1]]}, {names[top % shape[1]]} Hz")

# %%
# The slowest band is how the wrist is held against gravity, and it says most: a racket
# is held up, arms are bent when running. Strides come second, in the band around 1 Hz.
# Standing has no signal of its own: nothing speaks for it but that nothing moves.

# %%
# Channels by themselves are a matter of how the watch is worn. Independent components
# mix them so that each has a course of its own; they are coefficients at every moment,
# and groups gather them over time.

components = AlongAxis(FastICA(6, random_state=0, max_iter=1000), axis=1)
mixed = TransformImportance(
    net, components, "deeplift", target="true", random_state=0
).fit(X_train)
found = mixed.explain(X_test, y_test)
found.plot.bar(title="Independent components of the six channels")
plt.show()
