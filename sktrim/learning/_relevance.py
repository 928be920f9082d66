"""The scores of a network in a space that changes while it is learned."""

from typing import Any

import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor

from sktrim._memory import rows_in_memory
from sktrim.composed import ComposedModel, GroupMasks
from sktrim.groups import FeatureGroups
from sktrim.inverse import inverse_module
from sktrim.learning._scores import check_differentiable
from sktrim.network._estimators import unwrap
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._network import to_numpy
from sktrim.scorers import (
    Attribution,
    Gradient,
    InputTimesGradient,
    IntegratedGradients,
    SquaredGradient,
)
from sktrim.scorers._base import extras_of
from sktrim.scorers._gradient import gradient_at, path_gradient

_AT_THE_SAMPLE = (Gradient, SquaredGradient, InputTimesGradient)


def _is_from_zeros(scorer: Any) -> bool:
    """Tell whether scores are gradients on the way from zeros."""
    path = isinstance(scorer, IntegratedGradients)
    return path and isinstance(scorer.baseline, str) and scorer.baseline == "zero"


class Relevance:
    """The scores of coefficients of some samples, which keep their graph."""

    def __init__(self, trim: Any, X: Any, y: Any) -> None:
        trim = unwrap(trim)
        if not hasattr(trim, "question_"):
            if hasattr(trim, "composed_models"):
                raise NotFittedError("trim is not fitted; call trim.fit(X) first.")
            raise TypeError(
                f"trim is a {type(trim).__name__}; expected a fitted "
                "TransformImportance."
            )
        question = trim.question_
        self.scorer = check_differentiable(question.scorer)
        if getattr(self.scorer, "needs_background", False):
            raise TypeError(
                f"{type(self.scorer).__name__} compares with rows of coefficients, and "
                'those change here; use a scorer from zeros, such as "gradient", '
                '"input_x_gradient", "integrated_gradients" or "cd".'
            )
        self.network = question.network
        self.dtype = to_numpy(torch.zeros((), dtype=self.network.dtype)).dtype
        self.device = self.network.device
        signals = trim.signals(X)
        _, resolved = question.resolve(signals, y)
        self.target = resolved.target
        self.x = self.network.to_tensor(signals)
        self.seed = question.seed
        self._slopes: Tensor | None = None

    def told(self) -> list:
        """Return what the scores depend on, beside the signals."""
        weights = self.network.module.state_dict().values()
        return [repr(self.scorer), *map(to_numpy, (self.target.weights, *weights))]

    def bind(self, inverse: Any) -> None:
        """Say whose coefficients are scored."""
        self.inverse = inverse
        width = int(inverse.n_coefficients or 0)
        groups = FeatureGroups.singletons(width)
        self.masks = GroupMasks(groups, self.network.dtype, self.device)
        # where nothing is lost, the path from zeros is the same in any space
        straight = inverse.is_lossless and _is_from_zeros(self.scorer)
        if inverse.is_affine and (type(self.scorer) in _AT_THE_SAMPLE or straight):
            self._slopes = self._slopes_of_all()

    def scores(self, some: Any, s: Tensor) -> Tensor:
        """Score the coefficients (n, m) of some samples: (n, m, n_targets)."""
        some = torch.as_tensor(some)
        if self._slopes is not None:
            return self._from_slopes(self._slopes[:, some], s)
        with evaluation_mode(self.network.module):
            model = ComposedModel(self.network, self.inverse, self.x[some], s)
            model.differentiable = True
            extras = extras_of(self.scorer, None, self.seed)
            found = self.scorer.attribute(
                model, model.s, self.masks, self.target[some], **extras
            )
        return found.values if isinstance(found, Attribution) else found

    def _slopes_of_all(self) -> Tensor:
        """Return the output's gradient in signals, (n_targets, n, n_values), once."""
        identity = inverse_module(None, X=to_numpy(self.x[:1].flatten(1)))
        step = rows_in_memory(self.network.bytes_per_row)
        parts = []
        with evaluation_mode(self.network.module):
            for rows in torch.arange(len(self.x)).split(step):
                x = self.x[rows]
                model = ComposedModel(self.network, identity, x, x.flatten(1))
                target = self.target[rows]
                if isinstance(self.scorer, IntegratedGradients):
                    zero = model.zero_baseline()
                    slope = path_gradient(model, zero, target, self.scorer.n_steps)
                else:
                    slope = gradient_at(model, target)
                parts.append(slope.detach())
        return torch.cat(parts, 1)

    def _from_slopes(self, slopes: Tensor, s: Tensor) -> Tensor:
        rows = slopes.flatten(0, 1)
        pulled = self.inverse.adjoint(rows, s.shape[1])
        pulled = pulled.reshape(len(slopes), *s.shape)
        if isinstance(self.scorer, SquaredGradient):
            pulled = pulled.square()
        elif not isinstance(self.scorer, Gradient):
            pulled = pulled * s
        return pulled.movedim(0, -1)
