"""Scorers from modified gradients: guided backpropagation, deconvnet, DeepLIFT."""

import torch

from sktrim.propagation.backward._deeplift import DeepLiftRescale, check_baseline
from sktrim.propagation.backward._gaps import completeness_gaps
from sktrim.propagation.backward._method import run
from sktrim.scorers._base import Attribution
from sktrim.scorers._baselines import FromBaseline
from sktrim.scorers._in_chunks import (
    _entry,
    _holds_nothing,
    gradients_of,
    output_at,
    row_chunks,
)


class DeepLift(FromBaseline):
    r"""Differences from a baseline, shared out by the Rescale rule.

    .. math::

       \phi_g = \sum_k M_{gk} \, (s_k - b_k) \, m_k, \qquad
       m = \frac{\sigma(h) - \sigma(h^b)}{h - h^b}
       \quad \text{at } \sigma(h), \qquad
       \Delta(h_1 h_2) = \bar h_2 \, \Delta h_1 + \bar h_1 \, \Delta h_2,

    where :math:`h` and :math:`h^b` are an activation for the sample s and for the
    baseline b, :math:`\Delta h` is their difference and :math:`\bar h` their mean;
    multipliers m of consecutive operations are chained as gradients are, and
    :math:`M_{gk}` is the weight of coefficient k in group g. A high score says that the
    output is higher for having the group at its value rather than at the baseline's. In
    units of the output; summed over all coefficients, scores are the output minus that
    at the baseline, the base value.

    Parameters
    ----------
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        In coefficients. "mean" is the mean of the background, "rows" are its first
        `n_rows` rows. An array of shape (n_coefficients,) or (n_rows, n_coefficients);
        several rows are averaged over.
    n_rows : int, default=16
        Background rows for ``baseline="rows"``, the same for every sample.

    See Also
    --------
    IntegratedGradients : Complete too, and the same however the network is written.
    LRPEpsilon : Shares out the output itself.

    Notes
    -----
    The method is that of :footcite:t:`shrikumar2017deeplift`, their Rescale rule alone
    (not RevealCancel). Averaged over several baselines it is DeepSHAP
    :footcite:p:`lundberg2017shap`. Where a difference is 0 / 0 the multiplier is the
    derivative half-way.

    Further rules, each of which is complete, so that the scores are, to rounding. Max
    pooling and ranks (`topk`, `sort`) give the difference to the winner of the sample
    or of the baseline, in equal shares to winners that tie. A quotient, and so every
    normalisation, leans on the larger divisor of the two: evenly, a baseline that has
    next to nothing to divide by would blow the scores up. In a softmax what shifts all
    values alike gets nothing.

    Masks and indices that the network computes (``x > 0``, `argmax`) are the sample's,
    for the baseline too: where they differ the scores do not add up, which is reported
    with the place.

    captum 0.9.0 replaces gradients by hooks on modules: functional ReLUs keep the plain
    gradient there, and where two nonlinearities meet (ReLU, then max pooling) or
    pooling windows overlap the scores do not add up. Hence `CaptumScorer` refuses it.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of 2 ReLU(x1) + 2 ReLU(x2 - 1.5) at (1, 2), an output of 3, baseline zero:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Net(torch.nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x[:, :1].relu() + 2 * (x[:, 1:] - 1.5).relu()
    >>> x = np.array([[1.0, 2.0]])
    >>> transform_importance(Net(), x, scorer="deeplift").values
    array([[2., 1.]], dtype=float32)
    >>> transform_importance(Net(), x, scorer="input_x_gradient").values
    array([[2., 4.]], dtype=float32)
    """

    additive = True
    complete = True

    def __init__(self, baseline="zero", n_rows=16):
        self.baseline = baseline
        self.n_rows = n_rows

    def attribute(self, model, s, groups, target, *, background=None):
        """Score groups; see `Scorer.attribute`."""
        rows = self.baseline_rows(model, background)
        return Attribution.join(
            [
                self._one_chunk(model[some], groups, target[some], rows)
                for some in row_chunks(model, len(s), copies=3)
            ]
        )

    def _one_chunk(self, model, groups, target, rows):
        """Mean over baselines of scores and of the output there."""
        scores, starts = [], []
        for row in rows:
            multipliers, start = _rescaled(model, target, row)
            scores.append(
                groups.aggregate(multipliers * (model.s - row)).movedim(0, -1)
            )
            starts.append(start)
        return Attribution(torch.stack(scores).mean(0), torch.stack(starts).mean(0))

    def diagnose(self, model, s, target, *, background=None) -> str:
        """Name the operation of the network where completeness is lost.

        Parameters
        ----------
        model, s, target, background
            As `attribute` takes them, for the samples in question.

        Returns
        -------
        str
            A sentence; empty where every operation is complete.
        """
        row = self.baseline_rows(model, background)[0]
        function, point = _entry(model)
        gaps = completeness_gaps(function, point, _baseline(model, row), target)
        if not gaps:
            return ""
        gap = gaps[0]
        return f"It arises at {gap.operation} (called at {gap.site})."


@torch.no_grad()
def _baseline(model, row):
    """Return what carriers start from at a row of coefficients, for every sample."""
    if not model.is_affine:
        return row.expand_as(model.s)
    if not _holds_nothing(model):
        return model.signal(row.expand_as(model.s))
    # a signal that differs by the round-off of each sample would have no ties
    width = len(row) - model.component
    signal = model.inverse(row[None, :width]).reshape(1, *model.x.shape[1:])
    return signal.expand_as(model.x)


def _rescaled(model, target, row):
    """Multipliers (n_targets, n, n_coefficients) and the output at the baseline."""
    function, point = _entry(model)
    origin = _baseline(model, row)
    leaf = point.detach().requires_grad_()
    with torch.enable_grad():
        carrier = DeepLiftRescale().enter(leaf, origin)
        out = run(function, carrier)
        model.check_output(out.full)
        scalars = target(out.reshape(len(point), -1)).full
        multipliers = gradients_of(scalars, leaf)
    multipliers = model.pull_back(multipliers) if model.is_affine else multipliers
    start = output_at(model, target, row[None])
    with torch.no_grad():
        check_baseline(target(out.rel.reshape(len(point), -1)), start, scalars)
    return multipliers, start
