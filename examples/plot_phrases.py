"""
Words, phrases and their tree in a sentiment network
====================================================

A recurrent network reads sentences of film reviews. What do its words say, what do
phrases say as wholes, and in what order does a sentence come together? Contextual
decomposition, occlusion and integrated gradients answer side by side.
"""

import re
import sys
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from sktrim import TransformImportance
from sktrim.datasets import load_movie_reviews
from sktrim.groups import tokenize_texts
from sktrim.hierarchy import AgglomerativeDecomposition
from sktrim.inspection import TextDisplay
from sktrim.scorers import ContextualDecomposition

torch.set_num_threads(1)

# %%
# Sentences that people rated as clearly positive or negative, from the source archive
# of a package (``load_movie_reviews`` says how to get it). A thousand are kept apart.

reviews = load_movie_reviews(Path(sys.prefix) / "data")
clear = np.abs(reviews.target) > 0.5
texts = np.array(reviews.data, dtype=object)[clear]
labels = (reviews.target[clear] > 0).astype(int)
order = np.random.default_rng(0).permutation(len(texts))
test, train = order[:1000], order[1000:]

N_TOKENS = 40


def split(text):
    """Return words and other signs, in small letters."""
    return re.findall(r"\w+(?:['’-]\w+)*|[^\w\s]", text.lower())  # noqa: RUF001


counts = Counter(word for i in train for word in split(texts[i]))
number = {word: k + 2 for k, (word, _) in enumerate(counts.most_common(5000))}


def to_ids(some):
    """Return token ids, with padding before short sentences."""
    rows = [[number.get(word, 1) for word in split(text)][:N_TOKENS] for text in some]
    return np.array([[0] * (N_TOKENS - len(row)) + row for row in rows])


class Reader(nn.Module):
    """Embedding, LSTM, and two logits of its last state."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(number) + 2, 50, padding_idx=0)
        self.drop = nn.Dropout(0.4)
        self.lstm = nn.LSTM(50, 64, batch_first=True)
        self.head = nn.Linear(64, 2)

    def forward(self, ids):
        """Return the logits of negative and positive."""
        states, _ = self.lstm(self.drop(self.embedding(ids)))
        return self.head(self.drop(states[:, -1]))


ids = to_ids(texts)
torch.manual_seed(0)
net = Reader()
optimizer = torch.optim.Adam(net.parameters(), 3e-3, weight_decay=1e-5)
x, y = torch.tensor(ids), torch.tensor(labels)
for _ in range(8):
    net.train()
    for batch in torch.tensor(train)[torch.randperm(len(train))].split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
net.eval()
accuracy = (net(x[test]).argmax(1) == y[test]).float().mean()
print(f"accuracy on sentences it never saw: {accuracy:.3f}")

# %%
# The network is explained from token ids in one call: the signal is what the embedding
# puts out, and each of its positions is a group. ``tokenize_texts`` knows which
# positions are which words.

sentences = [
    "It is not very good, and it is not worth the time.",
    "This used to be my favorite director, but the film is a mess.",
    "A warm, funny film that is never dull.",
]
tokenized = tokenize_texts(sentences, split, n_tokens=N_TOKENS, padding="left")
words = tokenized.words()
scorers = {
    "CD": ContextualDecomposition(bias="channel"),
    "occlusion": "occlusion",
    "integrated\ngradients": "integrated_gradients",
}
asked = {
    name: TransformImportance(
        net, None, scorer, layer="embedding", groups="positions", target=1
    ).fit(ids[train][:100])
    for name, scorer in scorers.items()
}
given = to_ids(sentences)
by_word = asked["CD"].explain_sets(given, words.sets())
TextDisplay(
    words.names,
    [row[: len(own)] for row, own in zip(by_word, words.names, strict=True)],
    label="CD score for positive",
).plot(title="What the words say, in the context of their sentence")

# %%
# Phrases as wholes. The rule that was published with contextual decomposition, by which
# the paper's phrases were scored, shares biases: ``bias="channel"``. Five steps go from
# very negative to very positive.

phrases = ["not very good", "very good", "not worth the time", "worth the time"]
phrases += ["used to be my favorite", "my favorite", "a mess", "never dull", "dull"]
sets = tokenized.phrases(phrases)
place = [int(sets[:, k].any(axis=1).argmax()) for k in range(len(phrases))]
table = np.array(
    [
        [asked[name].explain_sets(given, sets)[i, k] for name in scorers]
        for k, i in enumerate(place)
    ]
)
steps = ["very negative", "negative", "neutral", "positive", "very positive"]
scale = table / np.abs(table).max(axis=0)
step = np.digitize(scale, [-0.5, -0.1, 0.1, 0.5])

figure, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
colors = plt.get_cmap("RdBu_r")(np.linspace(0.08, 0.92, 5))
ax.imshow(colors[step], aspect="auto")
for (row, column), value in np.ndenumerate(table):
    strong = step[row, column] in (0, 4)
    ax.text(
        column,
        row,
        f"{value:+.2f}\n{steps[step[row, column]]}",
        ha="center",
        va="center",
        fontsize="x-small",
        color="white" if strong else "black",
    )
ax.set_xticks(range(len(scorers)), scorers)
ax.set_yticks(range(len(phrases)), phrases)
ax.set_title("Phrases, scored for positive (each method on its own scale)")

# %%
# The tree of a sentence: which words come together first, and what they say then.

acd = AgglomerativeDecomposition(asked["CD"], percentile=75)
trees = acd.explain(given, units=words.labels, unit_names=words.names)
trees[0].plot_tree(title="How the first sentence comes together")

# %%
# How often does the network turn a word round? Of all pairs of a negation and a word
# that counts as positive by itself, in sentences that it never saw:

tokenized = tokenize_texts(texts[test], split, n_tokens=N_TOKENS, padding="left")
pairs = [
    (i, positions)
    for i, runs in enumerate(tokenized.ngrams(2))
    for name, positions in runs
    if re.match(r"(not|never|no|hardly|isn't|doesn't) ", name.lower())
]
rows = ids[test][[i for i, _ in pairs]]
sets = np.zeros((len(pairs), 3, N_TOKENS), dtype=bool)
for k, (_, positions) in enumerate(pairs):
    for which, own in enumerate((positions, positions[:1], positions[1:])):
        sets[k, which, own] = True
for name, trim in asked.items():
    both, negation, word = trim.explain_sets(rows, sets).T
    good = word > 0.3
    print(
        f"{name.replace(chr(10), ' '):22s} {good.sum():3d} negated positive words, "
        f"turned negative as a pair: {(both[good] < 0).mean():.0%}; mean score of the "
        f"pair {both[good].mean():+.2f}, of its words {negation[good].mean():+.2f} and "
        f"{word[good].mean():+.2f}"
    )

# %%
# All three say the same of this network: a negation counts as a negative word of its
# own, and pairs are mostly the sum of their two; "never dull" stays very negative.
# That is what it learned from nine thousand sentences. The networks of the papers
# (Murdoch et al. 2018, Singh et al. 2020) learned from phrases that have labels of
# their own, and turn them round more often.

plt.show()
