"""What scorers of backward passes share: rows in chunks, gradients, outputs."""

import torch

from sktrim._memory import chunks
from sktrim.exceptions import UnsupportedOperationError


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
    alike = _holds_nothing(model) and not model.held
    some = model[:1] if alike else model
    outputs = [some(row.expand_as(some.s)).expand(len(model.s), -1) for row in rows]
    return torch.stack([target(out) for out in outputs]).mean(0)


def _entry(model):
    """Return what carriers run through and where they start: signals or s."""
    if model.is_affine:
        return model.module, model.x
    return (lambda s: model.module(model.signal(s))), model.s


def gradients_of(
    scalars: torch.Tensor, point: torch.Tensor, *, keep: bool = False
) -> torch.Tensor:
    """Gradient of each target's sum at a point, stacked on a first axis."""
    # `keep`: the gradients are differentiable themselves
    n_targets = scalars.shape[-1]
    return torch.stack(
        [
            pulled(
                scalars[..., t].sum(),
                (point,),
                retain=keep or t < n_targets - 1,
                keep=keep,
            )[0]
            for t in range(n_targets)
        ]
    )


def pulled(
    output: torch.Tensor,
    points: tuple[torch.Tensor, ...],
    start: torch.Tensor | None = None,
    *,
    retain: bool,
    keep: bool = False,
) -> tuple:
    """Return gradients of an output at several points; None where one has no part."""
    # `start` is the gradient that starts, 1 by default; `retain`: the graph is needed
    # again
    gradients: tuple = ()
    if output.requires_grad:
        gradients = _differentiated(output, points, start, retain, keep)
    if all(part is None for part in gradients):
        raise ValueError(
            "No gradient leads from the network's output to its input. Likely causes: "
            "(a) the network detaches what it computes (detach, .data, "
            "torch.no_grad) or rebuilds it (torch.tensor, NumPy); (b) its output does "
            "not depend on the input. Take that out, or use a scorer that needs no "
            "gradient: 'occlusion', 'shapley', 'kernel_shap' or 'lime'."
        )
    return gradients


def _differentiated(output, points, start, retain, keep) -> tuple:
    try:
        return torch.autograd.grad(
            output, points, start, retain, create_graph=keep, allow_unused=True
        )
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        raise UnsupportedOperationError(
            "A value that the gradient needs is written in place later by the network, "
            "often through a view of it, or in the forward pass of an "
            "autograd.Function, of which the scorers with rules take each operation's "
            "own gradient. Either (a) write into a clone "
            "(h = h.clone() before h[...] = or h[...].mul_()), or (b) use a scorer "
            "that needs no gradient, such as 'cd' or 'occlusion'. torch says: "
            f"{error}"
        ) from error
