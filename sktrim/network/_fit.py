"""What `TransformImportance.fit` does to an unfitted network."""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import get_tags
from skorch import NeuralNetBinaryClassifier
from torch import nn

from sktrim.network._estimators import FixedModule, contains_net, is_skorch, unwrap
from sktrim.network._inputs import rows_of


def as_estimator(estimator: Any) -> Any:
    """Give a bare module an estimator's clothes; pass estimators through."""
    inner = unwrap(estimator)
    return FixedModule(inner) if isinstance(inner, nn.Module) else estimator


def clone_keeping_modules(estimator: Any) -> Any:
    """Clone a meta-estimator, but not the bare torch modules among its parameters."""
    parameters = {
        name: value if isinstance(value, nn.Module) else clone(value, safe=False)
        for name, value in estimator.get_params(deep=False).items()
    }
    copied = type(estimator)(**parameters)
    for name in ("_metadata_request", "_sklearn_output_config"):
        if hasattr(estimator, name):
            setattr(copied, name, clone(getattr(estimator, name), safe=False))
    return copied


def fit_network(estimator: Any, X: Any, y: ArrayLike) -> tuple[Any, Any]:
    """Return a fitted clone of a predictor, and the labels that were encoded for it."""
    # X is an ndarray or a CSR matrix, for a Pipeline anything that it takes
    net: Any = clone(estimator)
    if hasattr(net, "steps"):
        return net.fit(X, y), None
    if not is_skorch(net):
        X = X.astype(np.float32) if contains_net(net) else X
        return net.fit(X, y), None
    if isinstance(X, dict):
        X = {key: _own(v) if v.dtype.kind == "f" else v for key, v in X.items()}
    else:
        X = _own(X)
    if get_tags(net).estimator_type == "classifier":
        encoder = LabelEncoder().fit(y)
        binary = isinstance(net, NeuralNetBinaryClassifier)
        labels = encoder.transform(y).astype(np.float32 if binary else np.int64)
        return net.fit(X, labels), encoder.classes_
    return net.fit(X, _regression_target(net, X, y)), None


def _own(X) -> Any:
    if sp.issparse(X):
        # skorch picks rows of matrices, whose axes stay two
        return sp.csr_matrix(X, dtype=np.float32)
    # a DataFrame's own memory may be read-only, which torch warns of
    return np.require(X, np.float32, "W")


def _regression_target(net, X, y) -> np.ndarray:
    """Shape y as the net's output: skorch trains garbage on (n,) against (n, 1)."""
    y = np.asarray(y, dtype=np.float32)
    with torch.random.fork_rng(), torch.no_grad():
        probe: Any = clone(net)
        probe.initialize()
        probe.module_.eval()
        rows: Any = rows_of(X, slice(2))
        if isinstance(rows, dict):
            rows = {key: torch.as_tensor(values) for key, values in rows.items()}
        else:
            rows = torch.as_tensor(rows.toarray() if sp.issparse(rows) else rows)
        flat = probe.infer(rows).ndim == 1
    return y.reshape(len(y)) if flat else y.reshape(len(y), -1)


def has_probabilities(trim: Any) -> bool:
    """Tell whether to offer `predict_proba`: where the network is a classifier."""
    # `trim` may not be fitted yet
    estimator = unwrap(trim.estimator)
    if isinstance(estimator, nn.Module):
        network = getattr(trim, "network_", None)
        return network is not None and network.kind == "classifier"
    return hasattr(estimator, "predict_proba") and (
        get_tags(estimator).estimator_type == "classifier"
    )
