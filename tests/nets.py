"""Small networks and estimators that several tests share."""

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from torch.nn import functional as F


def seeded(build, seed=0):
    """Build a module with a seed, leaving the global generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def mlp(n_in=12, n_hidden=16, n_out=3, seed=0, dtype=torch.float64):
    """A two-layer ReLU network in evaluation mode."""
    net = seeded(
        lambda: nn.Sequential(
            nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_out)
        ),
        seed,
    )
    return net.to(dtype).eval()


class SmallConv(nn.Module):
    """Convolution, batch norm, ReLU, max pooling, linear; images (1, 12, 12)."""

    def __init__(self, n_out=4):
        super().__init__()
        self.conv = nn.Conv2d(1, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(125, n_out)

    def forward(self, x):
        return self.head(self.pool(torch.relu(self.norm(self.conv(x)))).flatten(1))


def small_conv(seed=0, dtype=torch.float64):
    """A `SmallConv` with batch-norm statistics that are not trivial."""

    def build():
        net = SmallConv()
        net.norm.running_mean.normal_()
        net.norm.running_var.uniform_(0.5, 2)
        net.norm.weight.data.normal_()
        net.norm.bias.data.normal_()
        return net

    return seeded(build, seed).to(dtype).eval()


def linear_net(weight, bias=0.3):
    """f(x) = w.x + c with one output, float64."""
    weight = torch.as_tensor(np.asarray(weight), dtype=torch.float64)
    net = nn.Linear(len(weight), 1).double().eval()
    with torch.no_grad():
        net.weight.copy_(weight[None])
        net.bias.fill_(bias)
    return net


class LazyMLP(nn.Module):
    """Takes any width; its initial weights depend on the seed alone."""

    def __init__(self, n_out=2, seed=0):
        super().__init__()
        self.n_out, self.seed = n_out, seed
        self.layers = nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.LazyLinear(n_out))

    def forward(self, x):
        if isinstance(self.layers[0], nn.LazyLinear):
            with torch.random.fork_rng():
                torch.manual_seed(self.seed)
                return self.layers(x)
        return self.layers(x)


class AutoClassifier(NeuralNetClassifier):
    """A net whose width is read off y; deterministic."""

    def fit(self, X, y, **options):
        self.set_params(module__n_out=max(2, len(np.unique(y))))
        return super().fit(X, y, **options)

    def __repr__(self):
        return "AutoClassifier()"


class AutoRegressor(NeuralNetRegressor):
    """A net with one output column; deterministic."""

    def __repr__(self):
        return "AutoRegressor()"


OPTIONS = {
    "max_epochs": 30,
    "lr": 0.02,
    "optimizer": torch.optim.Adam,
    "batch_size": 32,
    "train_split": None,
    "verbose": 0,
    "iterator_train__shuffle": False,
}


def classifier(**options):
    """An unfitted skorch classifier that fits anything small."""
    return AutoClassifier(
        LazyMLP, **{"criterion": nn.CrossEntropyLoss, **OPTIONS, **options}
    )


def regressor(**options):
    """An unfitted skorch regressor with one output column."""
    return AutoRegressor(LazyMLP, **{"module__n_out": 1, **OPTIONS, **options})


class Twins:
    """One network in several spellings that share their weights."""

    class Module(nn.Module):
        def __init__(self, parts):
            super().__init__()
            self.conv, self.norm, self.head = parts
            self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

        def forward(self, x):
            h = self.relu(self.norm(self.conv(x)))
            h = self.pool(h + self.relu(h - 0.1))
            return self.head(h.flatten(1))

    class Functional(Module):
        def forward(self, x):
            n = self.norm
            h = F.conv2d(x, self.conv.weight, self.conv.bias)
            h = F.batch_norm(
                h, n.running_mean, n.running_var, n.weight, n.bias, False, 0.1, n.eps
            )
            h = F.relu(h)
            h = F.max_pool2d(torch.add(h, F.relu(h - 0.1)), 2)
            return F.linear(torch.flatten(h, 1), self.head.weight, self.head.bias)

    class InPlace(Module):
        def forward(self, x):
            h = self.norm(self.conv(x))
            F.relu(h, inplace=True)
            g = h.clone().sub_(0.1)
            torch.relu_(g)
            h += g
            return self.head(self.pool(h).view(len(x), -1))

    @classmethod
    def all(cls, seed=0):
        """Return the spellings by name."""
        base = small_conv(seed)
        parts = (base.conv, base.norm, base.head)
        spellings = (cls.Module, cls.Functional, cls.InPlace)
        return {spelling.__name__: spelling(parts).eval() for spelling in spellings}
