"""Contextual decomposition as a scorer."""

import torch

from sktrim._chunks import chunks
from sktrim.propagation import contextual_decomposition
from sktrim.scorers._base import Attribution, Scorer


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
        n_masks = len(groups) + 1
        at_once = model.rows_at_once()
        values, base = [], []
        for rows in chunks(len(s), max(1, at_once // n_masks)):
            part, picked = model[rows], target[rows]
            scores = []
            for some in chunks(n_masks, at_once):
                masks = _with_everything(groups, some)
                carried = part.linear(masks[:, None] * s[rows])
                found, explained = self._decompose(part, carried, picked)
                scores.append(found)
            scores = torch.cat(scores)
            values.append(scores[:-1].movedim(0, 1))
            base.append(explained - scores[-1])
        return Attribution(torch.cat(values), torch.cat(base))

    def _decompose(self, model, carried, target):
        """Scores (n_masks, n, n_targets) of carried signals, and the output's own."""
        relevant, rest = contextual_decomposition(
            model.module,
            model.x,
            carried,
            bias=self.bias,
            nonlinearity=self.nonlinearity,
        )
        relevant = relevant.reshape(*carried.shape[:2], -1)
        full = relevant + rest.reshape(relevant.shape)
        if target.is_linear:
            return target.linear(relevant), target(full[0])
        zero = target(torch.zeros_like(full[0]))
        alone = target(relevant) - zero
        without = target(full) - target(full - relevant)
        return (alone + without) / 2, target(full[0])


def _with_everything(groups, some: slice) -> torch.Tensor:
    """Masks of a slice of the groups; one past the last is the mask of all."""
    masks = groups.dense(some)
    if some.stop <= len(groups):
        return masks
    return torch.cat([masks, torch.ones_like(groups.dense(slice(0, 1)))])
