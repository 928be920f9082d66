"""What is compared at `fit`: that the network is what its estimator predicts with."""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.base import is_regressor
from sklearn.pipeline import Pipeline
from skorch import NeuralNet, NeuralNetBinaryClassifier
from skorch.dataset import Dataset
from torch import nn

from sktrim.exceptions import NotTheEstimatorError, RowsDependError
from sktrim.network._estimators import is_skorch, unwrap
from sktrim.network._evaluation import Draws, asking_ourselves, evaluation_mode
from sktrim.network._network import Network, to_numpy
from sktrim.targets import predicted_columns


def check_network(network: Network, X: Any) -> None:
    """Raise where an explanation of the network would not be one of the estimator."""
    # after `inspect`, of rows X as the estimator takes them; sets `link`, `threshold`
    # and `classes` to what the estimator does; costs two passes of one row, or one and
    # the estimator's own predictions of two
    assert network.trial is not None
    inputs, whole = network.trial
    if bool(torch.isfinite(whole).all()):
        draws = Draws(network.device)
        with draws, evaluation_mode(network.module), torch.no_grad():
            _check_rows_alone(network, inputs, whole)
        if draws.drew:
            raise RowsDependError(_RANDOM)
        with Draws(network.device):  # skorch draws a seed for its workers
            _check_predictions(network, X, whole)
    network.trial = None


_RANDOM = (
    "The network draws random numbers in evaluation mode, so that no two runs agree. "
    "Likely causes: (a) F.dropout(x) without training=self.training; (b) noise that is "
    "added whatever the mode."
)


def _check_rows_alone(network: Network, inputs, together) -> None:
    """Run the second row alone, since sums over rows begin with the first."""
    rows = inputs[0]
    if len(rows) < 2 or torch.equal(rows[0], rows[1]):
        held = (torch.cat([values[:1], values[:1]]) for values in inputs[1:])
        inputs = torch.cat([rows[:1], rows[:1].flip(-1)]), *held
        together = network.whole(*inputs)
    second = tuple(values[1:] for values in inputs)
    with Draws(network.device) as draws:
        alone = _alone(network, second).reshape(-1)
    if draws.drew:
        raise RowsDependError(_RANDOM)
    same = _close(alone, together[1].reshape(-1))
    if same and isinstance(unwrap(network.estimator), nn.Module):
        same = _close(_alone(network, second).reshape(-1), alone)
    if not same:
        raise RowsDependError(_how_rows_depend(network, inputs, alone, together))


def _alone(network: Network, row: tuple) -> torch.Tensor:
    try:
        return network.whole(*row)
    except ValueError as error:
        raise RowsDependError(
            "The network runs on two rows, but not on one alone, and rows are "
            f"explained alone too: {error} It may use batch statistics, or squeeze() "
            "the axis of a single sample away."
        ) from error


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.shape != b.shape:
        return False
    rounding = float(torch.finfo(b.dtype).eps) ** 0.5
    return bool((a - b).abs().max() <= rounding * b.abs().max())


def _how_rows_depend(network, inputs, alone, together) -> str:
    again = network.whole(*inputs)
    here, single, there = (_shown(out) for out in (together[1], alone, again[1]))
    if not _close(again, together):
        return (
            f"The network gives {here} for a row and {there} for it among the same "
            "rows again, in evaluation mode. Likely causes: (a) it keeps what it saw "
            "in an attribute or buffer; (b) it draws random numbers."
        )
    return (
        f"The network gives {here} for a row among others and {single} for the row "
        "alone, so that no row has an explanation of its own. Likely causes: (a) batch "
        "statistics, such as x - x.mean(0) or batch norm with "
        "track_running_stats=False; (b) a sum, softmax or sort over the axis of the "
        "samples; (c) an axis taken for the batch that is not (batch_first)."
    )


def _shown(values) -> str:
    if isinstance(values, torch.Tensor):
        values = to_numpy(values.detach())
    flat = np.asarray(values).reshape(-1)
    text = ", ".join(f"{value:.4g}" for value in flat[:4].tolist())
    return f"[{text}{', ...' if len(flat) > 4 else ''}]"


def _check_predictions(network: Network, X, whole) -> None:
    """Compare what the estimator predicts with what its network gives."""
    if not network.has_gradient or network.dtype == torch.bfloat16:
        return
    estimator, X = _last(network.estimator, X)
    if isinstance(estimator, nn.Module):
        return
    if is_skorch(estimator):
        dtype = to_numpy(whole).dtype
        if isinstance(X, dict):
            X = {key: _floats(values, dtype) for key, values in X.items()}
        else:
            X = _floats(X, dtype)
    whole = whole.reshape(len(whole), -1)
    outputs = to_numpy(_before_ending(whole, network))
    with asking_ourselves(network.module):
        shares = not is_regressor(estimator) and hasattr(estimator, "predict_proba")
        method = "predict_proba" if shares else "predict"
        predictions = np.asarray(getattr(estimator, method)(X))
        _check_values(network, estimator, method, predictions, outputs, whole)
        if shares:
            _check_labels(network, estimator, estimator.predict(X), outputs)


def _floats(X, dtype) -> np.ndarray:
    X = X.toarray() if sp.issparse(X) else np.asarray(X)
    return X.astype(dtype) if X.dtype.kind == "f" else X


def _last(estimator, X) -> tuple[Any, Any]:
    """Return the last step of a Pipeline and what it is given."""
    inner = unwrap(estimator)
    while isinstance(inner, Pipeline):
        for _, step in inner.steps[:-1]:
            X = X if step in (None, "passthrough") else step.transform(X)
        inner = unwrap(inner.steps[-1][1])
    return inner, X


def _check_values(network, estimator, method, predictions, outputs, whole) -> None:
    """Find out how the estimator reads the outputs, or raise."""
    readings = _readings(outputs, to_numpy(whole), network)
    if not network.strip:
        readings = {"whole": readings.pop("whole"), **readings}
    for link, values in readings.items():
        if predictions.size == values.size and _alike(
            predictions.reshape(values.shape), values
        ):
            network.link = link
            return
    raise NotTheEstimatorError(
        f"{method} of {type(estimator).__name__} gives {_shown(predictions[0])} for a "
        f"row of X, but its network gives {_shown(whole[0])}, so that an explanation "
        "of the network would not be one of the estimator. "
        f"{_causes(estimator, network)} Pass the torch module itself to explain its "
        "outputs as they are."
    )


def _before_ending(whole: torch.Tensor, network: Network) -> torch.Tensor:
    """Undo a final sigmoid or softmax, the latter up to a constant."""
    if network.strip and network.ending == "sigmoid":
        return whole.logit()
    return whole.log() if network.strip and network.ending == "softmax" else whole


def _readings(outputs, whole, network) -> dict[str, np.ndarray]:
    """Return what may be made of the outputs, by the name of the function."""
    values = torch.as_tensor(outputs)
    one = outputs.shape[1] == 1
    each = values.sigmoid().numpy()
    readings = {"whole": whole, "sigmoid": np.stack([1 - each, each], 1)}
    if not one:
        readings["softmax"] = values.softmax(1).numpy()
    elif network.ending != "sigmoid":
        readings["alone"] = each
    return readings


def _alike(predictions: np.ndarray, values: np.ndarray) -> bool:
    scale = max(np.abs(values).max(), 1e-30)
    rounding = np.finfo(np.result_type(values, np.float16)).eps ** 0.5
    return bool(np.abs(predictions - values).max() <= max(rounding, 3e-4) * scale)


def _causes(estimator, network) -> str:
    """Name what was seen of an estimator that makes it differ from its network."""
    seen = []
    kind = type(estimator)
    if getattr(estimator, "dataset", Dataset) is not Dataset:
        name = getattr(estimator.dataset, "__name__", type(estimator.dataset).__name__)
        seen.append(
            f"dataset={name} changes X before the network sees it: do that in a step "
            "of a Pipeline, or in the module"
        )
    for name in ("infer", "forward_iter", "predict_proba", "evaluation_step"):
        own = getattr(kind, name, None)
        if is_skorch(estimator) and own.__module__.partition(".")[0] != "skorch":
            seen.append(f"{kind.__name__}.{name} is overridden")
    nonlinearity = getattr(estimator, "predict_nonlinearity", "auto")
    if nonlinearity != "auto":
        seen.append(f"predict_nonlinearity={nonlinearity!r} is applied to the outputs")
    if network.ending and isinstance(estimator, NeuralNet):
        criterion = type(estimator.criterion_).__name__
        seen.append(
            f"the network ends in a {network.ending} and {criterion} has the net apply "
            "another: let the module return logits"
        )
    if not seen:
        seen = ["the estimator changes X, or what the network gives, on its own"]
    letters = "abcdefgh"
    listed = [f"({letters[i]}) {cause}" for i, cause in enumerate(seen)]
    return f"Likely causes: {'; '.join(listed)}."


def _check_labels(network, estimator, labels, outputs) -> None:
    """Have the columns bear the labels that the estimator predicts, or raise."""
    if isinstance(estimator, NeuralNetBinaryClassifier):
        network.threshold = estimator.threshold
    labels = np.asarray(labels)
    if labels.shape != (len(outputs),) or network.kind != "classifier":
        return
    columns = predicted_columns(outputs, network)
    known = network.labels
    if np.array_equal(known[columns], labels):
        return
    if np.array_equal(columns, labels):
        network.classes = np.arange(len(known))
        return
    raise NotTheEstimatorError(
        f"predict of {type(estimator).__name__} gives the label {labels[0]!r} for a "
        f"row of X, but the network's outputs say {known[columns[0]]!r}. Likely "
        "causes: (a) predict is overridden or has a threshold of its own; (b) "
        "classes_ does not hold the labels of the columns."
    )
