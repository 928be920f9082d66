"""Trees of one picture, of one sentence, and of a hundred sentences at once."""

import numpy as np
import torch
from torch import nn

from sktrim import TransformImportance
from sktrim.hierarchy import AgglomerativeDecomposition

from ._tables import Table, device_name, median_seconds

N_WORDS, N_SENTENCES = 40, 100


class Reader(nn.Module):
    """An LSTM over embedded words."""

    def __init__(self, width, hidden):
        super().__init__()
        self.embedding = nn.Embedding(1000, width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2)

    def forward(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0][:, -1])


def _lenet():
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


def _seconds(acd, X):
    return median_seconds(lambda: acd.explain(X), 3)


def _pictures():
    torch.manual_seed(0)
    X = np.random.default_rng(0).random((2, 1, 28, 28)).astype("float32")
    patches = np.kron(np.arange(49).reshape(7, 7), np.ones((4, 4), int)).ravel()
    for scorer in ("cd", "occlusion"):
        trim = TransformImportance(
            _lenet(), None, scorer, groups=patches, random_state=0
        ).fit(X)
        for adjacency, named in (((7, 7), "grid"), (None, "all pairs")):
            acd = AgglomerativeDecomposition(trim, adjacency)
            seconds = _seconds(acd, X[:1])
            title = f"{scorer}, LeNet, 49 patches of 28 x 28, {named}"
            yield [title, seconds, None, 5.0]


def _sentences():
    ids = np.random.default_rng(0).integers(0, 1000, (N_SENTENCES, N_WORDS))
    for width, hidden in ((50, 64), (100, 128)):
        torch.manual_seed(0)
        trim = TransformImportance(
            Reader(width, hidden), layer="embedding", groups="positions"
        ).fit(ids)
        acd = AgglomerativeDecomposition(trim)
        # sentences differ in their steps
        one = float(np.median([_seconds(acd, ids[i : i + 1]) for i in range(5)]))
        together = _seconds(acd, ids)
        yield [f"cd, LSTM {width}-{hidden}, {N_WORDS} words", one, None, 3.0]
        title = f"cd, LSTM {width}-{hidden}, {N_SENTENCES} x {N_WORDS} words"
        yield [title, together, together / one, None]


def measure():
    """Time whole calls of `AgglomerativeDecomposition.explain`."""
    return Table(
        f"Trees, {device_name('cpu')}",
        ["work", "seconds", "over one sentence", "seconds to reach"],
        [*_pictures(), *_sentences()],
        [f"To reach: {N_SENTENCES} sentences at most 20 times one."],
    )
