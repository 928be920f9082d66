"""GradientSHAP: gradients at random points on the way from baselines."""

import numpy as np
import torch

from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._baselines import baseline_rows, check_positive
from sktrim.scorers._gradient import coefficient_gradients


class GradientShap(Scorer):
    r"""Gradients at random points between baseline rows and s, times their distance.

    .. math::

       \phi_g = \frac{1}{n} \sum_{i=1}^{n} \sum_k M_{gk} \, (s_k - b_k^i) \,
                \frac{\partial F}{\partial s_k}
                \bigl(b^i + \alpha_i (s - b^i)\bigr),
       \qquad \alpha_i \sim \mathcal{U}(0, 1),

    where :math:`F` is the explained output as a function of the coefficients :math:`s`,
    :math:`b^i` the baseline rows in turn and :math:`M_{gk}` the weight of coefficient k
    in group g. A high score says that the output is higher for having this group rather
    than a baseline row's. In units of the output.

    Parameters
    ----------
    n_points : int, default=16
        Points drawn, the same shares of the way for every sample; each costs a backward
        pass.
    baseline : {"rows", "zero", "mean"} or array-like, default="rows"
        Where the lines start: the background's rows in turn, as many as there are
        points, zeros, the mean of the background, or rows of one's own in turn, of
        shape (n_coefficients,) or (n_rows, n_coefficients).
    absolute : bool, default=False
        Take the absolute value of a group's score at each point before averaging: how
        much the group matters, whichever way. There is no base value then.

    See Also
    --------
    ExpectedGradients : The same lines, integrated.

    Notes
    -----
    The expectation over rows and points is expected gradients, which
    :footcite:t:`erion2021expected` sample in this way; with a little noise on the
    sample it is the GradientSHAP of captum and shap, after
    :footcite:t:`lundberg2017shap`. Here there is no noise, and rows come in turn rather
    than at random.

    Base value (the mean output at the rows) and scores add up to the output only on
    average over draws. The scores' standard errors, the standard deviation over points
    divided by the root of `n_points`, are given where there are two points or more.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3), the expectation is (3, 3):

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import GradientShap
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> scorer = GradientShap(n_points=100, baseline="zero")
    >>> explanation = transform_importance(Product(), x, scorer=scorer, random_state=0)
    >>> bool((abs(explanation.values - 3) < 4 * explanation.std_errors).all())
    True
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
    outputs = [target(model(row.expand_as(model.s))) for row in rows]
    return torch.stack(outputs).mean(0)
