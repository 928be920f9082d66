"""A fitted `TransformImportance` with one thing exchanged, for studies."""

import copy
import dataclasses

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from sktrim.network import resolve_network
from sktrim.network._estimators import unwrap
from sktrim.network._evaluation import evaluation_mode
from sktrim.scorers import check_scorer


def with_scorer(trim, scorer):
    """Return a shallow copy of a fitted `trim` with another scorer."""
    other = copy.copy(trim)
    other.scorer = scorer
    other.question_ = dataclasses.replace(trim.question_, scorer=check_scorer(scorer))
    return other


def with_target(trim, explanation):
    """Return a fitted `trim` that explains what an explanation of X explains."""
    if isinstance(trim.target, tuple):
        return trim
    if explanation.values.ndim != 2 or explanation.targets is None:
        raise ValueError(
            'This study needs one target per sample, and target="all" has several; use '
            'target="predicted" or an output column.'
        )
    other = copy.copy(trim)
    # the columns are fixed, whatever another network predicts
    other.target = np.asarray(explanation.targets)
    other.question_ = dataclasses.replace(trim.question_, target=other.target)
    return other


def with_module(trim, module: nn.Module, X=None):
    """Return a fitted `trim` that asks about another torch module."""
    network = copy.copy(trim.network_)
    network.composed = network.compose(module)
    network.module = module
    # a module of another architecture
    if X is not None:
        network.inspect(trim.signals(X)[:2])
    other = copy.copy(trim)
    other.network_ = network
    other.question_ = dataclasses.replace(trim.question_, network=network)
    return other


def with_network(trim, estimator, X):
    """Return a fitted `trim` that asks about another trained network."""
    # a Pipeline's leading steps are taken to be those of the present one
    module = resolve_network(unwrap(estimator), X).module
    return with_module(trim, module, X)


class _UseRecorder(TorchFunctionMode):
    """Notes the order in which parameters are first used."""

    def __init__(self, names: dict[int, str]):
        super().__init__()
        self.names = names
        self.used: dict[str, None] = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        for leaf in tree_leaves((args, kwargs or {})):
            if isinstance(leaf, nn.Parameter) and id(leaf) in self.names:
                self.used.setdefault(self.names[id(leaf)])
        return func(*args, **(kwargs or {}))


def layers_in_order(network, x) -> list[str]:
    """Name the modules that own parameters, in the order of execution."""
    owners = {
        id(parameter): name
        for name, module in network.module.named_modules()
        for parameter in module.parameters(recurse=False)
    }
    with evaluation_mode(network.module), torch.no_grad():
        with _UseRecorder(owners) as recorder:
            network.forward(*network.tensors(x))
    # those whose parameters were never seen in use come first
    unseen = [
        name for name in dict.fromkeys(owners.values()) if name not in recorder.used
    ]
    return unseen + list(recorder.used)


@torch.no_grad()
def redraw(module: nn.Module, generator: torch.Generator) -> None:
    """Re-draw a layer's own parameters, in place."""
    # the generator is one of the CPU
    permutations: dict[int, torch.Tensor] = {}
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    for tensor in tensors:
        # a weight: normal, with mean 0 and the standard deviation it has (where all are
        # equal, their size)
        if tensor.ndim >= 2 and tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(drawn * _spread(tensor).cpu())
        # biases, scales and the statistics of a batch norm, of one length: they change
        # places among themselves, all by the same permutation
        elif tensor.ndim == 1:
            n = len(tensor)
            if n not in permutations:
                permutations[n] = torch.randperm(n, generator=generator)
            tensor.copy_(tensor[permutations[n].to(tensor.device)].clone())


def _spread(weights: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation of weights, or the size of equal ones."""
    weights = weights.double()
    if weights.numel() > 1 and weights.max() > weights.min():
        return weights.std()
    return weights.square().mean().sqrt()
