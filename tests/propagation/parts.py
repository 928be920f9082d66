"""Random inputs, and their parts by every rule for a bias."""

import torch

from sktrim.propagation import contextual_decomposition

BIASES = ["channel", "proportional", "context"]


def drawn(*shape, seed=0):
    """Draw float64 numbers that are the same every time."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def decomposed(f, x, **options):
    """Relevant parts for a soft mask, everything and nothing."""
    soft = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)).to(x)
    rel = torch.stack([soft * x, x, 0 * x])
    out, rest = contextual_decomposition(f, x, rel, **options)
    torch.testing.assert_close(out + rest, f(x.clone()).expand_as(out))
    return out
