"""skorch nets that train with a penalty on their explanations."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from sklearn.base import clone, is_classifier, is_regressor
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import PassthroughScoring
from torch import Tensor

from sktrim.exceptions import NonFiniteLossError
from sktrim.learning._penalty import ExplanationPenalty

__all__ = ["PenalisedClassifier", "PenalisedRegressor", "PenaltyMixin"]

MASKS = "penalty_masks"
"""The key of what is penalised in each sample, in an X that is a dict."""


class PenaltyMixin:
    """Adds an `ExplanationPenalty` to the loss of a skorch net.

    Put it before the net: ``class Mine(PenaltyMixin, NeuralNet)``.

    Parameters
    ----------
    *args, **kwargs
        Those of the net.
    penalty : ExplanationPenalty or None, default=None
        None trains as usual. Its parameters are the net's, ``penalty__weight`` among
        them, for a grid search.

    See Also
    --------
    PenalisedClassifier, PenalisedRegressor : Made with it.

    Notes
    -----
    The penalty is of training alone, so that ``valid_loss`` is the plain loss; the
    history has it as ``train_penalty``. X may be a dict with the masks of
    `ExplanationPenalty` under "penalty_masks": ``{"x": X, "penalty_masks": masks}``
    where the module's forward takes x.
    """

    def __init__(
        self, *args: Any, penalty: ExplanationPenalty | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.penalty = penalty

    @property
    def _default_callbacks(self) -> list:
        first, *others = super()._default_callbacks  # pyright: ignore[reportAttributeAccessIssue]
        shown = PassthroughScoring(name="train_penalty", on_train=True)
        return [first, ("train_penalty", shown), *others]

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Run the module on a batch; see skorch."""
        if isinstance(x, Mapping) and MASKS in x:
            x = {key: values for key, values in x.items() if key != MASKS}
        return super().infer(x, **fit_params)  # pyright: ignore[reportAttributeAccessIssue]

    def get_loss(
        self,
        y_pred: Any,
        y_true: Any,
        X: Any = None,
        training: bool = False,
        **kwargs: Any,
    ) -> Tensor:
        """Return the loss of a batch, with the penalty in training; see skorch."""
        net: Any = super()
        loss = net.get_loss(y_pred, y_true, X=X, training=training, **kwargs)
        if not training:
            return loss
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"The loss is {float(loss):g}, before the penalty. Likely causes: (a) "
                "training diverges: lower lr; (b) X or y holds NaN. The module is as "
                "it was after the last step."
            )
        value = loss.new_zeros(())
        if self.penalty is not None:
            value = self._penalised(X, y_true).to(loss)
        self.history.record_batch("train_penalty", float(value.detach()))  # pyright: ignore[reportAttributeAccessIssue]
        return loss + value

    def _penalised(self, X: Any, y: Any) -> Tensor:
        """Return the penalty on a batch as the loader gives it."""
        assert self.penalty is not None
        masks = None
        if isinstance(X, Mapping):
            others = {key: values for key, values in X.items() if key != MASKS}
            masks = X.get(MASKS)
            if len(others) != 1:
                raise ValueError(
                    f"The module takes several inputs, {', '.join(others)}; a penalty "
                    "is on one. Let the module take them side by side in one tensor."
                )
            [X] = others.values()
        net: Any = self
        kind = "classifier" if is_classifier(net) else None
        kind = "regressor" if is_regressor(net) else kind
        x = torch.as_tensor(X).to(net.device)
        return self.penalty(net.module_, x, y, masks=masks, kind=kind)

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the net, and of its penalty; see skorch."""
        own = {
            key.removeprefix("penalty__"): params.pop(key)
            for key in list(params)
            if key.startswith("penalty__")
        }
        super().set_params(**params)  # pyright: ignore[reportAttributeAccessIssue]
        if own:
            fresh: Any = clone(self.penalty)
            self.penalty = fresh.set_params(**own)
        return self


class PenalisedClassifier(PenaltyMixin, NeuralNetClassifier):
    """A skorch classifier that trains with a penalty on its explanations.

    Parameters
    ----------
    module : torch.nn.Module
        A class, or an instance.
    *args, **kwargs
        Those of ``skorch.NeuralNetClassifier``. The module returns logits with
        ``criterion=torch.nn.CrossEntropyLoss``.
    penalty : ExplanationPenalty or None, default=None

    See Also
    --------
    ExplanationPenalty : What is penalised.

    Examples
    --------
    The second column tells the class only in training:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim.learning import ExplanationPenalty, PenalisedClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 200)
    >>> X = rng.normal(size=(200, 2)) + np.column_stack([y, 3 * y])
    >>> X = X.astype("float32")
    >>> net = PenalisedClassifier(
    ...     torch.nn.Linear(2, 2),
    ...     criterion=torch.nn.CrossEntropyLoss,
    ...     penalty=ExplanationPenalty(wanted={"coefficient1": 0.0}, weight=1.0),
    ...     max_epochs=30,
    ...     lr=0.05,
    ...     verbose=0,
    ... ).fit(X, y)
    >>> slopes = net.module_.weight.diff(dim=0)[0].abs()
    >>> bool(slopes[1] < 0.2 * slopes[0])
    True
    """


class PenalisedRegressor(PenaltyMixin, NeuralNetRegressor):
    """A skorch regressor that trains with a penalty on its explanations.

    Parameters
    ----------
    module : torch.nn.Module
        A class, or an instance.
    *args, **kwargs
        Those of ``skorch.NeuralNetRegressor``.
    penalty : ExplanationPenalty or None, default=None

    See Also
    --------
    PenalisedClassifier : Has an example.
    """
