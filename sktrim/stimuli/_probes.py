"""What is shown to a predicted neuron: parts of images, and parts put together."""

from collections.abc import Sequence

import numpy as np


def importance(slopes: np.ndarray) -> np.ndarray:
    """Return where slopes (n, *signal_shape) are large: from 0 to 1, as one signal."""
    mean = np.abs(slopes).mean(axis=0)
    # channels share a place
    mean = mean.sum(axis=tuple(range(mean.ndim - 2)), keepdims=True)
    largest = mean.max()
    mean = mean / largest if largest > 0 else np.ones_like(mean)
    return np.broadcast_to(mean, slopes.shape[1:])


def center_of(mask: np.ndarray, axes: Sequence[int]) -> list[float]:
    """Return the centre of mass of a mask along axes."""
    centers = []
    for axis in axes:
        others = tuple(k for k in range(mask.ndim) if k != axis % mask.ndim)
        line = mask.sum(axis=others)
        centers.append(float(line @ np.arange(len(line)) / line.sum()))
    return centers


def cropped(
    X: np.ndarray, size: int, center: Sequence[float], axes: Sequence[int]
) -> np.ndarray:
    """Return signals that are at their mean outside a window of `size` samples."""
    inside = np.zeros(X.shape[1:], dtype=bool)
    window: list = [slice(None)] * inside.ndim
    for axis, middle in zip(axes, center, strict=True):
        length = inside.shape[axis]
        begin = int(np.clip(round(middle - (size - 1) / 2), 0, max(0, length - size)))
        window[axis] = slice(begin, begin + size)
    inside[tuple(window)] = True
    means = X.mean(axis=tuple(axes), keepdims=True)
    return np.where(inside, X, means)


def recombined(
    X: np.ndarray, patch: int, n: int, axes: Sequence[int], rng
) -> tuple[np.ndarray, np.ndarray]:
    """Return signals made of patches, each as it lies in a row drawn from X."""
    # and the rows, (n, *grid)
    grid = [-(-X.shape[1:][axis] // patch) for axis in axes]
    sources = rng.randint(len(X), size=(n, *grid))
    images = np.empty((n, *X.shape[1:]), X.dtype)
    for cell in np.ndindex(*grid):
        place: list = [slice(None)] * X.ndim
        for axis, k in zip(axes, cell, strict=True):
            place[axis] = slice(k * patch, (k + 1) * patch)
        images[tuple(place)] = X[sources[(slice(None), *cell)]][tuple(place)]
    return images, sources
