"""What users give as an estimator: what it is, and what is inside."""

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import nn


class FixedModule(BaseEstimator):
    """A bare ``torch.nn.Module`` in estimator's clothes: fitted, never copied."""

    def __init__(self, module: nn.Module):
        self.module = module

    def __sklearn_clone__(self):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, y=None):
        """Do nothing: the module is taken as trained."""
        return self


def unwrap(estimator: Any) -> Any:
    """Take FrozenEstimator, FixedModule and a fitted search off an estimator."""
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif is_search(estimator) and hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            break
    return estimator.module if isinstance(estimator, FixedModule) else estimator


def is_search(estimator: Any) -> bool:
    """Tell whether an estimator is a search over parameters, such as GridSearchCV."""
    return isinstance(estimator, BaseSearchCV)


def contains_net(estimator: Any) -> bool:
    """Tell whether an estimator, or a parameter at any depth, is a skorch net."""
    if is_skorch(estimator):
        return True
    parts = getattr(estimator, "get_params", dict)()
    return any(is_skorch(part) for part in parts.values())


def net_inside(estimator: Any) -> str:
    """Say for errors which attribute holds a wrapper's network, if there is one."""
    inner = unwrap(estimator)
    if is_search(inner):
        return " A search keeps its network in best_estimator_, with refit=True."
    if not contains_net(inner):
        return ""
    for name in _INSIDE:
        if hasattr(inner, name.partition("[")[0]):
            return f" The network inside is its {name}: explain that, in its own units."
    return " Fit it first and explain the network inside."


_INSIDE = (
    "regressor_",
    "calibrated_classifiers_[0].estimator",
    "estimators_[0]",
    "estimator_",
)


def is_trained(estimator: Any) -> bool:
    """Tell whether an estimator needs no fitting: a module, or anything fitted."""
    inner = unwrap(estimator)
    if isinstance(inner, nn.Module):
        return True
    if isinstance(inner, Pipeline):
        inner = inner.steps[-1][1]
        return is_trained(inner)
    try:
        check_is_fitted(inner)
    except (NotFittedError, TypeError):
        return False
    return True


def is_skorch(estimator: Any) -> bool:
    """Tell whether an estimator is a skorch net."""
    return hasattr(estimator, "module") and hasattr(estimator, "infer")


def has_gradient(estimator: Any) -> bool:
    """Tell whether an estimator, fitted or not, is or ends in a torch module."""
    inner = unwrap(estimator)
    if isinstance(inner, Pipeline):
        return has_gradient(inner.steps[-1][1])
    if is_search(inner):
        return inner.refit is not False and has_gradient(inner.estimator)
    if isinstance(inner, TransformedTargetRegressor):
        return has_gradient(getattr(inner, "regressor_", inner.regressor))
    return isinstance(inner, nn.Module) or is_skorch(inner)


def check_predictor(estimator: Any) -> None:
    """Raise for what is neither a network nor anything else that predicts."""
    inner = unwrap(estimator)
    instance = not isinstance(inner, type)
    if instance and (hasattr(inner, "predict") or has_gradient(inner)):
        return
    kind = f"a {type(inner).__name__}" if instance else f"the class {inner.__name__}"
    raise TypeError(
        f"estimator is {kind}; expected a torch.nn.Module, a skorch net, a classifier "
        "or regressor, or a Pipeline that ends in one, each an instance."
        + (net_inside(inner) if instance else "")
    )
