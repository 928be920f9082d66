"""Run the studies that a card reports."""

from sktrim.evaluation._faithfulness import faithfulness_report
from sktrim.evaluation._randomisation import randomisation_test
from sktrim.evaluation._stability import stability_report


def explanation_card(trim, X, y=None, *, sample=None, k=5, n_draws=8, verbose=None):
    """Measure how far to trust an explanation and say so on one page.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
        True labels or values, for the accuracy.
    sample : int or None, default=None
        Look at this sample in particular.
    k : int, default=5
        How many groups are named.
    n_draws : int, default=8
        Random networks, and draws of each perturbation.
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    sktrim.report._card.ExplanationCard
        Prints as text and shows as HTML in notebooks.

    See Also
    --------
    sktrim.Explanation.card : The same from studies that were run before.
    faithfulness_report, randomisation_test, stability_report : What is run.

    Notes
    -----
    In the order of :footcite:t:`murdoch2019pdr`: predictive accuracy, descriptive
    accuracy, relevance. A wrong network is explained in vain, and a wrong explanation
    is not worth reading.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import explanation_card
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> card = explanation_card(trim, X, n_draws=2)
    >>> print(str(card).splitlines()[0])
    cd, raw of 20 samples
    """
    explanation = trim.explain(X, y)
    classes = getattr(trim, "classes_", None)
    explanation.card(y, sample=sample, classes=classes, k=k)  # its errors come first
    draws = {"n_draws": n_draws, "verbose": verbose}
    kinds = ("bootstrap", "subsample", "cross_validation")
    return explanation.card(
        y,
        sample=sample,
        classes=classes,
        k=k,
        faithfulness=faithfulness_report(
            trim, X, y, scores=explanation.values, verbose=verbose
        ),
        randomisation=_randomised(trim, X, y, draws),
        stability=stability_report(trim, X, y, perturbations=kinds, **draws),
    )


def _randomised(trim, X, y, draws):
    """Re-draw the weights; an estimator without any has nothing to test."""
    if next(trim.network_.module.parameters(), None) is None:
        return "not possible: the estimator has no weights to re-draw"
    return randomisation_test(trim, X, y, depths=[-1], **draws)
