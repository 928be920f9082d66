"""Many small networks trained at once."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sktrim.datasets._simulated import N_FEATURES, Problem, Regime, simulate

N_STEPS = 3516
"""Twelve epochs of 37,500 rows in batches of 128, in every regime."""


class StackedNetworks:
    """Perceptrons of one shape, trained side by side on data of their own."""

    def __init__(
        self, n_networks: int, sizes: Sequence[int], generator: torch.Generator
    ):
        # draws the initial weights, as torch.nn.Linear does, and the batches
        self.generator = generator
        self.layers = []
        for wide, narrow in pairwise(sizes):
            bound = wide**-0.5
            weight = torch.empty(n_networks, wide, narrow)
            bias = torch.empty(n_networks, 1, narrow)
            for parameter in (weight, bias):
                parameter.uniform_(-bound, bound, generator=generator)
                parameter.requires_grad_()
            self.layers.append((weight, bias))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n_networks, n, n_classes) of inputs (n_networks, n, n_features)."""
        for weight, bias in self.layers[:-1]:
            x = torch.baddbmm(bias, x, weight).relu()
        weight, bias = self.layers[-1]
        return torch.baddbmm(bias, x, weight)

    def fit(
        self,
        X: torch.Tensor,
        y: torch.Tensor,
        *,
        n_steps: int,
        batch_size: int = 128,
        lr: float = 0.1,
    ) -> "StackedNetworks":
        """Minimise the cross-entropy of X (n_networks, n, n_features) by SGD."""
        parameters = [p for layer in self.layers for p in layer]
        for rows in self._batches(X.shape[1], batch_size, n_steps):
            logits = self(X[:, rows]).flatten(0, 1)
            loss = F.cross_entropy(logits, y[:, rows].flatten(), reduction="sum")
            gradients = torch.autograd.grad(loss / len(rows), parameters)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.sub_(gradient, alpha=lr)
        return self

    def _batches(self, n: int, batch_size: int, n_steps: int):
        """Batches of shuffled rows; the last of an epoch is what is left."""
        done = 0
        while done < n_steps:
            shuffled = torch.randperm(n, generator=self.generator)
            for rows in shuffled.split(batch_size)[: n_steps - done]:
                yield rows
                done += 1

    def modules(self) -> list[nn.Sequential]:
        """Return each network as a module of its own, in evaluation mode."""
        modules = []
        for index in range(len(self.layers[0][0])):
            parts: list[nn.Module] = []
            for weight, bias in self.layers:
                linear = nn.Linear(*weight.shape[1:])
                linear.weight.data.copy_(weight[index].T)
                linear.bias.data.copy_(bias[index, 0])
                parts += [linear, nn.ReLU()]
            modules.append(nn.Sequential(*parts[:-1]).requires_grad_(False).eval())
        return modules


def train_networks(
    regime: Regime, seed: int, n_networks: int
) -> tuple[list[nn.Sequential], list[Problem]]:
    """Simulate data sets and train a network on each."""
    seeds = np.random.SeedSequence(seed).spawn(n_networks + 1)
    problems = [simulate(regime, np.random.default_rng(s)) for s in seeds[1:]]
    generator = torch.Generator().manual_seed(int(seeds[0].generate_state(1)[0]))
    sizes = [N_FEATURES] * (1 + regime.n_hidden) + [2]
    X = torch.stack([torch.from_numpy(p.train) for p in problems])
    y = torch.stack([torch.from_numpy(p.y) for p in problems])
    networks = StackedNetworks(n_networks, sizes, generator)
    return networks.fit(X, y, n_steps=N_STEPS).modules(), problems
