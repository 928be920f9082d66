"""What is checked of signals before they reach the network."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from sktrim.network import Network
from sktrim.network._inputs import Order

CHECKS: Any = {
    "dtype": [np.float64, np.float32],
    "accept_sparse": "csr",
    "allow_nd": True,
}
"""What `check_array` is told about signals."""

_INTEGERS = [np.int64, np.int32, np.int16, np.int8, np.uint8]


def checks(layer: Any) -> dict[str, Any]:
    """Return what `check_array` is told: the whole network may take tokens."""
    # the signal itself is never one of integers, but what a layer makes of them may be
    if layer is None:
        return CHECKS
    return CHECKS | {"dtype": CHECKS["dtype"] + _INTEGERS}


def check_signals(x: Any, network: Network) -> Any:
    """Return what reaches the network, checked: numbers, finite, at least one row."""
    what = "The preprocessed X" if network.preprocessing else "X"
    check_numbers(x)
    x = check_array(x, input_name=what, **checks(network.layer))
    network.expect(x)
    return x


def taken_apart(X: Any, context: Any, layer: Any) -> tuple[Any, tuple, Order | None]:
    """Return what is explained, what is held, and how the network takes them."""
    several = isinstance(X, Mapping) or type(X) in (tuple, list)
    if context is None and not (layer is not None and isinstance(X, Mapping)):
        return X, (), None
    if not several:
        raise TypeError(
            f"context={context!r} names inputs that are held, but X is a "
            f"{type(X).__name__}; expected a dict of arrays, or a tuple of them."
        )
    keys = list(X) if isinstance(X, Mapping) else list(range(len(X)))
    # at a layer nothing of X itself is explained
    held = keys[1:] if context is None else _as_list(context)
    unknown = [key for key in held if key not in keys]
    explained = [key for key in keys if key not in held]
    if unknown or len(explained) != 1:
        raise ValueError(
            f"context={context!r} for an X of the inputs {keys}; expected all of them "
            "but the one that is explained."
        )
    x = X[explained[0]]
    order = [key for key in keys if key in held]
    others = tuple(np.asarray(X[key]) for key in order)
    for key, values in zip(order, others, strict=True):
        _check_held(key, values, len(x))
    return x, others, Order(keys, explained[0], isinstance(X, Mapping))


def _as_list(context: Any) -> list:
    alone = isinstance(context, str) or not isinstance(context, Iterable)
    return [context] if alone else list(context)


def _check_held(key: Any, values: np.ndarray, n_samples: int) -> None:
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"The input {key!r} has dtype {values.dtype}; expected numbers."
        )
    if values.ndim < 1 or len(values) != n_samples:
        raise ValueError(
            f"The input {key!r} has shape {values.shape} for {n_samples} samples; "
            "expected one row per sample."
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"The input {key!r} holds NaN or infinity.")


def check_numbers(X: Any) -> None:
    """Raise for what would become numbers that nobody meant, or a single input."""
    if isinstance(X, Mapping) or _several_arrays(X):
        named = f" ({', '.join(map(str, X))})" if isinstance(X, Mapping) else ""
        raise TypeError(
            f"X is a {type(X).__name__} of several inputs{named}; one array is "
            "explained. Say with context= which of them are held as they are, by name "
            "or position, or use sktrim.contextual_decomposition, which explains "
            "several tensors together."
        )
    if np.ma.isMaskedArray(X) and np.ma.getmaskarray(X).any():
        raise ValueError(
            "X is a masked array, and the network would see what lies under the mask; "
            "give numbers: X.filled(value), or rows without masked values."
        )
    kinds = dict(_kinds(X))
    for kind, name in (("mM", "datetimes"), ("SU", "strings")):
        dtype = next((kinds[k] for k in kind if k in kinds), None)
        if dtype is not None:
            raise ValueError(
                f"X holds {name} ({dtype}); expected numbers. Convert them to the "
                "numbers that the network was trained on: X.astype(float) for numeric "
                "strings, a difference to a date in some unit for datetimes."
            )


def _several_arrays(X) -> bool:
    """Tell whether X lists arrays that cannot be rows of one: of different shapes."""
    if type(X) not in (list, tuple) or not X:
        return False
    shapes = {getattr(part, "shape", None) for part in X}
    # a tuple of matrices is how torch passes several inputs
    matrices = all(shape is not None and len(shape) > 1 for shape in shapes)
    return matrices and (len(shapes) > 1 or type(X) is tuple)


def _kinds(X) -> Iterator[tuple[str, str]]:
    """Yield the kinds of the values, as NumPy has them, each with its name."""
    dtypes = getattr(X, "dtypes", None)
    dtypes = [getattr(X, "dtype", None)] if dtypes is None else list(dtypes)
    for dtype in dtypes:
        kind = getattr(dtype, "kind", "")
        if kind in "mMSU" and kind:
            yield kind, str(dtype)
    if any(getattr(dtype, "kind", "") == "O" for dtype in dtypes) or type(X) is list:
        values = np.asarray(X, dtype=object).ravel()
        if any(isinstance(value, str | bytes) for value in values):
            yield "U", "object"


def check_rows(X: Any, layout: tuple[int, ...]) -> None:
    """Raise where signals are not laid out as they were in `fit`."""
    # flat rows of another width are left to scikit-learn's own check, and so is what
    # has no shape yet
    shape = getattr(X, "shape", ())
    if len(shape) < 2 or len(shape) == 2 == len(layout) + 1 or shape[1:] == layout:
        return
    raise ValueError(
        f"X has signals of shape {shape[1:]}, but fit saw signals of shape {layout}; "
        "reshape or transpose X to that."
    )


def check_columns(names: Any, fitted: Any) -> None:
    """Raise where columns do not bear the names, in the order, of those fitted on."""
    expected = getattr(fitted, "feature_names_in_", None)
    if names is None or expected is None or list(names) == list(expected):
        return
    columns, wanted = (", ".join(map(str, some[:5])) for some in (names, expected))
    kind = type(fitted).__name__
    raise ValueError(
        f"X has the columns {columns}, ... ({len(names)}), but {kind} was fitted on "
        f"{wanted}, ... ({len(expected)}); columns are taken by position, so give them "
        f"as it knows them: X[list({kind.lower()}.feature_names_in_)]."
    )


def check_same_columns(names: Any, others: Any) -> None:
    """Raise where background rows have other columns, or another order, than X."""
    if names is None or others is None or list(names) == list(others):
        return
    raise ValueError(
        "background has other columns than X, or in another order; columns are taken "
        "by position, so give background[X.columns]."
    )


def check_background(background: Any, x: Any) -> None:
    """Raise where background rows are laid out otherwise than X."""
    if background.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"background has signals of shape {background.shape[1:]}, but X has "
            f"signals of shape {x.shape[1:]}; give rows like those of X."
        )
