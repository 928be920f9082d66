"""Scorers from modified gradients: guided backpropagation, deconvnet, DeepLIFT."""

import torch

from sktrim._chunks import chunks
from sktrim.propagation.backpropagation import run
from sktrim.propagation.backpropagation_gaps import completeness_gaps
from sktrim.propagation.deeplift import DeepLiftRescale, check_baseline
from sktrim.propagation.rules_backward_relu import (
    Deconvolution,
    GuidedBackpropagation,
)
from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._baselines import baseline_rows, check_positive
from sktrim.scorers._gradient import _gradients


def row_chunks(model, n_rows, copies=2):
    """Yield slices of samples that fit in memory with a graph of modified gradients.

    `copies` of the activations are held: values, the baseline's, what is saved.
    """
    yield from chunks(n_rows, max(1, model.rows_at_once() // copies))


def _holds_nothing(model) -> bool:
    """Tell whether nothing but round-off is held, so that samples share a baseline."""
    scale = model.x.abs().max() * 64 * torch.finfo(model.x.dtype).eps
    return model.is_affine and bool(model.r.abs().max() <= scale)


@torch.no_grad()
def output_at(model, target, row):
    """Explained output at a row of coefficients, shape (n_samples, n_targets)."""
    if _holds_nothing(model):
        first = model[:1]
        out = first.output(first.signal(row.expand_as(first.s)))
        return target(out.expand(len(model.s), -1))
    return target(model(row.expand_as(model.s)))


def gathered(parts: list[Attribution]) -> Attribution:
    """Join what chunks of samples gave."""
    base = [p.base_values for p in parts if p.base_values is not None]
    joined = torch.cat(base) if base else None
    extra = {
        key: torch.cat([part.extra[key] for part in parts]) for key in parts[0].extra
    }
    return Attribution(torch.cat([p.values for p in parts]), joined, extra=extra)


class _ReluGradient(Scorer):
    """Gradient of the target with another rule at the ReLUs."""

    additive = True
    _method: type

    def attribute(self, model, s, groups, target):
        """Score groups; see `Scorer.attribute`."""
        found = []
        for rows in row_chunks(model, len(s)):
            gradient = self._gradient(model[rows], target[rows])
            found.append(groups.aggregate(gradient).movedim(0, -1))
        return torch.cat(found)

    def _gradient(self, model, target):
        """Return gradients, shape (n_targets, n, n_coefficients)."""
        leaf = (model.x if model.is_affine else model.s).detach().requires_grad_()
        with torch.enable_grad():
            x = leaf if model.is_affine else model.signal(leaf)
            out = run(model.module, self._method().enter(x)).full
            model.check_output(out)
            gradient = _gradients(target(out.reshape(len(x), -1)), leaf)
        return model.pull_back(gradient) if model.is_affine else gradient


class GuidedBackprop(_ReluGradient):
    """Gradient that stops at a ReLU where it is negative, in the space of T.

    Guided backpropagation (Springenberg et al. 2015): at every ReLU the incoming
    gradient is clamped at 0 and then multiplied by the ReLU's own gradient. The
    score of a group is the sum over its coefficients. It sharpens pictures and says
    little about the class that is explained (Adebayo et al. 2018).
    """

    _method = GuidedBackpropagation


class Deconvnet(_ReluGradient):
    """Gradient with ReLU applied to it, in the space of T (Zeiler and Fergus 2014).

    At every ReLU the incoming gradient is clamped at 0 and passed on, whatever the
    activation was.
    """

    _method = Deconvolution


class DeepLift(Scorer):
    """Differences from a baseline, shared out by the Rescale rule.

    DeepLIFT (Shrikumar et al. 2017): the multiplier of a nonlinearity is the
    difference of its results over the difference of its arguments, between sample
    and baseline. Max pooling and ranks (`topk`, `sort`) give the difference to the
    winner of the sample or of the baseline, in equal shares to winners that tie; each
    of two factors is multiplied by the mean of the other. A quotient, and so every
    normalisation, leans on the larger divisor of the two: evenly, a baseline that has
    next to nothing to divide by would blow the scores up. In a softmax what shifts all
    values alike gets nothing. Every rule is complete, so the scores are, to rounding.
    Averaged over several baselines this is DeepSHAP (Lundberg and Lee 2017).

    Masks and indices that the network computes (``x > 0``, `argmax`) are the sample's,
    for the baseline too: where they differ the scores do not add up, which is reported
    with the place.

    Parameters
    ----------
    baseline : {"zero", "mean", "rows"} or array of shape (n_coefficients,) or \
            (n_rows, n_coefficients), default="zero"
        In coefficients. "mean" is the mean of the background, "rows" are its first
        `n_rows` rows; several are averaged over.
    n_rows : int, default=16
        Background rows for ``baseline="rows"``, the same for every sample.
    """

    additive = True
    complete = True

    def __init__(self, baseline="zero", n_rows=16):
        self.baseline = baseline
        self.n_rows = n_rows

    @property
    def needs_background(self) -> bool:
        """Whether `attribute` takes background rows."""
        baseline = self.baseline
        return isinstance(baseline, str) and baseline in ("mean", "rows")

    def attribute(self, model, s, groups, target, *, background=None):
        """Score groups; see `Scorer.attribute`."""
        rows = self._rows(model, background)
        parts = []
        for some in row_chunks(model, len(s), copies=3):
            part = Attribution(
                *self._one_chunk(model[some], groups, target[some], rows)
            )
            parts.append(part)
        return gathered(parts)

    def _one_chunk(self, model, groups, target, rows):
        """Mean over baselines of scores and of the output there."""
        scores, starts = [], []
        for row in rows:
            found, start = _rescaled(model, target, row)
            scores.append(groups.aggregate(found * (model.s - row)).movedim(0, -1))
            starts.append(start)
        return torch.stack(scores).mean(0), torch.stack(starts).mean(0)

    def _rows(self, model, background):
        check_positive(self.n_rows, "n_rows")
        rows = baseline_rows(self.baseline, model, background)
        every = isinstance(self.baseline, str) and self.baseline == "rows"
        return rows[: self.n_rows] if every else rows

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
        row = self._rows(model, background)[0]
        function, point = _entry(model)
        gaps = completeness_gaps(function, point, _baseline(model, row), target)
        if not gaps:
            return ""
        gap = gaps[0]
        return f"It arises at {gap.operation} (called at {gap.site})."


def _entry(model):
    """Return what carriers run through and where they start: signals or s."""
    if model.is_affine:
        return model.module, model.x
    return (lambda s: model.module(model.signal(s))), model.s


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
        found = _gradients(scalars, leaf)
    found = model.pull_back(found) if model.is_affine else found
    start = output_at(model, target, row)
    with torch.no_grad():
        check_baseline(target(out.rel.reshape(len(point), -1)), start, scalars)
    return found, start
