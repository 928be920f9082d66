"""Scores of an explanation that scikit-learn can maximise or report side by side."""

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import UndefinedMetricWarning

from sktrim.evaluation._correlation import row_correlations
from sktrim.evaluation._faithfulness import curve_steps, faithfulness_curves
from sktrim.evaluation._trace import (
    check_scores,
    over_chunks,
    rank_groups,
)
from sktrim.inspection._style import check_option
from sktrim.network._network import to_numpy


def _read_prediction(model, target):
    """Read what must be kept: the class, or a regressor's explained output."""
    if model.network.kind != "classifier":
        return lambda outputs: target(outputs)[..., 0]

    def classes(outputs):
        if outputs.shape[-1] == 1:
            return (outputs[..., 0] > 0).double()
        return outputs.argmax(-1).double()

    return classes


def sufficient_fraction(
    trim,
    X,
    y=None,
    *,
    scores=None,
    baseline="zero",
    max_steps=20,
    tolerance=0.1,
    random_state=0,
    verbose=None,
) -> float:
    r"""Find the smallest share of groups that keeps the prediction; lower is better.

    .. math::

       \frac{1}{n} \sum_{i=1}^{n} \min \Bigl\{ \frac{j}{G} :
       \text{the } j \text{ highest groups keep the prediction} \Bigr\}

    over n samples i and G groups: they are put back in the order of their scores, the
    others are replaced. A classifier's prediction is kept where it is the class of the
    whole signal, a regressor's where the output is within `tolerance` standard
    deviations (over X) of the whole signal's. Once kept it need not stay kept as more
    groups come back.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    scores : Explanation, ndarray of shape (n_samples, n_groups) or None
        None: ``trim.explain(X, y).values``.
    baseline : {"zero", "mean"} or array-like, default="zero"
        What replaces the other groups' coefficients: zeros, the training mean, or one
        row of one's own, of shape (n_coefficients,).
    max_steps : int, default=20
        Shares tried, at most; more groups are put back several at a time.
    tolerance : float, default=0.1
        For regressors.
    random_state : int, default=0
        Seeds the order of ties.
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    float
        Mean share over the samples, from 0 (nothing is needed) to 1.

    See Also
    --------
    neg_sufficient_fraction : For searches that maximise.
    faithfulness_curves : How far the output moves, whether or not the class changes.

    Notes
    -----
    A sufficient input subset :footcite:p:`carter2019sufficient` is the smallest set of
    inputs that by themselves keep the decision. They search for it by taking inputs
    away one by one; here the scores say in which order, so that it is they that are
    measured.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import sufficient_fraction
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> round(sufficient_fraction(trim, X), 4)
    0.6667
    """
    several = np.ndim(baseline) == 2 and len(baseline) > 1
    if several or (isinstance(baseline, str) and baseline == "rows"):
        raise ValueError(f'baseline={baseline!r} has no single prediction; use "mean".')
    scores = check_scores(trim.explain(X, y) if scores is None else scores, trim, X)
    steps = curve_steps(scores.shape[1], max_steps)
    order = rank_groups(scores, random_state)

    def visit(curves, rows):
        ranked = torch.as_tensor(order[rows], device=curves.model.s.device)
        kept = curves.restored(curves.weights(ranked, steps))
        whole = torch.ones_like(kept[:1])
        outputs = curves.values(torch.cat([kept[:-1], whole]))
        return (to_numpy(outputs.T),)

    (outputs,) = over_chunks(
        trim,
        X,
        y,
        visit,
        baseline=baseline,
        read=_read_prediction,
        verbose=verbose,
        n_samples=len(scores),
    )
    classifier = trim.network_.kind == "classifier"
    allowed = 0.0 if classifier else tolerance * outputs[:, -1].std()
    kept = np.abs(outputs - outputs[:, -1:]) <= allowed
    return float((steps / steps[-1])[kept.argmax(axis=1)].mean())


def neg_sufficient_fraction(trim, X, y=None, **options) -> float:
    """Negate `sufficient_fraction`, for searches that maximise.

    Parameters
    ----------
    trim, X, y, **options
        See `sufficient_fraction`.

    Returns
    -------
    float

    See Also
    --------
    sufficient_fraction : What is negated.

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import neg_sufficient_fraction
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> round(neg_sufficient_fraction(trim, X), 4)
    -0.6667
    """
    return -sufficient_fraction(trim, X, y, **options)


def completeness_score(trim, X, y=None, *, explanation=None) -> float:
    r"""Tell how nearly the scores add up to what they explain; higher is better.

    .. math::

       1 - \frac{\sum_i \bigl| \phi_{i0} + \sum_g \phi_{ig} - F_i \bigr|}
                {\sum_i \bigl| F_i - \phi_{i0} \bigr|},

    one minus the summed magnitude of the completeness error over the summed magnitude
    of the explained output :math:`F_i` less the base value :math:`\phi_{i0}`, over
    samples i, where the scores :math:`\phi_{ig}` include that of the residual.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    explanation : Explanation or None
        Of X; None: it is computed.

    Returns
    -------
    float
        1 for complete scores; negative where the error exceeds what is explained. NaN,
        with a warning, where completeness is not defined: scorers without a base value,
        groups whose weights do not sum to 1.

    Warns
    -----
    sklearn.exceptions.UndefinedMetricWarning

    See Also
    --------
    sktrim.Explanation : Holds ``completeness_error``, sample by sample.

    Notes
    -----
    Completeness is an axiom of :footcite:t:`sundararajan2017ig` and of Shapley values.
    A method that promises it reaches 1 whatever the network; it does not say that the
    scores are given to the right groups.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import completeness_score
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> round(completeness_score(trim, X), 4)
    1.0
    """
    explanation = trim.explain(X, y) if explanation is None else explanation
    error = explanation.completeness_error
    if error is None or np.isnan(error).any():
        warnings.warn(
            "completeness is not defined here and is given as NaN: the scorer has no "
            "base value, or the groups' weights do not sum to 1 for every coefficient.",
            UndefinedMetricWarning,
            stacklevel=2,
        )
        return np.nan
    total = explanation.values.sum(axis=1)
    if explanation.residual_values is not None and not explanation.residual_is_group:
        total = total + explanation.residual_values
    missed, size = np.abs(error).sum(), np.abs(total - error).sum()
    if size == 0:
        return 1.0 if missed == 0 else -np.inf
    return float(1 - missed / size)


def sparsity_score(trim, X, y=None, *, explanation=None) -> float:
    r"""Tell how few groups carry the scores: the Gini index of their magnitudes.

    .. math::

       \frac{1}{G - 1} \sum_{g=1}^{G} (2 g - G - 1) \,
       \frac{|\phi|_{(g)}}{\sum_{g'} |\phi|_{(g')}},

    averaged over samples, where :math:`|\phi|_{(1)} \le \dots \le |\phi|_{(G)}` are the
    magnitudes of the G scores in order. 0 says that all are equal, 1 that one group
    carries everything.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    explanation : Explanation or None
        Of X; None: it is computed.

    Returns
    -------
    float
        Mean over samples, in [0, 1]; 0 for equal or all-zero scores and for one group.

    See Also
    --------
    sufficient_fraction : How few groups are enough for the network.

    Notes
    -----
    Of the measures that :footcite:t:`hurley2009sparsity` compare, the Gini index has
    all the properties they ask for. It is scaled by G / (G - 1), so that one group that
    carries all of it gives 1 whatever their number. Sparse is easy to read, not right.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import sparsity_score
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> round(sparsity_score(trim, X), 2)
    0.66
    """
    explanation = trim.explain(X, y) if explanation is None else explanation
    sizes = np.sort(np.abs(check_scores(explanation.values)), axis=1).astype(float)
    n_groups = sizes.shape[1]
    total = sizes.sum(axis=1)
    if n_groups == 1:
        return 0.0
    weights = (2 * np.arange(1, n_groups + 1) - n_groups - 1) / (n_groups - 1)
    gini = sizes @ weights / np.where(total > 0, total, 1)
    return float(gini.mean())


def marginal_changes(
    trim, X, y=None, *, baseline="rows", n_rows=8, verbose=None
) -> np.ndarray:
    r"""Mean absolute change of the output when a group takes other rows' coefficients.

    .. math::

       \Delta_g = \frac{1}{R} \sum_{r=1}^{R} \Bigl|
       F\bigl(s - M_g \odot (s - b^r)\bigr) - F(s) \Bigr|

    for group g with weights :math:`M_g` and the R rows :math:`b^r`, where F is the
    output at coefficients s. A large change says that the network listens to the group.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    baseline : {"rows", "zero", "mean"} or array-like, default="rows"
        What replaces a group's coefficients: those of `n_rows` training rows in turn,
        zeros, the training mean, or rows of one's own, of shape (n_coefficients,) or
        (n_rows, n_coefficients).
    n_rows : int, default=8
        Training rows that lend their coefficients: the last of those `trim` keeps,
        since scorers compare with the first.
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    ndarray of shape (n_samples, n_groups)
        In units of the probability of a classifier's explained class, else of the
        explained output.

    See Also
    --------
    localisation_score : Correlates scores with these.
    sktrim.scorers.Occlusion : The signed change, as a score.

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import marginal_changes
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> marginal_changes(trim, X[:2]).round(2)
    array([[1.07, 0.59, 0.  ],
           [1.83, 0.68, 0.  ]], dtype=float32)
    """

    def visit(curves, _):
        model, masks = curves.model, 1 - curves.complement
        at_once = max(1, model.rows_at_once() // len(model.s))
        whole = curves.read(model.output(model.x))
        total: Any = 0
        for row in curves.rows:
            away = row - model.s
            changes = [
                curves.read(model(model.s + some[:, None] * away)) - whole
                for some in masks.split(at_once)
            ]
            total = total + torch.cat(changes).abs()
        return (to_numpy((total / len(curves.rows)).T),)

    options = {"baseline": baseline, "n_rows": n_rows, "verbose": verbose}
    return over_chunks(trim, X, y, visit, **options)[0]


def localisation_score(
    trim, X, y=None, *, over="groups", n_rows=8, explanation=None, verbose=None
) -> float:
    r"""Correlate the scores with what replacing each group really does.

    .. math::

       \frac{1}{n} \sum_{i=1}^{n} \rho\bigl( |\phi_{i \cdot}|, \Delta_{i \cdot} \bigr),

    Spearman correlation over the groups of a sample i (or over samples, by group) of
    the scores' magnitudes with the mean absolute change :math:`\Delta` of the output
    when the group's coefficients are replaced by those of other rows. High: what is
    said to matter does. A score that is the same for every sample can be right on
    average and still score low across samples.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    over : {"groups", "samples"}, default="groups"
        Correlate over the groups of each sample, or over the samples for each group;
        the mean of these correlations is returned.
    n_rows : int, default=8
        See `marginal_changes`.
    explanation : Explanation or None
        Of X; None: it is computed.
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    float
        In [-1, 1]; a constant side counts as 0. Circular for ``Occlusion("rows")``,
        which measures the same.

    See Also
    --------
    marginal_changes : The changes.

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import localisation_score
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> round(localisation_score(trim, X), 2)
    1.0
    """
    check_option("over", over, ("groups", "samples"))
    explanation = trim.explain(X, y) if explanation is None else explanation
    scores = np.abs(check_scores(explanation.values, trim, X))
    changes = marginal_changes(trim, X, y, n_rows=n_rows, verbose=verbose)
    if over == "samples":
        scores, changes = scores.T, changes.T
    return float(row_correlations(scores, changes).mean())


def explanation_scores(trim, X, y=None) -> dict[str, float]:
    """Compute all metrics from one explanation, as a multi-metric ``scoring=``.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None

    Returns
    -------
    dict of str to float
        ``faithfulness``, ``neg_sufficient_fraction``, ``completeness``, ``sparsity``
        and ``localisation``; higher is better for all.

    See Also
    --------
    faithfulness_score : Area between insertion and deletion.
    neg_sufficient_fraction : Share of groups that keeps the prediction.
    completeness_score : Whether scores add up.
    sparsity_score : Whether few groups carry them.
    localisation_score : Whether they go with what replacing groups does.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import explanation_scores
    >>> X = np.random.default_rng(0).standard_normal((30, 6)).astype("float32")
    >>> trim = TransformImportance(torch.nn.Linear(6, 2), PCA())
    >>> search = GridSearchCV(
    ...     trim,
    ...     {"transformer__n_components": [5, 6]},
    ...     scoring=explanation_scores,
    ...     refit="faithfulness",
    ...     cv=3,
    ... ).fit(X)
    >>> "mean_test_sparsity" in search.cv_results_
    True
    """
    explanation = trim.explain(X, y)
    scores = check_scores(explanation.values, trim)
    return {
        "faithfulness": faithfulness_curves(trim, X, y, scores=scores).score,
        "neg_sufficient_fraction": neg_sufficient_fraction(trim, X, y, scores=scores),
        "completeness": completeness_score(trim, X, y, explanation=explanation),
        "sparsity": sparsity_score(trim, X, y, explanation=explanation),
        "localisation": localisation_score(trim, X, y, explanation=explanation),
    }
