"""Which values of the input carry the importance: attribution by value bin."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import scipy.sparse as sp

from sktrim.inspection._style import check_option


@dataclass(frozen=True)
class ImportanceByValue:
    """Squared attribution by the value of the input where it falls.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        In units of each signal's r.m.s.
    shares : ndarray of shape (n_samples, n_bins)
        Share of the squared attribution of a sample in each bin; 0 throughout where a
        sample has none. Values outside the edges are in no bin.
    mean_squares : ndarray of shape (n_samples, n_bins)
        Mean squared attribution of the values in the bin; 0 where there are none.
    counts : ndarray of int, shape (n_samples, n_bins)
        Values in each bin.
    values, squares : ndarray of shape (n_samples, n_values)
        Inputs in units of the r.m.s. and their squared attributions.

    See Also
    --------
    importance_by_value : Makes it.
    sktrim.inspection.CurveDisplay : What ``plot`` draws.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.evaluation import importance_by_value
    >>> X = np.random.default_rng(0).standard_normal((5, 100)).astype("float32")
    >>> net = torch.nn.Linear(100, 1)
    >>> explanation = transform_importance(net, X, scorer="gradient")
    >>> found = importance_by_value(explanation)
    >>> bool(np.allclose(found.share(high=0) + found.share(low=0), 1))
    True
    """

    edges: np.ndarray
    shares: np.ndarray
    mean_squares: np.ndarray
    counts: np.ndarray
    values: np.ndarray
    squares: np.ndarray

    def share(self, low=-np.inf, high=np.inf) -> np.ndarray:
        """Share of squared attribution at inputs in [low, high), for each sample.

        Parameters
        ----------
        low, high : float
            In units of the r.m.s.: ``share(high=0)`` is what lies below zero,
            ``share(low=3)`` above three sigma.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        inside = (self.values >= low) & (self.values < high)
        total = self.squares.sum(axis=1)
        return (self.squares * inside).sum(axis=1) / np.where(total > 0, total, 1)

    def __str__(self) -> str:
        lines = [f"{'value / r.m.s.':>16s}{'share [%]':>12s}"]
        bins = zip(self.edges[:-1], self.edges[1:], self.shares.mean(0), strict=True)
        lines += [f"{a:7.2f} to {b:5.2f}{100 * share:12.2f}" for a, b, share in bins]
        below, above = self.share(high=0).mean(), self.share(low=3).mean()
        lines.append(f"below 0: {100 * below:.2f} %, above 3: {100 * above:.2f} %")
        return "\n".join(lines)

    def _filled(self, by) -> np.ndarray:
        """Give bins without values the mean of the samples (of one label) with some."""
        labels = np.zeros(len(self.counts)) if by is None else np.asarray(by)
        if labels.shape != (len(self.counts),):
            return self.mean_squares
        filled = self.mean_squares.copy()
        for label in np.unique(labels):
            rows = labels == label
            there = self.counts[rows] > 0
            mean = filled[rows].sum(axis=0) / np.maximum(there.sum(axis=0), 1)
            filled[rows] = np.where(there, filled[rows], mean)
        return filled

    def plot(self, *, by=None, what="shares", title: str | None = None, ax=None):
        """Draw the mean over samples of `shares` or `mean_squares`, by bin.

        `mean_squares` are averaged over the samples that have values in the bin.

        Parameters
        ----------
        by : array-like of shape (n_samples,), optional
            One curve per label.
        what : {"shares", "mean_squares"}, default="shares"
        title : str, optional
        ax : matplotlib Axes, optional

        Returns
        -------
        sktrim.inspection.CurveDisplay
        """
        from sktrim.inspection import CurveDisplay

        check_option("what", what, ("shares", "mean_squares"))
        labels = {
            "shares": "share of squared attribution",
            "mean_squares": "squared attribution per value",
        }
        values = self.shares if what == "shares" else self._filled(by)
        return CurveDisplay.from_values(
            values,
            (self.edges[1:] + self.edges[:-1]) / 2,
            by=by,
            label=labels[what],
            xlabel="input value / r.m.s. of the signal",
            title=title,
            ax=ax,
        )


def importance_by_value(explanation, X=None, *, bins=20) -> ImportanceByValue:
    r"""Bin squared attribution by the value of the input.

    .. math::

       \mathrm{share}_B =
       \frac{\sum_{p : \, x_p / \sigma \in B} \phi_p^2}{\sum_p \phi_p^2}, \qquad
       \sigma^2 = \frac{1}{P} \sum_p x_p^2,

    for bin B, over the P values p of a signal with scores :math:`\phi_p`. A large share
    says that the network looks at such values, be it that each matters or that there
    are many: `mean_squares` is for the single value.

    Parameters
    ----------
    explanation : Explanation
        In signal space: one group per value (``transformer=None``). Where there are
        several targets their squares are summed.
    X : array-like of shape (n_samples, ...) or None
        The signals; None: those that the explanation carries.
    bins : int or array-like of shape (n_bins + 1,), default=20
        Number of equal bins from -2.5 to 5, or their edges, in units of each signal's
        r.m.s. Bins are [low, high), the last closed.

    Returns
    -------
    ImportanceByValue

    Raises
    ------
    ValueError
        If there is not one group per input value, or the edges do not increase.

    See Also
    --------
    ImportanceByValue : What is returned.
    sktrim.scorers.SquaredGradient : Is squared already; give the gradient instead.

    Notes
    -----
    After section IV B of :footcite:t:`zorrilla2020lensing`, who find that a network for
    noiseless lensing maps looks at underdense pixels, and for noisy ones at peaks. The
    shares of input times gradient vanish at zero input by construction, whatever the
    network.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.evaluation import importance_by_value
    >>> class Peaks(torch.nn.Module):
    ...     def forward(self, x):
    ...         return (x - 1).relu().sum(1, keepdim=True)
    >>> X = np.random.default_rng(0).standard_normal((5, 100)).astype("float32")
    >>> explanation = transform_importance(Peaks(), X, scorer="gradient")
    >>> found = importance_by_value(explanation, bins=[-3, 0, 3])
    >>> found.shares.mean(axis=0)
    array([0., 1.])
    """
    X = explanation.signals if X is None else X
    if X is None:
        raise ValueError("the explanation carries no signals; pass X.")
    X = X.toarray() if sp.issparse(X) else np.asarray(X)
    x = X.reshape(len(X), -1).astype(float)
    squares = np.asarray(explanation.values, dtype=float) ** 2
    squares = squares.sum(axis=2) if squares.ndim == 3 else squares
    column = _group_of_each_value(explanation)
    if squares.shape != x.shape or column is None:
        raise ValueError(
            f"the explanation has {squares.shape[1]} groups, {len(squares)} samples; "
            f"X has {x.shape[1]} values for {len(x)}. Explain in signal space "
            "(transformer=None), with one group per value."
        )
    squares = squares[:, column]
    if np.ndim(bins) == 0 and (not isinstance(bins, Integral) or bins < 1):
        raise ValueError(f"bins={bins!r}; expected a number from 1 up, or the edges.")
    edges = np.linspace(-2.5, 5, bins + 1) if np.ndim(bins) == 0 else np.asarray(bins)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"bins={bins!r}; expected at least two increasing edges.")
    rms = np.sqrt((x**2).mean(axis=1, keepdims=True))
    values = x / np.where(rms > 0, rms, 1)
    counts, sums = _binned(values, squares, edges)
    total = squares.sum(axis=1, keepdims=True)
    shares = sums / np.where(total > 0, total, 1)
    means = sums / np.maximum(counts, 1)
    return ImportanceByValue(edges, shares, means, counts, values, squares)


def _group_of_each_value(explanation):
    """Index the groups by the input value they hold; None where they do not."""
    if explanation.signal_space is False:
        return None
    if explanation.feature_groups is None:
        return np.arange(explanation.values.shape[1])
    masks = explanation.feature_groups.masks.tocsr()
    n_groups, n_values = masks.shape
    filled = np.diff(masks.indptr) == 1
    if n_groups != n_values or not (filled.all() and (masks.data == 1).all()):
        return None
    column = np.argsort(masks.indices)
    return column if len(np.unique(masks.indices)) == n_values else None


def _binned(values, squares, edges) -> tuple[np.ndarray, np.ndarray]:
    """Count values and sum squares in bins, each (n_samples, n_bins)."""
    counts = [np.histogram(row, edges)[0] for row in values]
    sums = [
        np.histogram(row, edges, weights=weights)[0]
        for row, weights in zip(values, squares, strict=True)
    ]
    return np.array(counts), np.array(sums)
