"""A recurrent network that learned what "not" does is seen to have learned it."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import TransformImportance
from sktrim.groups import tokenize_texts
from sktrim.hierarchy import AgglomerativeDecomposition
from sktrim.scorers import ContextualDecomposition

BEGINNINGS = ["the film is", "i think it was", "this book seems", "they say that it is"]
ADVERBS = ["", "very ", "really ", "so "]
GOOD, BAD = ["good", "fine", "great", "warm"], ["bad", "dull", "awful", "poor"]
ENDS = ["", " to me", " in the end"]


def sentences():
    """Every sentence with its label: a word's own, turned round by "not"."""
    parts = itertools.product(BEGINNINGS, ["", "not "], ADVERBS, GOOD + BAD, ENDS)
    for beginning, negation, adverb, word, end in parts:
        label = (word in GOOD) != bool(negation)
        yield f"{beginning} {negation}{adverb}{word}{end}", int(label)


class Reader(nn.Module):
    def __init__(self, n_words):
        super().__init__()
        self.embedding = nn.Embedding(n_words, 12, padding_idx=0)
        self.lstm = nn.LSTM(12, 16, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0][:, -1])


@pytest.fixture(scope="module", params=[0, 1])
def learned(request):
    """A network that learned from some of the sentences, they all, and their ids."""
    texts, labels = map(np.array, zip(*sentences(), strict=True))
    tokenized = tokenize_texts(texts.tolist(), str.split, padding="left")
    known = sorted({word for text in texts for word in text.split()})
    ids = np.zeros((len(texts), tokenized.n_tokens), dtype=int)
    for row, text in zip(ids, texts, strict=True):
        own = [known.index(word) + 1 for word in text.split()]
        row[len(row) - len(own) :] = own
    torch.manual_seed(request.param)
    net = Reader(len(known) + 1)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    train = np.random.default_rng(request.param).random(len(texts)) < 0.7
    x, y = torch.tensor(ids[train]), torch.tensor(labels[train])
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    right = net(torch.tensor(ids[~train])).argmax(1).numpy() == labels[~train]
    assert right.mean() > 0.97
    return net.eval(), texts.tolist(), ids


def explained(learned, phrase, phrases, scorer):
    """Scores of phrases in every sentence that ends in one, without an adverb."""
    net, texts, ids = learned
    picked = [i for i, text in enumerate(texts) if f" {phrase}" in text]
    own = [texts[i] for i in picked]
    tokens = {"n_tokens": ids.shape[1], "padding": "left"}
    sets = tokenize_texts(own, str.split, **tokens).phrases(phrases)
    trim = TransformImportance(
        net, None, scorer, layer="embedding", groups="positions", target=1
    )
    return trim.fit(ids[:100]).explain_sets(ids[picked], sets)


@pytest.mark.parametrize(
    "scorer", [ContextualDecomposition(bias="channel"), "cd", "occlusion"]
)
def test_not_turns_good_round(learned, scorer):
    plain = explained(learned, "is good", ["good"], scorer)[:, 0]
    both, word = explained(learned, "is not good", ["not good", "good"], scorer).T
    assert len(both) == len(plain) == 6
    # in the context of "not", the word itself speaks against
    assert (word < 0).all()
    assert (plain - word > 1).all()
    if scorer != "occlusion":
        assert (both < 0).all()
        assert (np.abs(both) > np.abs(word)).all()


def test_the_pair_grows_before_the_sentence(learned):
    net, texts, ids = learned
    picked = [i for i, text in enumerate(texts) if " not good" in text]
    words = tokenize_texts(
        [texts[i] for i in picked], str.split, n_tokens=ids.shape[1], padding="left"
    ).words()
    trim = TransformImportance(
        net, layer="embedding", groups="positions", target=1
    ).fit(ids[:100])
    trees = AgglomerativeDecomposition(trim, join="pairs").explain(
        ids[picked], units=words.labels, unit_names=words.names
    )
    for tree, names in zip(trees, words.names, strict=True):
        assert tree.unit_names == names
        with_good = tree.members[:, names.index("good")]
        smallest = tree.members[with_good].sum(axis=1)
        first = tree.members[with_good][smallest > 1][0]
        assert first[names.index("not")]
        assert tree.scores[with_good & tree.members[:, names.index("not")]][0] < 0
