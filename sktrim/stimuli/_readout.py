"""Linear readouts of a layer's features: fitted, cross-validated, differentiable."""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LassoCV, RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from sktrim.stimuli._units import Response, resolve_response, responses_of


class Readout(NamedTuple):
    """A fitted readout of one layer."""

    # in features as they are, of shape (n_features,); and the same in standardised ones
    weights: np.ndarray
    bias: float
    standardised: np.ndarray
    # of out-of-fold predictions with the response; and its spread over folds
    correlation: float
    spread: float


class PredictedResponse(nn.Module):
    """A predicted response: features of a layer, then an affine readout."""

    def __init__(self, response: Response, readout: Readout) -> None:
        super().__init__()
        self.module = response.network.module
        network = response.network
        self.register_buffer("weights", _tensor(readout.weights, network))
        self.register_buffer("bias", _tensor(np.array(readout.bias), network))
        self._response = (response,)
        self.training = False

    def forward(self, x: Tensor) -> Tensor:
        """Return predicted responses of shape (n, 1)."""
        features = self._response[0].whole(x).flatten(1)
        return (features @ self.get_buffer("weights") + self.get_buffer("bias"))[
            :, None
        ]


def _tensor(values: np.ndarray, network: Any) -> Tensor:
    return torch.as_tensor(values, dtype=network.dtype, device=network.device)


def features_at(model: Any, layer: Any, X: np.ndarray) -> tuple[Response, np.ndarray]:
    """Return a layer of a network, and what it puts out for signals, flat."""
    response = resolve_response(model, (layer, 0), X)
    features = responses_of(response, X, whole=True)
    return response, features.reshape(len(X), -1).astype(np.float64)


def regression_of(regression: Any) -> Any:
    """Return the regression that a name stands for, or a copy of the one given."""
    if regression == "lasso":
        # smaller penalties than a fiftieth of the largest take long to converge
        return LassoCV(alphas=20, eps=0.02, max_iter=5000)
    if regression == "ridge":
        return RidgeCV(np.logspace(0, 6, 13))
    if isinstance(regression, str) or not hasattr(regression, "fit"):
        raise ValueError(
            f"regression={regression!r}; expected 'lasso', 'ridge' or a linear "
            "regression of scikit-learn."
        )
    return clone(regression)


def fit_readout(regression: Any, features: np.ndarray, y: np.ndarray) -> Pipeline:
    """Fit a regression on standardised features."""
    steps = make_pipeline(StandardScaler(), clone(regression)).fit(features, y)
    weights: Any = getattr(steps[-1], "coef_", None)
    if np.shape(weights) != (features.shape[1],):
        raise TypeError(
            f"{type(regression).__name__} has no coef_ of one weight per feature, so "
            "that it is no readout; expected a linear regression."
        )
    return steps


def readout_of(
    steps: Pipeline, correlation: float = np.nan, spread: float = np.nan
) -> Readout:
    """Write a fitted pipeline as weights of features as they are."""
    scaler: Any = steps[0]
    regression: Any = steps[-1]
    weights = regression.coef_ / scaler.scale_
    bias = float(regression.intercept_ - scaler.mean_ @ weights)
    return Readout(weights, bias, regression.coef_, correlation, spread)


def cross_validated(
    regression: Any, features: np.ndarray, y: np.ndarray, cv: int, seed: int
) -> Readout:
    """Fit a readout, and ask how well it predicts rows that it did not see."""
    predicted, by_fold = np.empty(len(y)), []
    for train, test in KFold(cv, shuffle=True, random_state=seed).split(features):
        steps = fit_readout(regression, features[train], y[train])
        predicted[test] = steps.predict(features[test])
        by_fold.append(correlation(predicted[test], y[test]))
    steps = fit_readout(regression, features, y)
    return readout_of(steps, correlation(predicted, y), float(np.std(by_fold)))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation, 0 where one of both is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / scale) if scale > 0 else 0.0


def compressed(model: nn.Module, share: float) -> nn.Module:
    """Return a copy with the smallest filters of every convolution set to zero."""
    smaller = copy.deepcopy(model)
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = [part for part in smaller.modules() if isinstance(part, kinds)]
    with torch.no_grad():
        for layer in layers:
            sizes = layer.weight.flatten(1).norm(dim=1)
            gone = sizes.argsort(stable=True)[: int(share * len(sizes))]
            layer.weight[gone] = 0
            if layer.bias is not None:
                layer.bias[gone] = 0
    return smaller


def has_filters(model: nn.Module) -> bool:
    """Tell whether there are convolutions to compress."""
    return any(
        isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in model.modules()
    )
