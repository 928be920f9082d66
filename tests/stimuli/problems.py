"""A linear unit and rows for it."""

import numpy as np
from torch import nn

from tests.nets import seeded


def linear(seed=0, n=24, n_out=2):
    net = seeded(lambda: nn.Linear(n, n_out, bias=False), seed).double()
    return net, net.weight.detach().numpy()


def rows(n=24, seed=0):
    return np.random.default_rng(seed).standard_normal((30, n)) + 0.3
