"""The result of an explanation: named group scores as arrays, tables and files."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from sktrim._explanation import io
from sktrim._explanation.arrays import ExplanationArrays
from sktrim._explanation.checks import check_rows
from sktrim._explanation.files import ExplanationFileError
from sktrim._explanation.plots import ExplanationPlots
from sktrim.report import ExplanationCard, make_card

__all__ = ["Explanation", "ExplanationFileError", "TopGroups"]


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


class Explanation(ExplanationArrays):
    r"""Importances of named groups of coefficients, for every explained sample.

    .. math::

       \phi_{i0} + \sum_g \phi_{ig} + \phi_{ir} = F_i + \varepsilon_i

    for sample i: `base_values` plus `values` plus `residual_values` (where the residual
    is no group) are the explained output but for `completeness_error`,
    :math:`\varepsilon`. Importances are in units of the output, except those of plain
    gradients, which have no base value.

    Parameters
    ----------
    values : array-like of shape (n_samples, n_groups[, n_targets])
        Importances, float32 or float64; finite.
    group_names : sequence of str
        One distinct name per group.
    centers : array-like of shape (n_groups,), optional
        Where the groups lie on an axis, in `unit`; NaN for a group that lies nowhere.
    unit : str, optional
        Unit of `centers`, such as "cycles/image".
    targets : array-like, optional
        What was explained: shape (n_samples,), or (n_samples, 2) for contrasts, where
        `values` is 2-D; (n_targets,) or (n_targets, 2) where it is 3-D.
    predictions : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        Outputs of the network.
    base_values, residual_values : array-like, optional
        The output without any group, and the share of the residual (also the last
        group, where `values` has one more than `feature_groups`): shape (n_samples,),
        or (n_samples, n_targets).
    completeness_error : array-like of shape (n_samples[, n_targets]), optional
        base value + sum of scores - explained output, with the residual's among the
        scores; NaN where that is not defined.
    coefficients : array-like or sparse of shape (n_samples, n_coefficients), optional
        T(x).
    feature_groups : FeatureGroups, optional
        The masks. `values` may have one group more, the residual.
    scorer, output : str, default="cd" and "margin"
        How, and which scalar, was explained.
    target_names : sequence of str, optional
        Names of `targets`: one per sample, or one per target where `values` is 3-D.
    std_errors : array-like of the shape of `values`, optional
        Standard errors of a random scorer.
    component_function : callable, optional
        (sample indices, group index) -> ndarray (n, \*signal_shape): the part of x
        that a group carries. Not written by `save`.
    signal_shape : tuple of int, optional
        How one signal is laid out.
    signals : array-like of shape (n_samples, ...), optional
        x itself, which the plots draw beside the parts.
    metadata : dict, optional
        Anything else; arrays, numbers, strings, lists and dicts can be saved. An array
        with one row per sample follows the samples when they are chosen or joined. The
        entry ``"signal_space": True`` says that each group is one number of the signal,
        ``"n_axes"`` along how many axes of the signal the transform acts.

    Raises
    ------
    ValueError
        If a shape does not go with `values`, a name occurs twice, or `values` holds
        NaN or infinity.
    TypeError
        If `values` is not real.

    See Also
    --------
    TransformImportance : Makes it.
    sktrim.evaluation.explanation_card : How far to trust it.
    sktrim.inspection.BarDisplay : What ``explanation.plot.bar()`` draws.

    Examples
    --------
    >>> from sktrim.explanation import Explanation
    >>> explanation = Explanation([[0.5, -2.0], [1.5, 0.0]], ["low", "high"])
    >>> explanation
    Explanation(2 samples x 2 groups, scorer='cd', output='margin')
    >>> explanation.mean()
    array([ 1., -1.])
    >>> explanation[0].top_k(1).names
    array([['high']], dtype='<U4')
    """

    def _repr_html_(self) -> str:
        return io.to_html(self)

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
        if by not in ("abs", "signed") or over not in ("sample", "mean"):
            raise ValueError(
                f"by={by!r}, over={over!r}: by is 'abs' or 'signed', over is 'sample' "
                "or 'mean'."
            )
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

    def to_frame(self, *, wide: bool = False):
        """Give the values as a pandas DataFrame.

        Parameters
        ----------
        wide : bool, default=False
            False: tidy, one row per sample, target and group, with the columns sample,
            group, center, target and value. True: one row per sample (and target), one
            column per group.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            If pandas is not installed.

        See Also
        --------
        Explanation.save : A file that loads as it was.

        Examples
        --------
        >>> from sktrim import Explanation
        >>> explanation = Explanation([[0.5, -2.0]], ["low", "high"])
        >>> explanation.to_frame()[["group", "value"]]
          group  value
        0   low    0.5
        1  high   -2.0
        """
        return io.to_frame(self, wide=wide)

    def to_shap(self):
        """Give a ``shap.Explanation``, for shap's own plots.

        Its base values are `base_values`, and `residual_values` where they are not
        among the values, so that they and the values add up to the output wherever
        the scorer is complete; its data are the
        coefficients where every group is one coefficient.

        Returns
        -------
        shap.Explanation

        Raises
        ------
        ImportError
            If shap is not installed.
        """
        return io.to_shap(self)

    def save(self, path, *, components: bool = False) -> None:
        """Write to a npz file of plain arrays, without pickle.

        The file appears at once and whole, also where another is replaced, whose mode
        is kept; a link stays and the file behind it is replaced. What a killed save
        left (``.name.*.part``) goes with the next one.

        Parameters
        ----------
        path : str or path-like
            Used as it is; ".npz" is not appended.
        components : bool, default=False
            Also keep `signals` and every part of every sample, n_samples x n_groups
            signals in all, so that `component` works after loading.

        Raises
        ------
        ValueError
            If `components=True` and there is no way back to signal space.
        TypeError
            If `metadata` holds what JSON cannot, or an array is of a dtype that no
            file keeps.
        OSError
            If the folder is missing, or the file there is read-only.

        See Also
        --------
        Explanation.load : Reads it.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sktrim import Explanation
        >>> explanation = Explanation([[0.5, -2.0]], ["low", "high"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "explanation.npz"
        ...     explanation.save(path)
        ...     Explanation.load(path)
        Explanation(1 sample x 2 groups, scorer='cd', output='margin')
        """
        io.save(self, path, components=components)

    @classmethod
    def load(cls, path) -> Explanation:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        Explanation

        Raises
        ------
        ExplanationFileError
            If the file is something else, damaged, or from a newer version; a
            ValueError. Files from strangers do no harm.
        OSError
            If there is no file, or it cannot be read.

        See Also
        --------
        Explanation.save : Writes it, with an example.
        """
        return io.load(path, cls)

    def card(
        self,
        y=None,
        *,
        sample: int | None = None,
        classes=None,
        k: int = 5,
        faithfulness=None,
        randomisation=None,
        stability=None,
    ) -> ExplanationCard:
        """Say on one page how far to trust this, and what it says.

        In the order of the PDR framework :footcite:p:`murdoch2019pdr`: predictive
        accuracy, descriptive accuracy, relevance. What was not measured is said to be
        missing; `sktrim.evaluation.explanation_card` measures all of it.

        Parameters
        ----------
        y : array-like of shape (n_samples,), optional
            True labels or values.
        sample : int, optional
            Also say whether this one is right, and show its groups alone.
        classes : array-like of shape (n_outputs,), optional
            Label of each output of a classifier; None: 0, 1, 2, ...
        k : int, default=5
            How many groups are named.
        faithfulness, randomisation, stability : optional
            Results of the studies in `sktrim.evaluation`, or anything printable.

        Returns
        -------
        ExplanationCard
            Prints as text and shows as HTML in notebooks.

        Raises
        ------
        ValueError
            If `y` does not fit, or there are several targets.

        See Also
        --------
        sktrim.evaluation.explanation_card : Measures and says all of it.

        References
        ----------
        .. footbibliography::

        Examples
        --------
        >>> from sktrim import Explanation
        >>> explanation = Explanation([[0.5, -2.0]], ["low", "high"])
        >>> print(str(explanation.card()).splitlines()[0])
        cd, margin of 1 sample
        """
        self._check_one_target("card")
        return make_card(
            self,
            y=y,
            sample=sample,
            classes=classes,
            k=k,
            faithfulness=faithfulness,
            randomisation=randomisation,
            stability=stability,
        )

    @property
    def plot(self) -> ExplanationPlots:
        """Pictures: ``.bar()``, ``.curve()``, ``.heatmap()`` and ``.components()``."""
        return ExplanationPlots(self)
