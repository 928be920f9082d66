"""Do the conclusions hold when data, inputs, networks or the transform change a bit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from sktrim.evaluation import _perturbations as perturb
from sktrim.evaluation._correlation import row_correlations
from sktrim.evaluation._trace import as_list, check_scores
from sktrim.inspection._style import check_option

PERTURBATIONS = (*perturb.RESAMPLINGS, "noise", "adversarial")


def consensus(values) -> np.ndarray:
    r"""Keep what several networks agree on.

    .. math::

       c = \begin{cases}
       \mathrm{sign}(a_1) \, \min_i |a_i| & \text{where all have one sign}, \\
       0 & \text{elsewhere},
       \end{cases}

    entry by entry, of the scores :math:`a_i` of networks i. A large entry says that
    every network finds the group to matter, in the same direction.

    Parameters
    ----------
    values : sequence of Explanation, or array-like of shape (n_networks, ...)
        Scores of the same samples and groups.

    Returns
    -------
    ndarray of shape (...)

    Raises
    ------
    ValueError
        If there are no scores, or their shapes differ.

    See Also
    --------
    stability_report : Explains with other networks, and holds their consensus.

    Notes
    -----
    After the stability principle of :footcite:t:`yu2020veridical`: the gradient of
    smallest magnitude over networks. The sign, and the zero where signs differ, are our
    addition.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from sktrim.evaluation import consensus
    >>> consensus([[1.0, -2.0, 3.0], [2.0, -1.0, -3.0]])
    array([ 1., -1.,  0.])
    """
    each = [np.asarray(getattr(scores, "values", scores)) for scores in values]
    shapes = sorted({scores.shape for scores in each})
    if len(shapes) != 1:
        raise ValueError(
            f"values has scores of the shapes {shapes}; expected one shape, that of "
            "the same samples and groups for every network."
        )
    values = np.stack(each)
    agree = (np.sign(values) == np.sign(values[0])).all(axis=0)
    smallest = np.abs(values).min(axis=0)
    return np.where(agree, np.sign(values[0]) * smallest, 0.0)


@dataclass(frozen=True)
class Perturbed:
    r"""Importances of the groups under one kind of perturbation.

    With the importances :math:`w_g` (mean magnitudes over samples) and the mean scores
    :math:`m_g`, unperturbed, and :math:`w_g^d`, :math:`m_g^d` in draw d,

    .. math::

       \text{rank\_stability} = \overline{\rho(w^d, w)}, \qquad
       \text{sign\_agreement} = \overline{ \frac{\sum_g w_g \,
       [\mathrm{sign} \, m_g^d = \mathrm{sign} \, m_g]}{\sum_g w_g} },

    means over draws; :math:`\rho` is Spearman's correlation. 1 is stable.

    Parameters
    ----------
    importances : ndarray of shape (n_draws, n_groups)
        Mean magnitudes over the samples.
    signed : ndarray of shape (n_draws, n_groups)
        Mean scores over the samples.
    reference : ndarray of shape (n_groups,)
        Mean magnitudes, unperturbed.
    signs : ndarray of shape (n_groups,)
        Mean scores, unperturbed.

    See Also
    --------
    stability_report : Makes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.evaluation import Perturbed
    >>> draws = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]])
    >>> sizes, means = np.array([3.0, 2.0, 1.0]), np.array([3.0, 2.0, -1.0])
    >>> found = Perturbed(draws, draws, sizes, means)
    >>> round(found.rank_stability, 4), round(found.sign_agreement, 4)
    (0.75, 0.8333)
    """

    importances: np.ndarray
    signed: np.ndarray
    reference: np.ndarray
    signs: np.ndarray

    @property
    def rank_stability(self) -> float:
        """Mean Spearman correlation of perturbed and unperturbed importances."""
        same = np.broadcast_to(self.reference, self.importances.shape)
        constant = np.ptp(self.importances, axis=1) + np.ptp(same, axis=1) == 0
        rho = row_correlations(self.importances, same)
        return float(np.where(constant, 1.0, rho).mean())

    @property
    def sign_agreement(self) -> float:
        """Share of draws and groups whose mean score keeps its sign.

        Groups count by their importance; 1 where nothing has any.
        """
        kept = np.sign(self.signed) == np.sign(self.signs)
        total = self.reference.sum()
        if total == 0:
            return 1.0
        return float((kept * self.reference).sum(axis=1).mean() / total)

    def interval(self, level=0.95) -> tuple[np.ndarray, np.ndarray]:
        """Percentile interval of each group's importance over the draws.

        Parameters
        ----------
        level : float, default=0.95

        Returns
        -------
        lower, upper : ndarray of shape (n_groups,)
        """
        tail = (1 - level) / 2
        low, high = np.quantile(self.importances, [tail, 1 - tail], axis=0)
        return low, high


@dataclass(frozen=True)
class StabilityReport:
    """Importances under each kind of perturbation.

    Parameters
    ----------
    group_names : list of str
    importances : ndarray of shape (n_groups,)
        Mean magnitudes over the samples, unperturbed.
    kinds : dict of str to Perturbed
    consensus : ndarray of shape (n_samples, n_groups) or None
        What all networks agree on, where several were given; see `consensus`.

    See Also
    --------
    stability_report : Makes it.
    Perturbed : What it holds for each kind.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.evaluation import Perturbed, StabilityReport
    >>> sizes = np.array([3.0, 1.0])
    >>> draws = np.array([sizes, 2 * sizes])
    >>> kept = Perturbed(draws, draws, sizes, sizes)
    >>> print(StabilityReport(["low", "high"], sizes, {"noise": kept}))
    perturbation       draws   ranks   signs
    noise                  2   1.000   1.000
    """

    group_names: list[str]
    importances: np.ndarray
    kinds: dict[str, Perturbed]
    consensus: np.ndarray | None = None

    def __getitem__(self, kind: str) -> Perturbed:
        return self.kinds[kind]

    def __str__(self) -> str:
        lines = [f"{'perturbation':18s}{'draws':>6s}{'ranks':>8s}{'signs':>8s}"]
        lines += [
            f"{kind:18s}{len(each.importances):6d}{each.rank_stability:8.3f}"
            f"{each.sign_agreement:8.3f}"
            for kind, each in self.kinds.items()
        ]
        return "\n".join(lines)

    def plot(self, kind: str | None = None, *, k=10, title=None, ax=None):
        """Draw the importances with the interval of one kind of perturbation.

        Parameters
        ----------
        kind : str or None
            None: the first one.
        k : int, default=10
            How many groups.
        title : str, optional
        ax : matplotlib Axes, optional

        Returns
        -------
        sktrim.inspection.BarDisplay
        """
        from sktrim.inspection import BarDisplay

        if not self.kinds or (kind is not None and kind not in self.kinds):
            raise ValueError(f"kind={kind!r}; measured were: {list(self.kinds)}.")
        kind = next(iter(self.kinds)) if kind is None else kind
        chosen = self.kinds[kind]
        order = np.argsort(-self.importances, kind="stable")[:k]
        low, high = chosen.interval()
        display = BarDisplay(
            [self.group_names[i] for i in order],
            self.importances[order],
            np.sign(chosen.signs)[order],
            (low[order], high[order], f"95 % of draws ({kind})"),
            "mean |importance|",
        )
        return display.plot(ax=ax, title=title)


def stability_report(
    trim,
    X,
    y=None,
    *,
    perturbations: Sequence[str] = PERTURBATIONS,
    groups=None,
    networks: Sequence = (),
    refit_transform=False,
    n_draws=20,
    block_size: int | None = None,
    noise_level=0.1,
    adversarial_level=0.05,
    random_state=0,
    verbose=None,
) -> StabilityReport:
    r"""Perturb data, inputs, networks and transform, and compare the importances.

    .. math::

       w_g = \frac{1}{n} \sum_{i=1}^{n} |\phi_{ig}|,

    the importance of each group g over all n samples, the mean magnitude of its scores,
    is what is compared, by the correlation of ranks and the agreement of signs: see
    `Perturbed`.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
        For ``target="true"``.
    perturbations : str or sequence of str
        Some of "bootstrap", "block_bootstrap", "cross_validation", "subsample" (of the
        samples), "noise" and "adversarial" (of the inputs).
    groups : array-like of shape (n_samples,) or None
        Environments, e.g. the speaker: importances within each are "environments".
    networks : sequence of torch.nn.Module or fitted nets
        Trained otherwise (seeds, architectures); they and the present one are
        "networks".
    refit_transform : bool, default=False
        Also fit the transform anew to bootstrapped X; groups must keep their number.
    n_draws : int, default=20
        Draws of each random kind (folds, for cross-validation).
    block_size : int or None, default=None
        Rows per block of the block bootstrap; None: the cube root of their number.
    noise_level, adversarial_level : float, default=0.1 and 0.05
        In standard deviations of X.
    random_state : int, default=0
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    StabilityReport

    Raises
    ------
    ValueError
        If a kind is unknown, there are several targets per sample, or `groups` does not
        fit.

    See Also
    --------
    StabilityReport : What is returned.
    consensus : What several networks agree on.
    scorer_agreement : Other methods instead of other data.

    Notes
    -----
    The stability principle is that of :footcite:t:`yu2020veridical`. Kinds of
    perturbation:

    - "bootstrap": rows drawn with replacement; "block_bootstrap": neighbouring rows
      together :footcite:p:`kunsch1989bootstrap`, for series whose rows depend on each
      other;
    - "subsample": half of the rows; "cross_validation": all but a fold;
    - "noise": white noise on the inputs. The largest change that small changes can make
      is the sensitivity of :footcite:t:`yeh2019infidelity`; here the mean over draws is
      taken, of ranks;
    - "adversarial": against the explained output, by the sign of its gradient
      :footcite:p:`goodfellow2015adversarial`, half and all of `adversarial_level`;
    - "environments", "networks", "transforms": as the parameters say.

    Resampled rows are not explained again: their spread is that of the mean over
    samples.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import stability_report
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> kinds = ["bootstrap", "noise"]
    >>> report = stability_report(trim, X, perturbations=kinds, n_draws=5)
    >>> print(report)
    perturbation       draws   ranks   signs
    bootstrap              5   1.000   1.000
    noise                  5   1.000   1.000
    >>> lower, upper = report["bootstrap"].interval()
    >>> bool((lower <= report.importances).all())
    True
    """
    perturbations = as_list(perturbations)
    for kind in perturbations:
        check_option("perturbation", kind, PERTURBATIONS)
    if n_draws < 1:
        raise ValueError(f"n_draws={n_draws}; expected at least 1.")
    explanation = trim.explain(X, y)
    values = check_scores(explanation.values)
    rng = np.random.default_rng(random_state)
    n = len(values)
    maps = {}
    for kind in perturbations:
        if kind in perturb.RESAMPLINGS:
            draws = perturb.resamplings(kind, n, n_draws, rng, block_size)
            maps[kind] = [values[rows] for rows in draws]
    if groups is not None:
        maps["environments"] = [values[r] for r in perturb.environments(groups, n)]
    again = {}
    if "noise" in perturbations:
        draws = (trim, X, explanation, n_draws, rng, noise_level)
        again["noise"] = perturb.noisy(*draws)
    if "adversarial" in perturbations:
        moved = perturb.adversarial(trim, X, explanation, adversarial_level)
        again["adversarial"] = moved
    if len(networks):
        again["networks"] = perturb.other_networks(trim, X, explanation, networks)
    if refit_transform and trim.transformer_ is not None:
        fits = perturb.refitted_transforms(trim, X, explanation, n_draws, rng)
        again["transforms"] = fits
    verbose = trim.verbose if verbose is None else verbose
    with tqdm(unit="explanation", disable=not verbose) as bar:
        for kind, explanations in again.items():
            bar.set_description(kind)
            maps[kind] = [_counted(e, values, bar) for e in explanations]
    agreed = consensus([values, *maps["networks"]]) if len(networks) else None
    sizes, signs = np.abs(values).mean(axis=0), values.mean(axis=0)
    kinds = {kind: _summary(draws, sizes, signs) for kind, draws in maps.items()}
    return StabilityReport(list(explanation.group_names), sizes, kinds, agreed)


def _counted(explanation, values, bar) -> np.ndarray:
    """Check that a perturbed explanation has the same groups and advance the bar."""
    bar.update()
    if explanation.values.shape != values.shape:
        raise ValueError(
            f"a refitted transform gives {explanation.values.shape[1]} groups in place "
            f"of {values.shape[1]}; fix their number to compare fits."
        )
    return explanation.values


def _summary(draws, sizes, signs) -> Perturbed:
    importances = np.stack([np.abs(v).mean(axis=0) for v in draws])
    signed = np.stack([v.mean(axis=0) for v in draws])
    return Perturbed(importances, signed, sizes, signs)
