"""From what a user hands over to one module."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sktrim.inverse import InverseNotAvailableError, forward_module, inverse_module
from sktrim.network._documents import preprocessed
from sktrim.network._estimators import check_predictor, has_gradient, is_skorch, unwrap
from sktrim.network._network import Network
from sktrim.network._predictor import PredictorModule
from sktrim.propagation import outputs_of


def resolve_network(estimator, X) -> Network:
    """Build the `Network` of a trained estimator.

    Parameters
    ----------
    estimator : torch.nn.Module, fitted skorch net, other fitted classifier or \
            regressor, or fitted Pipeline ending in one of them
        FrozenEstimator around any of them is taken off.
    X : array-like
        Rows as the estimator takes them; used to check the torch twins of a
        Pipeline's leading steps.

    Returns
    -------
    Network

    Raises
    ------
    TypeError
        If it is none of these, or a classifier without ``predict_proba``.
    NotFittedError
        If it is not fitted.
    """
    inner = unwrap(estimator)
    if isinstance(inner, Pipeline):
        return _resolve_pipeline(estimator, inner, X)
    if isinstance(inner, nn.Module):
        return Network(inner, estimator=estimator)
    if isinstance(inner, TransformedTargetRegressor) and has_gradient(inner):
        network = _resolve_target(estimator, inner, X)
        if network is not None:
            return network
    module = _skorch_module(inner) if is_skorch(inner) else _predictor_module(inner)
    kind = "regressor" if is_regressor(inner) else None
    return Network(
        module,
        kind="classifier" if is_classifier(inner) else kind,
        classes=getattr(inner, "classes_", None) if is_classifier(inner) else None,
        estimator=estimator,
    )


def _predictor_module(predictor) -> PredictorModule:
    check_predictor(predictor)
    check_is_fitted(predictor)
    if is_classifier(predictor) and not hasattr(predictor, "predict_proba"):
        raise TypeError(
            f"The classifier {type(predictor).__name__} has no predict_proba, and "
            "labels alone cannot be explained. Wrap it in "
            "sklearn.calibration.CalibratedClassifierCV."
        )
    return PredictorModule(predictor, is_classifier(predictor))


def _skorch_module(net) -> nn.Module:
    module = getattr(net, "module_", None)
    if not isinstance(module, nn.Module):
        raise NotFittedError(
            f"This {type(net).__name__} is not fitted. Fit it before it is frozen, or "
            "pass it without FrozenEstimator to have it fitted with y."
        )
    return module


def _resolve_pipeline(estimator, pipeline: Pipeline, X) -> Network:
    """Split the leading steps: affine ones next to the net go into torch."""
    steps: list = []
    last: Any = pipeline
    while isinstance(last, Pipeline):
        steps += [s for _, s in last.steps[:-1] if s not in (None, "passthrough")]
        last = unwrap(last.steps[-1][1])
    inputs = [X]
    for step in steps:
        inputs.append(preprocessed(step, inputs[-1]))
    network = resolve_network(last, inputs[-1])
    inner = network.preprocessing
    twins = [] if network.prefix is None else [network.prefix]
    while steps and not inner:
        twin = _affine_twin(steps[-1], inputs[len(steps) - 1])
        if twin is None:
            break
        twins.insert(0, twin)
        steps.pop()
    return Network(
        network.module,
        kind=network.kind,
        classes=network.classes,
        preprocessing=steps + inner,
        prefix=nn.Sequential(*twins) if twins else None,
        estimator=estimator,
    )


def _resolve_target(estimator, wrapper, X) -> Network | None:
    """Follow a network by the way back to its target's units, where that is affine."""
    check_is_fitted(wrapper)
    network = resolve_network(wrapper.regressor_, X)
    try:
        units = inverse_module(wrapper.transformer_)
    except InverseNotAvailableError:
        return None
    if not units.is_affine:
        return None
    units = units.to(dtype=network.dtype, device=network.device)
    return Network(
        InUnits(network.module, units),
        kind="regressor",
        preprocessing=network.preprocessing,
        prefix=network.prefix,
        estimator=estimator,
    )


class InUnits(nn.Module):
    """A network whose outputs are brought back to the units of its target."""

    # by the inverse of what the target was transformed with

    def __init__(self, module: nn.Module, units: nn.Module):
        super().__init__()
        self.module, self.units = module, units.eval()
        self.training = False

    def forward(self, x):
        """Return outputs of shape (n, n_outputs)."""
        out = outputs_of(self.module(x))
        out = out[0] if isinstance(out, list) else out
        return self.units(out.reshape(len(x), -1))


def _affine_twin(step, X) -> nn.Module | None:
    if not sp.issparse(X) and np.asarray(X).dtype.kind not in "fiu":
        return None
    return forward_module(step, X)
