"""
Frequencies of a sound classifier
=================================

A network names spoken digits from the waveform alone. Which frequencies does it go by,
digit for digit, and when? A part of a recording can be listened to, and the network
asked about it.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.io import wavfile
from torch import nn

from sktrim import (
    FourierTransformer,
    LappedTransformer,
    ShortTimeFourierTransformer,
    TransformImportance,
)
from sktrim.datasets import fetch_spoken_digits

# %%
# 3,000 recordings of six speakers at 8 kHz; the official test part is kept apart. The
# archive is downloaded, or the message says where to put it.

try:
    digits = fetch_spoken_digits(n_samples=5000)
except (FileNotFoundError, ImportError) as missing:
    print(missing)
    sys.exit()
RATE = digits.sampling_rate
# as loud as each other
loudness = np.sqrt((digits.data**2).sum(axis=2, keepdims=True) / 2000)
X, y = digits.data / loudness, digits.target
train, test = ~digits.test, digits.test

# %%
# M5 (Dai et al. 2017), half as wide: four convolutions on the raw waveform. In training
# every recording begins somewhere else.


def block(channels, width, size, stride=1):
    """Convolution, batch norm, ReLU, pooling by four."""
    return (
        nn.Conv1d(channels, width, size, stride, padding=size // 2),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.MaxPool1d(4),
    )


torch.manual_seed(0)
net = nn.Sequential(
    *block(1, 32, 41, stride=4),
    *block(32, 32, 3),
    *block(32, 64, 3),
    *block(64, 64, 3),
    nn.AdaptiveAvgPool1d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)
N_EPOCHS, BATCH = 12, 64
x, labels = torch.tensor(X[train]), torch.tensor(y[train])
optimizer = torch.optim.AdamW(net.parameters(), 6e-3, weight_decay=1e-2)
steps = N_EPOCHS * -(-len(x) // BATCH)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
for _ in range(N_EPOCHS):
    for rows in torch.randperm(len(x)).split(BATCH):
        shift = int(torch.randint(-800, 800, ()))
        sound = x[rows].roll(shift, 2) + 0.03 * torch.randn(len(rows), 1, x.shape[2])
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(sound), labels[rows]).backward()
        optimizer.step()
        schedule.step()
net.eval()


def answer(sounds):
    """Return the probabilities of the digits."""
    with torch.no_grad():
        return net(torch.tensor(sounds, dtype=torch.float32)).softmax(1).numpy()


accuracy = (answer(X[test]).argmax(1) == y[test]).mean()
print(f"accuracy on the official test part: {accuracy:.3f}")
print("(TRIM's network reached .572, on other sounds)")

# %%
# One curve per digit, in hertz, by three scorers: the mean over the test recordings of
# the digit, for the digit.

edges = np.array([0, 125, 250, 375, 500, 750, 1000, 1500, 2000, 2500, 3000, 3500, 4000])


def bands(fourier):
    """Bands in hertz."""
    return fourier.feature_groups(
        by="band", edges=edges, sample_spacing=1 / RATE, unit="Hz"
    )


# every other test recording
asked = np.flatnonzero(test)[::2]
curves = {}
for scorer in ("integrated_gradients", "deeplift", "cd"):
    trim = TransformImportance(
        net,
        FourierTransformer(axes=-1),
        scorer,
        groups=bands,
        target="true",
        on_incomplete="ignore",
        random_state=0,
    ).fit(X[train][:100])
    explanation = trim.explain(X[asked], y[asked])
    means = [explanation.values[y[asked] == digit].mean(axis=0) for digit in range(10)]
    curves[scorer] = np.array(means)

figure, axes = plt.subplots(
    2, 5, figsize=(11, 4.6), layout="constrained", sharex=True, sharey=True
)
middles = (edges[:-1] + edges[1:]) / 2
looks = {"integrated_gradients": "-", "deeplift": "--", "cd": ":"}
for digit, ax in enumerate(axes.flat):
    ax.axhline(0, color="0.8", linewidth=0.8)
    for scorer, own in curves.items():
        scale = np.abs(own).max()
        ax.plot(middles, own[digit] / scale, looks[scorer], label=scorer)
    ax.set_title(f"digit {digit}", fontsize="medium")
for ax in axes[1]:
    ax.set_xlabel("frequency (Hz)")
for ax in axes[:, 0]:
    ax.set_ylabel("mean score / largest")
axes[0, 4].legend(fontsize="x-small")
figure.suptitle("Frequencies that speak for each digit")
agreement = np.corrcoef([own.ravel() for own in curves.values()])
print(
    f"correlation of IG with DeepLIFT {agreement[0, 1]:.2f}, "
    f"with CD {agreement[0, 2]:.2f}"
)
strongest = curves["deeplift"].mean(axis=0)
order = np.argsort(-strongest)[:2]
print(
    "the strongest bands over all digits: "
    + " and ".join(f"{edges[k]} to {edges[k + 1]} Hz" for k in order)
)

# %%
# And when? The same network over cells of time and frequency: of the lapped transform,
# which is orthonormal, and of the short-time Fourier transform, which is redundant, so
# that its scores are not the only ones that fit.

picked = np.flatnonzero(test & (y == 7) & (digits.speakers == "jackson"))[:1]
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
spaces = {"MDCT": LappedTransformer(128), "STFT": ShortTimeFourierTransformer(256, 128)}
for ax, (name, space) in zip(axes, spaces.items(), strict=True):
    trim = TransformImportance(
        net,
        space,
        "deeplift",
        groups=lambda t: t.feature_groups(
            by="cell", edges="mel", n_bands=24, n_times=30, sample_spacing=1 / RATE
        ),
        target="true",
    ).fit(X[train][:20])
    cells = trim.explain(X[picked], y[picked])
    cells.plot.heatmap(sample=0, ax=ax, title=f"{name}: a seven, for seven")

# %%
# The part of the recording that the strongest band of its digit carries, as a file to
# listen to, and what the network says to it.

trim = TransformImportance(
    net, FourierTransformer(axes=-1), "deeplift", groups=bands, target="true"
).fit(X[train][:20])
explanation = trim.explain(X[picked], y[picked])
best = int(explanation.values[0].argmax())
part = explanation.component(0, best)[None]
whole = answer(X[picked])[0, 7]
alone, without = answer(part)[0, 7], answer(X[picked] - part)[0, 7]
print(
    f"seven from {explanation.group_names[best]}: probability {whole:.2f} of the "
    f"whole, {alone:.2f} of that band alone, {without:.2f} without it"
)
Path("demo").mkdir(exist_ok=True)
sound = np.int16(32767 * part.ravel() / np.abs(part).max())
wavfile.write("demo/seven_strongest_band.wav", RATE, sound)
plt.show()
