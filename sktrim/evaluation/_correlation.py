"""Rank correlations with a defined result where one side is constant."""

import numpy as np
from scipy.stats import rankdata


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
        a, b = rankdata(a, axis=-1), rankdata(b, axis=-1)
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    size_a, size_b = (np.sqrt((v * v).sum(axis=-1)) for v in (a, b))
    # rounding leaves a constant row a little off its mean
    flat = (np.ptp(a, axis=-1) <= 1e-12 * np.abs(a).max(initial=0)) | (size_a == 0)
    flat = flat | (np.ptp(b, axis=-1) <= 1e-12 * np.abs(b).max(initial=0))
    flat = flat | (size_b == 0)
    product = np.where(flat, 1.0, size_a * size_b)
    return np.where(flat, 0.0, (a * b).sum(axis=-1) / product)
