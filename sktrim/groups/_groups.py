"""Named soft masks over coefficients: what gets one score."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

_SUM_TOLERANCE = 1e-9


def _check_masks(masks: Any) -> sp.csr_array:
    """Turn a dense or sparse group matrix into a canonical float64 CSR array."""
    if not sp.issparse(masks):
        masks = np.asarray(masks)
    if masks.ndim != 2 or 0 in masks.shape:
        raise ValueError(
            f"masks has shape {masks.shape}, expected (n_groups, n_coefficients) with "
            "at least one group and one coefficient. A single group is one row: "
            "masks[None, :]; integer labels go through FeatureGroups.from_labels."
        )
    if masks.dtype.kind not in "biuf":
        raise ValueError(
            f"masks has dtype {masks.dtype}, expected real weights in [0, 1]."
        )
    csr = sp.csr_array(masks, dtype=np.float64, copy=True)
    csr.sum_duplicates()
    csr.eliminate_zeros()
    # negated so that NaN fails too
    wrong = ~((csr.data >= 0) & (csr.data <= 1))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        row = int(np.searchsorted(csr.indptr, at, side="right")) - 1
        raise ValueError(
            f"masks[{row}, {csr.indices[at]}] is {csr.data[at]:g}; the weights of a "
            "group must lie in [0, 1] (0 leaves a coefficient out, 1 takes all of it). "
            "Divide by the largest weight, or clip."
        )
    return csr


def _check_names(names: Any, n_groups: int) -> list[str]:
    """Return one distinct string per group."""
    if names is None:
        return [f"group{i}" for i in range(n_groups)]
    if isinstance(names, str):
        raise ValueError(f"names={names!r} is one string; pass a list of strings.")
    names = [str(name) for name in names]
    if len(names) != n_groups:
        raise ValueError(f"{len(names)} names were given for {n_groups} groups.")
    if len(set(names)) != n_groups:
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"Group names must differ, but {twice!r} occurs more than once."
        )
    return names


def _check_centers(centers: Any, n_groups: int) -> np.ndarray | None:
    """Return one float per group, or None."""
    if centers is None:
        return None
    centers = np.array(centers, dtype=np.float64)
    if centers.shape != (n_groups,):
        raise ValueError(
            f"centers has shape {centers.shape}, expected ({n_groups},): one per group."
        )
    return centers


def _check_parents(parents: Any, names: list[str]) -> list[str] | None:
    """Return each group's parent."""
    if parents is None:
        return None
    if isinstance(parents, str) or len(parents) != len(names):
        raise ValueError(
            f"parents={parents!r} for {len(names)} groups; expected one string per "
            "group, or a mapping in with_parents."
        )
    return [str(parent) for parent in parents]


def _check_coordinates(coordinates: Any, n_groups: int) -> np.ndarray | None:
    """Return one row of finite floats per group, or None."""
    if coordinates is None:
        return None
    coordinates = np.array(coordinates, dtype=np.float64)
    if coordinates.ndim != 2 or len(coordinates) != n_groups:
        raise ValueError(
            f"coordinates has shape {coordinates.shape}, expected ({n_groups}, n_axes):"
            " one row per group."
        )
    if not np.isfinite(coordinates).all():
        raise ValueError("coordinates holds NaN or infinity; expected finite numbers.")
    return coordinates


def _mask_row(name: Any, members: Any, n_coefficients: int) -> np.ndarray:
    """Turn column indices, a boolean mask or weights into a row of weights."""
    members = np.asarray(members)
    if members.size == 0:
        members = members.astype(np.intp)
    if members.ndim > 1 or members.dtype.kind not in "biuf":
        raise ValueError(
            f"Group {name!r} must be a 1-D list of column indices or a mask over "
            f"{n_coefficients} coefficients, got {members.dtype} of shape "
            f"{members.shape}."
        )
    if members.dtype.kind in "bf":
        if members.shape != (n_coefficients,):
            raise ValueError(
                f"The mask of group {name!r} has shape {members.shape}, expected "
                f"({n_coefficients},): one weight per coefficient."
            )
        return members.astype(np.float64)
    members = np.atleast_1d(members)
    if members.size and not (
        -n_coefficients <= members.min() and members.max() < n_coefficients
    ):
        raise ValueError(
            f"Group {name!r} has column indices from {members.min()} to "
            f"{members.max()}, but there are {n_coefficients} coefficients."
        )
    row = np.zeros(n_coefficients)
    row[members] = 1.0
    return row


class FeatureGroups:
    r"""Named soft masks over the coefficients of a transform.

    .. math::

       \phi_g = \sum_k M_{gk} \, a_k, \qquad 0 \le M_{gk} \le 1,

    is the score of group g of an additive scorer, whose coefficients score :math:`a_k`;
    a scorer of whole groups looks at the coefficients :math:`M_g \odot s`. Groups may
    overlap, need not cover every coefficient, and are stored sparsely, so thousands of
    groups over thousands of coefficients are cheap. Scores can only add up to the
    output where the weights of every coefficient sum to 1 (`sums_to_one`).

    Parameters
    ----------
    masks : array-like or sparse of shape (n_groups, n_coefficients)
        Weights in [0, 1]: 0 leaves a coefficient out, 1 takes all of it.
    names : sequence of str of length n_groups, default=None
        Distinct names. None: "group0", "group1", ...
    centers : array-like of shape (n_groups,), default=None
        Where each group lies on an axis (a frequency, a multipole), in `unit`.
    unit : str, default=None
        Unit of `centers` and `coordinates`.
    coordinates : array-like of shape (n_groups, n_axes), default=None
        Where each group lies on several axes, such as its frequency along the rows
        and along the columns of an image.
    parents : sequence of str of length n_groups, default=None
        What each group is a part of, such as the electrode of a band: groups of one
        parent stand together in bars, and `sktrim.scorers.Shapley` shares out first
        among parents, then among the groups of each.

    Attributes
    ----------
    masks : scipy.sparse.csr_array of shape (n_groups, n_coefficients), float64
        The weights, in canonical form without explicit zeros.
    names : list of str
        Names of the groups.
    centers : ndarray of shape (n_groups,), float64, or None
        Positions on the axis.
    unit : str or None
        Unit of `centers` and `coordinates`.
    coordinates : ndarray of shape (n_groups, n_axes), float64, or None
        Positions on several axes.
    parents : list of str, or None
        What each group is a part of.

    Raises
    ------
    ValueError
        If a weight lies outside [0, 1] or is NaN, if there is no group or no
        coefficient, or if names, centers or coordinates do not fit.

    See Also
    --------
    sktrim.FourierTransformer.feature_groups : Frequencies and bands.
    sktrim.WaveletTransformer.feature_groups : Levels and orientations.
    sktrim.TransformImportance : What takes them as ``groups=``.

    Examples
    --------
    >>> from sktrim.groups import FeatureGroups
    >>> groups = FeatureGroups([[1, 1, 0], [0, 0.5, 1]], ["low", "high"])
    >>> groups
    FeatureGroups(2 groups over 3 coefficients: 'low', 'high')
    >>> groups.aggregate([1.0, 2.0, 3.0])
    array([3., 4.])
    """

    def __init__(
        self,
        masks: Any,
        names: Sequence[str] | np.ndarray | None = None,
        *,
        centers: ArrayLike | None = None,
        unit: str | None = None,
        coordinates: ArrayLike | None = None,
        parents: Sequence[str] | np.ndarray | None = None,
    ) -> None:
        self.masks = _check_masks(masks)
        self.names = _check_names(names, len(self))
        self.centers = _check_centers(centers, len(self))
        self.unit = unit
        self.coordinates = _check_coordinates(coordinates, len(self))
        self.parents = _check_parents(parents, self.names)

    @classmethod
    def from_labels(
        cls, labels: ArrayLike, names: Sequence[str] | np.ndarray | None = None
    ) -> Self:
        """Make one group per distinct label.

        Parameters
        ----------
        labels : array-like of int of shape (n_coefficients,)
            Label of every coefficient; -1 leaves it ungrouped.
        names : sequence of str, default=None
            One name per distinct label, in increasing order of label. None: the
            labels themselves.

        Returns
        -------
        FeatureGroups
            Disjoint groups with weights 0 and 1.

        Raises
        ------
        ValueError
            If labels are not integers, lie below -1, or are all -1.

        See Also
        --------
        FeatureGroups.from_dict : By name, from indices or masks.

        Examples
        --------
        >>> from sktrim import FeatureGroups
        >>> FeatureGroups.from_labels([0, 0, -1, 1], ["low", "high"]).toarray()
        array([[1., 1., 0., 0.],
               [0., 0., 0., 1.]])
        """
        labels = np.asarray(labels)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError(
                "labels must be a 1-D array of integers, one per coefficient (-1: "
                f"ungrouped), got {labels.dtype} of shape {labels.shape}."
            )
        if labels.size and labels.min() < -1:
            raise ValueError(
                f"The smallest label is {labels.min()}; labels are -1 (ungrouped), "
                "0, 1, 2, ..."
            )
        grouped = np.flatnonzero(labels >= 0)
        if grouped.size == 0:
            raise ValueError(
                f"None of the {labels.size} labels is 0 or more, so there is no group."
            )
        distinct, rows = np.unique(labels[grouped], return_inverse=True)
        masks = sp.csr_array(
            (np.ones(grouped.size), (rows, grouped)), (distinct.size, labels.size)
        )
        return cls(masks, [str(k) for k in distinct] if names is None else names)

    @classmethod
    def from_dict(
        cls, members: Mapping[Any, ArrayLike], n_coefficients: int | None = None
    ) -> Self:
        """Make groups from column indices or masks.

        Parameters
        ----------
        members : mapping of name to array-like
            Integers are column indices (negative ones count from the end); booleans
            and floats are a mask of shape (n_coefficients,).
        n_coefficients : int, default=None
            Number of coefficients; may be left out if one of the entries is a mask.

        Returns
        -------
        FeatureGroups
            One group per entry, in the order of the mapping.

        Raises
        ------
        ValueError
            If the mapping is empty, an index is out of range, a mask has the wrong
            length, or `n_coefficients` is needed and missing.

        See Also
        --------
        FeatureGroups.from_labels : From one label per coefficient.

        Examples
        --------
        >>> from sktrim import FeatureGroups
        >>> groups = FeatureGroups.from_dict({"ends": [0, -1], "soft": [0.0, 0.5, 1.0]})
        >>> groups.toarray()
        array([[1. , 0. , 1. ],
               [0. , 0.5, 1. ]])
        """
        if not members:
            raise ValueError("The dict of groups is empty; expected {name: indices}.")
        if n_coefficients is None:
            arrays = [np.asarray(m) for m in members.values()]
            widths = [a.size for a in arrays if a.dtype.kind in "bf" and a.size]
            if not widths:
                raise ValueError(
                    "Every group is given by column indices, which do not tell how "
                    "many coefficients there are; pass n_coefficients."
                )
            n_coefficients = widths[0]
        rows = [
            sp.csr_array(_mask_row(name, m, n_coefficients)[None])
            for name, m in members.items()
        ]
        return cls(sp.vstack(rows), [str(name) for name in members])

    @classmethod
    def singletons(
        cls, n_coefficients: int, names: Sequence[str] | np.ndarray | None = None
    ) -> Self:
        """Make one group per coefficient.

        Parameters
        ----------
        n_coefficients : int
            Number of coefficients, at least 1.
        names : sequence of str, default=None
            One per coefficient. None: "coefficient0", "coefficient1", ...

        Returns
        -------
        FeatureGroups
            The identity matrix.

        See Also
        --------
        FeatureGroups.from_labels : Several coefficients in a group.

        Examples
        --------
        >>> from sktrim import FeatureGroups
        >>> FeatureGroups.singletons(2, ["x", "y"])
        FeatureGroups(2 groups over 2 coefficients: 'x', 'y')
        """
        if names is None:
            names = [f"coefficient{i}" for i in range(n_coefficients)]
        return cls(sp.eye_array(n_coefficients, format="csr"), names)

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients, the width of the masks."""
        return cast(tuple[int, int], self.masks.shape)[1]

    @property
    def sums_to_one(self) -> bool:
        """Whether the weights of every coefficient sum to 1 over the groups."""
        totals = self.masks.sum(axis=0)
        return bool(np.abs(totals - 1.0).max() <= _SUM_TOLERANCE)

    def aggregate(self, values: ArrayLike) -> np.ndarray:
        """Sum values over each group, weighted.

        Parameters
        ----------
        values : array-like of shape (..., n_coefficients)
            One value per coefficient.

        Returns
        -------
        ndarray of shape (..., n_groups)
            ``values @ masks.T``, summed in float64; float32 values give float32.

        Raises
        ------
        ValueError
            If the last axis is not `n_coefficients` long.
        """
        values = np.asarray(values)
        if values.ndim == 0 or values.shape[-1] != self.n_coefficients:
            raise ValueError(
                f"values has shape {values.shape}, but the groups are over "
                f"{self.n_coefficients} coefficients, which must be the last axis."
            )
        dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        flat = values.reshape(-1, self.n_coefficients)
        sums = (self.masks @ flat.T).T.astype(dtype, copy=False)
        return np.ascontiguousarray(sums).reshape(*values.shape[:-1], len(self))

    def toarray(self) -> np.ndarray:
        """Return the masks as a dense array of shape (n_groups, n_coefficients)."""
        return self.masks.toarray()

    def _positions(self, index: Any) -> np.ndarray:
        """Resolve an index, slice, mask, name or list of names to positions."""
        if isinstance(index, slice):
            return np.arange(len(self))[index]
        wanted = np.atleast_1d(np.asarray(index))
        if wanted.dtype.kind not in "UO":
            return np.arange(len(self))[wanted]
        at = {name: i for i, name in enumerate(self.names)}
        unknown = [name for name in wanted.tolist() if name not in at]
        if unknown:
            raise KeyError(f"There is no group named {unknown[0]!r}.")
        return np.array([at[name] for name in wanted.tolist()])

    def __getitem__(self, index: Any) -> "FeatureGroups":
        """Return a subset: by position, slice, boolean mask, name or list of these."""
        at = self._positions(index)
        return type(self)(
            self.masks[at],
            [self.names[i] for i in at],
            centers=None if self.centers is None else self.centers[at],
            unit=self.unit,
            coordinates=None if self.coordinates is None else self.coordinates[at],
            parents=None if self.parents is None else [self.parents[i] for i in at],
        )

    def with_parents(self, parents: Any) -> "FeatureGroups":
        """Return the same groups, each a part of a parent.

        Parameters
        ----------
        parents : mapping of parent to names or positions, or sequence of str
            The groups of every parent; or each group's parent, in order.

        Returns
        -------
        FeatureGroups

        Raises
        ------
        ValueError
            If a group has no parent, or two.

        Examples
        --------
        >>> from sktrim import FeatureGroups
        >>> groups = FeatureGroups.from_labels([0, 1, 2], ["theta", "alpha", "beta"])
        >>> groups.with_parents({"slow": ["theta", "alpha"], "fast": ["beta"]}).parents
        ['slow', 'slow', 'fast']
        """
        if isinstance(parents, Mapping):
            parents = self._parents_of(parents)
        return type(self)(
            self.masks,
            self.names,
            centers=self.centers,
            unit=self.unit,
            coordinates=self.coordinates,
            parents=parents,
        )

    def _parents_of(self, members: Mapping[Any, Any]) -> list[str]:
        found: list[Any] = [None] * len(self)
        for parent, some in members.items():
            for at in self._positions(some).tolist():
                if found[at] is not None:
                    raise ValueError(
                        f"The group {self.names[at]!r} has two parents, {found[at]!r} "
                        f"and {str(parent)!r}; give it one."
                    )
                found[at] = str(parent)
        lost = [name for name, at in zip(self.names, found, strict=True) if at is None]
        if lost:
            raise ValueError(
                f"{len(lost)} of {len(self)} groups have no parent: "
                f"{', '.join(map(repr, lost[:5]))}; parents must cover all groups."
            )
        return found

    def __len__(self) -> int:
        return cast(tuple[int, int], self.masks.shape)[0]

    def __iter__(self) -> Iterator["FeatureGroups"]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        shown = ", ".join(repr(name) for name in self.names[:3])
        more = ", ..." if len(self) > 3 else ""
        unit = "" if self.unit is None else f" [{self.unit}]"
        return (
            f"{type(self).__name__}({len(self)} groups over {self.n_coefficients} "
            f"coefficients{unit}: {shown}{more})"
        )
