"""GradientSHAP: gradients at random points on the way from baselines."""

import numpy as np
import torch

from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._baselines import baseline_rows, check_positive
from sktrim.scorers._gradient import coefficient_gradients


class GradientShap(Scorer):
    """Gradients at random points between baseline rows and s, times their distance.

    Expected gradients as Erion et al. (2021) sample them, and GradientSHAP without its
    noise (Lundberg and Lee 2017): each point lies anywhere, with equal probability, on
    the line from one row to s. `ExpectedGradients` integrates along those lines
    instead.

    Parameters
    ----------
    n_points : int, default=16
        Points drawn, the same shares of the way for every sample; each costs a backward
        pass.
    baseline : {"rows", "zero", "mean"} or array of shape (n_coefficients,) or \
            (n_rows, n_coefficients), default="rows"
        Where the lines start: the background's rows in turn, as many as there are
        points, zeros, the mean of the background, or rows of one's own in turn.
    absolute : bool, default=False
        Take the absolute value of a group's score at each point before averaging: how
        much the group matters, whichever way.

    Notes
    -----
    Base value and scores add up to the output only on average over draws; the scores'
    standard errors are given where there are two points or more.
    """

    is_random = True

    def __init__(self, n_points=16, baseline="rows", absolute=False):
        self.n_points = n_points
        self.baseline = baseline
        self.absolute = absolute

    @property
    def additive(self) -> bool:
        """Whether group scores are sums over coefficients."""
        return not self.absolute

    @property
    def needs_background(self) -> bool:
        """Whether `attribute` takes background rows."""
        return isinstance(self.baseline, str) and self.baseline in ("rows", "mean")

    def attribute(
        self, model, s, groups, target, *, background=None, random_state=None
    ):
        """Score groups; see `Scorer.attribute`."""
        check_positive(self.n_points, "n_points")
        rows = baseline_rows(self.baseline, model, background)[: self.n_points]
        shares = np.random.default_rng(random_state).random(self.n_points)
        scores = []
        for index, share in enumerate(shares):
            row = rows[index % len(rows)]
            gradient = _gradient_between(model, row, float(share), target)
            score = groups.aggregate(gradient * (s - row)).movedim(0, -1)
            scores.append(score.abs() if self.absolute else score)
        scores = torch.stack(scores)
        errors = None
        if self.n_points > 1:
            errors = scores.std(0) / self.n_points**0.5
        base = None if self.absolute else _mean_output(model, target, rows)
        return Attribution(scores.mean(0), base, errors)


def _gradient_between(model, row, share, target) -> torch.Tensor:
    """Gradient at a share of the way from a row, (n_targets, n, n_coefficients)."""
    point, signals = torch.lerp(row, model.s, share), None
    if model.shared is not None:
        with torch.no_grad():
            signals = (model.x, model.signal(point))
    return coefficient_gradients(model, point[None], target, signals=signals)[:, 0]


@torch.no_grad()
def _mean_output(model, target, rows) -> torch.Tensor:
    """Explained output at baseline rows, averaged, shape (n_samples, n_targets)."""
    found = [target(model(row.expand_as(model.s))) for row in rows]
    return torch.stack(found).mean(0)
