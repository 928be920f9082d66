"""Random weights that leave no part of a network asleep."""

import torch
from torch import nn


@torch.no_grad()
def randomise(model: nn.Module, x: torch.Tensor) -> None:
    """Redraw what initialisation left constant, or so small that it does nothing.

    Gains, biases, gates, layer scales and batch statistics start as zeros and ones,
    which hides mistakes. Matrices that are small for their width are scaled up, so
    that the output depends on the input. Batch statistics are those of the input,
    disturbed.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    x : torch.Tensor
        An input of the model.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point() and parameter.numel():
            _wake(parameter)
    normed = [m for m in model.modules() if _has_statistics(m)]
    if normed:
        _measure(model, normed, x)


def _wake(parameter: torch.Tensor) -> None:
    low, high = float(parameter.min()), float(parameter.max())
    if low != high:
        _widen(parameter)
    elif abs(low) < 0.05:
        parameter.normal_(0, 0.1 if parameter.ndim < 2 else 0.3)
    else:
        parameter.mul_(torch.empty_like(parameter).uniform_(0.6, 1.4))


def _widen(parameter: torch.Tensor) -> None:
    if parameter.ndim < 2:
        return
    wanted = 0.5 / parameter[0].numel() ** 0.5
    size = float(parameter.pow(2).mean().sqrt())
    if size < wanted:
        parameter.mul_(2 * wanted / size)


def _has_statistics(module: nn.Module) -> bool:
    names = "running_mean", "running_var"
    return all(isinstance(getattr(module, n, None), torch.Tensor) for n in names)


def _measure(model: nn.Module, normed: list[nn.Module], x: torch.Tensor) -> None:
    kept = [(module, module.momentum) for module in normed]
    for module in normed:
        module.momentum = 1.0
        module.train()
    try:
        model(x)
    finally:
        for module, momentum in kept:
            module.momentum = momentum
            module.eval()
    for module in normed:
        spread = module.running_var.sqrt()
        module.running_mean.add_(0.2 * spread * torch.randn_like(spread))
        module.running_var.mul_(torch.empty_like(spread).uniform_(0.7, 1.4))
        module.running_var.clamp_(min=1e-6)
