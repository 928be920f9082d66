"""Correlations of maps, defined where one is constant, and what chance gives."""

from typing import Any

import numpy as np
from scipy import stats


def row_correlations(a, b, kind="spearman") -> np.ndarray:
    """Correlate each row of `a` with the same row of `b`.

    Parameters
    ----------
    a, b : ndarray of shape (..., n)
    kind : {"pearson", "spearman"}

    Returns
    -------
    ndarray of shape (...)
        0 where one of the two rows is constant: it says nothing about the other.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if kind == "spearman":
        a, b = stats.rankdata(a, axis=-1), stats.rankdata(b, axis=-1)
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    size_a, size_b = (np.sqrt((v * v).sum(axis=-1)) for v in (a, b))
    # rounding leaves a constant row a little off its mean
    flat = (np.ptp(a, axis=-1) <= 1e-12 * np.abs(a).max(initial=0)) | (size_a == 0)
    flat = flat | (np.ptp(b, axis=-1) <= 1e-12 * np.abs(b).max(initial=0))
    flat = flat | (size_b == 0)
    product = np.where(flat, 1.0, size_a * size_b)
    return np.where(flat, 0.0, (a * b).sum(axis=-1) / product)


def map_correlations(a, b) -> dict[str, np.ndarray]:
    """Correlate maps sample by sample.

    Parameters
    ----------
    a, b : ndarray of shape (n_samples, n_groups)

    Returns
    -------
    dict of str to ndarray of shape (n_samples,)
        "pearson", "spearman" and "kendall"; a constant map counts as 0.
    """
    kendall = [_kendall(x, y) for x, y in zip(a, b, strict=True)]
    return {
        "pearson": row_correlations(a, b, "pearson"),
        "spearman": row_correlations(a, b, "spearman"),
        "kendall": np.array(kendall),
    }


def chance_variance(kind: str, n_groups: int) -> float:
    """Return the variance of a correlation when the groups of one side are permuted.

    Parameters
    ----------
    kind : {"pearson", "spearman", "kendall"}
    n_groups : int
        At least 2.

    Returns
    -------
    float
    """
    if kind == "kendall":
        return 2 * (2 * n_groups + 5) / (9 * n_groups * (n_groups - 1))
    return 1 / (n_groups - 1)


def _kendall(x, y) -> float:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    result: Any = stats.kendalltau(x, y)
    return float(result.statistic)


def sign_chance(a, b, kind: str) -> np.ndarray:
    """Variance of a correlation when the signs of each group's product are random.

    Where a few groups carry most of a map, as the spectrum of natural signals does,
    maps are correlated by chance far more than the number of groups suggests.

    Parameters
    ----------
    a, b : ndarray of shape (n_samples, n_groups)
    kind : {"pearson", "spearman", "kendall"}

    Returns
    -------
    ndarray of shape (n_samples,)
        The sum over groups of the squared products of the centred maps of length 1.
        For "kendall" 4/9 of the ranks', as for many groups.
    """
    if kind != "pearson":
        a, b = stats.rankdata(a, axis=1), stats.rankdata(b, axis=1)
    shares = []
    for values in (a, b):
        squares = (values - values.mean(axis=1, keepdims=True)) ** 2
        total = squares.sum(axis=1, keepdims=True)
        shares.append(squares / np.where(total > 0, total, 1))
    variance = (shares[0] * shares[1]).sum(axis=1)
    return variance * 4 / 9 if kind == "kendall" else variance


def textbook_p(kind: str, rho, n_samples: int, n_groups: int):
    """Two-sided p-value of a mean correlation if groups were independent of each other.

    Parameters
    ----------
    kind : {"pearson", "spearman", "kendall"}
    rho : float or ndarray
        Mean over the samples.
    n_samples, n_groups : int

    Returns
    -------
    float or ndarray
        From the variance that permuting the groups gives; 1 for a single group.
    """
    if n_groups < 2:
        return np.ones_like(rho)
    error = np.sqrt(chance_variance(kind, n_groups) / n_samples)
    return 2 * stats.norm.sf(np.abs(rho) / error)
