"""Correlations of maps, defined where one is constant, and what chance gives."""

from typing import Any

import numpy as np
from scipy import stats


def row_correlations(a: Any, b: Any, kind: str = "spearman") -> np.ndarray:
    """Correlate each row of `a` with the same row of `b`."""
    # (..., n) gives (...); "spearman" or "pearson"
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if kind == "spearman":
        a, b = stats.rankdata(a, axis=-1), stats.rankdata(b, axis=-1)
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    size_a, size_b = (np.sqrt((v * v).sum(axis=-1)) for v in (a, b))
    flat = (size_a == 0) | (size_b == 0)
    for v in (a, b):
        # rounding leaves a constant row a little off its mean
        flat = flat | (np.ptp(v, axis=-1) <= 1e-12 * np.abs(v).max(initial=0))
    # a constant row says nothing about the other: 0
    product = np.where(flat, 1.0, size_a * size_b)
    return np.where(flat, 0.0, (a * b).sum(axis=-1) / product)


def map_correlations(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Correlate maps (n_samples, n_groups) sample by sample, in each of three ways."""
    kendall = [_kendall(x, y) for x, y in zip(a, b, strict=True)]
    return {
        "pearson": row_correlations(a, b, "pearson"),
        "spearman": row_correlations(a, b, "spearman"),
        "kendall": np.array(kendall),
    }


def chance_variance(kind: str, n_groups: int) -> float:
    """Return the variance of a correlation when the groups of one side are permuted."""
    # of at least 2 groups
    if kind == "kendall":
        return 2 * (2 * n_groups + 5) / (9 * n_groups * (n_groups - 1))
    return 1 / (n_groups - 1)


def _kendall(x, y) -> float:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    result: Any = stats.kendalltau(x, y)
    return float(result.statistic)


def sign_chance(a: np.ndarray, b: np.ndarray, kind: str) -> np.ndarray:
    """Return the variance of a correlation when the signs of products are random."""
    # where a few groups carry most of a map, as the spectrum of natural signals does,
    # maps are correlated by chance far more than the number of groups suggests
    if kind != "pearson":
        a, b = stats.rankdata(a, axis=1), stats.rankdata(b, axis=1)
    shares = []
    for values in (a, b):
        squares = (values - values.mean(axis=1, keepdims=True)) ** 2
        total = squares.sum(axis=1, keepdims=True)
        shares.append(squares / np.where(total > 0, total, 1))
    # sum over groups of the squared products of the centred maps of length 1; of
    # Kendall's tau 4/9 of the ranks', as for many groups
    variance = (shares[0] * shares[1]).sum(axis=1)
    return variance * 4 / 9 if kind == "kendall" else variance


def textbook_p(kind: str, rho: Any, n_samples: int, n_groups: int) -> Any:
    """Return the two-sided p-value of a mean correlation of independent groups."""
    if n_groups < 2:
        return np.ones_like(rho)
    # from the variance that permuting the groups gives
    error = np.sqrt(chance_variance(kind, n_groups) / n_samples)
    return 2 * stats.norm.sf(np.abs(rho) / error)
