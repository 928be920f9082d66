"""Integrated gradients: one backward pass for all coefficients, timed beside captum."""

import numpy as np
import torch
from torch import nn

from sktrim import FourierTransformer, TrimModel, inverse_module, transform_importance
from sktrim.scorers import IntegratedGradients

from ._tables import Table, alternating_seconds

N_SAMPLES, SIDE, N_STEPS = 64, 28, 50


class CountBackward(nn.Module):
    """A network that counts the rows whose gradient flows back through its input."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.n_rows = 0

    def forward(self, x):
        if x.requires_grad:
            x = x * 1.0
            x.register_hook(self._count)
        return self.model(x)

    def _count(self, gradient):
        self.n_rows += len(gradient)


def _problem():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    ).eval()
    X = np.random.default_rng(0).random((N_SAMPLES, 1, SIDE, SIDE), np.float32)
    return model, X


def measure():
    """Seconds of both on the same steps, in coefficient space and on the raw pixels."""
    from captum.attr import IntegratedGradients as CaptumIntegratedGradients

    model, X = _problem()
    transformer = FourierTransformer(signal_shape=X.shape[1:]).fit(X)
    inverse = inverse_module(transformer)
    s = torch.from_numpy(transformer.transform(X))
    scorer = IntegratedGradients(n_steps=N_STEPS)

    def ours(network, transformer=transformer):
        return transform_importance(
            network,
            X,
            transformer=transformer,
            groups="coefficients",
            scorer=scorer,
            target=0,
            output="logit",
        )

    def captum(network, inputs):
        return CaptumIntegratedGradients(network).attribute(
            inputs,
            target=0,
            n_steps=N_STEPS,
            method="gausslegendre",
            internal_batch_size=256,
        )

    rows = []
    pairs = {
        f"Fourier, {s.shape[1]} coefficients": (
            lambda network: ours(network),
            lambda network: captum(TrimModel(network, inverse), s),
        ),
        f"pixels, {SIDE * SIDE} coefficients": (
            lambda network: ours(network, None),
            lambda network: captum(network, torch.from_numpy(X)),
        ),
    }
    for space, functions in pairs.items():
        timed = alternating_seconds([lambda f=f: f(model) for f in functions], 5)
        scores = [functions[0](model).values, functions[1](model).detach().numpy()]
        reference = scores[1].reshape(N_SAMPLES, -1)
        difference = float(np.abs(scores[0] - reference).max())
        for name, function, seconds in zip(
            ("sktrim", "captum"), functions, timed, strict=True
        ):
            counter = CountBackward(model)
            function(counter)
            passes = counter.n_rows / N_SAMPLES / N_STEPS
            rows.append([space, name, seconds, timed[0] / seconds, passes, difference])
    return Table(
        f"integrated gradients, {N_STEPS} steps, {N_SAMPLES} images {SIDE} x {SIDE}, "
        "small CNN, one output, one thread",
        [
            "space",
            "library",
            "seconds",
            "ours over this",
            "backward per step",
            "largest difference",
        ],
        rows,
        [
            "captum: Gauss-Legendre too, internal batches of 256.",
            "To reach: ours at most 1.2 times captum's time, one backward pass a step.",
        ],
    )
