"""The inverse through a transformer's own NumPy code."""

from typing import Any

import numpy as np
import torch

from sktrim.inverse import InverseModule


class NumpyInverse(InverseModule):
    """T^-1 through the transformer's own NumPy code: no gradient passes it."""

    is_affine = False

    def __init__(self, transformer: Any):
        super().__init__()
        self.transformer = transformer

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        """Rebuild signals, shape (..., n_features), from coefficients."""
        flat = s.detach().reshape(-1, s.shape[-1]).double().cpu().numpy()
        signal = np.ascontiguousarray(self.transformer.inverse_transform(flat))
        signal = signal.reshape(*s.shape[:-1], -1)
        return torch.as_tensor(signal).to(s)
