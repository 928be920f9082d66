"""Ways to disturb the data, the inputs, the networks and the transform of a study."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import KFold

from sktrim._memory import chunks, rows_in_memory
from sktrim.evaluation._variants import with_network, with_target
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._inputs import rows_of
from sktrim.network._network import to_numpy

RESAMPLINGS = ("bootstrap", "block_bootstrap", "cross_validation", "subsample")


def resamplings(
    kind: str,
    n: int,
    n_draws: int,
    rng: np.random.Generator,
    block_size: int | None = None,
) -> list[np.ndarray]:
    """Draw rows of the data: with replacement, in blocks, folds left out, halves."""
    # of cross-validation, `n_draws` is the number of folds, at most n
    if kind == "bootstrap":
        return [rng.integers(n, size=n) for _ in range(n_draws)]
    if kind == "subsample":
        half = max(1, n // 2)
        return [rng.choice(n, half, replace=False) for _ in range(n_draws)]
    if kind == "cross_validation":
        if n < 2:
            return [np.arange(n)]
        folds = KFold(min(n, max(2, n_draws)), shuffle=True, random_state=0)
        return [kept for kept, _ in folds.split(np.arange(n))]
    # of the blocks of neighbouring rows: the cube root of n by default
    size = int(np.ceil(n ** (1 / 3))) if block_size is None else block_size
    if not 1 <= size <= n:
        raise ValueError(f"block_size={block_size}; expected 1 to {n}, the samples.")
    draws = []
    for _ in range(n_draws):
        starts = rng.integers(n - size + 1, size=-(-n // size))
        draws.append((starts[:, None] + np.arange(size)).ravel()[:n])
    return draws


def environments(labels: ArrayLike, n: int) -> list[np.ndarray]:
    """Return the rows of each environment."""
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(
            f"groups has shape {labels.shape} for {n} samples; give one label per "
            "sample (a speaker, a cosmology)."
        )
    distinct, index = np.unique(labels, return_inverse=True)
    return [np.flatnonzero(index == i) for i in range(len(distinct))]


class _Eaten:
    """What the whole network eats: the input to disturb, and the others beside it."""

    def __init__(self, trim, X: Any) -> None:
        network = trim.network_
        if network.preprocessing:
            raise ValueError(
                "Noise and adversarial perturbations act on what the network eats, but "
                "this Pipeline has preprocessing steps that run before it. Explain the "
                "network on their output instead, or leave these two out."
            )
        x, *self.beside = network.given(trim.signals(X))
        self.x = x.toarray() if sp.issparse(x) else np.asarray(x)
        if self.x.dtype.kind != "f" and network.takes_tokens:
            raise ValueError(
                "Noise and adversarial perturbations are small steps, and the network "
                "eats integers that name tokens: there is none between two of them. "
                "Leave these two out of perturbations=."
            )
        self.order = network.order

    def moved(self, step: np.ndarray) -> Any:
        """Return X with a step added to the input."""
        x = self.x + step
        if self.x.dtype.kind == "f":
            x = x.astype(self.x.dtype)
        return x if self.order is None else self.order.arrange(x, self.beside)


def noisy(
    trim, X, explanation, n_draws: int, rng: np.random.Generator, level: float
) -> Iterator:
    """Explain X with white noise added, `level` standard deviations of X strong."""
    eaten = _Eaten(trim, X)
    x = eaten.x
    # the targets that X has without the noise
    fixed = with_target(trim, explanation)
    for _ in range(n_draws):
        noise = level * x.std() * rng.standard_normal(x.shape)
        yield fixed.explain(eaten.moved(noise))


def adversarial(trim, X, explanation, level: float) -> Iterator:
    """Explain X moved against the explained output by the sign of its gradient."""
    if not trim.network_.has_gradient:
        raise ValueError(
            "Adversarial perturbations need the gradient of the network, and this "
            'estimator has none; leave "adversarial" out of perturbations=.'
        )
    eaten = _Eaten(trim, X)
    x = eaten.x
    fixed = with_target(trim, explanation)
    # a probability that is 1 has no gradient, the logits have
    _, resolved = fixed.question_.resolve(trim.signals(X), None)
    network = copy.copy(trim.network_).at(None)
    signs = []
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        evaluation_mode(network.module),
    ):
        step = rows_in_memory(network.bytes_per_row + network.signal_bytes)
        for rows in chunks(len(x), step):
            point = network.to_tensor(x[rows]).requires_grad_()
            beside = map(network.held_tensor, (v[rows] for v in eaten.beside))
            outputs = network.forward(point, *beside)
            explained = resolved.target[rows](outputs).sum()
            signs.append(to_numpy(torch.autograd.grad(explained, point)[0].sign()))
    direction = np.concatenate(signs).reshape(x.shape)
    # the fast gradient sign method (Goodfellow et al. 2015), half and all of `level`
    # standard deviations of X
    for share in (0.5, 1.0):
        yield fixed.explain(eaten.moved(-share * level * x.std() * direction))


def other_networks(trim, X, explanation, networks: Iterable) -> Iterator:
    """Explain the same targets of other trained networks."""
    fixed = with_target(trim, explanation)
    for network in networks:
        yield with_network(fixed, network, X).explain(X)


def refitted_transforms(
    trim, X, explanation, n_draws: int, rng: np.random.Generator
) -> Iterator:
    """Explain X with the transform fitted anew to bootstrapped rows of X."""
    # groups are compared in their order
    n = len(explanation)
    for _ in range(n_draws):
        again = clone(trim)
        again.estimator = trim.estimator_
        rows = rng.integers(n, size=n)
        yield with_target(again.fit(rows_of(X, rows)), explanation).explain(X)
