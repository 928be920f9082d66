"""What an entry of the zoo is: a name, a package, and how to build it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

N_ROWS = 3
# outputs of more columns, or of more axes, are projected to three
WIDEST = 20


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    Attributes
    ----------
    package : str
    name : str
        Unique within the package.
    build : callable
        Returns the module and its input; called after seeding.
    """

    package: str
    name: str
    build: Callable

    @property
    def key(self) -> str:
        """The name in the results, unique in the zoo."""
        return f"{self.package}: {self.name}"


def normal(*shape):
    """Return an input of `N_ROWS` rows, normally distributed."""
    return torch.randn(N_ROWS, *shape)


def uniform(*shape):
    """Return an input of `N_ROWS` rows, between 0 and 1."""
    return torch.rand(N_ROWS, *shape)


class Called(nn.Module):
    """A module called as its users call it, on one tensor, for one tensor.

    Parameters
    ----------
    module : nn.Module
    call : callable
        ``call(module, x)`` gives the output.
    """

    def __init__(self, module, call):
        super().__init__()
        self.module = module
        self.call = call

    def forward(self, x):
        """Return what the call gives."""
        return self.call(self.module, x)


class Projected(nn.Module):
    """A module whose output is a few columns.

    Parameters
    ----------
    module : nn.Module
    width : int
        Number of values that the module gives for a row.
    """

    def __init__(self, module, width):
        super().__init__()
        self.module = module
        self.register_buffer("weight", torch.randn(width, 3) / width**0.5)

    def forward(self, x):
        """Return three random sums of the module's output."""
        return self.module(x).flatten(1) @ self.weight
