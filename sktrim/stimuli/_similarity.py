"""How alike pictures are: correlations, as they lie or at the best shift."""

from collections.abc import Sequence

import numpy as np


def standardised(images: np.ndarray) -> np.ndarray:
    """Return pictures with mean 0 and length 1; constant ones become 0."""
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(flat, axis=1, keepdims=True)
    return (flat / np.where(sizes > 0, sizes, 1)).reshape(images.shape)


def correlations(
    a: np.ndarray, b: np.ndarray, axes: Sequence[int] | None = None
) -> np.ndarray:
    """Return correlations (n_a, n_b); with axes, the best over shifts along them."""
    a, b = standardised(np.asarray(a, float)), standardised(np.asarray(b, float))
    if axes is None:
        return a.reshape(len(a), -1) @ b.reshape(len(b), -1).T
    axes = tuple(axes)
    spectra = np.fft.fftn(a, axes=axes), np.fft.fftn(b, axes=axes)
    best = np.empty((len(a), len(b)))
    for i, one in enumerate(spectra[0]):
        cross = np.fft.ifftn(one * spectra[1].conj(), axes=axes).real
        others = tuple(k for k in range(1, b.ndim) if k - b.ndim not in axes)
        best[i] = cross.sum(axis=others).reshape(len(b), -1).max(axis=1)
    return best


def mean_correlation(images: np.ndarray, axes: Sequence[int] | None = None) -> float:
    """Return the mean correlation of pairs of different pictures; NaN for one."""
    if len(images) < 2:
        return float("nan")
    matrix = correlations(images, images, axes)
    return float(matrix[np.triu_indices(len(images), 1)].mean())
