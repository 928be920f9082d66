"""Agglomerative contextual decomposition: a tree of what acts together."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from sktrim._memory import chunks
from sktrim.hierarchy._adjacency import Adjacency, check_adjacency
from sktrim.hierarchy._growth import Rule, grow, run
from sktrim.hierarchy._hierarchy import Hierarchies, Hierarchy

JOINS = ("auto", "percentile", "pairs")
_MOST = 2**28
"""Sets of a step times groups: bytes that they take."""


class AgglomerativeDecomposition(BaseEstimator):
    r"""Join groups into a tree by what they contribute together.

    .. math::

       \text{gain}_j = \phi(G \cup \{j\}) - \phi(G),

    where :math:`\phi` is the score of a set of groups as a whole and G a component of
    those that were selected. The units with the largest scores are selected first;
    then, at every step, those that add the most to a component that they touch, and
    what hangs together is joined.

    Parameters
    ----------
    trim : TransformImportance
        Fitted, or fitted by `fit`. Its groups are the units; its scorer must score
        sets: "cd", "occlusion", "shapley", or one whose scores add up. Its `verbose`
        shows a progress bar.
    adjacency : {"chain"}, tuple of int, array-like, sparse matrix or None
        Which groups are neighbours: those next to each other in order (words, bands);
        on a grid of that shape (patches of an image); as a symmetric matrix of shape
        (n_groups, n_groups) says (superpixels: `region_adjacency`); or None: all of
        each other.
    join : {"auto", "percentile", "pairs"}, default="auto"
        "percentile": select the units above a percentile of the gains and join what
        hangs together. "pairs": join two sets at a time, those that give the most
        beyond their sum, :math:`|\phi(A \cup B) - \phi(A) - \phi(B)|`. "auto": pairs
        where all groups are neighbours, which are one component at once.
    percentile : float in [0, 100], default=90
        Of the gains of units that are not selected; 15 less once more than a third is.
    absolute : bool or None, default=None
        Whether sizes of gains are compared, or gains with their signs; None: sizes,
        but on a grid.
    smooth : bool, default=True
        On a grid, also select a unit three of whose four sides are, from the second
        step on.

    Attributes
    ----------
    trim_ : TransformImportance
        The fitted one.

    See Also
    --------
    sktrim.TransformImportance.explain_sets : Scores of sets of one's own.
    Hierarchy : What becomes of a sample.

    Notes
    -----
    The method is that of :footcite:t:`singh2019acd`, with three details of their code
    that the paper leaves out: the percentile falls once a third is selected, components
    of a grid hang together at corners but grow at their sides, and at the end the
    components that are left are joined two at a time, those first whose union is
    largest above the larger of the two. A unit that touches several components counts
    by the one to which it adds the most (there: by the one that is looked at last).

    Scores of scorers that add up (integrated gradients) make trees of large units
    beside each other; they know nothing of what units do together. Pairs are seen by
    scorers to which the whole is not the sum: "occlusion" sees a product, which "cd"
    shares evenly, "cd" what passes a ReLU together. Shapley values of a pair that acts
    with no one else add up.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    The network multiplies its second and third column:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.hierarchy import AgglomerativeDecomposition
    >>> class Middle(torch.nn.Module):
    ...     def forward(self, x):
    ...         return (x[:, :1] + 4 * x[:, 1:2] * x[:, 2:3] + x[:, 3:])
    >>> X = np.ones((1, 4))
    >>> trim = TransformImportance(Middle(), groups=np.eye(4)).fit(X)
    >>> trees = AgglomerativeDecomposition(trim, percentile=60).explain(X)
    >>> trees[0].name(4), float(trees[0].scores[4])
    ('{group1, group2}', 4.0)
    """

    def __init__(
        self,
        trim,
        adjacency="chain",
        *,
        join="auto",
        percentile=90.0,
        absolute=None,
        smooth=True,
    ):
        self.trim = trim
        self.adjacency = adjacency
        self.join = join
        self.percentile = percentile
        self.absolute = absolute
        self.smooth = smooth

    def fit(self, X, y=None):
        """Fit the `TransformImportance`, unless it is fitted.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,), default=None

        Returns
        -------
        self
        """
        self._check()
        fitted = self._fitted()
        if fitted is None:
            unfitted: Any = clone(self.trim)
            fitted = unfitted.fit(X, y)
        self.trim_ = fitted
        check_adjacency(self.adjacency, len(self.trim_.groups_))
        return self

    def _fitted(self):
        try:
            check_is_fitted(self.trim)
        except NotFittedError:
            return None
        return self.trim

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "trim_") or self._fitted() is not None

    def _check(self) -> None:
        if not hasattr(self.trim, "bind_sets"):
            raise TypeError(
                f"trim={self.trim!r}; expected a TransformImportance, whose groups are "
                "joined."
            )
        if self.join not in JOINS:
            raise ValueError(f"join={self.join!r}; expected one of {JOINS}.")
        if not 0 <= self.percentile <= 100:
            raise ValueError(
                f"percentile={self.percentile!r}; expected a number from 0 to 100."
            )

    def explain(
        self,
        X,
        y=None,
        *,
        units: ArrayLike | None = None,
        unit_names: Any = None,
    ) -> Hierarchies:
        """Grow the tree of every sample, all of them at once.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,), default=None
            True labels, for ``target="true"``.
        units : array-like of int of shape (n_samples, n_groups), default=None
            The unit that each group of a sample belongs to, from 0 on; -1: to none,
            such as padding. None: each group is a unit.
        unit_names : sequence of str, or one sequence per sample, default=None
            What units are called. None: as groups are.

        Returns
        -------
        Hierarchies
            One `Hierarchy` per sample.

        Raises
        ------
        ValueError
            If X, the units, their names or the adjacency do not fit, or more sets would
            be scored in a step than memory allows.
        """
        self._check()
        check_is_fitted(self)
        trim: Any = getattr(self, "trim_", self.trim)
        n_groups = len(trim.groups_)
        adjacency = check_adjacency(self.adjacency, n_groups)
        bound = trim.bind_sets(X, y)
        if bound.resolved.every:
            raise ValueError(
                'A tree explains one target per sample, and target="all" has several; '
                'use target="predicted" or an output column.'
            )
        members = _members(units, len(bound), n_groups)
        names = _names(unit_names, members, trim.groups_.names)
        largest = max(map(self._check_size, members))
        nodes = []
        with tqdm(total=len(bound), unit="tree", disable=not trim.verbose) as bar:
            for some in chunks(len(bound), _MOST // (largest * n_groups)):
                own = members[some]
                growing = [self._grow(adjacency, each) for each in own]
                nodes += run(growing, own, _scorer(bound, some.start), bar)
        return Hierarchies(
            [
                _hierarchy(bound, trim, i, nodes[i], names[i], members[i])
                for i in range(len(bound))
            ]
        )

    def _is_pairwise(self) -> bool:
        by_itself = self.join == "auto" and self.adjacency is None
        return self.join == "pairs" or by_itself

    def _check_size(self, members: np.ndarray) -> int:
        """Return the most sets of a step, or raise where they are too many."""
        n_units, n_groups = members.shape
        pairs = n_units * (n_units - 1) // 2
        largest = max(n_units, pairs) if self._is_pairwise() else n_units
        if largest * n_groups > _MOST:
            raise ValueError(
                f"{n_units} units make {largest} sets of {n_groups} groups in one "
                "step, more than memory allows; take fewer groups, or an adjacency "
                "with join='percentile'."
            )
        return largest

    def _grow(self, adjacency: Adjacency, members: np.ndarray):
        n_units, n_groups = members.shape
        by_size = not adjacency.is_grid if self.absolute is None else self.absolute
        rule = Rule(float(self.percentile), bool(by_size), bool(self.smooth))
        own = adjacency
        if n_units != n_groups or not np.array_equal(members, np.eye(n_units)):
            own = adjacency.of_units(members)
        return grow(own, rule, self._is_pairwise())


def _scorer(bound, first: int):
    """Return what scores sets of samples that are counted from `first`."""
    return lambda samples, sets: bound(samples + first, sets)[..., 0]


def _members(units: Any, n_samples: int, n_groups: int) -> list[np.ndarray]:
    """Return which groups the units of each sample hold, (n_units, n_groups)."""
    if units is None:
        return [np.eye(n_groups, dtype=bool)] * n_samples
    units = np.asarray(units)
    if units.shape != (n_samples, n_groups) or units.dtype.kind not in "iu":
        raise ValueError(
            f"units has shape {units.shape} (dtype {units.dtype}); expected integers, "
            f"({n_samples}, {n_groups}): the unit of every group of each sample, -1 "
            "for none."
        )
    empty = np.flatnonzero(units.max(axis=1) < 0)
    if empty.size:
        raise ValueError(
            f"Sample {empty[0]} has no unit: all of its groups are -1. Leave it out."
        )
    each = [np.arange(row.max() + 1)[:, None] == row for row in units]
    for i, own in enumerate(each):
        if not own.any(axis=1).all():
            missing = int(np.flatnonzero(~own.any(axis=1))[0])
            raise ValueError(
                f"Unit {missing} of sample {i} has no group; number units 0, 1, 2, ..."
            )
    return each


def _names(given: Any, members: list[np.ndarray], groups: list[str]) -> list[list[str]]:
    """Return the names of the units of each sample."""
    if given is None:
        return [
            [" ".join(groups[j] for j in np.flatnonzero(unit)) for unit in own]
            for own in members
        ]
    shared = len(given) and isinstance(given[0], str)
    names = [list(given)] * len(members) if shared else [list(own) for own in given]
    for i, own in enumerate(members):
        count = len(names[i]) if i < len(names) else 0
        if count != len(own) or len(names) != len(members):
            raise ValueError(
                f"{count} names were given for {len(own)} units of sample {i}; give "
                "one per unit, in a list for each sample where they differ."
            )
    return names


def _hierarchy(bound, trim, i: int, nodes, names, members) -> Hierarchy:
    places = signal = None
    x = getattr(bound.x, "x", bound.x)
    if trim.transformer_ is None and isinstance(x, np.ndarray):
        signal = x[i]
        masks = members.astype(float) @ trim.groups_.masks
        places = masks.reshape(len(members), *signal.shape)
    return Hierarchy(
        names,
        members=np.array(nodes.members),
        scores=np.array(nodes.scores),
        levels=np.array(nodes.levels),
        steps=np.array(nodes.steps),
        children=nodes.children,
        sample=i,
        target_name=str(bound.resolved.names[i]),
        explained=float(bound.explained[i, 0]),
        places=places,
        signal=signal,
    )
