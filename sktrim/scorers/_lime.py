"""LIME: a sparse linear model of the network around the explained coefficients."""

import numpy as np
import torch
from sklearn.linear_model import Ridge, lars_path_gram

from sktrim.scorers._baselines import FromBaseline, check_positive
from sktrim.scorers._coalitions import scores_of


class Lime(FromBaseline):
    r"""Weights of a local linear model of the output in the amounts of groups.

    .. math::

       w = \arg\min_w \frac{1}{2n} \sum_{i=1}^{n} \pi_i
           \bigl[ F(s(z^i)) - \bar F - w \cdot (z^i - 1) \bigr]^2
           + \lambda \lVert w \rVert_1,
       \qquad
       \pi_i \propto e^{-d_i^2 / h^2},

    where :math:`z^i` are drawn amounts of the groups around 1,
    :math:`s(z) = s - a(z) \odot (s - b)` the coefficients with
    :math:`a_k(z) = \sum_g M_{gk} (1 - z_g)` of each replaced by the baseline :math:`b`,
    :math:`F` the explained output as a function of them, :math:`\bar F` its weighted
    mean, :math:`d_i` the root mean square of :math:`z^i - 1` in units of `radius`, and
    h the `kernel_width`. The K groups of largest weight are kept, a ridge regression on
    these gives the weights again, and the score is weight times amount, 1. A high score
    says that the output falls as the group fades. In units of the output.

    Parameters
    ----------
    n_selected : int or None, default=10
        K: groups that get a score, the others get 0. None: all.
    radius : float, default=0.5
        Standard deviation of the drawn amounts around 1.
    n_draws : int, default=512
        Points drawn, in pairs opposite to each other, the same for every sample; an
        even number.
    penalty : float or None, default=None
        Lambda of the Lasso, in units of the output. None: follow the Lasso path until
        K groups have joined. A number: of the Lasso's weights at this penalty the K
        largest are kept.
    ridge : float, default=1e-3
        Penalty of the last regression, whose amounts are in units of `radius`.
    kernel_width : float, default=0.75
        Width of the kernel exp(-d^2 / width^2), where d is the root mean square
        distance over groups in units of `radius`.
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        Amount 0 of every group; see `Shapley`.
    n_rows : int, default=8
        Background rows for ``baseline="rows"``.

    See Also
    --------
    InputTimesGradient : What it tends to as `radius` shrinks, with baseline zero.
    KernelShap : A linear model with the kernel that gives Shapley values.

    Notes
    -----
    After :footcite:t:`ribeiro2016lime`, K-Lasso included. Their points are on and off
    (words, patches of an image), and the explained one is the corner where all are on;
    here amounts are drawn on both sides of the explained point, which is then the
    centre of the fit, and no signal is far from it.

    The base value is the linear model's at amount 0 of all groups, and
    `completeness_error` how far the linear model is from the network at the point.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3), the slopes in the amounts:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> explanation = transform_importance(Product(), x, scorer="lime", random_state=0)
    >>> explanation.values.round(2)
    array([[6., 6.]], dtype=float32)
    """

    needs_gradient = False
    is_random = True

    def __init__(
        self,
        n_selected=10,
        radius=0.5,
        n_draws=512,
        penalty=None,
        ridge=1e-3,
        kernel_width=0.75,
        baseline="zero",
        n_rows=8,
    ):
        self.n_selected = n_selected
        self.radius = radius
        self.n_draws = n_draws
        self.penalty = penalty
        self.ridge = ridge
        self.kernel_width = kernel_width
        self.baseline = baseline
        self.n_rows = n_rows

    @torch.no_grad()
    def attribute(
        self, model, s, groups, target, *, background=None, random_state=None
    ):
        """Score groups; see `Scorer.attribute`."""
        self._check(len(groups))
        rng = np.random.default_rng(random_state)
        half = rng.standard_normal((self.n_draws // 2, len(groups)))
        draws = np.concatenate([half, -half])
        distance = (draws**2).mean(axis=1) / self.kernel_width**2
        kernel = np.exp(distance.min() - distance)
        kernel *= len(kernel) / kernel.sum()
        rows = self.baseline_rows(model, background)
        points = 1 + self.radius * draws

        def solve(outputs):
            flat = outputs.flatten(1).cpu().numpy()
            weights, level = self._regress(draws, flat, kernel)
            values, base = (
                torch.as_tensor(part).unflatten(-1, outputs.shape[1:])
                for part in (weights, level - weights.sum(axis=0))
            )
            return values.movedim(0, 1), base

        return scores_of(solve, model, groups, target, rows, points, clip=False)

    def _check(self, n_groups: int) -> None:
        check_positive(self.n_draws, "n_draws")
        if self.n_selected is not None:
            check_positive(self.n_selected, "n_selected")
        if self.n_draws % 2 or self.n_draws <= 2 * n_groups:
            raise ValueError(
                f"n_draws={self.n_draws} for {n_groups} groups; expected an even "
                f"number above {2 * n_groups}: draws come in pairs, and a regression "
                "needs more pairs than groups."
            )
        for name in ("radius", "kernel_width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r}; expected above 0.")
        for name in ("penalty", "ridge"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name}={value!r}; expected at least 0.")

    def _regress(self, draws, outputs, kernel):
        """Weights per amount (n_groups, n_columns) and levels (n_columns,) at s."""
        level = np.average(outputs, axis=0, weights=kernel)
        outputs = outputs - level
        n_groups = draws.shape[1]
        weights = np.zeros((n_groups, outputs.shape[1]))
        chosen = self._select(draws, outputs, kernel)
        for picked in np.unique(chosen, axis=1).T:
            columns = (chosen == picked[:, None]).all(axis=0)
            if not picked.any():
                continue
            # centred draws, as pairs are: no intercept is needed
            line = Ridge(self.ridge, fit_intercept=False, solver="cholesky")
            line.fit(draws[:, picked], outputs[:, columns], sample_weight=kernel)
            weights[np.ix_(picked, columns)] = np.atleast_2d(line.coef_).T
        return weights / self.radius, level

    def _select(self, draws, outputs, kernel) -> np.ndarray:
        """Which groups each column of outputs picks, (n_groups, n_columns)."""
        n_groups = draws.shape[1]
        most = n_groups if self.n_selected is None else min(self.n_selected, n_groups)
        if most == n_groups and self.penalty is None:
            return np.ones((n_groups, outputs.shape[1]), dtype=bool)
        amounts = self.radius * draws
        gram = amounts.T @ (kernel[:, None] * amounts)
        products = amounts.T @ (kernel[:, None] * outputs)
        chosen = np.zeros((n_groups, outputs.shape[1]), dtype=bool)
        for column, product in enumerate(products.T):
            path = _lasso_path(product, gram, len(draws), self.penalty or 0.0)
            chosen[:, column] = _pick(path, most, self.penalty is None)
        return chosen


def _lasso_path(product, gram, n_draws, penalty) -> np.ndarray:
    """Weights (n_groups, n_knots) at the knots of the path down to a penalty."""
    if not np.abs(product).max() > 0:
        return np.zeros((len(product), 1))
    _, _, path = lars_path_gram(
        product, gram, n_samples=n_draws, method="lasso", alpha_min=penalty
    )
    return path


def _pick(path, most: int, along_path: bool) -> np.ndarray:
    """Pick the groups of the longest path within `most`, or the largest weights."""
    active = path != 0
    if along_path:
        return active[:, np.flatnonzero(active.sum(axis=0) <= most)[-1]]
    size = np.abs(path[:, -1])
    largest = np.zeros(len(size), dtype=bool)
    largest[np.argsort(-size, kind="stable")[:most]] = True
    return largest & (size > 0)
