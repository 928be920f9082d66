"""Do several scorers say the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from sktrim.evaluation._correlation import row_correlations
from sktrim.evaluation._trace import as_list, check_scores
from sktrim.evaluation._variants import with_scorer
from sktrim.inspection._style import check_option
from sktrim.scorers import check_scorer, scorer_name


@dataclass(frozen=True)
class ScorerAgreement:
    """How scorers relate to each other, two by two.

    Parameters
    ----------
    names : list of str
    signed, absolute : ndarray of shape (n_scorers, n_scorers)
        Mean over samples of the Spearman correlation over groups, of the scores and of
        their magnitudes.
    top : ndarray of shape (n_scorers, n_scorers)
        Share of samples for which the group of largest magnitude is the same.

    See Also
    --------
    scorer_agreement : Makes it.
    sktrim.inspection.AgreementDisplay : Draws it.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.evaluation import ScorerAgreement
    >>> rho = np.array([[1.0, 0.8], [0.8, 1.0]])
    >>> print(ScorerAgreement(["cd", "deeplift"], rho, rho, rho))
    Spearman correlation of scores, mean over samples
    cd         1.000   0.800
    deeplift   0.800   1.000
    """

    names: list[str]
    signed: np.ndarray
    absolute: np.ndarray
    top: np.ndarray

    def __str__(self) -> str:
        width = max(map(len, self.names))
        lines = ["Spearman correlation of scores, mean over samples"]
        lines += [
            f"{name:{width}s}" + "".join(f"{rho:8.3f}" for rho in row)
            for name, row in zip(self.names, self.signed, strict=True)
        ]
        return "\n".join(lines)

    def plot(self, what: str = "signed", *, title: str | None = None, ax=None):
        """Draw one of the three tables.

        Parameters
        ----------
        what : {"signed", "absolute", "top"}, default="signed"
        title : str, optional
        ax : matplotlib Axes, optional

        Returns
        -------
        sktrim.inspection.AgreementDisplay
        """
        from sktrim.inspection import AgreementDisplay

        check_option("what", what, ("signed", "absolute", "top"))
        labels = {
            "signed": "Spearman correlation of scores",
            "absolute": "Spearman correlation of magnitudes",
            "top": "share of samples with the same first group",
        }
        return AgreementDisplay.from_matrix(
            getattr(self, what), self.names, label=labels[what], title=title, ax=ax
        )


def scorer_agreement(
    trim, X, y=None, *, scorers: Sequence, verbose=None
) -> ScorerAgreement:
    r"""Explain with several scorers and correlate what they say.

    .. math::

       A_{jk} = \frac{1}{n} \sum_{i=1}^{n} \rho\bigl( \phi_i^j, \phi_i^k \bigr),

    the mean over samples of Spearman's correlation over groups of the scores
    :math:`\phi` of scorers j and k. 1 says that they rank the groups alike.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
        For ``target="true"``.
    scorers : sequence of str or Scorer
        At least one; the scorer of `trim` is not added.
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    ScorerAgreement

    Raises
    ------
    ValueError
        If there are no scorers, or several targets per sample.

    See Also
    --------
    ScorerAgreement : What is returned.
    randomisation_test : Relates networks instead of scorers.

    Notes
    -----
    That methods contradict each other is common, and users choose between them by rules
    of thumb :footcite:p:`krishna2022disagreement`; `faithfulness_report` is a better
    judge. Methods may also agree because they are alike, as those of the gradient's
    family are.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import scorer_agreement
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> print(scorer_agreement(trim, X, scorers=["cd", "occlusion"]))
    Spearman correlation of scores, mean over samples
    cd          1.000   1.000
    occlusion   1.000   1.000
    """
    scorers = [check_scorer(scorer) for scorer in as_list(scorers)]
    if not scorers:
        raise ValueError("scorers is empty; give at least one name or scorer.")
    verbose = trim.verbose if verbose is None else verbose
    values = np.stack(
        [
            check_scores(with_scorer(trim, scorer).explain(X, y).values)
            for scorer in tqdm(scorers, unit="scorer", disable=not verbose)
        ]
    )
    first = np.abs(values).argmax(axis=2)
    return ScorerAgreement(
        _distinct([scorer_name(scorer) for scorer in scorers]),
        _pairs(values),
        _pairs(np.abs(values)),
        (first[:, None] == first).mean(axis=2),
    )


def _distinct(names: list[str]) -> list[str]:
    """Add numbers to names that occur more than once."""
    return [
        name if names.count(name) == 1 else f"{name} {names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]


def _pairs(values) -> np.ndarray:
    left, right = np.broadcast_arrays(values[:, None], values[None])
    table = row_correlations(left, right).mean(axis=2)
    # a scorer agrees with itself, also where it is constant
    np.fill_diagonal(table, 1.0)
    return table
