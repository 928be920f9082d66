"""Scorers that change coefficients and look at the output; no gradient needed."""

import torch

from sktrim._chunks import chunks
from sktrim.scorers._amounts import Replacing


class Occlusion(Replacing):
    """Output lost when a group's coefficients are replaced.

    Parameters
    ----------
    baseline : {"zero", "mean", "marginal"} or array of shape (n_coefficients,) or \
            (n_rows, n_coefficients), default="zero"
        What replaces them: zeros, the background's mean, each of the background's
        first `n_rows` rows in turn (the change is averaged), or rows of one's own.
    n_rows : int, default=8
        Background rows for ``baseline="marginal"``.
    absolute : bool, default=False
        Average the absolute change: how much the group matters, whichever way.
    """

    def __init__(self, baseline="zero", n_rows=8, absolute=False):
        self.baseline = baseline
        self.n_rows = n_rows
        self.absolute = absolute

    @torch.no_grad()
    def attribute(self, model, s, groups, target, *, background=None):
        """Score groups; see `Scorer.attribute`."""
        rows = self._rows(model, background)
        explained = target(model.output(model.x))
        step = max(1, model.rows_at_once() // len(s))
        values = []
        for part in chunks(len(groups), step):
            masks = groups.dense(part)[:, None]
            change = 0
            for row in rows:
                lost = explained - target(model(s - masks * (s - row)))
                change = change + (lost.abs() if self.absolute else lost)
            values.append(change / len(rows))
        return torch.cat(values).movedim(0, 1)
