"""Reads an affine function of rows off its values, and verifies it."""

from collections.abc import Callable
from copy import copy
from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn import get_config

from sktrim._memory import chunks, rows_in_memory
from sktrim.inverse._modules import MatrixTwin, ScaleTwin

_N_ROWS = 32
_MEBIBYTE = 2**20
_LARGEST_STEP = 2.0**40


class NotAffineError(ValueError):
    """A function of rows has no affine map that could be read off."""


def some_rows(X: Any) -> Any:
    """Copy up to 32 rows spread over X: array, sparse matrix, DataFrame or sequence."""
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    step = slice(None, None, max(1, -(-n_rows // _N_ROWS)))
    X = X.tocsr() if sp.issparse(X) else X
    # a copy, since scalers with copy=False write into what they are given
    return copy(X.iloc[step] if hasattr(X, "iloc") else X[step])


def as_rows(values: Any) -> np.ndarray:
    """Return what a transformer gave as a dense floating array."""
    values = np.asarray(values.toarray() if sp.issparse(values) else values)
    if values.dtype.kind not in "biuf":
        raise NotAffineError(f"it gives values of dtype {values.dtype}")
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def transformed(transformer: Any, rows: Any) -> Any:
    """Return what a transformer makes of rows, and give it nothing to warn of."""
    if isinstance(rows, np.ndarray):
        rows = named_columns(transformer, rows)
    # warnings are not filtered, since their filters belong to all threads at once
    with np.errstate(all="ignore"):
        return transformer.transform(rows)


class _Probe:
    """A function of rows that never writes into its input and gives flat rows."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.layout: tuple[int, ...] = ()

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        try:
            with np.errstate(all="ignore"):
                values = as_rows(self.function(rows.copy()))
        except NotAffineError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise NotAffineError(f"it fails on some coefficients ({reason})") from error
        self.layout = values.shape[1:]
        if values.ndim < 2 or len(values) != len(rows):
            raise NotAffineError(f"{len(rows)} rows give an array of {values.shape}")
        if not np.isfinite(values).all():
            raise NotAffineError("it gives NaN or infinity for some coefficients")
        return values.reshape(len(rows), -1)


def _steps(offset: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Return powers of two, (n, 1), that lift each row above the offset's round-off."""
    size = np.abs(response - offset)
    # a row that does not move at all may be drowned wholly
    still = np.where(size.any(axis=1, keepdims=True), np.inf, np.finfo(float).tiny)
    ratio = np.minimum(np.abs(offset), 1e200) / np.where(size > 0, size, still)
    largest = ratio.max(axis=1, keepdims=True, initial=1.0)
    return 2.0 ** np.ceil(np.log2(np.minimum(largest, _LARGEST_STEP)))


def _read_scale(probe: _Probe, offset: np.ndarray) -> tuple[np.ndarray, float]:
    """Read the diagonal off a function assumed to act on every column alone."""
    ones = np.ones((1, offset.size))
    step = float(_steps(offset, probe(ones))[0, 0])
    return (probe(step * ones)[0] - offset) / step, step


def _read_matrix(
    probe: _Probe, offset: np.ndarray, n_in: int
) -> tuple[np.ndarray, float]:
    """Read the matrix off the images of the unit vectors, a block at a time."""
    budget = get_config()["working_memory"] * _MEBIBYTE
    needed = 8 * n_in * offset.size
    if needed > budget:
        raise NotAffineError(
            f"its matrix of {n_in} x {offset.size} values takes "
            f"{needed / _MEBIBYTE:.0f} MiB, more than the working_memory of "
            f"{budget / _MEBIBYTE:.0f} MiB (sklearn.set_config(working_memory=...) "
            "raises it)"
        )
    block = int(np.clip(budget // (64 * (n_in + offset.size)), 1, n_in))
    matrix = np.empty((n_in, offset.size))
    largest = 1.0
    for start in range(0, n_in, block):
        units = np.eye(min(block, n_in - start), n_in, start)
        steps = _steps(offset, probe(units))
        matrix[start : start + block] = (probe(steps * units) - offset) / steps
        largest = max(largest, float(steps.max()))
    return matrix, largest


def _agrees(probe: _Probe, twin: MatrixTwin | ScaleTwin, rows: np.ndarray) -> bool:
    """Whether the twin gives what the function gives, to round-off."""
    step = rows_in_memory(64 * prod(probe.layout))
    return all(_agrees_on(probe, twin, rows[some]) for some in chunks(len(rows), step))


def _agrees_on(probe: _Probe, twin: MatrixTwin | ScaleTwin, rows: np.ndarray) -> bool:
    expected = probe(rows)
    offset = np.zeros(()) if twin.offset is None else twin.offset.numpy().ravel()
    if isinstance(twin, ScaleTwin):
        linear = rows * twin.scale.numpy()
        size = np.abs(linear)
    else:
        matrix = twin.matrix.numpy()
        linear, size = rows @ matrix, np.abs(rows) @ np.abs(matrix)
    size = size + np.abs(offset)
    tolerance = 1e-9 if expected.dtype == np.float64 else 1e-4
    # the second term is for columns of no size, where round-off is that of others
    bound = tolerance * (size + 1e-4 * size.max(axis=1, keepdims=True))
    return bool((np.abs(linear + offset - expected) <= bound).all())


def read_affine(
    function: Callable[[Any], Any], n_in: int, samples: np.ndarray | None = None
) -> MatrixTwin | ScaleTwin:
    """Read W and b of ``function(rows) = rows @ W + b`` off, and verify them."""
    # b is function(0) and W is function(I) - function(0), with unit vectors scaled up
    # where b would drown W in round-off; the function maps float64 (n, n_in) to (n,
    # ...), dense or sparse; `samples` (n, n_in) are rows to verify it on, beside random
    # ones
    probe = _Probe(function)
    rows = np.random.default_rng(0).normal(size=(_N_ROWS, n_in))
    if samples is not None:
        samples = samples.reshape(-1, n_in).astype(np.float64)
        spread = samples.std(axis=0)
        rows = np.concatenate([rows, rows * spread + samples.mean(axis=0), samples])
    offset = probe(np.zeros((1, n_in)))[0]
    # a function of every column alone takes no matrix
    if offset.size == n_in:
        scale, step = _read_scale(probe, offset)
        twin = ScaleTwin(scale, offset, probe.layout)
        if _agrees(probe, twin, rows) and _agrees(probe, twin, step * rows):
            return twin
    matrix, step = _read_matrix(probe, offset, n_in)
    twin = MatrixTwin(matrix, offset, probe.layout)
    if _agrees(probe, twin, rows) and _agrees(probe, twin, step * rows):
        return twin
    raise NotAffineError("it is not affine: its values are not those of s @ W + b")


def named_columns(estimator: Any, rows: Any) -> Any:
    """Name the columns where an estimator was fitted on named ones."""
    # `rows` are an ndarray (n_samples, ...) or a CSR matrix
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or sp.issparse(rows) or rows.shape[1:] != (len(names),):
        return rows
    import pandas as pd

    return pd.DataFrame(rows, columns=names)
