"""DeepLIFT's multipliers of a function, and whether they are complete."""

import torch

from sktrim.propagation.backward._deeplift import DeepLiftRescale
from sktrim.propagation.backward._method import run


def rescaled(function, x, base):
    """Output, that at the baseline, and multipliers of the outputs' sum."""
    leaves = [v.clone().requires_grad_() for v in x]
    method = DeepLiftRescale()
    carriers = [method.enter(v, b) for v, b in zip(leaves, base, strict=True)]
    out = run(function, *carriers)
    weight = torch.linspace(-1, 2, out.full.numel(), dtype=torch.float64)
    scalar = (out.full.flatten() * weight).sum()
    return out, weight, torch.autograd.grad(scalar, leaves)


def assert_complete(function, x, base, atol=1e-10):
    out, weight, multipliers = rescaled(function, x, base)
    torch.testing.assert_close(out.full, function(*x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(out.rel, function(*base), rtol=1e-12, atol=1e-12)
    total = sum(
        (m * (v - b)).sum() for m, v, b in zip(multipliers, x, base, strict=True)
    )
    difference = ((function(*x) - function(*base)).flatten() * weight).sum()
    torch.testing.assert_close(total, difference.detach(), rtol=1e-10, atol=atol)


def some(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)
