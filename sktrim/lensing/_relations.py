"""How the outputs of a network go together with classical statistics."""

from typing import Any

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def output_correlations(outputs: Any, statistics: Any, cosmology: Any) -> np.ndarray:
    r"""Correlate outputs with each number of a statistic, within cosmologies.

    .. math:: \rho_{kj} = \frac 1 {|\Theta|} \sum_\theta
       \mathrm{corr}(\hat y_k, s_j \mid \theta),

    Pearson's correlation over the maps of one cosmology :math:`\theta`, averaged over
    cosmologies: what differs between cosmologies does not count.

    Parameters
    ----------
    outputs : array-like of shape (n_maps, n_outputs)
    statistics : array-like of shape (n_maps, d)
    cosmology : array-like of shape (n_maps,)

    Returns
    -------
    ndarray of shape (n_outputs, d)
        A number that is the same in all maps of a cosmology counts as uncorrelated
        there.

    Raises
    ------
    ValueError
        If shapes do not fit, or a cosmology has fewer than three maps.

    See Also
    --------
    best_linear_correlations : Of all numbers together.

    Notes
    -----
    Figure 3 of :footcite:t:`zorrilla2020lensing`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import output_correlations
    >>> outputs = np.random.default_rng(0).standard_normal((20, 1))
    >>> output_correlations(outputs, -outputs, np.repeat([0, 1], 10)).round(6)
    array([[-1.]])
    """
    outputs, statistics, rows = _checked(outputs, statistics, cosmology, least=3)
    found = [
        _standardised(outputs[r]).T @ _standardised(statistics[r]) / len(r)
        for r in rows
    ]
    return np.mean(found, axis=0)


def best_linear_correlations(
    outputs: Any, statistics: Any, cosmology: Any, *, n_splits: int | None = 5
) -> np.ndarray:
    """Correlate outputs with the best linear combination of a statistic.

    Within each cosmology a combination of the statistic's numbers is fitted to each
    output by ridge regression, and correlated with all outputs; the correlations are
    averaged over cosmologies.

    Parameters
    ----------
    outputs : array-like of shape (n_maps, n_outputs)
    statistics : array-like of shape (n_maps, d)
    cosmology : array-like of shape (n_maps,)
    n_splits : int or None, default=5
        Maps are predicted by combinations that were fitted to others, in that many
        parts; None: by those fitted to themselves, which few maps make look better than
        they are.

    Returns
    -------
    ndarray of shape (n_outputs, n_outputs)
        Row k: the combination that was fitted to output k.

    Raises
    ------
    ValueError
        If shapes do not fit, or a cosmology has too few maps.

    See Also
    --------
    output_correlations : Of each number by itself.

    Notes
    -----
    After :footcite:t:`zorrilla2020lensing`, section IV A, who fit without
    regularisation and without splits.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.lensing import best_linear_correlations
    >>> statistics = np.random.default_rng(0).standard_normal((100, 3))
    >>> outputs = statistics @ np.array([[1.0], [2.0], [0.0]])
    >>> found = best_linear_correlations(outputs, statistics, np.zeros(100))
    >>> bool(found[0, 0] > 0.99)
    True
    """
    least = 3 if n_splits is None else 2 * n_splits
    outputs, statistics, rows = _checked(outputs, statistics, cosmology, least=least)
    found = []
    for r in rows:
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15)))
        if n_splits is None:
            best = model.fit(statistics[r], outputs[r]).predict(statistics[r])
        else:
            folds = KFold(n_splits, shuffle=True, random_state=0)
            best = cross_val_predict(model, statistics[r], outputs[r], cv=folds)
        best = np.asarray(best).reshape(len(r), -1)
        found.append(_standardised(best).T @ _standardised(outputs[r]) / len(r))
    return np.mean(found, axis=0)


def _checked(outputs: Any, statistics: Any, cosmology: Any, least: int) -> tuple:
    """Return both as matrices, and the rows of each cosmology."""
    outputs, statistics = np.asarray(outputs, float), np.asarray(statistics, float)
    labels = np.asarray(cosmology)
    fit = outputs.ndim == statistics.ndim == 2 and labels.ndim == 1
    if not fit or not len(outputs) == len(statistics) == len(labels):
        raise ValueError(
            f"outputs has shape {outputs.shape}, statistics {statistics.shape} and "
            f"cosmology {labels.shape}; expected (n, k), (n, d) and (n,)."
        )
    if not (np.isfinite(outputs).all() and np.isfinite(statistics).all()):
        raise ValueError("outputs or statistics hold NaN or infinite values.")
    rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    fewest = min(map(len, rows))
    if fewest < least:
        raise ValueError(
            f"a cosmology has {fewest} maps; correlations within it need {least}."
        )
    return outputs, statistics, rows


def _standardised(values: np.ndarray) -> np.ndarray:
    """Give columns the mean 0 and the variance 1; zeros where they never change."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    fixed = spread <= 1e-12 * np.abs(values).max(axis=0)
    return np.where(fixed, 0, centred / np.where(fixed, 1, spread))
