"""Checks of the arrays an Explanation is made of, with errors that teach."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp


def check_values(values: Any, n_names: int) -> np.ndarray:
    """Give finite float values of shape (n, G) or (n, G, T)."""
    values = np.asarray(values)
    if values.dtype.kind not in "biuf":
        raise TypeError(
            f"values has dtype {values.dtype}; importances are real numbers."
        )
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if values.ndim not in (2, 3):
        raise ValueError(
            f"values has shape {values.shape}; expected (n_samples, n_groups), or "
            "(n_samples, n_groups, n_targets). A single sample is values[np.newaxis]."
        )
    if 0 in values.shape[1:]:
        raise ValueError(
            f"values has shape {values.shape}; at least one group and one target are "
            "needed."
        )
    if values.shape[1] != n_names:
        raise ValueError(
            f"{n_names} group_names were given, but values has shape {values.shape}, "
            f"that is {values.shape[1]} groups; give one name per group (axis 1)."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        sample, group = np.argwhere(bad)[0][:2]
        raise ValueError(
            f"values holds {int(bad.sum())} NaN or infinite entries (the first at "
            f"sample {sample}, group {group}). Likely causes: the network gives NaN "
            "there, x holds NaN, or the scorer divided by zero. Leave those samples "
            "out, or look at the scorer's options."
        )
    return values


def check_names(names: Sequence[str]) -> list[str]:
    """Give distinct group names as a list of str."""
    if isinstance(names, str):
        raise TypeError(f"group_names={names!r} is one string; give a list of names.")
    names = [str(name) for name in names]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"group_names must differ, but {twice!r} occurs twice.")
    return names


def check_shape(name: str, array: Any, allowed: Sequence[tuple[int | str, ...]]):
    """Return an ndarray of one of the `allowed` shapes; None stays None."""
    # a string in an allowed shape stands for any length
    if array is None:
        return None
    array = np.asarray(array)
    if array.dtype == object:
        array = array.astype(str)
    for shape in allowed:
        fits = len(shape) == array.ndim and all(
            isinstance(wanted, str) or wanted == length
            for wanted, length in zip(shape, array.shape, strict=True)
        )
        if fits:
            return array
    wanted = " or ".join(
        f"({', '.join(str(length) for length in shape)}{',' * (len(shape) == 1)})"
        for shape in allowed
    )
    raise ValueError(
        f"{name} has shape {array.shape}, expected {wanted} to go with values. Check "
        "that it is in the order of the samples (or targets) that values explains."
    )


def check_coefficients(coefficients: Any, n_samples: int):
    """Give coefficients (n, n_coefficients), dense or CSR; None stays None."""
    if not sp.issparse(coefficients):
        shape = (n_samples, "n_coefficients")
        return check_shape("coefficients", coefficients, [shape])
    if coefficients.shape[0] != n_samples:
        raise ValueError(
            f"coefficients has shape {coefficients.shape}, but values explains "
            f"{n_samples} samples; give one row per sample."
        )
    return sp.csr_array(coefficients)


def check_feature_groups(groups: Any, n_groups: int, coefficients: Any) -> None:
    """Raise unless the masks fit the number of groups and of coefficients."""
    if groups is None:
        return
    n_masks, n_coefficients = groups.masks.shape
    # the residual may be one group more, which no mask describes
    if n_masks not in (n_groups, n_groups - 1):
        raise ValueError(
            f"feature_groups has {n_masks} groups, but values has {n_groups}; give the "
            "groups that were explained (values may have one more: the residual)."
        )
    if coefficients is not None and coefficients.shape[1] != n_coefficients:
        raise ValueError(
            f"feature_groups are masks over {n_coefficients} coefficients, but "
            f"coefficients has {coefficients.shape[1]} columns."
        )


def check_target_names(names: Any, shape: tuple[int, ...]) -> list[str] | None:
    """Give one name per sample (2-D values) or per target (3-D values)."""
    if names is None:
        return None
    names = [str(name) for name in names]
    expected, what = (
        (shape[0], "sample (the class explained there)")
        if len(shape) == 2
        else (shape[2], "target")
    )
    if len(names) != expected:
        raise ValueError(
            f"{len(names)} target_names were given, expected {expected}: one per "
            f"{what}."
        )
    return names


def check_signals(signals: Any, n_samples: int, signal_shape):
    """Give signals (n, *signal_shape) or flat, dense or CSR; None stays None."""
    if signals is None:
        return None
    signals = sp.csr_array(signals) if sp.issparse(signals) else np.asarray(signals)
    fits = signals.ndim > 1 and signals.shape[0] == n_samples
    if fits and signal_shape is not None:
        fits = prod(signals.shape[1:]) == prod(signal_shape)
    if not fits:
        raise ValueError(
            f"signals has shape {signals.shape}, expected ({n_samples}, "
            f"*signal_shape) with signal_shape={signal_shape}: the rows of X that "
            "values explains."
        )
    return signals


def check_rows(key, n_samples: int):
    """Give a slice, booleans or a 1-D array of ints that index n_samples samples."""
    if isinstance(key, slice):
        return key
    # a tuple, explanation[3, 2], reads as sample 3 and group 2: no rows
    rows: Any = np.zeros((1, 1)) if isinstance(key, tuple) else np.asarray(key)
    if rows.size == 0 and rows.ndim == 1:
        return rows.astype(int)
    if rows.dtype == bool and rows.shape == (n_samples,):
        return rows
    if rows.dtype.kind not in "iu" or rows.ndim > 1:
        raise IndexError(
            f"an Explanation is indexed by samples: an int, a slice, {n_samples} "
            f"booleans or a 1-D array of ints, got {type(key).__name__} {key!r}. "
            "Groups are found by explanation.values[:, explanation.group_index(name)]."
        )
    if rows.min() < -n_samples or rows.max() >= n_samples:
        raise IndexError(
            f"sample {key} is out of range: there are {n_samples} samples."
        )
    return np.atleast_1d(rows)
