"""Scorers that change coefficients and look at the output; no gradient needed."""

import torch

from sktrim._memory import chunks
from sktrim.scorers._base import without_graph
from sktrim.scorers._baselines import FromBaseline


class Occlusion(FromBaseline):
    r"""Output lost when a group's coefficients are replaced.

    .. math::

       \phi_g = F(s) - \frac{1}{R} \sum_{r=1}^{R}
                F\bigl(s - M_g \odot (s - b^r)\bigr),

    where :math:`F` is the explained output as a function of the coefficients :math:`s`,
    :math:`M_g` the weights of group g and :math:`b^r` the R baseline rows. A high score
    says that the output falls without the group. In units of the output.

    Parameters
    ----------
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        What replaces them: zeros, the background's mean, each of the background's
        first `n_rows` rows in turn (the change is averaged), or rows of one's own,
        of shape (n_coefficients,) or (n_rows, n_coefficients).
    n_rows : int, default=8
        Background rows for ``baseline="rows"``.
    absolute : bool, default=False
        Average the absolute change: how much the group matters, whichever way.

    See Also
    --------
    Shapley : The change averaged over the presence of the other groups.
    sktrim.evaluation.marginal_changes : The absolute change, as a yardstick for scores.

    Notes
    -----
    :footcite:t:`zeiler2014deconvnet` slide a grey square over an image; here the groups
    of the transform are what is covered, one by one (captum calls this feature
    ablation). Scores of groups that act together do not add up to the output: where
    both are needed each is charged with all of it, where either is enough neither is
    charged. Hence there is no base value. The replaced signal may be one that the
    network never saw. No gradient is needed.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3): without either factor all of 6 is lost.

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> transform_importance(Product(), x, scorer="occlusion").values
    array([[6., 6.]], dtype=float32)
    """

    needs_gradient = False
    differentiable = True

    def __init__(self, baseline="zero", n_rows=8, absolute=False):
        self.baseline = baseline
        self.n_rows = n_rows
        self.absolute = absolute

    @without_graph
    def attribute(self, model, s, groups, target, *, background=None):
        """Score groups; see `Scorer.attribute`."""
        rows = self.baseline_rows(model, background)
        lost = self._lost(
            model, len(groups), lambda some: groups.dense(some)[:, None], target, rows
        )
        return lost.movedim(0, 1)

    @without_graph
    def attribute_sets(self, model, s, sets, groups, target, *, background=None):
        """Score sets of groups; see `Scorer.attribute_sets`."""
        rows = self.baseline_rows(model, background)

        def masks(some):
            return groups.spread(sets[some]).clamp(max=1)

        return self._lost(model, len(sets), masks, target, rows)

    def _lost(self, model, n_masks: int, masks, target, rows) -> torch.Tensor:
        """Return what is lost under each mask, (n_masks, n_samples, n_targets)."""
        # `masks` gives those of a slice, (k, 1 or n_samples, n_coefficients)
        s, explained = model.s, target(model.output(model.x))
        values = []
        for some in chunks(n_masks, max(1, model.rows_at_once() // len(s))):
            weights, change = masks(some), 0
            for row in rows:
                lost = explained - target(model(s - weights * (s - row)))
                change = change + (lost.abs() if self.absolute else lost)
            values.append(change / len(rows))
        return torch.cat(values)
