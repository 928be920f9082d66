"""Contextual decomposition as a scorer."""

import torch

from sktrim._memory import chunks, rows_in_memory, rows_in_working_memory
from sktrim.propagation import (
    DenseParts,
    LowRankParts,
    contextual_decomposition,
    decompose,
)
from sktrim.scorers._base import Attribution, without_graph
from sktrim.scorers._baselines import FromBaseline

SMALL_GROUP = 16
"""Groups of more coefficients gain nothing from a basis that is pushed once."""


class ContextualDecomposition(FromBaseline):
    r"""What a group contributes inside the network, by contextual decomposition.

    Every activation h is split into a relevant part :math:`\beta`, which stems from the
    group, and the rest, :math:`h - \beta`; both go through the network together:

    .. math::

       \beta^{(0)} &= T^{-1}(M_g \odot s) - T^{-1}(0), \qquad
       \phi_g = t\bigl(\beta^{(L)}\bigr), \\
       W h + b: \quad & \beta \mapsto W \beta + q \, b, \\
       \mathrm{ReLU}(h): \quad & \beta \mapsto \mathrm{ReLU}(\beta), \\
       \sigma(h): \quad & \beta \mapsto \tfrac{1}{2} \bigl[ \sigma(\beta) - \sigma(0)
       + \sigma(h) - \sigma(h - \beta) \bigr] + q \, \sigma(0), \\
       h_1 h_2: \quad & \beta \mapsto
       \tfrac{1}{2} \bigl( \beta_1 h_2 + h_1 \beta_2 \bigr),

    where :math:`M_g` are the weights of the group, t is the target, linear in the
    outputs :math:`\beta^{(L)}`, and q the share of a bias that the group gets (`bias`).
    A high score says that what the group carries, in the context of all else, raises
    the output. In units of the output.

    Parameters
    ----------
    bias : {"context", "channel", "proportional"}, default="context"
        How an operation's bias is shared between the two parts: wholly to the rest,
        by their sizes pooled over positions, or by their sizes per unit. The last is
        the rule of acd, the code of :footcite:t:`singh2019acd`; see
        `contextual_decomposition` for the evidence.
    nonlinearity : {"relevant", "symmetric"}, default="relevant"
        Rule for ReLU: the relevant part through the ReLU, or the mean of the change
        with and without the rest.
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        Decompose the difference s - b from zeros, which is s itself, from the
        background's mean, from its first `n_rows` rows in turn (the scores are
        averaged), or from rows of one's own, of shape (n_coefficients,) or
        (n_rows, n_coefficients).
    n_rows : int, default=8
        Background rows for ``baseline="rows"``.
    absolute : bool, default=False
        Average absolute scores over the rows: how much the group matters, whichever
        way.
    partition : bool, default=False
        Decompose all groups jointly: scores and base value then sum to the output
        exactly, but a group's score depends on the other groups. The masks of a
        coefficient must not add up to more than 1.
    interactions : bool, default=False
        Also score every pair of groups together and keep what exceeds the sum of
        the two, CD(i and j) - CD(i) - CD(j), as ``metadata["interactions"]`` of shape
        (n_samples, n_groups, n_groups[, n_targets]); costs a mask for each pair.

    See Also
    --------
    sktrim.contextual_decomposition : The same for parts of signals, with all rules.
    sktrim.propagation.register_operation : Adds a rule for an operation.
    Occlusion : What the output loses without the group.

    Notes
    -----
    Contextual decomposition is due to :footcite:t:`murdoch2018cd`, for LSTMs, and to
    :footcite:t:`singh2019acd`, for networks of other layers; in the space of a
    transform it is TRIM :footcite:p:`singh2020trim`. All groups are decomposed at once.

    Scores need not add up: what two groups do only together is in neither score, and
    each passes a ReLU by itself. The base value is what is left when all coefficients
    are relevant together: the residual's and the offset's share, the biases where they
    are context, and the output at the baseline. `completeness_error` then
    says how far the scores of separate groups are from adding up, which CD does not
    promise. Where the target is a probability, and so not linear in the outputs, it is
    split as :math:`\sigma` is.

    The default of the biases differs from the package acd, whose rule is
    ``bias="proportional"``.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of ReLU(x1 - x2) at (3, 1): by itself the first raises the output to 3, the second
    does nothing; of the differences that they make, with and without each other, the
    mean is 2.5 and -0.5.

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import ContextualDecomposition
    >>> class Rectified(torch.nn.Module):
    ...     def forward(self, x):
    ...         return (x[:, :1] - x[:, 1:]).relu()
    >>> x = np.array([[3.0, 1.0]])
    >>> transform_importance(Rectified(), x, scorer="cd").values
    array([[3., 0.]], dtype=float32)
    >>> symmetric = ContextualDecomposition(nonlinearity="symmetric")
    >>> transform_importance(Rectified(), x, scorer=symmetric).values
    array([[ 2.5, -0.5]], dtype=float32)
    """

    differentiable = True

    def __init__(
        self,
        bias="context",
        nonlinearity="relevant",
        baseline="zero",
        n_rows=8,
        absolute=False,
        partition=False,
        interactions=False,
    ):
        self.bias = bias
        self.nonlinearity = nonlinearity
        self.baseline = baseline
        self.n_rows = n_rows
        self.absolute = absolute
        self.partition = partition
        self.interactions = interactions

    @property
    def complete(self) -> bool:
        """Whether base value and scores sum to the output exactly."""
        return self.partition and not self.absolute

    @without_graph
    def attribute(self, model, s, groups, target, *, background=None):
        """Score groups; see `Scorer.attribute`."""
        if self.partition and self.interactions:
            raise ValueError(
                "interactions=True compares separate decompositions; leave partition "
                "at False."
            )
        origins = self.baseline_rows(model, background)
        n_outputs = model.network.n_explained
        step = rows_in_memory(len(groups) * n_outputs * s.element_size())
        parts = []
        for rows in chunks(len(s), step):
            each = [self._scores(model[rows], groups, target[rows], b) for b in origins]
            values, base, *pairs = (
                torch.stack(some).mean(0) for some in zip(*each, strict=True)
            )
            extra = {"interactions": pairs[0]} if pairs else {}
            part = Attribution(values, None if self.absolute else base, extra=extra)
            parts.append(part)
        return Attribution.join(parts)

    @without_graph
    def attribute_sets(self, model, s, sets, groups, target, *, background=None):
        """Score sets of groups; see `Scorer.attribute_sets`."""
        if self.partition:
            raise ValueError(
                "partition=True decomposes parts of one whole, and sets overlap; leave "
                "partition at False."
            )
        own = groups.aggregate(torch.full_like(model.s[0], 1 / model.s.shape[1]))
        share = (sets.to(own) @ own).clamp(max=1)
        origins, total = self.baseline_rows(model, background), 0
        for origin in origins:
            change = model.s - origin

            def carried(rows, some, change=change):
                masks = groups.spread(sets[some, rows]).clamp(max=1)
                return model[rows].linear(masks * change[rows])

            parts = DenseParts(len(sets), carried, share)
            scores, _ = self._decompose(model, parts, target)
            total = total + (scores.abs() if self.absolute else scores)
        return total / len(origins)

    def _scores(self, model, groups, target, origin):
        """Scores (n, n_groups, n_targets) relative to one row, what is left, pairs."""
        change = model.s - origin
        if self.partition:
            scores, rest = self._jointly(model, change, groups, target)
        else:
            scores, rest = self._separately(model, change, groups, target)
        signed = scores.abs() if self.absolute else scores
        parts = [signed.movedim(0, 1), rest]
        if self.interactions:
            parts.append(self._pairs(model, change, groups, target, scores))
        return parts

    def _separately(self, model, change, groups, target):
        """Scores (n_groups, n, n_targets), and what all groups together leave."""
        basis = _pushed_basis(model, change, groups)
        if basis is not None:
            scores, explained = self._decompose(model, basis, target)
            every = DenseParts(
                1,
                lambda rows, _: model[rows].linear(change[rows])[None],
                change.new_ones(1),
            )
            return scores, explained - self._decompose(model, every, target)[0][0]

        def carried(rows, some):
            masks = groups.dense(some)
            if some.stop > len(groups):
                masks = torch.cat([masks, masks.new_ones(1, masks.shape[1])])
            return model[rows].linear(masks[:, None] * change[rows])

        share = groups.aggregate(torch.full_like(change[0], 1 / change.shape[1]))
        share = torch.cat([share, share.new_ones(1)])
        parts = DenseParts(len(groups) + 1, carried, share)
        scores, explained = self._decompose(model, parts, target)
        return scores[:-1], explained - scores[-1]

    def _jointly(self, model, change, groups, target):
        """Scores (n_groups, n, n_targets) that sum to the output with what is left."""
        if not target.is_linear:
            raise ValueError(
                'partition=True splits logits; pass output="margin", "logit" or "raw".'
            )
        masks = groups.dense()
        if masks.sum(0).max() > 1 + 1e-6:
            raise ValueError(
                "partition=True needs groups whose weights add up to at most 1 for "
                "every coefficient; these overlap."
            )
        scores, rest = [], []
        step = max(1, model.masks_at_once(len(groups)) // len(groups))
        for rows in chunks(len(change), step):
            some = model[rows]
            carried = some.linear(masks[:, None] * change[rows])
            parts, left = contextual_decomposition(
                model.network.explained,
                some.inputs,
                (carried, *[None] * len(some.held)),
                bias=self.bias,
                nonlinearity=self.nonlinearity,
                partition=True,
                share=masks.mean(1),
            )
            some.check_output(parts.sum(0) + left)
            picked = target[rows]
            scores.append(picked.linear(parts.reshape(*carried.shape[:2], -1)))
            rest.append(picked(left.reshape(len(left), -1)))
        return torch.cat(scores, 1), torch.cat(rest)

    def _pairs(self, model, change, groups, target, scores):
        """Return what pairs give beyond their sum, (n, n_groups, n_groups, t)."""
        first, second = torch.triu_indices(len(groups), len(groups), 1)

        masks = groups.dense()

        def joint(some):
            a, b = masks[first[some]], masks[second[some]]
            return a + b - a * b

        def carried(rows, some):
            return model[rows].linear(joint(some)[:, None] * change[rows])

        parts = DenseParts(len(first), carried, joint(slice(None)).mean(1))
        together, _ = self._decompose(model, parts, target)
        shape = len(groups), len(groups), *scores.shape[1:]
        out = scores.new_zeros(shape)
        out[first, second] = together - scores[first] - scores[second]
        return (out + out.transpose(0, 1)).movedim(2, 0)

    def _decompose(self, model, parts, target):
        """Scores (n_masks, n, n_targets) of parts of the signal, and the output's."""
        relevant, full = decompose(
            model.network.explained,
            model.x,
            parts,
            held=model.held,
            bias=self.bias,
            nonlinearity=self.nonlinearity,
            rows_at_once=model.masks_at_once(parts.n_masks),
        )
        relevant = relevant.reshape(parts.n_masks, len(model.x), -1)
        full = full.reshape(len(model.x), -1)
        model.check_output(full)
        explained = target(full)
        if target.is_linear:
            return target.linear(relevant), explained
        alone = target(relevant) - target(torch.zeros_like(full))
        without = explained - target(full - relevant)
        return (alone + without) / 2, explained


def _pushed_basis(model, change: torch.Tensor, groups) -> LowRankParts | None:
    """Return the groups' parts as coefficients times basis signals, where that pays."""
    n_coefficients = change.shape[1]
    # the basis passes the first operation once, instead of the part of every group and
    # sample: less work where groups are small, and parts more than basis signals
    few = n_coefficients * 4 <= len(groups) * len(change)
    network = model.network
    row_bytes = network.bytes_per_row + network.signal_bytes
    fits = n_coefficients <= rows_in_working_memory(row_bytes)
    small = groups.widest() <= SMALL_GROUP
    if not (model.is_affine and not model.component and few and fits and small):
        return None
    basis = model.inverse.linear(torch.eye(n_coefficients).to(change))
    basis = basis.reshape(n_coefficients, *model.x.shape[1:])
    return LowRankParts(change, basis, groups.dense())
