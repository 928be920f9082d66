"""
Sparse units inside a small Transformer
=======================================

What does the middle of a Transformer hold? A sparse autoencoder writes what a layer
puts out as a sum of a few units out of many. Its units are coefficients like any
others, so that every scorer tells which of them the network uses, and for what.
"""

import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from sktrim import AlongAxis, TransformImportance, layer_output
from sktrim.datasets import load_movie_reviews
from sktrim.evaluation import concept_report
from sktrim.exceptions import LayerBypassedWarning
from sktrim.inspection import TextDisplay
from sktrim.learning import TorchTransformer

torch.set_num_threads(1)

# %%
# A Transformer of two layers that reads sentences of film reviews, clearly positive or
# clearly negative ones.

reviews = load_movie_reviews(Path(sys.prefix) / "data")
clear = np.abs(reviews.target) > 1
texts = np.array(reviews.data, dtype=object)[clear]
labels = (reviews.target[clear] > 0).astype(int)
order = np.random.default_rng(0).permutation(len(texts))
test, train = order[:500], order[500:]
N_TOKENS = 32


def split(text):
    """Return words in small letters."""
    return re.findall(r"\w+(?:'\w+)*", text.lower())


counts = Counter(word for i in train for word in split(texts[i]))
vocabulary = [word for word, count in counts.most_common(4000) if count > 1]
number = {word: k + 2 for k, word in enumerate(vocabulary)}
words = ["", "?", *vocabulary]
rows = [[number.get(word, 1) for word in split(text)][:N_TOKENS] for text in texts]
ids = np.array([row + [0] * (N_TOKENS - len(row)) for row in rows])


class Reader(nn.Module):
    """Embedding, two Transformer layers, and the mean over words."""

    def __init__(self, width=48):
        super().__init__()
        self.embedding = nn.Embedding(len(words), width, padding_idx=0)
        self.first = nn.TransformerEncoderLayer(width, 4, 96, 0.3, batch_first=True)
        self.second = nn.TransformerEncoderLayer(width, 4, 96, 0.3, batch_first=True)
        self.head = nn.Linear(width, 2)

    def forward(self, ids):
        """Return the logits of negative and positive."""
        there = (ids != 0)[..., None]
        states = self.second(self.first(self.embedding(ids)))
        return self.head((states * there).sum(1) / there.sum(1))


torch.manual_seed(0)
net = Reader()
optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-5)
x, y = torch.tensor(ids), torch.tensor(labels)
for _ in range(6):
    net.train()
    for batch in torch.tensor(train)[torch.randperm(len(train))].split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
net.eval()
with torch.no_grad():
    accuracy = (net(x[test]).argmax(1) == y[test]).float().mean()
print(f"accuracy on sentences it never saw: {accuracy:.3f}")

# %%
# An autoencoder with 96 units and few of them on at a time, fitted to what the second
# layer puts out at the words of the sentences, padding left out. Its decoder is affine:
# every scorer works on its units, and what they miss, the residual, is scored as one
# group more.

LAYER = "second"
# the mask of the padding goes around the layer, and is held as it is
warnings.simplefilter("ignore", LayerBypassedWarning)
at_words = layer_output(net, ids[train], LAYER)[ids[train] != 0]
fitted = TorchTransformer(
    lambda width: nn.Sequential(nn.Linear(width, 96), nn.ReLU()),
    lambda width: nn.Linear(96, width),
    max_epochs=6,
    l1=3.0,
    lr=3e-3,
    random_state=0,
).fit(at_words)
active = (fitted.transform(at_words[:5000]) > 0).sum(axis=1).mean()
print(f"units that are on at a word: {active:.1f} of 96 on average")

units = TorchTransformer(fitted.encoder_, fitted.decoder_)
trim = TransformImportance(
    net,
    AlongAxis(units, axis=-1),
    "deeplift",
    layer=LAYER,
    target=1,
    residual="component",
    random_state=0,
).fit(ids[train][:300])
explanation = trim.explain(ids[test])
report = concept_report(trim, ids[test])
shares = np.abs(explanation.values).mean(axis=0)
print(f"R2 of the units: {report.r2:.3f}; dead units: {report.dead.sum()} of 96")
print(f"share of the residual in all magnitudes: {shares[-1] / shares.sum():.1%}")
print(f"largest completeness error: {np.abs(explanation.completeness_error).max():.1e}")

# %%
# The units that count most, and the words at which they are strongest: one for praise
# and one for blame carry nearly all of it.

top = np.argsort(-shares[:-1])[:6]
there = ids[test] != 0
for unit in top:
    strength = np.where(there, report.maps[unit], 0)
    found = Counter()
    strongest = np.argsort(-strength, axis=None)[:60]
    for i, at in zip(*np.unravel_index(strongest, there.shape), strict=True):
        found[words[ids[test][i, at]]] += 1
    side = "positive" if explanation.values[:, unit].mean() > 0 else "negative"
    typical = ", ".join(word for word, _ in found.most_common(7))
    print(f"{report.names[unit]:>12s} ({side}, {shares[unit]:.2f}): {typical}")

# %%
# Does the network use them? A unit is set to zero at the layer, and the explained
# output moves; units drawn from the others that are alive move it less.

alive = np.setdiff1d(np.flatnonzero(~report.dead), top)
others = np.random.default_rng(0).choice(alive, 6, replace=False)
lost = TransformImportance(
    net, trim.transformer_, "occlusion", layer=LAYER, target=1
).fit(ids[train][:50])
one_by_one = np.eye(len(trim.groups_))[np.r_[top, others]]
moved = np.abs(lost.explain_sets(ids[test][:200], one_by_one)).mean(axis=0)
print(f"mean change without a top unit: {moved[:6].mean():.3f}")
print(f"mean change without another unit: {moved[6:].mean():.3f}")

# %%
# Where the strongest unit for and the strongest against are active, in two sentences.

explanation.plot.bar(12, title="Units of the second layer")
mean = explanation.values[:, :-1].mean(axis=0)
picked = [int(mean.argmax()), int(mean.argmin())]
shown, strengths, titles = [], [], []
for unit in picked:
    i = int(report.maps[unit].max(axis=1).argmax())
    own = ids[test][i] != 0
    shown.append([words[k] for k in ids[test][i][own]])
    strengths.append(report.maps[unit][i][own] * np.sign(mean[unit]))
    titles.append(report.names[unit])
TextDisplay(
    shown, strengths, titles=titles, label="activation, signed by its score"
).plot(title="Where two units are active")
plt.show()
