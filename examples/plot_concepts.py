"""
Concepts inside a digit network
===============================

What does a layer look for? Non-negative factors of what it puts out, at every place,
are concepts: here of a small network that reads digits. Each gets a score, and what no
concept carries gets one too.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF
from torch import nn

from sktrim import AlongAxis, TransformImportance
from sktrim.evaluation import concept_report
from sktrim.learning import TorchTransformer

# %%
# A network of two convolutions on the digits of 8 x 8 pixels.

digits = load_digits()
X = (digits.images[:, None] / 16).astype("float32")
y = digits.target
train, test = slice(0, 1200), slice(1200, 1500)

torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(16, 24, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(384, 10),
)
optimizer = torch.optim.Adam(net.parameters(), 3e-3)
images, labels = torch.tensor(X[train]), torch.tensor(y[train])
for _ in range(80):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(images), labels).backward()
    optimizer.step()
net.eval()
accuracy = (net(torch.tensor(X[test])).argmax(1).numpy() == y[test]).mean()
print(f"accuracy on digits it never saw: {accuracy:.3f}")

# %%
# Eight concepts of what the second convolution puts out, behind its ReLU: the layer
# "3". The signal is now that layer's output, and the network what follows.

concepts = AlongAxis(NMF(8, init="nndsvda", max_iter=600, random_state=0), axis=1)
trim = TransformImportance(
    net, concepts, layer="3", residual="component", random_state=0
).fit(X[train][:600])
explanation = trim.explain(X[test])
print(explanation.mean(absolute=True).round(2))

# %%
# The report tells how sparse and how stable they are, and how much of the layer they
# represent. The maps show the concepts that count most, each where it is strongest, and
# beside them half of the digit, around that place.

report = concept_report(trim, X[test], n_fits=2, random_state=0)
print(report)
report.plot(k=4, n_columns=3, crop=0.5, title="Concepts of the digit network")

# %%
# Which of them speak for which digit? A concept's mean score for the digits of a class.

table = np.stack([explanation.values[y[test] == c].mean(axis=0) for c in range(10)])
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
limit = np.abs(table).max()
picture = ax.imshow(table.T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
ax.set_xticks(range(10))
ax.set_yticks(range(table.shape[1]), explanation.group_names)
ax.set_xlabel("digit")
figure.colorbar(picture, label="mean score (margin)")

# %%
# A sparse autoencoder is a transform like any other. Its decoder is affine, so every
# scorer works on its units; what they miss is the residual again.

units = TorchTransformer(
    lambda width: nn.Sequential(nn.Linear(width, 32), nn.ReLU()),
    lambda width: nn.Linear(32, width),
    max_epochs=15,
    l1=0.05,
    lr=3e-3,
    random_state=0,
)
sparse = TransformImportance(
    net,
    AlongAxis(units, axis=1),
    "integrated_gradients",
    layer="3",
    residual="component",
    random_state=0,
).fit(X[train][:600])
found = sparse.explain(X[test])
print(found.top_k(5, over="mean").names)
print(f"largest completeness error: {np.abs(found.completeness_error).max():.1e}")
plt.show()
