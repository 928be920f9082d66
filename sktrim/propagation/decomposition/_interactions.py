"""What pairs of parts give together beyond what each gives alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch

from sktrim.propagation.decomposition._run import contextual_decomposition


def pairwise_interactions(
    model: Callable,
    x: torch.Tensor,
    rel: torch.Tensor,
    pairs: torch.Tensor | None = None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return what pairs of parts give together beyond what each gives alone.

    .. math::

       I_{ij} = C(\beta_i + \beta_j) - C(\beta_i) - C(\beta_j)

    with the contextual decomposition C of parts :math:`\beta`, in units of the output.
    Positive values say that the two reinforce each other, 0 that the network adds them.

    Parameters
    ----------
    model : nn.Module or callable
        In eval mode.
    x : torch.Tensor of shape (n, ...)
    rel : torch.Tensor of shape (K, *x.shape)
        Parts that do not overlap: that of a pair is their sum.
    pairs : integer tensor of shape (P, 2), optional
        Which pairs; all of them by default.
    **options
        As in `contextual_decomposition`.

    Returns
    -------
    interactions : torch.Tensor of shape (P, n, n_out)
    pairs : torch.Tensor of shape (P, 2)

    Raises
    ------
    ValueError
        If `rel` holds no parts on a leading axis, or a pair is out of range.

    See Also
    --------
    sktrim.contextual_decomposition : The decomposition, and its options.
    sktrim.scorers.ContextualDecomposition : With ``interactions=True``, of groups.

    Notes
    -----
    :footcite:t:`murdoch2018cd` and :footcite:t:`singh2019acd` measure interactions of
    phrases and of regions in this way. A product of two parts has none, since the rule
    for products is linear in the parts; a ReLU has.

    Biases are no interactions with ``bias="context"``; with the other rules a part's
    share of them depends on its size, so that even a linear model shows some.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import pairwise_interactions
    >>> x = torch.tensor([[3.0, 1.0]])
    >>> rel = torch.eye(2)[:, None] * x
    >>> def model(v):
    ...     return torch.relu(v[:, :1] - v[:, 1:])
    >>> found, pairs = pairwise_interactions(model, x, rel)
    >>> found, pairs
    (tensor([[[-1.]]]), tensor([[0, 1]]))
    """
    if rel.ndim != x.ndim + 1:
        raise ValueError(
            f"rel has shape {tuple(rel.shape)}; expected (K, *x.shape) with x of shape "
            f"{tuple(x.shape)}: pairs are formed of the K parts."
        )
    count = len(rel)
    if pairs is None:
        pairs = torch.tensor(list(combinations(range(count), 2))).reshape(-1, 2)
    if pairs.numel() and not 0 <= int(pairs.min()) <= int(pairs.max()) < count:
        raise ValueError(f"pairs names parts outside 0 ... {count - 1}.")
    first, second = pairs.unbind(1)
    both = rel[first] + rel[second]
    out, _ = contextual_decomposition(model, x, torch.cat([rel, both]), **options)
    alone, together = out[:count], out[count:]
    return together - alone[first] - alone[second], pairs
