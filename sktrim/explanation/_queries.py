"""What is read off the arrays: means, the largest groups, parts of a signal."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from sktrim.explanation._arrays import ExplanationArrays
from sktrim.explanation._checks import check_rows
from sktrim.inspection._style import check_option


class ExplanationQueries(ExplanationArrays):
    """Importances, what they explain, and what is read off them."""

    def mean(self, by=None, *, absolute: bool = False) -> Any:
        """Mean importance over samples.

        Parameters
        ----------
        by : None, "target" or array-like of shape (n_samples,), default=None
            Labels to average over separately; "target" takes `target_labels`.
        absolute : bool, default=False
            Average the magnitudes.

        Returns
        -------
        ndarray of shape (n_groups,) or (n_groups, n_targets), or dict
            With `by`, a dict from label to such an array, in the order of the labels.

        Raises
        ------
        ValueError
            If there is no sample, or `by` does not fit.

        See Also
        --------
        Explanation.top_k : The groups that matter most.

        Examples
        --------
        >>> from sktrim import Explanation
        >>> explanation = Explanation([[0.5, -2.0], [1.5, 1.0]], ["low", "high"])
        >>> explanation.mean(), explanation.mean(absolute=True)
        (array([ 1. , -0.5]), array([1. , 1.5]))
        """
        if not len(self):
            raise ValueError("there are no samples to average over.")
        values = np.abs(self.values) if absolute else self.values
        if by is None:
            return values.mean(axis=0)
        labels = self.sample_labels(by)
        # by place, since NaN, a label like others, is not equal to itself
        distinct, places = np.unique(labels, return_inverse=True)
        return {
            label: values[places == place].mean(axis=0)
            for place, label in enumerate(distinct.tolist())
        }

    def sample_labels(self, by) -> np.ndarray:
        """One label per sample.

        Parameters
        ----------
        by : "target" or array-like of shape (n_samples,)
            "target" takes `target_labels`; labels pass through.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If there are no such labels, or not one per sample.
        """
        if isinstance(by, str) and by == "target":
            by = self.target_labels() if self.values.ndim == 2 else None
            if by is None:
                raise ValueError(
                    "by='target' needs one target per sample; give labels instead, one "
                    "per sample, or choose by='target' on an Explanation with targets."
                )
        labels = np.asarray(by)
        if labels.shape != (len(self),):
            raise ValueError(
                f"by has shape {labels.shape}; give one label per sample, "
                f"({len(self)},), or 'target'."
            )
        return labels.astype(str) if labels.dtype == object else labels

    def top_k(self, k: int = 10, *, by: str = "abs", over: str = "sample") -> TopGroups:
        """Find the groups that matter most.

        Parameters
        ----------
        k : int, default=10
            How many; at most all of them.
        by : {"abs", "signed"}, default="abs"
            Rank by magnitude, or by signed value, largest first.
        over : {"sample", "mean"}, default="sample"
            Rank within every sample, or the mean over samples (of magnitudes where
            `by="abs"`).

        Returns
        -------
        TopGroups
            Named tuple of indices, names and values, each of shape (n_samples, k), or
            (k,) for the mean. Equal scores keep the order of the groups.

        Raises
        ------
        ValueError
            If an option is unknown, `k` is below 1, or there are several targets.

        See Also
        --------
        Explanation.mean : All groups, averaged.

        Examples
        --------
        >>> from sktrim import Explanation
        >>> explanation = Explanation([[0.5, -2.0], [1.5, 1.0]], ["low", "high"])
        >>> explanation.top_k(1).names
        array([['high'],
               ['low']], dtype='<U4')
        """
        check_option("by", by, ("abs", "signed"))
        check_option("over", over, ("sample", "mean"))
        if k < 1:
            raise ValueError(f"k={k} groups cannot be found; k must be at least 1.")
        self._check_one_target("top_k")
        values = self.values
        if over == "mean":
            values = self.mean(absolute=by == "abs")
        rank = np.abs(values) if by == "abs" else values
        indices = np.argsort(-rank, axis=-1, kind="stable")[..., :k]
        names = np.asarray(self.group_names)[indices]
        return TopGroups(indices, names, np.take_along_axis(values, indices, axis=-1))

    def _check_one_target(self, what: str) -> None:
        if self.values.ndim == 3:
            raise ValueError(
                f"{what} needs one target, but each sample here has "
                f"{self.values.shape[2]}; use explanation.for_target(target)."
            )

    def component(self, sample, group: int | str) -> np.ndarray:
        r"""Give the part of x that a group carries, in signal space.

        Parameters
        ----------
        sample : int or array-like of int
            Which sample, or samples.
        group : int or str
            Index or name of the group.

        Returns
        -------
        ndarray of shape signal_shape, or (n, \*signal_shape) for several samples

        Raises
        ------
        ValueError
            If this Explanation knows no way back to signal space, or the group is
            unknown.
        IndexError
            If a sample is out of range.
        """
        if self.component_function is None:
            raise ValueError(
                "this Explanation knows no way back to signal space. Likely causes: "
                "(a) it was loaded from a file: save it with "
                "explanation.save(path, components=True) to keep the components; (b) "
                "it was joined with one that had none; (c) it was made by hand without "
                "component_function=."
            )
        samples = np.atleast_1d(np.asarray(sample))
        samples = np.arange(len(self))[check_rows(samples, len(self))]
        group = self.group_index(group)
        if not len(samples) and self.signal_shape is not None:
            return np.empty((0, *self.signal_shape))
        parts = self.component_function(samples, group)
        if self.signal_shape is not None:
            parts = parts.reshape(len(samples), *self.signal_shape)
        return parts[0] if np.ndim(sample) == 0 else parts

    def group_index(self, group: int | str) -> int:
        """Index of a group, given by its name or its index.

        Parameters
        ----------
        group : int or str
            Its index, counted from the end where negative, or its name.

        Returns
        -------
        int
            From 0 to n_groups - 1.

        Raises
        ------
        ValueError
            If there is no such group.
        """
        n_groups = len(self.group_names)
        if isinstance(group, str):
            if group in self.group_names:
                return self.group_names.index(group)
        elif isinstance(group, Integral) and -n_groups <= group < n_groups:
            return int(group) % n_groups
        some = ", ".join(repr(name) for name in self.group_names[:5])
        raise ValueError(
            f"group {group!r} is not known: give an index below {n_groups}, or a name "
            f"out of group_names, such as {some}."
        )


class TopGroups(NamedTuple):
    """The most important groups, largest first.

    Attributes
    ----------
    indices : ndarray of int, shape (n_samples, k) or (k,)
        Which groups.
    names : ndarray of str, shape (n_samples, k) or (k,)
        Their names.
    values : ndarray of shape (n_samples, k) or (k,)
        Their importances; over samples the mean, of magnitudes where ranked by them.

    See Also
    --------
    sktrim.Explanation.top_k : Makes it.

    Examples
    --------
    >>> from sktrim import Explanation
    >>> explanation = Explanation([[0.5, -2.0]], ["low", "high"])
    >>> top = explanation.top_k(1)
    >>> top.names, top.values
    (array([['high']], dtype='<U4'), array([[-2.]]))
    """

    indices: np.ndarray
    names: np.ndarray
    values: np.ndarray
