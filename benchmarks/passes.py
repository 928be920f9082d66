"""How many backward passes an additive scorer takes for all coefficients."""

import numpy as np
import torch
from torch import nn

from sktrim import FourierTransformer, transform_importance
from sktrim.scorers import Gradient, InputTimesGradient, IntegratedGradients

from ._tables import Table

N_SAMPLES, N_OUTPUTS, SIDES = 4, 10, (7, 14, 28)
SCORERS = [Gradient(), InputTimesGradient(), IntegratedGradients(n_steps=8)]


class CountBackward(nn.Module):
    """A network that counts the samples whose gradient reaches its input."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.n_samples = 0

    def forward(self, x):
        if x.requires_grad:
            x = x * 1.0
            x.register_hook(self._count)
        return self.model(x)

    def _count(self, gradient):
        self.n_samples += len(gradient)


def _count(scorer, side, target):
    """Backward passes for each sample, with one score per Fourier coefficient."""
    X = np.random.default_rng(0).random((N_SAMPLES, side, side), np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(side * side, N_OUTPUTS), nn.Tanh())
    counter = CountBackward(model.eval())
    transform_importance(
        counter,
        X,
        transformer=FourierTransformer(axes=(-2, -1)).fit(X),
        groups="coefficients",
        scorer=scorer,
        target=target,
        output="raw",
    )
    return counter.n_samples / N_SAMPLES


def measure():
    """Count, for one output and for all, at three sizes of the image."""
    torch.manual_seed(0)
    rows = [
        [
            str(scorer),
            n_outputs,
            *(_count(scorer, side, target) for side in SIDES),
        ]
        for scorer in SCORERS
        for n_outputs, target in ((1, 0), (N_OUTPUTS, "all"))
    ]
    return Table(
        "backward passes for each sample, one score per Fourier coefficient",
        ["scorer", "outputs", *(f"{side * side} coefficients" for side in SIDES)],
        rows,
        ["To reach: one for each output (and step), however many coefficients."],
    )
