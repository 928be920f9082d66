"""Contextual decomposition as a scorer."""

import torch

from sktrim._chunks import chunks, rows_in_memory, rows_in_working_memory
from sktrim.propagation import DenseParts, LowRankParts, decompose
from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._baselines import baseline_rows, check_positive

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
    relative_to : None, "mean", "rows" or array of shape (n_coefficients,) or \
            (n_rows, n_coefficients), default=None
        Decompose the difference s - b from the background's mean, from its first
        `n_rows` rows in turn (the scores are averaged), or from rows of one's own,
        instead of s itself.
    n_rows : int, default=8
        Background rows for ``relative_to="rows"``.
    absolute : bool, default=False
        Average absolute scores over the rows: how much the group matters, whichever
        way.

    Notes
    -----
    The base value is what is left when all coefficients are relevant together: the
    residual's and the offset's share, and what b gives. `completeness_error` then
    says how far the scores of separate groups are from adding up, which CD does not
    promise.
    """

    def __init__(
        self,
        bias="channel",
        nonlinearity="relevant",
        relative_to=None,
        n_rows=8,
        absolute=False,
    ):
        self.bias = bias
        self.nonlinearity = nonlinearity
        self.relative_to = relative_to
        self.n_rows = n_rows
        self.absolute = absolute

    @property
    def needs_background(self) -> bool:
        """Whether `attribute` takes background rows."""
        given = self.relative_to
        return isinstance(given, str) and given in ("mean", "rows")

    @torch.no_grad()
    def attribute(self, model, s, groups, target, *, background=None):
        """Score groups; see `Scorer.attribute`."""
        origins = self._origins(model, background)
        n_outputs = model.network.n_outputs
        step = rows_in_memory(len(groups) * n_outputs * s.element_size())
        values, base = [], []
        for rows in chunks(len(s), step):
            part, picked = model[rows], target[rows]
            found = [self._scores(part, groups, picked, row) for row in origins]
            values.append(sum(scores for scores, _ in found) / len(found))
            base.append(sum(rest for _, rest in found) / len(found))
        return Attribution(
            torch.cat(values), None if self.absolute else torch.cat(base)
        )

    def _origins(self, model, background) -> torch.Tensor:
        """Return the rows b that s is taken relative to; one row of zeros for none."""
        check_positive(self.n_rows, "n_rows")
        origin = "zero" if self.relative_to is None else self.relative_to
        rows = baseline_rows(origin, model, background)
        some = isinstance(origin, str) and origin == "rows"
        return rows[: self.n_rows] if some else rows

    def _scores(self, model, groups, target, origin):
        """Scores (n, n_groups, n_targets) relative to one row, and what is left."""
        change = model.s - origin
        everything = DenseParts(
            1, lambda rows, _: model[rows].linear(change[rows])[None]
        )
        parts = _parts(model, change, groups)
        scores, explained = self._decompose(model, parts, target)
        together, _ = self._decompose(model, everything, target)
        scores = scores.abs() if self.absolute else scores
        return scores.movedim(0, 1), explained - together[0]

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


def _parts(model, change, groups):
    """Return what each group carries: over basis signals where that pays.

    The basis is pushed through the network's first operation once, instead of the
    part of every group and sample: less work where groups are small, and there are
    more parts than basis signals.
    """
    n_coefficients = change.shape[1]
    few = n_coefficients * 4 <= len(groups) * len(change)
    fits = n_coefficients <= rows_in_working_memory(model.network.bytes_per_row)
    small = groups.widest() <= SMALL_GROUP
    if model.is_affine and not model.component and few and fits and small:
        basis = model.inverse.linear(torch.eye(n_coefficients).to(change))
        basis = basis.reshape(n_coefficients, *model.x.shape[1:])
        return LowRankParts(change, basis, groups.dense())

    def carried(rows, some):
        return model[rows].linear(groups.dense(some)[:, None] * change[rows])

    return DenseParts(len(groups), carried)
