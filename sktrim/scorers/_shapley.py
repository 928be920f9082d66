"""Shapley values of groups, exact or from sampled permutations."""

import numpy as np
import torch
from scipy.special import gammaln

from sktrim._memory import chunks
from sktrim.scorers._baselines import FromBaseline, check_positive
from sktrim.scorers._coalitions import Subsets, scores_of


class Shapley(FromBaseline):
    r"""Mean change of the output when a group joins others, over all orders.

    .. math::

       \phi_g = \sum_{S \subseteq G \setminus \{g\}}
                \frac{|S|! \, (n - |S| - 1)!}{n!}
                \bigl[ v(S \cup \{g\}) - v(S) \bigr],
       \qquad
       v(S) = F\bigl(s - a_S \odot (s - b)\bigr),

    where :math:`G` are the n groups, :math:`F` is the explained output as a function of
    the coefficients :math:`s`, :math:`b` the baseline and :math:`a_S` the share of each
    coefficient that is absent where only the groups of S are there: the sum of its
    weights over the other groups, at most 1. A high score says that the output rises as
    the group joins, whoever is there before. In units of the output; scores sum to
    :math:`v(G) - v(\emptyset)`, and :math:`v(\emptyset)` is the base value.

    Parameters
    ----------
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        What replaces absent groups: zeros, the background's mean, each of the
        background's first `n_rows` rows in turn (scores are averaged), or rows of
        one's own, of shape (n_coefficients,) or (n_rows, n_coefficients).
    n_rows : int, default=8
        Background rows for ``baseline="rows"``.
    interactions : bool, default=False
        Also return what pairs of groups give beyond the two, as
        ``metadata["interactions"]`` of shape (n_samples, n_groups, n_groups[,
        n_targets]), diagonal 0; only where values are exact.
    max_exact : int, default=12
        With more groups than this, orders are sampled; the cost of exact values
        doubles with every group.
    n_permutations : int, default=32
        Orders drawn, in pairs, the same for every sample; an even number. Each costs
        as many network rows as there are groups.

    See Also
    --------
    KernelShap : The same values by regression on subsets.
    IntegratedGradients : Complete too, along one straight path.

    Notes
    -----
    The values are those of :footcite:t:`shapley1953value` with the groups as players,
    and the only ones that are complete, symmetric, linear in the output and 0 for a
    group that changes nothing. All subsets are evaluated up to `max_exact` groups.
    Beyond, orders are drawn :footcite:p:`castro2009sampling` in antithetic pairs, one
    the reverse of the other :footcite:p:`mitchell2022permutations`, and the Explanation
    holds standard errors, from the spread over pairs. Base value plus scores is the
    output either way.

    An absent group is replaced whatever the present ones are: correlations between
    groups are broken ("interventional" values). Coefficients in no group stay as they
    are, and so does the residual. shap averages over a background by default, which is
    ``baseline="rows"`` here; its players are single features unless it is told
    otherwise.

    Groups with parents (`FeatureGroups.with_parents`) get Owen's values
    :footcite:p:`owen1977values`: orders count in which the groups of each parent join
    one after the other, so that the scores of a parent's groups add up to the Shapley
    value of the parent. The interaction of a pair is the index of
    :footcite:t:`grabisch1999interaction`,

    .. math::

       I_{gh} = \sum_{S \subseteq G \setminus \{g, h\}}
                \frac{|S|! \, (n - |S| - 2)!}{(n - 1)!}
                \bigl[ v(S \cup \{g, h\}) - v(S \cup \{g\}) - v(S \cup \{h\})
                + v(S) \bigr],

    whatever the parents.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a product, at (2, 3): both factors are needed, so each gets half.

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> transform_importance(Product(), x, scorer="shapley").values
    array([[3., 3.]], dtype=float32)
    """

    complete = True
    needs_gradient = False
    is_random = True

    def __init__(
        self,
        baseline="zero",
        n_rows=8,
        max_exact=12,
        n_permutations=32,
        interactions=False,
    ):
        self.interactions = interactions
        self.baseline = baseline
        self.n_rows = n_rows
        self.max_exact = max_exact
        self.n_permutations = n_permutations

    @torch.no_grad()
    def attribute(
        self, model, s, groups, target, *, background=None, random_state=None
    ):
        """Score groups; see `Scorer.attribute`."""
        self._check()
        rows = self.baseline_rows(model, background)
        n_groups = len(groups)
        parents = groups.parents
        if n_groups <= self.max_exact:
            points = Subsets(n_groups)
            solve = _exact(n_groups, parents, self.interactions)
        elif self.interactions:
            raise ValueError(
                f"interactions=True needs exact values, and {n_groups} groups are more "
                f"than max_exact={self.max_exact}; take fewer groups, or "
                "ContextualDecomposition(interactions=True)."
            )
        else:
            n_pairs = self.n_permutations // 2
            ranks = _draw_ranks(n_groups, n_pairs, random_state, parents)
            points, solve = _Prefixes(ranks), _sampled(ranks)
        return scores_of(solve, model, groups, target, rows, points)

    @torch.no_grad()
    def attribute_sets(
        self, model, s, sets, groups, target, *, background=None, random_state=None
    ):
        """Score sets of groups as single players; see `Scorer.attribute_sets`."""
        self._check()
        rows = self.baseline_rows(model, background)
        before = _drawn_before(sets.shape[2], self.n_permutations, random_state)
        before = torch.as_tensor(before).to(sets)
        at_once = max(1, model.rows_at_once() // (2 * len(s)))

        def value(present):
            share = groups.spread(1 - present).clamp(max=1)
            runs = [target(model(model.s - share * (model.s - row))) for row in rows]
            return torch.stack(runs).mean(0)

        total: torch.Tensor = s.new_zeros(len(sets), len(s), target.n_targets)
        for some in chunks(len(sets), at_once):
            for others in before:
                absent = others * (1 - sets[some])
                total[some] += value(absent + sets[some]) - value(absent)
        return total / len(before)

    def _check(self) -> None:
        check_positive(self.n_permutations, "n_permutations")
        if self.n_permutations % 2 or self.n_permutations < 4:
            raise ValueError(
                f"n_permutations={self.n_permutations}; expected an even number of at "
                "least 4: orders come in pairs, and a standard error needs two pairs."
            )
        if not 0 <= self.max_exact <= 24:
            raise ValueError(
                f"max_exact={self.max_exact}; expected 0 to 24: 2 ** max_exact subsets "
                "are evaluated per sample."
            )


def shapley_weights(n_players: int) -> np.ndarray:
    """Return the matrix that takes values of all `Subsets` to Shapley values."""
    # of shape (n_players, 2**n_players)
    inside = Subsets(n_players)[:]
    size = inside.sum(axis=1, keepdims=True)
    log = gammaln(n_players + 1)
    joined = np.exp(gammaln(size.clip(1)) + gammaln(n_players - size + 1) - log)
    missed = np.exp(gammaln(size + 1) + gammaln((n_players - size).clip(1)) - log)
    return np.where(inside == 1, joined, -missed).T


def owen_weights(parents: np.ndarray) -> np.ndarray:
    """Return the matrix that takes values of all `Subsets` to Owen's values."""
    n_players, n_parents = len(parents), parents.max() + 1
    inside = Subsets(n_players)[:].astype(bool)
    own = parents == np.arange(n_parents)[:, None]
    # how many of each parent are there, and whether all or none
    counts = inside @ own.T.astype(float)
    sizes = own.sum(axis=1)
    settled = (counts == 0) | (counts == sizes)
    n_whole = (counts == sizes).sum(axis=1)
    weights = np.zeros((n_players, len(inside)))
    codes = np.arange(len(inside))
    for g, parent in enumerate(parents):
        rest = np.delete(settled, parent, axis=1).all(axis=1)
        before = np.flatnonzero(rest & ~inside[:, g])
        within = counts[before, parent]
        share = _share(within, sizes[parent]) * _share(n_whole[before], n_parents)
        weights[g, before] -= share
        weights[g, codes[before] + 2**g] += share
    return weights


def _share(before: np.ndarray, count: int) -> np.ndarray:
    """Return the share of orders of `count` in which so many come before one."""
    logs = gammaln(before + 1) + gammaln(count - before) - gammaln(count + 1)
    return np.exp(logs)


def _pairs(n_players: int, values: torch.Tensor) -> torch.Tensor:
    """Return the indices of pairs, (n, n, ...), of values (2**n, ...) of all `Subsets`.

    One pair after the other: weights of all at once are n * n times as many as subsets.
    """
    inside = Subsets(n_players)[:]
    size = inside.sum(axis=1)
    found = values.new_zeros(n_players, n_players, *values.shape[1:])
    for g in range(n_players):
        for h in range(g):
            first, second = inside[:, g], inside[:, h]
            share = _share(size - first - second, n_players - 1)
            weights = torch.as_tensor((2 * first - 1) * (2 * second - 1) * share)
            index = torch.tensordot(weights.to(values), values, dims=1)
            found[g, h] = found[h, g] = index
    return found


def _exact(n_groups: int, parents: np.ndarray | None, interactions: bool):
    """Make scores, base values and no errors of outputs at all subsets."""
    own = shapley_weights(n_groups) if parents is None else owen_weights(parents)
    weights = torch.as_tensor(own)

    def solve(values):
        scores = torch.tensordot(weights.to(values), values, dims=1)
        found = scores.movedim(0, 1), values[0], None
        if not interactions:
            return found
        return *found, {"interactions": _pairs(n_groups, values).movedim(2, 0)}

    return solve


def _draw_ranks(
    n_groups: int, n_pairs: int, seed, parents: np.ndarray | None = None
) -> np.ndarray:
    """Draw each group's place in orders and their reverses, (2 n_pairs, n_groups)."""
    rng = np.random.default_rng(seed)
    drawn = rng.random((n_pairs, n_groups))
    ranks = np.argsort(drawn, axis=1)
    if parents is not None:
        # the groups of a parent follow each other
        places = np.tile(np.arange(parents.max() + 1), (n_pairs, 1))
        drawn += rng.permuted(places, axis=1)[:, parents]
        ranks = np.argsort(np.argsort(drawn, axis=1), axis=1)
    return np.concatenate([ranks, n_groups - 1 - ranks])


def _drawn_before(n_groups: int, n_orders: int, seed) -> np.ndarray:
    """Draw which groups come before a player in orders, (n_orders, n_groups)."""
    # those of uniform times earlier than the player's, in antithetic pairs
    rng = np.random.default_rng(seed)
    own = (np.arange(n_orders // 2) + rng.random(n_orders // 2)) / (n_orders // 2)
    earlier = rng.random((n_orders // 2, n_groups)) < own[:, None]
    return np.concatenate([earlier, ~earlier]).astype(float)


class _Prefixes:
    """The empty set, the set of all, and the beginnings of every order between."""

    def __init__(self, ranks: np.ndarray):
        self.ranks = ranks
        self.n_between = ranks.shape[1] - 1

    def __len__(self) -> int:
        return 2 + len(self.ranks) * self.n_between

    def __getitem__(self, some: slice) -> np.ndarray:
        index = np.arange(*some.indices(len(self)))
        order, length = np.divmod(index - 2, max(1, self.n_between))
        n_groups = self.ranks.shape[1]
        length = np.where(index < 2, n_groups * index, length + 1)
        return (self.ranks[order.clip(0)] < length[:, None]).astype(float)


def _sampled(ranks: np.ndarray):
    """Make scores, base values and standard errors of outputs along the orders."""
    n_orders, n_groups = ranks.shape
    ranks_ = torch.as_tensor(ranks)

    def solve(values):
        between = values[2:].reshape(n_orders, n_groups - 1, *values.shape[1:])
        first, last = (end.expand(n_orders, 1, *end.shape) for end in values[:2])
        steps = torch.cat([first, between, last], dim=1).diff(dim=1)
        gains = torch.stack([s[r.to(s.device)] for s, r in zip(steps, ranks_)])  # noqa: B905
        pairs = (gains[: n_orders // 2] + gains[n_orders // 2 :]) / 2
        error = pairs.std(dim=0) / len(pairs) ** 0.5
        return pairs.mean(0).movedim(0, 1), values[0], error.movedim(0, 1)

    return solve
