"""Which units may be joined: neighbours in a row, in a grid, or by a matrix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Adjacency:
    """Two relations of units: what makes a component, and what touches one."""

    # symmetric boolean matrices (n_units, n_units) without their diagonals; they differ
    # on a grid, whose components hang together at corners and grow at sides
    connected: np.ndarray
    touching: np.ndarray

    @property
    def is_grid(self) -> bool:
        """Whether units lie on a grid."""
        return self.connected is not self.touching

    def of_units(self, members: np.ndarray) -> "Adjacency":
        """Return the relations of units (n_units, n_groups) that groups make up."""
        connected = _contract(self.connected, members)
        if not self.is_grid:
            return Adjacency(connected, connected)
        return Adjacency(connected, _contract(self.touching, members))


def _contract(matrix: np.ndarray, members: np.ndarray) -> np.ndarray:
    found = members @ matrix.astype(float) @ members.T > 0
    np.fill_diagonal(found, False)
    return found


def check_adjacency(adjacency: Any, n_groups: int) -> Adjacency:
    """Read what a user may pass as adjacency of groups, or raise ValueError."""
    if adjacency is None:
        matrix = ~np.eye(n_groups, dtype=bool)
        return Adjacency(matrix, matrix)
    if isinstance(adjacency, str):
        if adjacency != "chain":
            raise ValueError(
                f"adjacency={adjacency!r}; expected 'chain', a grid such as (7, 7), a "
                "matrix of shape (n_groups, n_groups), or None for no restriction."
            )
        matrix = _near((n_groups,), 1)
        return Adjacency(matrix, matrix)
    if isinstance(adjacency, tuple):
        return _grid(adjacency, n_groups)
    return _from_matrix(adjacency, n_groups)


def _grid(shape: tuple, n_groups: int) -> Adjacency:
    sizes = [int(n) for n in shape if isinstance(n, (int, np.integer)) and n > 0]
    if len(sizes) != len(shape) or np.prod(sizes) != n_groups:
        raise ValueError(
            f"adjacency={shape!r} is a grid of {np.prod(sizes)} units, but there are "
            f"{n_groups} groups; give the grid's lengths, whose product is that."
        )
    return Adjacency(_near(shape, np.inf), _near(shape, 1))


def _near(shape: tuple, order: float) -> np.ndarray:
    """Tell which places of a grid are 1 apart in a norm: "inf" counts corners."""
    places = np.indices(shape).reshape(len(shape), -1).T
    steps = np.abs(places[:, None] - places)
    apart = steps.max(axis=2) if order == np.inf else steps.sum(axis=2)
    return apart == 1


def _from_matrix(adjacency: Any, n_groups: int) -> Adjacency:
    matrix = adjacency.toarray() if sp.issparse(adjacency) else np.asarray(adjacency)
    if matrix.shape != (n_groups, n_groups) or matrix.dtype.kind not in "biuf":
        raise ValueError(
            f"adjacency has shape {matrix.shape} (dtype {matrix.dtype}); expected "
            f"({n_groups}, {n_groups}), one row and column per group, not 0 where two "
            "are neighbours."
        )
    matrix = matrix != 0
    if (matrix != matrix.T).any():
        raise ValueError("adjacency is not symmetric: neighbours are so of each other.")
    matrix = matrix.copy()
    np.fill_diagonal(matrix, False)
    return Adjacency(matrix, matrix)


def region_adjacency(labels: ArrayLike) -> sp.csr_array:
    """Tell which regions of an image touch, such as superpixels.

    Parameters
    ----------
    labels : array-like of int, of shape (height, width) or more axes
        The region of every pixel; -1 for none.

    Returns
    -------
    scipy.sparse.csr_array of bool, shape (n_regions, n_regions)
        By increasing label, as in `FeatureGroups.from_labels`; pixels touch at sides.

    Raises
    ------
    ValueError
        If labels are not integers, or all are -1.

    See Also
    --------
    AgglomerativeDecomposition : Takes it as `adjacency`.

    Examples
    --------
    >>> from sktrim.hierarchy import region_adjacency
    >>> region_adjacency([[0, 0, 1], [2, 2, 1]]).toarray().astype(int)
    array([[0, 1, 1],
           [1, 0, 1],
           [1, 1, 0]])
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or not (labels >= 0).any():
        raise ValueError(
            "labels must be integers, the region of every pixel, and some at least 0; "
            f"got {labels.dtype} of shape {labels.shape}."
        )
    distinct = np.unique(labels[labels >= 0])
    pairs = []
    for axis in range(labels.ndim):
        first = np.take(labels, range(labels.shape[axis] - 1), axis).ravel()
        second = np.take(labels, range(1, labels.shape[axis]), axis).ravel()
        apart = (first != second) & (first >= 0) & (second >= 0)
        pairs.append(np.stack([first[apart], second[apart]]))
    rows, columns = np.searchsorted(distinct, np.concatenate(pairs, axis=1))
    shape = (len(distinct), len(distinct))
    matrix = sp.coo_array((np.ones(len(rows), bool), (rows, columns)), shape).tocsr()
    return sp.csr_array((matrix + matrix.T) > 0)
