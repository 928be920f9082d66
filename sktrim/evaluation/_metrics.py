"""Scores of an explanation that scikit-learn can maximise or report side by side."""

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import UndefinedMetricWarning

from sktrim._memory import to_numpy
from sktrim.evaluation._correlation import row_correlations
from sktrim.evaluation._faithfulness import curve_steps, faithfulness_curves
from sktrim.evaluation._trace import (
    check_scores,
    rank_groups,
    replacement_rows,
    walk,
)


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
    replacement="zero",
    max_steps=20,
    tolerance=0.1,
    random_state=0,
    verbose=None,
) -> float:
    """Find the smallest share of groups that keeps the prediction; lower is better.

    The groups are put back in the order of their scores, the others are replaced. The
    share is the first at which a classifier predicts the class it predicts for the
    whole signal, or a regressor's output is within `tolerance` standard deviations
    (over X) of the whole signal's.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    scores : Explanation, ndarray of shape (n_samples, n_groups) or None
        None: ``trim.explain(X, y).values``.
    replacement : {"zero", "mean"}, default="zero"
        What replaces the other groups' coefficients.
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
    """
    if replacement == "rows":
        raise ValueError('replacement="rows" has no single prediction; use "mean".')
    scores = trim.explain(X, y).values if scores is None else scores
    scores = check_scores(scores, trim, X)
    steps = curve_steps(scores.shape[1], max_steps)
    order = rank_groups(scores, random_state)

    def visit(tracer, rows):
        ranked = torch.as_tensor(order[rows], device=tracer.model.s.device)
        kept = tracer.restored(tracer.weights(ranked, steps))
        whole = torch.ones_like(kept[:1])
        found = tracer.values(torch.cat([kept[:-1], whole]))
        return (to_numpy(found.T),)

    rows = replacement_rows(trim, replacement, 1)
    (found,) = walk(
        trim,
        X,
        y,
        visit,
        rows=rows,
        read=_read_prediction,
        verbose=verbose,
        n_samples=len(scores),
    )
    classifier = trim.network_.kind == "classifier"
    allowed = 0.0 if classifier else tolerance * found[:, -1].std()
    kept = np.abs(found - found[:, -1:]) <= allowed
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
    """
    return -sufficient_fraction(trim, X, y, **options)


def completeness_score(trim, X, y=None, *, explanation=None) -> float:
    """Tell how nearly the scores add up to what they explain; higher is better.

    One minus the summed magnitude of the completeness error over the summed magnitude
    of the explained output less the base value.

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
    """Tell how few groups carry the scores: the Gini index of their magnitudes.

    Scaled by G / (G - 1) for G groups, so that one group that carries all of it gives
    1 whatever their number (Hurley and Rickard 2009 define the index).

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
    trim, X, y=None, *, n_rows=8, rows=None, verbose=None
) -> np.ndarray:
    """Mean absolute change of the output when a group takes other rows' coefficients.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    n_rows : int, default=8
        Training rows that lend their coefficients: the last of those `trim` keeps,
        since scorers compare with the first.
    rows : ndarray of shape (n_rows, n_coefficients) or None
        Coefficients to use instead.
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    ndarray of shape (n_samples, n_groups)
        In units of the probability of a classifier's explained class, else of the
        explained output.
    """
    rows = replacement_rows(trim, "rows", n_rows) if rows is None else rows

    def visit(tracer, _):
        model, masks = tracer.model, 1 - tracer.complement
        at_once = max(1, model.rows_at_once() // len(model.s))
        whole = tracer.read(model.output(model.x))
        total: Any = 0
        for row in tracer.rows:
            away = row - model.s
            changes = [
                tracer.read(model(model.s + some[:, None] * away)) - whole
                for some in masks.split(at_once)
            ]
            total = total + torch.cat(changes).abs()
        return (to_numpy((total / len(tracer.rows)).T),)

    return walk(trim, X, y, visit, rows=rows, verbose=verbose)[0]


def localisation_score(
    trim, X, y=None, *, over="groups", n_rows=8, explanation=None, verbose=None
) -> float:
    """Correlate the scores with what replacing each group really does.

    Spearman correlation of the scores' magnitudes with the mean absolute change of the
    output when the group's coefficients are replaced by those of other rows. A score
    that is the same for every sample can be right on average and still score low
    across samples.

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
        In [-1, 1]; a constant side counts as 0. Circular for ``Occlusion`` with
        marginal replacement, which measures the same.
    """
    if over not in ("groups", "samples"):
        raise ValueError(f"over={over!r}; expected 'groups' or 'samples'.")
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

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sktrim import TransformImportance
    >>> import numpy as np, torch
    >>> X = np.random.default_rng(0).standard_normal((30, 6)).astype("float32")
    >>> trim = TransformImportance(torch.nn.Linear(6, 2), PCA())
    >>> search = GridSearchCV(
    ...     trim,
    ...     {"transformer__n_components": [2, 4]},
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
