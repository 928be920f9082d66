"""What is checked of signals before they reach the network."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from sktrim.network import Network

CHECKS: Any = {
    "dtype": [np.float64, np.float32],
    "accept_sparse": "csr",
    "allow_nd": True,
}
"""What `check_array` is told about signals."""


def check_signals(x, network: Network):
    """Check what reaches the network: numbers, finite, at least one row.

    Parameters
    ----------
    x : array-like or CSR matrix of shape (n_samples, ...)
    network : Network

    Returns
    -------
    ndarray or CSR matrix of float32 or float64
    """
    what = "The preprocessed X" if network.preprocessing else "X"
    return check_array(x, input_name=what, **CHECKS)


def check_rows(X, layout: tuple[int, ...]) -> None:
    """Raise where signals are not laid out as they were in `fit`.

    Flat rows of another width are left to scikit-learn's own check, and so is
    what has no shape yet.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
    layout : tuple of int
        Shape of one signal in `fit`.

    Raises
    ------
    ValueError
    """
    shape = getattr(X, "shape", ())
    if len(shape) < 2 or len(shape) == 2 == len(layout) + 1 or shape[1:] == layout:
        return
    raise ValueError(
        f"X has signals of shape {shape[1:]}, but fit saw signals of shape {layout}; "
        "reshape or transpose X to that."
    )


def check_columns(names, fitted) -> None:
    """Raise where columns do not bear the names, in the order, of those fitted on.

    Parameters
    ----------
    names : sequence of str or None
        Names of the columns that are given; None where they have none.
    fitted : fitted estimator or None

    Raises
    ------
    ValueError
    """
    expected = getattr(fitted, "feature_names_in_", None)
    if names is None or expected is None or list(names) == list(expected):
        return
    given, wanted = (", ".join(map(str, some[:5])) for some in (names, expected))
    kind = type(fitted).__name__
    raise ValueError(
        f"X has the columns {given}, ... ({len(names)}), but {kind} was fitted on "
        f"{wanted}, ... ({len(expected)}); columns are taken by position, so give them "
        f"as it knows them: X[list({kind.lower()}.feature_names_in_)]."
    )


def check_same_columns(names, others) -> None:
    """Raise where background rows have other columns, or another order, than X.

    Parameters
    ----------
    names, others : sequence of str or None
        Names of the columns of X and of the background.

    Raises
    ------
    ValueError
    """
    if names is None or others is None or list(names) == list(others):
        return
    raise ValueError(
        "background has other columns than X, or in another order; columns are taken "
        "by position, so give background[X.columns]."
    )
