"""Simulated problems whose answer is known, and many small networks trained at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import NMF, PCA
from torch import nn
from torch.nn import functional as F

from sktrim.groups import FeatureGroups, check_groups
from sktrim.transforms import FourierTransformer, WaveletTransformer

N_FEATURES = 100
N_TEST = 3000
N_STEPS = 3516
"""Twelve epochs of 37,500 rows in batches of 128, in every regime."""


@dataclass(frozen=True)
class Regime:
    """What the networks are trained on."""

    name: str
    n_train: int = 37_500
    # hidden layers of 100 units
    n_hidden: int = 1
    # "normal", independent; "uniform" on [0, 1), independent; "correlated", normal with
    # a falling spectrum in random directions; "parts", sums of nonnegative parts
    features: str = "normal"
    # share of the training labels that is wrong
    flips: float = 0.0
    # what is above its median in class 1: the "magnitude" of the true group's
    # coefficients, or its first coefficient ("real")
    label: str = "magnitude"
    # whose groups are ranked: "fourier", "wavelet", "pca" or "nmf"
    space: str = "fourier"


REGIMES = {
    regime.name: regime
    for regime in (
        Regime("reference"),
        Regime("n2000", n_train=2000),
        Regime("n1000", n_train=1000),
        Regime("deep", n_hidden=2),
        Regime("uniform", features="uniform"),
        Regime("flips", flips=0.2),
        Regime("real", label="real"),
        Regime("wavelet", space="wavelet"),
        Regime("pca", features="correlated", space="pca"),
        Regime("nmf", features="parts", space="nmf"),
    )
}


def get_regime(name: str, **changes: Any) -> Regime:
    """Return a regime by name, with some fields replaced."""
    if name not in REGIMES:
        raise ValueError(f"regime={name!r}; expected one of {', '.join(REGIMES)}.")
    return replace(REGIMES[name], **changes)


@dataclass
class Problem:
    """One simulated data set, its space and its answer."""

    # float32 (n_train + 3000, 100), the last 3,000 rows for testing
    X: np.ndarray
    # int (n_train,)
    y: np.ndarray
    transformer: Any
    groups: FeatureGroups
    # the group that decides the label
    truth: int

    @property
    def test(self) -> np.ndarray:
        """Rows that the network was not trained on."""
        return self.X[-N_TEST:]

    @property
    def train(self) -> np.ndarray:
        """Rows that the network was trained on."""
        return self.X[:-N_TEST]


def _features(kind: str, n: int, rng) -> np.ndarray:
    shape = (n, N_FEATURES)
    if kind == "uniform":
        return rng.random(shape, np.float32)
    if kind == "parts":
        atoms = rng.random((20, N_FEATURES)) * (rng.random((20, N_FEATURES)) < 0.2)
        X = rng.gamma(1.0, 1.0, (n, 20)) @ atoms + 0.02 * rng.random(shape)
        return X.astype("f4")
    X = rng.standard_normal(shape, np.float32)
    if kind == "correlated":
        directions, _ = np.linalg.qr(rng.standard_normal((N_FEATURES, N_FEATURES)))
        spectrum = np.geomspace(3, 0.3, N_FEATURES)[:, None]
        X = X @ (spectrum * directions).astype("f4")
    return X


def _space(regime: Regime, X) -> tuple[Any, FeatureGroups]:
    """Fit the transform and return the groups that are ranked."""
    if regime.space == "fourier":
        transformer = FourierTransformer().fit(X[:2])
        return transformer, transformer.feature_groups()
    if regime.space == "wavelet":
        transformer = WaveletTransformer("db2", level=2).fit(X[:2])
        return transformer, transformer.feature_groups(by="coefficient")
    if regime.space == "pca":
        transformer: Any = PCA(20, random_state=0).fit(X[:10_000])
    else:
        transformer = NMF(init="nndsvda", max_iter=300, tol=1e-3, random_state=0)
        transformer.set_params(n_components=20).fit(X[:2000])
    return transformer, check_groups("coefficients", transformer, 20)


def _true_group(regime: Regime, groups, rng) -> int:
    """Draw the group that decides: a frequency from 1 to 49, or any group."""
    if regime.space == "fourier":
        return int(rng.integers(1, 50))
    return int(rng.integers(len(groups)))


def simulate(regime: Regime, rng: np.random.Generator) -> Problem:
    """Draw a data set, its labels and the group that decides them."""
    X = _features(regime.features, regime.n_train + N_TEST, rng)
    transformer, groups = _space(regime, X)
    truth = _true_group(regime, groups, rng)
    s = transformer.transform(X)[:, groups.masks[[truth]].indices]
    quantity = s[:, 0] if regime.label == "real" else np.linalg.norm(s, axis=1)
    y = (quantity > np.median(quantity)).astype(np.int64)[: regime.n_train]
    wrong = rng.random(len(y)) < regime.flips
    return Problem(X, np.where(wrong, 1 - y, y), transformer, groups, truth)


class StackedNetworks:
    """Perceptrons of one shape, trained side by side on data of their own."""

    def __init__(
        self, n_networks: int, sizes: Sequence[int], generator: torch.Generator
    ):
        # draws the initial weights, as torch.nn.Linear does, and the batches
        self.generator = generator
        self.layers = []
        for wide, narrow in pairwise(sizes):
            bound = wide**-0.5
            weight = torch.empty(n_networks, wide, narrow)
            bias = torch.empty(n_networks, 1, narrow)
            for parameter in (weight, bias):
                parameter.uniform_(-bound, bound, generator=generator)
                parameter.requires_grad_()
            self.layers.append((weight, bias))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n_networks, n, n_classes) of inputs (n_networks, n, n_features)."""
        for weight, bias in self.layers[:-1]:
            x = torch.baddbmm(bias, x, weight).relu()
        weight, bias = self.layers[-1]
        return torch.baddbmm(bias, x, weight)

    def fit(
        self,
        X: torch.Tensor,
        y: torch.Tensor,
        *,
        n_steps: int,
        batch_size: int = 128,
        lr: float = 0.1,
    ) -> "StackedNetworks":
        """Minimise the cross-entropy of X (n_networks, n, n_features) by SGD."""
        parameters = [p for layer in self.layers for p in layer]
        for rows in self._batches(X.shape[1], batch_size, n_steps):
            logits = self(X[:, rows]).flatten(0, 1)
            loss = F.cross_entropy(logits, y[:, rows].flatten(), reduction="sum")
            gradients = torch.autograd.grad(loss / len(rows), parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.sub_(gradient, alpha=lr)
        return self

    def _batches(self, n: int, batch_size: int, n_steps: int):
        """Batches of shuffled rows; the last of an epoch is what is left."""
        done = 0
        while done < n_steps:
            shuffled = torch.randperm(n, generator=self.generator)
            for rows in shuffled.split(batch_size)[: n_steps - done]:
                yield rows
                done += 1

    def modules(self) -> list[nn.Sequential]:
        """Return each network as a module of its own, in evaluation mode."""
        modules = []
        for index in range(len(self.layers[0][0])):
            parts: list[nn.Module] = []
            for weight, bias in self.layers:
                linear = nn.Linear(*weight.shape[1:])
                linear.weight.data.copy_(weight[index].T)
                linear.bias.data.copy_(bias[index, 0])
                parts += [linear, nn.ReLU()]
            modules.append(nn.Sequential(*parts[:-1]).requires_grad_(False).eval())
        return modules


def train_networks(
    regime: Regime, seed: int, n_networks: int
) -> tuple[list[nn.Sequential], list[Problem]]:
    """Simulate data sets and train a network on each."""
    seeds = np.random.SeedSequence(seed).spawn(n_networks + 1)
    problems = [simulate(regime, np.random.default_rng(s)) for s in seeds[1:]]
    generator = torch.Generator().manual_seed(int(seeds[0].generate_state(1)[0]))
    sizes = [N_FEATURES] * (1 + regime.n_hidden) + [2]
    X = torch.stack([torch.from_numpy(p.train) for p in problems])
    y = torch.stack([torch.from_numpy(p.y) for p in problems])
    networks = StackedNetworks(n_networks, sizes, generator)
    return networks.fit(X, y, n_steps=N_STEPS).modules(), problems
