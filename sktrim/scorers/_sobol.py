"""Total Sobol indices: how much of the output's variance a group is part of."""

import numpy as np
import torch
from scipy.stats import qmc

from sktrim.scorers._baselines import FromBaseline, check_positive
from sktrim.scorers._coalitions import scores_of


class Sobol(FromBaseline):
    r"""Share of the output's variance that a group has part in, as amounts vary.

    .. math::

       S_g = \frac{1}{2 n \, \mathrm{Var} F(A)} \sum_{i=1}^{n}
             \bigl( F(A_i) - F(C_i^g) \bigr)^2, \qquad
       F(a) = f'\Bigl( s - \sum_g (1 - a_g) \, M_g \odot (s - b) \Bigr),

    for n amounts :math:`A_i` in [0, 1] of every group, and :math:`C_i^g`, which differ
    from them in the amount of group g alone. A high score says that the output moves
    with the amount of the group, by itself or together with others, whichever way. In
    units of the output's variance: scores are not negative, and sum to 1 where groups
    do not interact, to more where they do.

    Parameters
    ----------
    n_designs : int, default=32
        n. Each costs as many network rows as there are groups, and one more.
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        What stands in for what is absent: see `Shapley`; outputs are averaged over
        several rows.
    n_rows : int, default=8
        Background rows for ``baseline="rows"``.

    See Also
    --------
    Shapley : The output itself shared out, with signs.
    Occlusion : One amount alone, 0.

    Notes
    -----
    The indices are Sobol's :footcite:p:`sobol2001indices`, estimated as in
    :footcite:t:`jansen1999sobol` at points of a scrambled Halton sequence;
    :footcite:t:`fel2023craft` rank concepts by them. Where the output does not change
    the scores are 0. The sampling error is of the order of :math:`1 / \sqrt n`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Of a linear unit the shares are those of the squared contributions:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import Sobol
    >>> net = torch.nn.Linear(2, 1)
    >>> torch.nn.utils.vector_to_parameters(torch.tensor([1.0, 2, 0]), net.parameters())
    >>> X, scorer = np.ones((1, 2)), Sobol(n_designs=512)
    >>> found = transform_importance(net, X, scorer=scorer, random_state=0)
    >>> found.values.round(1)
    array([[0.2, 0.8]], dtype=float32)
    """

    needs_gradient = False
    is_random = True

    def __init__(self, n_designs=32, baseline="zero", n_rows=8):
        self.n_designs = n_designs
        self.baseline = baseline
        self.n_rows = n_rows

    @torch.no_grad()
    def attribute(
        self, model, s, groups, target, *, background=None, random_state=None
    ):
        """Score groups; see `Scorer.attribute`."""
        check_positive(self.n_designs, "n_designs")
        rows, n_groups = self.baseline_rows(model, background), len(groups)
        points = _Designs(n_groups, self.n_designs, random_state)
        return scores_of(points.indices, model, groups, target, rows, points)


class _Designs:
    """The amounts A and, group by group, C, made when asked."""

    def __init__(self, n_groups: int, n_designs: int, seed) -> None:
        rng = np.random.default_rng(seed)
        # `seed` is called `rng` from SciPy 1.15 on
        drawn = qmc.Halton(2 * n_groups, seed=rng)  # pyright: ignore[reportCallIssue]
        sequence = drawn.random(n_designs)
        self.first, self.second = sequence[:, :n_groups], sequence[:, n_groups:]

    def __len__(self) -> int:
        n_designs, n_groups = self.first.shape
        return n_designs * (n_groups + 1)

    def __getitem__(self, some: slice):
        picked = np.arange(*some.indices(len(self)))
        block, design = np.divmod(picked, len(self.first))
        amounts = self.first[design]
        moved = np.flatnonzero(block)
        group = block[moved] - 1
        amounts[moved, group] = self.second[design[moved], group]
        return amounts

    def indices(self, values: torch.Tensor) -> tuple[torch.Tensor]:
        """Return scores (n_samples, n_groups, n_targets) of outputs at the amounts."""
        first, *others = values.unflatten(0, (-1, len(self.first))).unbind(0)
        variance = first.var(0, correction=0)
        changes = torch.stack([(first - other).square().mean(0) for other in others])
        # what does not move but for round-off has no variance to share
        size = first.abs().amax(0)
        still = variance <= (64 * torch.finfo(values.dtype).eps * size).square()
        shares = changes / torch.where(still, 1, 2 * variance)
        return (torch.where(still, 0, shares).movedim(0, 1),)
