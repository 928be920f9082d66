"""A predictor without torch, such as a random forest, as a module without gradient."""

from typing import Any

import numpy as np
import torch
from torch import nn

from sktrim.inverse._affine import named_columns


class PredictorModule(nn.Module):
    """``predict_proba`` or ``predict`` of a fitted estimator on torch tensors."""

    def __init__(self, predictor: Any, classifier: bool):
        super().__init__()
        self.predictor = predictor
        self.classifier = classifier
        self.row_dtype: Any = np.float64
        # says which dtype and device signals come in
        self.register_buffer("_empty", torch.zeros(0, dtype=torch.float64))

    def labels(self, x: torch.Tensor) -> np.ndarray | None:
        """Return what ``predict`` says of signals; None where it cannot."""
        # labels (n,) or (n, n_labels); some predictors only give probabilities
        try:
            return np.asarray(self._asked(self.predictor.predict, x))
        except (ValueError, TypeError, NotImplementedError):
            return None

    def _asked(self, method, x: torch.Tensor):
        rows = x.detach().cpu().numpy().astype(self.row_dtype, copy=False)
        # nets inside draw a seed for their loaders
        with torch.random.fork_rng(devices=[]):
            return method(named_columns(self.predictor, rows))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return probabilities (n, n_classes) or predictions (n, n_outputs)."""
        ask = (
            self.predictor.predict_proba if self.classifier else self.predictor.predict
        )
        predictions = self._asked(ask, x)
        if isinstance(predictions, list):
            raise ValueError(
                f"predict_proba returned a list of {len(predictions)} arrays: one "
                "output at a time can be explained. Wrap the estimator to return one "
                "of them."
            )
        return torch.as_tensor(np.asarray(predictions)).to(x).reshape(len(x), -1)
