"""An encoder and a decoder, of a mean and a spread where it is variational."""

from typing import Any

import torch
from torch import Tensor, nn

from sktrim.learning.bases._basis import Basis, squared_error


class Autoencoder(Basis):
    """Two modules of flat rows; a variational encoder gives twice the width."""

    is_affine = False

    def __init__(
        self,
        grid_shape: tuple[int, ...],
        encoder: nn.Module,
        decoder: nn.Module,
        n_components: int,
        beta: float | None,
    ) -> None:
        super().__init__(grid_shape)
        self.encoder = encoder
        self.decoder = decoder
        self.n_components = n_components
        self.beta = beta
        self._spread: Tensor | None = None

    @property
    def n_coefficients(self) -> int:
        """Number of units in the middle."""
        return self.n_components

    def encode(self, x: Tensor) -> Tensor:
        """Map (n, *grid_shape) to (n, n_components)."""
        out = self.encoder(x.flatten(1))
        if self.beta is None:
            return out
        mean, self._spread = out.chunk(2, 1)
        return mean

    def decode(self, s: Tensor) -> Tensor:
        """Map (..., n_components) to (..., *grid_shape)."""
        return self.decoder(s).unflatten(-1, self.grid_shape)

    def terms(self, x: Tensor, s: Tensor, back: Tensor) -> dict[str, Tensor]:
        """Return the fit, of codes with noise where it is variational."""
        if self.beta is None or self._spread is None:
            return {"reconstruction": squared_error(x, back)}
        deviation = (self._spread / 2).exp()
        noisy = self.decode(s + deviation * torch.randn_like(s))
        divergence = s.square() + self._spread.exp() - self._spread - 1
        return {
            "reconstruction": squared_error(x, noisy),
            "divergence": self.beta * divergence.sum(1).mean() / 2,
        }

    def names(self) -> list[str]:
        """Return "unit0", "unit1", ..."""
        return [f"unit{k}" for k in range(self.n_components)]


def perceptron(n_in: int, n_hidden: int, n_out: int, dtype: Any) -> nn.Sequential:
    """Return one hidden layer of ReLUs."""
    return nn.Sequential(
        nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_out)
    ).to(dtype)
