"""s = T(x) in NumPy and T^-1 in torch, of any fitted transformer."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import get_tags

from sktrim.inverse import InverseModule, InverseNotAvailableError, inverse_module
from sktrim.inverse._affine import named_columns
from sktrim.inverse._numpy import NumpyInverse
from sktrim.network._inputs import signal_of


def as_rows(transformer: Any, x: Any) -> Any:
    """Lay signals out as the transformer takes them: n-D for ours, flat for others."""
    # a DataFrame where the transformer was fitted on one
    x = signal_of(x)
    flat = transformer is None or not get_tags(transformer).input_tags.three_d_array
    if flat and not sp.issparse(x):
        x = np.asarray(x).reshape(len(x), -1)
    return named_columns(transformer, x)


def coefficients_of(transformer: Any, x: Any) -> np.ndarray:
    """Compute s = T(x); the signal itself, flat, where there is no transformer."""
    rows = as_rows(transformer, x)
    s: Any = rows if transformer is None else transformer.transform(rows)
    s = s.toarray() if sp.issparse(s) else np.ascontiguousarray(s)
    # scikit-learn's SparsePCA gives a single row as a vector
    s = s.reshape(1, -1) if s.ndim == 1 and rows.shape[0] == 1 else s
    if transformer is not None and s.dtype.kind == "f" and not np.isfinite(s).all():
        row = int(np.flatnonzero(~np.isfinite(s).all(axis=1))[0])
        raise ValueError(
            f"{type(transformer).__name__} gives NaN or infinite coefficients for "
            f"sample {row}. Likely causes: (a) its values lie outside what the "
            "transform takes, such as negative ones of a logarithm; (b) they overflow."
        )
    return s


def torch_inverse(transformer: Any, x: Any, scorer) -> InverseModule:
    """Build the torch twin of T^-1, or the NumPy one where no gradient is needed."""
    # x are signals that the twin is verified on
    try:
        inverse = inverse_module(transformer, X=as_rows(transformer, x))
    except InverseNotAvailableError:
        if getattr(scorer, "needs_gradient", True) or transformer is None:
            raise
        if not hasattr(transformer, "inverse_transform"):
            raise
        return NumpyInverse(transformer)
    if not isinstance(inverse, InverseModule):
        raise TypeError(
            f"inverse_module gave a {type(inverse).__name__} for "
            f"{type(transformer).__name__}; expected what is registered with "
            "inverse_module.register to return an sktrim.inverse.InverseModule, which "
            "says whether it is affine."
        )
    return inverse
