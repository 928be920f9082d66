"""Scorers from gradients: one backward pass per output, whatever the groups."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from scipy.special import roots_legendre

from sktrim._memory import chunks
from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._baselines import FromBaseline, baseline_rows, check_positive
from sktrim.scorers._in_chunks import gradients_of, output_at


def coefficient_gradients(
    model,
    points: Callable[[slice], torch.Tensor],
    weights: torch.Tensor,
    target,
    *,
    between: tuple[torch.Tensor, ...] | None = None,
) -> torch.Tensor:
    """Return gradients of the target in coefficients, summed over points by weight."""
    # (n_targets, n_samples, n_coefficients); `points` gives those of a slice, of shape
    # (n_picked, n_samples, n_coefficients), so that memory stays bounded; they depend
    # on `between` and the explained ones alone: spaces where those are the same share
    # the gradient
    # where T^-1 is affine, the gradient is taken in signal space and pulled back once
    if not model.is_affine:
        return _summed_gradients(model, model, points, weights, target)

    def compute():
        return _summed_gradients(model, model.output, points, weights, target)

    if model.shared is None or between is None:
        return model.pull_back(compute())
    with torch.no_grad():
        ends = [model.signal(point.expand_as(model.s)) for point in between]
    return model.pull_back(model.shared.get(target, (model.x, *ends), compute))


def _summed_gradients(model, function, points, weights, target) -> torch.Tensor:
    """Gradients in what a function takes: signals, or coefficients themselves."""
    step, total = max(1, model.rows_at_once() // len(model.s)), torch.zeros(())
    for part in chunks(len(weights), step):
        with torch.enable_grad():
            point = points(part) if function is model else model.signal(points(part))
            if not (model.differentiable and point.requires_grad):
                point = point.detach().requires_grad_()
            gradient = gradients_of(
                target(function(point)), point, keep=model.differentiable
            )
        total = total + torch.einsum("p,tp...->t...", weights[part], gradient)
    return total


def gradient_at(model, target) -> torch.Tensor:
    """Gradient at the explained coefficients, (n_targets, n, n_coefficients)."""
    s = model.s
    one = s.new_ones(1)
    return coefficient_gradients(model, lambda _: s[None], one, target, between=())


class Gradient(Scorer):
    r"""Gradient of the explained output with respect to the coefficients.

    .. math::

       \phi_g = \sum_k M_{gk} \, \frac{\partial F}{\partial s_k}(s),

    where :math:`F` is the explained output as a function of the coefficients :math:`s`
    and :math:`M_{gk}` the weight of coefficient k in group g. A high score says that
    the output would rise if the coefficients of the group rose, not that it owes them
    anything. Units: the output's, per unit of a coefficient.

    See Also
    --------
    SquaredGradient : Without cancellation within a group.
    InputTimesGradient : The same, times the coefficients.
    SmoothGrad : Averaged over noise.

    Notes
    -----
    In the space of pixels this is the saliency map of
    :footcite:t:`simonyan2014saliency`, with its sign; they, and ``Saliency`` of captum
    by default, take the absolute value. Where :math:`T^{-1}(s) = D s + b` is affine,
    one backward pass through the network gives all coefficients,
    :math:`\nabla_s F = D^\top \nabla_x f`. Where the output is saturated the gradient
    is 0, whatever the output owes to the group. There is no base value.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3):

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> transform_importance(Product(), x, scorer="gradient").values
    array([[3., 2.]], dtype=float32)
    """

    additive = True
    differentiable = True

    def attribute(self, model, s, groups, target):
        """Score groups; see `Scorer.attribute`."""
        gradient = gradient_at(model, target)
        return groups.aggregate(gradient).movedim(0, -1)


class SquaredGradient(Scorer):
    r"""Squared gradient of the explained output, summed over a group.

    .. math::

       \phi_g = \sum_k M_{gk} \left( \frac{\partial F}{\partial s_k}(s) \right)^2,

    where :math:`F` is the explained output as a function of the coefficients :math:`s`
    and :math:`M_{gk}` the weight of coefficient k in group g. A high score says that
    the output depends strongly on the group, whichever way. Units: the output's, per
    unit of a coefficient, squared.

    See Also
    --------
    Gradient : With its sign.
    sktrim.evaluation.importance_by_value : Squared scores by the value of the input.

    Notes
    -----
    The "attribution" of :footcite:t:`zorrilla2020lensing` is the square of the saliency
    in the space of pixels. For an orthonormal transform the sum over all coefficients
    is the squared length of the gradient in signal space, so that shares of it compare
    between transforms. Coefficients in larger units have smaller gradients, and so
    smaller scores. There is no base value.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3):

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> transform_importance(Product(), x, scorer="gradient_squared").values
    array([[9., 4.]], dtype=float32)
    """

    additive = True
    differentiable = True

    def attribute(self, model, s, groups, target):
        """Score groups; see `Scorer.attribute`."""
        gradient = gradient_at(model, target)
        return groups.aggregate(gradient**2).movedim(0, -1)


class InputTimesGradient(Scorer):
    r"""Coefficient times gradient: the first-order share of the output.

    .. math::

       \phi_g = \sum_k M_{gk} \, s_k \, \frac{\partial F}{\partial s_k}(s),

    where :math:`F` is the explained output as a function of the coefficients :math:`s`
    and :math:`M_{gk}` the weight of coefficient k in group g. A high score says that
    the output would fall, to first order, if the group faded away. In units of the
    output.

    See Also
    --------
    IntegratedGradients : Complete: the gradient averaged on the way from a baseline.
    LRPEpsilon : The same in ReLU networks, as epsilon goes to 0.

    Notes
    -----
    Equal to every complete method with baseline zero where the network is linear. The
    base value is the output at s = 0, so that `completeness_error` shows the nonlinear
    remainder. A coefficient that is 0 scores 0 by construction, however much the
    network uses it.

    In ReLU networks it equals layer-wise relevance propagation without epsilon
    :footcite:p:`ancona2018gradient`. captum's ``InputXGradient`` is the same for real
    inputs; for complex ones it gives ``z * g`` where the first-order share is the real
    part of ``conj(z) * g`` (the coefficients here are always real).

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3). The output is 6, but the scores add up to 12:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> explanation = transform_importance(Product(), x, scorer="input_x_gradient")
    >>> explanation.values
    array([[6., 6.]], dtype=float32)
    >>> explanation.completeness_error
    array([6.], dtype=float32)
    """

    additive = True
    differentiable = True

    def attribute(self, model, s, groups, target):
        """Score groups; see `Scorer.attribute`."""
        gradient = gradient_at(model, target)
        values = groups.aggregate(gradient * s).movedim(0, -1)
        return Attribution(values, output_at(model, target, model.zero_baseline()))


class _PathGradients(FromBaseline):
    """Gradients integrated along straight paths from baseline rows, averaged."""

    complete = True
    differentiable = True
    n_steps: int
    absolute = False

    @property
    def additive(self) -> bool:
        """Whether group scores are sums over coefficients."""
        return not self.absolute

    def attribute(self, model, s, groups, target, *, background=None):
        """Score groups; see `Scorer.attribute`."""
        check_positive(self.n_steps, "n_steps")
        rows = self.baseline_rows(model, background)
        values = []
        for row in rows:
            gradient = path_gradient(model, row, target, self.n_steps)
            score = groups.aggregate(gradient * (s - row))
            values.append(score.abs() if self.absolute else score)
        mean = torch.stack(values).mean(0).movedim(0, -1)
        base = None if self.absolute else output_at(model, target, rows)
        return Attribution(mean, base)


class IntegratedGradients(_PathGradients):
    r"""Gradients integrated along the straight line from a baseline.

    .. math::

       \phi_g = \sum_k M_{gk} \, (s_k - b_k)
                \int_0^1 \frac{\partial F}{\partial s_k}
                \bigl(b + \alpha (s - b)\bigr) \, d\alpha,

    where :math:`F` is the explained output as a function of the coefficients :math:`s`,
    :math:`b` the baseline and :math:`M_{gk}` the weight of coefficient k in group g. A
    high score says that the output rises as the group goes from the baseline to its
    value while the others do likewise. In units of the output; summed over all
    coefficients, scores are :math:`F(s) - F(b)`.

    Parameters
    ----------
    n_steps : int, default=32
        Quadrature points.
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        Where the path starts, in coefficients; "mean" is the mean of the background,
        "rows" are all of its rows. An array of shape (n_coefficients,) or
        (n_rows, n_coefficients); several rows are averaged over.

    See Also
    --------
    ExpectedGradients : Averaged over background rows.
    DeepLift : Complete too, for the price of one backward pass.
    Shapley : The average over all paths along the axes, group by group.

    Notes
    -----
    The method is that of :footcite:t:`sundararajan2017ig`, with Gauss-Legendre
    quadrature (they use a Riemann sum; captum has both, 50 points by default). The base
    value is :math:`F(b)`, and the error of the quadrature is the `completeness_error`
    of the explanation; above 1 % of the largest difference explained a warning is
    given. Jumps of the gradient on the way, as at a ReLU, make the error fall only
    about as 1 / `n_steps`.

    The baseline is part of the question: zero asks what is due to the coefficients
    being there, "mean" what is due to their difference from the mean. Where
    :math:`T^{-1}` is affine the path is straight in signal space too, and the residual
    stays as it is all along.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3): both factors are needed, so each gets half.

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import IntegratedGradients
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> explanation = transform_importance(Product(), x, scorer=IntegratedGradients())
    >>> explanation.values.round(4)
    array([[3., 3.]], dtype=float32)
    >>> explanation.base_values
    array([0.], dtype=float32)
    """

    def __init__(self, n_steps=32, baseline="zero"):
        self.n_steps = n_steps
        self.baseline = baseline


class ExpectedGradients(_PathGradients):
    r"""Integrated gradients averaged over background rows.

    .. math::

       \phi_g = \frac{1}{R} \sum_{r=1}^{R} \sum_k M_{gk} \, (s_k - b_k^r)
                \int_0^1 \frac{\partial F}{\partial s_k}
                \bigl(b^r + \alpha (s - b^r)\bigr) \, d\alpha,

    where :math:`F` is the explained output as a function of the coefficients :math:`s`,
    :math:`b^r` the R background rows and :math:`M_{gk}` the weight of coefficient k in
    group g. A high score says that the output is higher for having this group rather
    than a typical row's. In units of the output; summed over all coefficients, scores
    are :math:`F(s)` minus the mean of :math:`F(b^r)`, the base value.

    Parameters
    ----------
    n_rows : int, default=16
        Background rows used, the same for every sample; all where there are fewer.
    n_steps : int, default=4
        Gauss-Legendre points on each path.
    absolute : bool, default=False
        Take the absolute value of a group's score for each background row before
        averaging: how much the group matters, whichever way. Scores are then neither
        additive nor complete.

    See Also
    --------
    IntegratedGradients : One baseline.
    GradientShap : One random point on each path.

    Notes
    -----
    The expectation is that of :footcite:t:`erion2021expected`. They draw a row and a
    point on its path at random for each term, as `GradientShap` does and as the
    ``GradientExplainer`` of shap; here every path is integrated, so that nothing but
    the choice of rows is random. What four points for each path miss, averaged over
    rows, is the `completeness_error`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3), against the rows (0, 0) and (2, 0): given that the first
    factor is often there, the second gets more.

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x, rows = np.array([[2.0, 3.0]]), np.array([[0.0, 0.0], [2.0, 0.0]])
    >>> transform_importance(
    ...     Product(), x, scorer="expected_gradients", background=rows
    ... ).values.round(4)
    array([[1.5, 4.5]], dtype=float32)
    """

    baseline = "rows"

    def __init__(self, n_rows=16, n_steps=4, absolute=False):
        self.n_rows = n_rows
        self.n_steps = n_steps
        self.absolute = absolute


class GradientShap(FromBaseline):
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
    differentiable = True

    def __init__(self, n_points=16, baseline="rows", absolute=False):
        self.n_points = n_points
        self.baseline = baseline
        self.absolute = absolute

    @property
    def additive(self) -> bool:
        """Whether group scores are sums over coefficients."""
        return not self.absolute

    def attribute(
        self, model, s, groups, target, *, background=None, random_state=None
    ):
        """Score groups; see `Scorer.attribute`."""
        check_positive(self.n_points, "n_points")
        rows = self.baseline_rows(model, background)[: self.n_points]
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
        base = None if self.absolute else output_at(model, target, rows)
        return Attribution(scores.mean(0), base, errors)


class SmoothGrad(Scorer):
    r"""Gradient averaged over noise added to the coefficients.

    .. math::

       \phi_g = \frac{1}{n} \sum_{i=1}^{n} \sum_k M_{gk} \,
                \frac{\partial F}{\partial s_k}(s + \varepsilon^i),
       \qquad \varepsilon_k^i \sim \mathcal{N}(0, \lambda^2 \sigma_k^2),

    where :math:`F` is the explained output as a function of the coefficients :math:`s`,
    :math:`M_{gk}` the weight of coefficient k in group g, :math:`\sigma_k` the standard
    deviation of coefficient k over the background and :math:`\lambda` the
    `noise_level`. A high score says that the output would rise with the group, in a
    neighbourhood of the sample. Units: the output's, per unit of a coefficient.

    Parameters
    ----------
    n_draws : int, default=32
        Noise draws, the same for every sample.
    noise_level : float, default=0.15
        Standard deviation of the noise, as a share of each coefficient's standard
        deviation over the background; 0 gives the plain gradient.

    See Also
    --------
    Gradient : Without noise.

    Notes
    -----
    The method is that of :footcite:t:`smilkov2017smoothgrad`. Their noise has one
    standard deviation for all pixels, a share of the range of the image (.1 to .2 of
    it); here it is in proportion to each coefficient, since those of one transform may
    differ by orders of magnitude. captum's ``NoiseTunnel`` takes an absolute standard
    deviation. There is no base value.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A ramp that ends at .5 is flat at .6, its neighbourhood is not:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import SmoothGrad
    >>> class Ramp(torch.nn.Module):
    ...     def forward(self, x):
    ...         return (x + 0.5).clamp(0, 1).sum(1, keepdim=True)
    >>> x, rows = np.array([[0.6]]), np.array([[-1.0], [1.0]])
    >>> smooth = SmoothGrad(n_draws=1000, noise_level=0.5)
    >>> transform_importance(Ramp(), x, scorer="gradient").values
    array([[0.]], dtype=float32)
    >>> bool(
    ...     transform_importance(
    ...         Ramp(), x, scorer=smooth, background=rows, random_state=0
    ...     ).values > 0.3
    ... )
    True
    """

    additive = True
    differentiable = True
    needs_background = True
    is_random = True

    def __init__(self, n_draws=32, noise_level=0.15):
        self.n_draws = n_draws
        self.noise_level = noise_level

    def attribute(
        self, model, s, groups, target, *, background=None, random_state=None
    ):
        """Score groups; see `Scorer.attribute`."""
        check_positive(self.n_draws, "n_draws")
        if not self.noise_level >= 0:
            raise ValueError(f"noise_level={self.noise_level!r}; expected at least 0.")
        scale = baseline_rows("rows", model, background).std(0, correction=0)
        rng = np.random.default_rng(random_state)
        noise = torch.as_tensor(rng.standard_normal((self.n_draws, s.shape[1]))).to(s)
        noise = self.noise_level * scale * noise[:, None]
        weights = s.new_full((self.n_draws,), 1 / self.n_draws)
        gradient = coefficient_gradients(
            model, lambda part: s + noise[part], weights, target
        )
        return groups.aggregate(gradient).movedim(0, -1)


@lru_cache(maxsize=32)
def _quadrature(n_steps: int):
    """Return Gauss-Legendre nodes and weights on [-1, 1]."""
    return roots_legendre(n_steps)


def path_gradient(model, row, target, n_steps) -> torch.Tensor:
    """Mean gradient from a baseline row to s, shape (n_targets, n, n_coefficients)."""
    nodes, weights = _quadrature(n_steps)
    s = model.s
    alphas = torch.as_tensor((nodes + 1) / 2).to(s)[:, None, None]
    weights = torch.as_tensor(weights / 2).to(s)

    def points(part):
        return row + alphas[part] * (s - row)

    return coefficient_gradients(model, points, weights, target, between=(row,))


def _gradient_between(model, row, share, target) -> torch.Tensor:
    """Gradient at a share of the way from a row, (n_targets, n, n_coefficients)."""
    point = torch.lerp(row, model.s, share)
    one = point.new_ones(1)
    return coefficient_gradients(
        model, lambda _: point[None], one, target, between=(point,)
    )
