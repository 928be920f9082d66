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
from sktrim.network._inputs import held_of
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


def _dense(trim, X) -> np.ndarray:
    if trim.network_.preprocessing:
        raise ValueError(
            "Noise and adversarial perturbations act on what the network eats, but "
            "this Pipeline has preprocessing steps that run before it. Explain the "
            "network on their output instead, or leave these two out."
        )
    x: Any = trim.signals(X)
    # of a layer: what the whole network eats
    x = held_of(x)[0] if held_of(x) else x
    return x.toarray() if sp.issparse(x) else np.asarray(x)


def noisy(
    trim, X, explanation, n_draws: int, rng: np.random.Generator, level: float
) -> Iterator:
    """Explain X with white noise added, `level` standard deviations of X strong."""
    x = _dense(trim, X)
    # the targets that X has without the noise
    fixed = with_target(trim, explanation)
    for _ in range(n_draws):
        noise = level * x.std() * rng.standard_normal(x.shape)
        yield fixed.explain((x + noise).astype(x.dtype))


def adversarial(trim, X, explanation, level: float) -> Iterator:
    """Explain X moved against the explained output by the sign of its gradient."""
    if not trim.network_.has_gradient:
        raise ValueError(
            "Adversarial perturbations need the gradient of the network, and this "
            'estimator has none; leave "adversarial" out of perturbations=.'
        )
    x = _dense(trim, X)
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
        for rows in chunks(len(x), rows_in_memory(network.bytes_per_row)):
            point = network.to_tensor(x[rows]).requires_grad_()
            explained = resolved.target[rows](network.forward(point)).sum()
            signs.append(to_numpy(torch.autograd.grad(explained, point)[0].sign()))
    direction = np.concatenate(signs).reshape(x.shape)
    # the fast gradient sign method (Goodfellow et al. 2015), half and all of `level`
    # standard deviations of X
    for share in (0.5, 1.0):
        yield fixed.explain((x - share * level * x.std() * direction).astype(x.dtype))


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
        yield with_target(again.fit(_pick(X, rows)), explanation).explain(X)


def _pick(X, rows):
    """Pick rows of an array, a data frame, a sparse matrix or a list."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return (X.tocsr() if sp.issparse(X) else np.asarray(X))[rows]
