"""Shapley values of groups as a weighted regression on subsets."""

from itertools import combinations

import numpy as np
import torch
from scipy.special import binom
from sklearn.linear_model import LinearRegression

from sktrim.scorers._baselines import FromBaseline, check_positive
from sktrim.scorers._coalitions import Subsets, scores_of


class KernelShap(FromBaseline):
    r"""Shapley values by regression of the output on the presence of groups.

    .. math::

       \min_\phi \sum_{\emptyset \ne S \subsetneq G} \pi(|S|)
       \Bigl[ v(S) - v(\emptyset) - \sum_{g \in S} \phi_g \Bigr]^2
       \quad \text{with} \quad \sum_{g \in G} \phi_g = v(G) - v(\emptyset),
       \qquad
       \pi(m) = \frac{n - 1}{\binom{n}{m} \, m \, (n - m)},

    where :math:`v(S)` is the explained output with only the groups of S present, the
    others replaced by the baseline as in `Shapley`, and n the number of groups G. A
    high score says that the output rises as the group joins others. In units of the
    output; :math:`v(\emptyset)` is the base value.

    Parameters
    ----------
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        What replaces absent groups; see `Shapley`.
    n_rows : int, default=8
        Background rows for ``baseline="rows"``.
    n_subsets : int or None, default=None
        Subsets evaluated, at most; None: 2 n_groups + 2048.

    See Also
    --------
    Shapley : Exact up to twelve groups, with standard errors beyond.
    Lime : A local linear model, with another kernel.

    Notes
    -----
    The kernel is that of :footcite:t:`lundberg2017shap`. With it the least squares are
    exactly the Shapley values where all subsets are evaluated, which they are by
    default up to eleven groups. Beyond, sizes of subsets are taken whole from the
    outside in while they fit, the rest is drawn in complementary pairs, which lower the
    variance :footcite:p:`covert2021kernelshap`. One regression serves all samples, and
    all scores share the drawn subsets.

    The ``KernelExplainer`` of shap proceeds alike, with as many subsets; by default it
    first lets a Lasso choose features, which is left out here.

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
    >>> transform_importance(Product(), x, scorer="kernel_shap").values.round(4)
    array([[3., 3.]], dtype=float32)
    """

    complete = True
    needs_gradient = False
    is_random = True

    def __init__(self, baseline="zero", n_rows=8, n_subsets=None):
        self.baseline = baseline
        self.n_rows = n_rows
        self.n_subsets = n_subsets

    @torch.no_grad()
    def attribute(
        self, model, s, groups, target, *, background=None, random_state=None
    ):
        """Score groups; see `Scorer.attribute`."""
        n_subsets = 2 * len(groups) + 2048
        if self.n_subsets is not None:
            check_positive(self.n_subsets, "n_subsets")
            n_subsets = max(self.n_subsets, 2 * len(groups))
        rng = np.random.default_rng(random_state)
        subsets, weights = choose_subsets(len(groups), n_subsets, rng)
        ends = np.repeat([[0.0], [1.0]], len(groups), axis=1)
        points = np.concatenate([ends, subsets])
        rows = self.baseline_rows(model, background)

        def solve(outputs):
            scores = _solve(subsets, weights, outputs.cpu().numpy())
            return torch.as_tensor(scores), outputs[0]

        return scores_of(solve, model, groups, target, rows, points)


def choose_subsets(
    n_players: int, n_subsets: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose subsets other than none and all, and their weights in the regression."""
    # rows of 0 and 1 (n_chosen, n_players), at most `n_subsets` (one more where an odd
    # number would break a pair)
    if 2**n_players - 2 <= n_subsets:
        subsets = Subsets(n_players)[1:-1]
        sizes = subsets.sum(axis=1).astype(int)
        return subsets, _kernel(n_players)[sizes] / binom(n_players, sizes)
    kernel, half = _kernel(n_players), n_players // 2
    whole, whole_weights, size, left = [], [], 1, n_subsets // 2
    while size < half:
        count, rest = binom(n_players, size), kernel[size : n_players - size + 1].sum()
        # a size is taken whole once draws would be expected to cover it
        if count > left * 2 * kernel[size] / rest:
            break
        whole.append(_of_size(n_players, size))
        whole_weights.append(np.full(len(whole[-1]), kernel[size] / count))
        left -= len(whole[-1])
        size += 1
    n_drawn = max(1, left)
    drawn = _draw(n_players, size, n_drawn, kernel, rng)
    rest = kernel[size : n_players - size + 1].sum() / 2
    subsets = np.concatenate([*whole, drawn])
    weights = np.concatenate([*whole_weights, np.full(n_drawn, rest / n_drawn)])
    return np.concatenate([subsets, 1 - subsets]), np.tile(weights, 2)


def _kernel(n_players: int) -> np.ndarray:
    """Total weight of all subsets of each size; 0 for none and all."""
    sizes = np.arange(1, n_players)
    kernel = np.zeros(n_players + 1)
    kernel[1:-1] = (n_players - 1) / (sizes * (n_players - sizes))
    return kernel


def _of_size(n_players: int, size: int) -> np.ndarray:
    """Return all subsets of a size."""
    members = np.array(list(combinations(range(n_players), size)))
    subsets = np.zeros((len(members), n_players))
    np.put_along_axis(subsets, members, 1.0, axis=1)
    return subsets


def _draw(n_players: int, smallest: int, n_drawn: int, kernel, rng) -> np.ndarray:
    """Draw subsets of the sizes that were not taken whole, sizes by their kernel."""
    sizes = np.arange(smallest, n_players - smallest + 1)
    chance = kernel[sizes] / kernel[sizes].sum()
    size = rng.choice(sizes, n_drawn, p=chance)
    ranks = np.argsort(rng.random((n_drawn, n_players)), axis=1)
    return (ranks < size[:, None]).astype(float)


def _solve(subsets, weights, values) -> np.ndarray:
    """Regress under the constraint, shape (n_samples, n_groups, n_targets)."""
    empty, full, inner = values[0], values[1], values[2:]
    n_groups, shape = subsets.shape[1], empty.shape
    whole = (full - empty).ravel()
    if n_groups == 1:
        return whole.reshape(shape[0], 1, shape[1])
    last = subsets[:, -1:]
    gained = (inner - empty).reshape(len(inner), -1) - last * whole
    line = LinearRegression(fit_intercept=False)
    line.fit(subsets[:, :-1] - last, gained, sample_weight=weights)
    scores = np.atleast_2d(line.coef_).T
    scores = np.concatenate([scores, whole[None] - scores.sum(axis=0, keepdims=True)])
    return np.moveaxis(scores.reshape(n_groups, *shape), 0, 1)
