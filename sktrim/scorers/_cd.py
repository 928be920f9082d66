"""Contextual decomposition as a scorer."""

import torch

from sktrim._chunks import chunks, rows_in_memory, rows_in_working_memory
from sktrim.propagation.chunked import DenseParts, LowRankParts, decompose
from sktrim.scorers._base import Attribution, Scorer

SMALL_GROUP = 16
"""Groups of more coefficients gain nothing from a basis that is pushed once."""


class ContextualDecomposition(Scorer):
    """What a group contributes inside the network, by contextual decomposition.

    Each activation is split into a part that stems from the group and the rest, and
    both parts are carried through the network (Murdoch et al. 2018, Singh et al.
    2019); in the space of a transform this is TRIM (Singh et al. 2020). All groups
    are decomposed at once.

    Parameters
    ----------
    bias : {"channel", "proportional", "context"}, default="channel"
        How an operation's bias is shared between the two parts: by their sizes
        pooled over positions, by their sizes per unit, or wholly to the rest.
    nonlinearity : {"relevant", "symmetric"}, default="relevant"
        Rule for ReLU: the relevant part through the ReLU, or the mean of the change
        with and without the rest.

    Notes
    -----
    The base value is what is left when all coefficients are relevant together: the
    residual's and the offset's share. `completeness_error` then says how far the
    scores of separate groups are from adding up, which CD does not promise.
    """

    def __init__(self, bias="channel", nonlinearity="relevant"):
        self.bias = bias
        self.nonlinearity = nonlinearity

    @torch.no_grad()
    def attribute(self, model, s, groups, target):
        """Score groups; see `Scorer.attribute`."""
        n_outputs = model.network.n_outputs
        step = rows_in_memory(len(groups) * n_outputs * s.element_size())
        values, base = [], []
        for rows in chunks(len(s), step):
            part, picked = model[rows], target[rows]
            every = DenseParts(1, lambda r, _, part=part: part[r].everything()[None])
            scores, explained = self._decompose(part, _parts(part, groups), picked)
            together, _ = self._decompose(part, every, picked)
            values.append(scores.movedim(0, 1))
            base.append(explained - together[0])
        return Attribution(torch.cat(values), torch.cat(base))

    def _decompose(self, model, parts, target):
        """Scores (n_masks, n, n_targets) of parts of the signal, and the output's."""
        relevant, full = decompose(
            model.module,
            model.x,
            parts,
            bias=self.bias,
            nonlinearity=self.nonlinearity,
            rows_at_once=model.rows_at_once(),
        )
        relevant = relevant.reshape(parts.n_masks, len(model.x), -1)
        full = full.reshape(len(model.x), -1)
        explained = target(full)
        if target.is_linear:
            return target.linear(relevant), explained
        alone = target(relevant) - target(torch.zeros_like(full))
        without = explained - target(full - relevant)
        return (alone + without) / 2, explained


def _parts(model, groups):
    """Return what each group carries: over basis signals where that pays.

    The basis is pushed through the network's first operation once, instead of the
    part of every group and sample: less work where groups are small, and there are
    more parts than basis signals.
    """
    n_coefficients = model.s.shape[1]
    few = n_coefficients * 4 <= len(groups) * len(model.s)
    fits = n_coefficients <= rows_in_working_memory(model.network.bytes_per_row)
    small = groups.widest() <= SMALL_GROUP
    if model.is_affine and not model.component and few and fits and small:
        basis = model.inverse.linear(torch.eye(n_coefficients).to(model.s))
        basis = basis.reshape(n_coefficients, *model.x.shape[1:])
        return LowRankParts(model.s, basis, groups.dense())

    def carried(rows, some):
        return model[rows].linear(groups.dense(some)[:, None] * model.s[rows])

    return DenseParts(len(groups), carried)
