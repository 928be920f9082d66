"""The groups' masks on the network's device and in its dtype."""

import numpy as np
import torch

from sktrim.groups import FeatureGroups


class GroupMasks:
    """The masks of `FeatureGroups` as torch tensors.

    They are the matrix :math:`M` of shape (n_groups, n_coefficients), kept sparse,
    whose entry :math:`M_{gk}` is the weight of coefficient k in group g.

    Parameters
    ----------
    groups : FeatureGroups
    dtype : torch.dtype
    device : torch.device
    with_residual : bool
        Append a last group that holds one extra coefficient, the residual's.

    See Also
    --------
    sktrim.FeatureGroups : The same in NumPy, with names.
    ComposedModel : What goes with them.

    Examples
    --------
    >>> import torch
    >>> from sktrim import FeatureGroups
    >>> from sktrim.scorers import GroupMasks
    >>> groups = FeatureGroups([[1, 1, 0], [0, 0.5, 1]], ["low", "high"])
    >>> masks = GroupMasks(groups, torch.float64, torch.device("cpu"))
    >>> masks.aggregate(torch.tensor([1.0, 2.0, 3.0]))
    tensor([3., 4.])
    >>> masks.dense()
    tensor([[1.0000, 1.0000, 0.0000],
            [0.0000, 0.5000, 1.0000]], dtype=torch.float64)
    """

    def __init__(self, groups: FeatureGroups, dtype, device, with_residual=False):
        masks = groups.masks.tocoo()
        rows, columns = masks.coords
        weights = masks.data
        self.n_groups, self.n_coefficients = len(groups), groups.n_coefficients
        # the number of each group's parent; the residual is its own
        self.parents: np.ndarray | None = None
        if groups.parents is not None:
            self.parents = np.unique(groups.parents, return_inverse=True)[1]
        if with_residual:
            rows = np.append(rows, self.n_groups)
            columns = np.append(columns, self.n_coefficients)
            weights = np.append(weights, 1.0)
            if self.parents is not None:
                self.parents = np.append(self.parents, self.parents.max() + 1)
            self.n_groups += 1
            self.n_coefficients += 1
        self.rows = torch.as_tensor(rows, dtype=torch.int64, device=device)
        self.columns = torch.as_tensor(columns, dtype=torch.int64, device=device)
        self.weights = torch.as_tensor(weights, dtype=dtype, device=device)

    def __len__(self) -> int:
        return self.n_groups

    def widest(self) -> int:
        """Return the number of coefficients of the largest group."""
        return int(torch.bincount(self.rows, minlength=1).max())

    def aggregate(self, values: torch.Tensor) -> torch.Tensor:
        """Sum values over each group.

        Parameters
        ----------
        values : torch.Tensor of shape (..., n_coefficients)

        Returns
        -------
        torch.Tensor of shape (..., n_groups)
        """
        return self._sums(values, self.columns, self.rows, self.n_groups)

    def spread(self, amounts: torch.Tensor) -> torch.Tensor:
        """Give each coefficient the weighted sum over its groups, amounts @ masks.

        Parameters
        ----------
        amounts : torch.Tensor of shape (..., n_groups)

        Returns
        -------
        torch.Tensor of shape (..., n_coefficients)
        """
        return self._sums(amounts, self.rows, self.columns, self.n_coefficients)

    def _sums(self, values, sources, places, size) -> torch.Tensor:
        """Take the last axis at some places and add it up, weighted, at others."""
        # rows of all samples at once: along the last axis it takes twice as long
        rows = values.reshape(-1, values.shape[-1]).T.index_select(0, sources)
        rows = rows * self.weights.to(values)[:, None]
        out = values.new_zeros((size, rows.shape[1])).index_add_(0, places, rows)
        return out.T.reshape(*values.shape[:-1], size)

    def total(self) -> torch.Tensor:
        """Return the weights of each coefficient, summed over groups.

        Returns
        -------
        torch.Tensor of shape (n_coefficients,)
        """
        return self.spread(self.weights.new_ones(self.n_groups))

    def dense(self, rows: slice = slice(None)) -> torch.Tensor:
        """Return some of the masks as a matrix.

        Parameters
        ----------
        rows : slice
            Which groups.

        Returns
        -------
        torch.Tensor of shape (n_picked, n_coefficients)
        """
        start, stop, _ = rows.indices(self.n_groups)
        keep = (self.rows >= start) & (self.rows < stop)
        out = self.weights.new_zeros((stop - start, self.n_coefficients))
        out[self.rows[keep] - start, self.columns[keep]] = self.weights[keep]
        return out
