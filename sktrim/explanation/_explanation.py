"""The result of an explanation: named group scores as arrays, tables and files."""

from __future__ import annotations

from sktrim.explanation._io import load, save
from sktrim.explanation._plots import ExplanationPlots
from sktrim.explanation._queries import ExplanationQueries
from sktrim.explanation._tables import to_frame, to_shap
from sktrim.report import ExplanationCard, make_card
from sktrim.report._page import to_html


class Explanation(ExplanationQueries):
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
    explained : array-like of shape (n_samples[, n_targets]), optional
        The explained output.
    coefficients : array-like or sparse of shape (n_samples, n_coefficients), optional
        T(x).
    feature_groups : FeatureGroups, optional
        The masks. `values` may have one group more, the residual.
    scorer, output : str, default="cd" and "margin"
        How, and which scalar, was explained.
    kind : {"classifier", "regressor"}, optional
        What the network is.
    target_names : sequence of str, optional
        Names of `targets`: one per sample, or one per target where `values` is 3-D.
    std_errors : array-like of the shape of `values`, optional
        Standard errors of a random scorer.
    reconstruction_errors : array-like of shape (n_samples,), optional
        ||x - T^-1 T x|| / ||x||.
    component_function : callable, optional
        (sample indices, group index) -> ndarray (n, \*signal_shape): the part of x
        that a group carries. Not written by `save`.
    signal_shape : tuple of int, optional
        How one signal is laid out.
    signal_space : bool, optional
        Whether each group is one number of the signal: there is no transformer.
    n_axes : int, optional
        Along how many axes of the signal the transform acts.
    signals : array-like of shape (n_samples, ...), optional
        x itself, which the plots draw beside the parts.
    metadata : dict, optional
        Anything else; arrays, numbers, strings, lists and dicts can be saved. An array
        with one row per sample follows the samples when they are chosen or joined.

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
        return to_html(self)

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
        return to_frame(self, wide=wide)

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
        return to_shap(self)

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
        save(self, path, components=components)

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
        return load(path, cls)

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
