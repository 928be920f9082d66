"""What scorers of one backward pass share: rows in chunks, and their results."""

import torch

from sktrim._memory import chunks


def row_chunks(model, n_rows: int, copies: int = 2):
    """Yield slices of samples that fit in memory with a graph of modified gradients."""
    # `copies` of the activations are held: values, the baseline's, what is saved
    yield from chunks(n_rows, max(1, model.rows_at_once() // copies))


def _holds_nothing(model) -> bool:
    """Tell whether nothing but round-off is held, so that samples share a baseline."""
    scale = model.x.abs().max() * 64 * torch.finfo(model.x.dtype).eps
    return model.is_affine and bool(model.r.abs().max() <= scale)


@torch.no_grad()
def output_at(model, target, rows):
    """Explained output at rows of coefficients, averaged, (n_samples, n_targets)."""
    some = model[:1] if _holds_nothing(model) else model
    outputs = [some(row.expand_as(some.s)).expand(len(model.s), -1) for row in rows]
    return torch.stack([target(out) for out in outputs]).mean(0)


def _entry(model):
    """Return what carriers run through and where they start: signals or s."""
    if model.is_affine:
        return model.module, model.x
    return (lambda s: model.module(model.signal(s))), model.s
