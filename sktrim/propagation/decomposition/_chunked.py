"""Contextual decomposition of many samples and masks within bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

from sktrim.propagation.decomposition._lowrank import LowRank, Members
from sktrim.propagation.decomposition._method import ContextualDecomposition
from sktrim.propagation.decomposition._run import propagate
from sktrim.propagation.first_linear import NeedsDense, Products
from sktrim.propagation.running import check_model, nothing_kept, running_statistics


class Parts(Protocol):
    """What a decomposition starts from."""

    n_masks: int

    def take(self, rows: slice, masks: slice) -> Any:
        """Return the relevant parts of some samples for some masks."""
        ...

    def share(self, rows: slice, masks: slice) -> torch.Tensor | None:
        """Return the masks' own shares of a row of zeros, if they are known."""
        ...


class DenseParts:
    """Relevant parts that are computed for the samples and masks in work.

    Parameters
    ----------
    n_masks : int
    parts : callable
        ``parts(rows, masks)``, two slices, gives a tensor ``(K, n, *signal)``.
    share : torch.Tensor of shape (n_masks,) or (n_masks, n), optional
        The masks' own shares of a row of zeros, as in `contextual_decomposition`.

    See Also
    --------
    LowRankParts : Coefficients times basis signals.
    decompose : What takes them.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import DenseParts
    >>> x, masks = torch.ones(2, 4), torch.eye(4)
    >>> parts = DenseParts(4, lambda rows, some: masks[some, None] * x[rows])
    >>> parts.take(slice(0, 2), slice(1, 3)).shape
    torch.Size([2, 2, 4])
    """

    def __init__(
        self, n_masks: int, parts: Callable, share: torch.Tensor | None = None
    ) -> None:
        self.n_masks = n_masks
        self._parts = parts
        self._share = share

    def take(self, rows: slice, masks: slice) -> torch.Tensor:
        """Return the relevant parts of some samples for some masks."""
        return self._parts(rows, masks)

    def share(self, rows: slice, masks: slice) -> torch.Tensor | None:
        """Return the masks' own shares of a row of zeros, if they are known."""
        if self._share is None or self._share.ndim == 1:
            return None if self._share is None else self._share[masks]
        return self._share[masks, rows]


class LowRankParts:
    r"""Relevant parts that are coefficients times basis signals.

    .. math::

       \beta_{gi} = \sum_k M_{gk} \, s_{ik} \, d_k

    for mask g and sample i, with the basis signals :math:`d_k`. Where the model's first
    operation is linear (views aside), it is applied to the basis, once for all samples
    and masks, instead of to every part.

    Parameters
    ----------
    coefficients : torch.Tensor of shape (n, m)
    basis : torch.Tensor of shape (m, *signal)
        For a linear inverse transform, its value for each unit vector.
    masks : torch.Tensor of shape (K, m)
        Weights of the coefficients in every group.

    See Also
    --------
    DenseParts : Parts of any kind.
    decompose : What takes them.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import LowRankParts, decompose
    >>> net = torch.nn.Linear(4, 3, bias=False).eval()
    >>> s, basis = torch.ones(2, 4), torch.eye(4)
    >>> parts = LowRankParts(s, basis, torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
    >>> with torch.no_grad():
    ...     rel_out, output = decompose(net, s @ basis, parts)
    >>> torch.allclose(rel_out[0], net(torch.tensor([1.0, 1.0, 0.0, 0.0])), atol=1e-6)
    True
    """

    def __init__(
        self, coefficients: torch.Tensor, basis: torch.Tensor, masks: torch.Tensor
    ) -> None:
        self.n_masks = len(masks)
        self._coefficients = coefficients
        self._basis = basis
        self._masks = masks
        self._share = masks.mean(1)
        self._members: dict[tuple[int, int], tuple[Members, Products]] = {}

    def take(self, rows: slice, masks: slice) -> LowRank:
        """Return the relevant parts of some samples for some masks."""
        key = masks.start, masks.stop
        if key not in self._members:
            self._members[key] = Members(self._masks[masks]), Products()
        members, products = self._members[key]
        return LowRank(self._coefficients[rows], self._basis, members, products)

    def share(self, rows: slice, masks: slice) -> torch.Tensor:
        """Return the mean weights of the masks, alike in all rows."""
        return self._share[masks]


def decompose(
    model: Callable,
    x: torch.Tensor,
    parts: Parts,
    *,
    held: tuple[torch.Tensor, ...] = (),
    bias: str = "context",
    nonlinearity: str = "relevant",
    strip: bool = True,
    rows_at_once: int = 2048,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decompose all samples for all masks, in chunks.

    What `contextual_decomposition` computes, with no more than `rows_at_once` samples
    times masks in work.

    Parameters
    ----------
    model : nn.Module or callable
        As in `contextual_decomposition`.
    x : torch.Tensor of shape (n, *signal)
    parts : DenseParts or LowRankParts
    held : tuple of torch.Tensor of shape (n, ...), default=()
        What the model takes beside x: constants of each sample.
    bias, nonlinearity, strip
        As in `contextual_decomposition`.
    rows_at_once : int
        The largest number of samples times masks in work.

    Returns
    -------
    rel_out : torch.Tensor of shape (K, n, n_out)
    output : torch.Tensor of shape (n, n_out)
        What is decomposed: the irrelevant part is ``output - rel_out``.

    See Also
    --------
    sktrim.contextual_decomposition : The rules.
    DenseParts, LowRankParts : What a decomposition starts from.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import DenseParts, decompose
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()
    >>> x, masks = torch.ones(2, 4), torch.eye(4)
    >>> def part(rows, some):
    ...     return masks[some, None] * x[rows]
    >>> with torch.no_grad():
    ...     rel_out, output = decompose(net, x, DenseParts(4, part), rows_at_once=3)
    >>> rel_out.shape
    torch.Size([4, 2, 3])
    """
    check_model(model, trains=True)
    method = ContextualDecomposition(bias, nonlinearity, False)
    at_once = max(1, min(rows_at_once, parts.n_masks))
    step = max(1, rows_at_once // at_once)
    rels, outputs = [], []
    with running_statistics(model), nothing_kept(model):
        for start in range(0, len(x), step):
            rows = slice(start, min(start + step, len(x)))
            pieces = []
            for first in range(0, parts.n_masks, at_once):
                masks = slice(first, min(first + at_once, parts.n_masks))
                part, share = parts.take(rows, masks), parts.share(rows, masks)
                inputs = tuple(values[rows] for values in (x, *held))
                rel, output = _run(method, model, inputs, part, share, strip)
                pieces.append(rel)
            rels.append(torch.cat(pieces) if len(pieces) > 1 else pieces[0])
            outputs.append(output)
    return torch.cat(rels, 1), torch.cat(outputs)


def _run(
    method: Any, model: Callable, inputs: tuple, part: Any, share: Any, strip: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    none = [None] * (len(inputs) - 1)
    try:
        return propagate(method, model, inputs, [part, *none], share, strip)
    except NeedsDense:
        return propagate(method, model, inputs, [part.dense(), *none], share, strip)
