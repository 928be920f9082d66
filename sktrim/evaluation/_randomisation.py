"""Does the explanation depend on what the network learned: randomise the weights."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from tqdm.auto import tqdm

from sktrim.evaluation._correlation import (
    map_correlations,
    row_correlations,
    sign_chance,
    textbook_p,
)
from sktrim.evaluation._trace import check_scores, unit_of
from sktrim.evaluation._variants import (
    layers_in_order,
    redraw,
    with_module,
    with_target,
)
from sktrim.inspection._style import check_option

KINDS = ("pearson", "spearman", "kendall")
MODES = ("cascade", "independent")


@dataclass(frozen=True)
class RandomisationResult:
    """How explanations of a network relate to those of the network randomised.

    Parameters
    ----------
    scorer : str
    mode : {"cascade", "independent"}
    layers : list of str
        Layer randomised at each depth, from output to input; in a cascade those before
        it in the list are random too.
    signed, absolute : dict of str to ndarray of shape (n_depths, n_draws)
        Mean correlation over the samples with the trained network's scores, of the
        scores and of their magnitudes, for "pearson", "spearman" and "kendall".
    sizes, chances : dict of str to ndarray of shape (n_depths, n_draws)
        Mean over the samples of |rho| of the scores, and of its variance if only the
        magnitudes of the maps were alike (see `sign_chance`).
    data_only : dict of str to float
        Correlation of |s|, which needs no network, with the trained network's scores:
        entries "signed" and "absolute" (Spearman).
    data_only_random : ndarray of shape (n_depths, n_draws)
        Spearman correlation of |s| and the randomised network's magnitudes.
    output_change : ndarray of shape (n_depths, n_draws)
        Mean absolute change of the explained output, in its standard deviations.
    n_samples, n_groups : int
    threshold : float
        Largest effect that passes.
    level : float
        Of the significance test and the confidence intervals.

    See Also
    --------
    randomisation_test : Makes it, and says what the verdicts are.
    sktrim.inspection.RandomisationDisplay : Draws it.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import randomisation_test
    >>> X = np.random.default_rng(0).standard_normal((10, 50)).astype("float32")
    >>> trim = TransformImportance(torch.nn.Linear(50, 1), scorer="gradient").fit(X)
    >>> result = randomisation_test(trim, X, n_draws=3, random_state=0)
    >>> result.mean("pearson").shape, result.effect >= 0
    ((1,), True)
    """

    scorer: str
    mode: str
    layers: list[str]
    signed: dict[str, np.ndarray]
    absolute: dict[str, np.ndarray]
    sizes: dict[str, np.ndarray]
    chances: dict[str, np.ndarray]
    data_only: dict[str, float]
    data_only_random: np.ndarray
    output_change: np.ndarray
    n_samples: int
    n_groups: int
    threshold: float = 0.1
    level: float = 0.05

    def _draws(self, kind, absolute) -> np.ndarray:
        check_option("kind", kind, KINDS)
        return (self.absolute if absolute else self.signed)[kind]

    def _spread(self, kind, absolute) -> tuple[np.ndarray, np.ndarray, int]:
        """Mean over draws and its standard error, and the number of draws."""
        rho = self._draws(kind, absolute)
        n = rho.shape[1]
        spread = rho.std(axis=1, ddof=1) if n > 1 else np.zeros(len(rho))
        return rho.mean(axis=1), spread / np.sqrt(n), n

    def mean(self, kind="spearman", absolute=False) -> np.ndarray:
        """Mean correlation over draws at each depth.

        Parameters
        ----------
        kind : {"pearson", "spearman", "kendall"}, default="spearman"
        absolute : bool, default=False
            Correlate magnitudes instead.

        Returns
        -------
        ndarray of shape (n_depths,)

        Raises
        ------
        ValueError
            If `kind` is unknown.
        """
        return self._draws(kind, absolute).mean(axis=1)

    def p_values(self, kind="spearman", absolute=False) -> np.ndarray:
        """Textbook two-sided p-values of the means.

        They take the groups as independent of each other and the samples too, which
        neighbouring coefficients of one signal are not: tiny correlations come out
        significant. The verdict does not use them.

        Parameters
        ----------
        kind : {"pearson", "spearman", "kendall"}, default="spearman"
        absolute : bool, default=False
            Correlate magnitudes instead.

        Returns
        -------
        ndarray of shape (n_depths,)
        """
        rho = self.mean(kind, absolute)
        return textbook_p(kind, rho, self.n_samples, self.n_groups)

    def redraw_p_values(self, kind="spearman", absolute=False) -> np.ndarray:
        """P-values of a t test over the re-drawn networks; 1 for a single one.

        Parameters
        ----------
        kind : {"pearson", "spearman", "kendall"}, default="spearman"
        absolute : bool, default=False
            Correlate magnitudes instead.

        Returns
        -------
        ndarray of shape (n_depths,)
        """
        mean, error, n = self._spread(kind, absolute)
        if n < 2:
            return np.ones_like(mean)
        p = 2 * stats.t.sf(np.abs(mean) / np.where(error > 0, error, 1), n - 1)
        return np.where(error > 0, p, np.where(mean == 0, 1.0, 0.0))

    def interval(self, kind="spearman", absolute=False) -> tuple[np.ndarray, ...]:
        """Interval of the mean over draws that fails with probability `level`.

        Parameters
        ----------
        kind : {"pearson", "spearman", "kendall"}, default="spearman"
        absolute : bool, default=False
            Correlate magnitudes instead.

        Returns
        -------
        lower, upper : ndarray of shape (n_depths,), -1 and 1 for a single draw
        """
        mean, error, n = self._spread(kind, absolute)
        if n < 2:
            return np.full_like(mean, -1), np.full_like(mean, 1)
        width = stats.t.ppf(1 - self.level / 2, n - 1) * error
        return np.maximum(mean - width, -1), np.minimum(mean + width, 1)

    @property
    def _judged(self) -> int:
        """Depth that is judged: all layers random, or the layer that matters least."""
        if self.mode == "cascade":
            return -1
        return int(np.argmax(self._effects))

    @property
    def _effects(self) -> np.ndarray:
        """Size of |rho| beyond chance at each depth, the largest of the three."""
        if self.n_groups < 2:
            return np.zeros(len(self.layers))
        excess = [
            # a normal variable's mean magnitude is sqrt(2 / pi) standard deviations
            self.sizes[kind].mean(axis=1) ** 2
            - 2 / np.pi * self.chances[kind].mean(axis=1)
            for kind in KINDS
        ]
        return np.sqrt(np.maximum(np.max(excess, axis=0), 0))

    @property
    def effect(self) -> float:
        """Mean |rho| over maps and draws, the largest of the three correlations.

        Less, in squares, what random signs would give. The question is asked map by
        map: relations of either sign count.
        """
        return float(self._effects[self._judged])

    @property
    def significance(self) -> float:
        """Smallest of the three p-values of the re-drawing test, times three."""
        at = self._judged
        return min(1.0, 3 * min(self.redraw_p_values(kind)[at] for kind in KINDS))

    @property
    def passes_effect(self) -> bool:
        """Whether the effect is at most the threshold: the scores were learned."""
        return self.effect <= self.threshold

    @property
    def passes_significance(self) -> bool:
        """Whether no relation to the randomised network's scores was found."""
        return self.significance >= self.level

    @property
    def is_data_only(self) -> bool:
        """Whether the scores' magnitudes are |s| (Spearman above 0.95) for any network.

        Both for the trained network and for the randomised one.
        """
        random = self.data_only_random[self._judged].mean()
        return min(self.data_only["absolute"], random) > 0.95

    def __str__(self) -> str:
        header = f"{'randomised':24s}" + "".join(f"{kind:>17s}" for kind in KINDS)
        lines = [header + f"{'|scores|':>11s}{'output':>9s}"]
        for depth, layer in enumerate(self.layers):
            cells = "".join(
                f"{self.mean(k)[depth]:8.3f} ({self.p_values(k)[depth]:.1e})"
                for k in KINDS
            )
            sizes = self.mean("spearman", absolute=True)[depth]
            change = self.output_change[depth].mean()
            lines.append(f"{layer[-24:]:24s}{cells}{sizes:11.3f}{change:9.2f}")
        lines.append(
            f"{self.scorer}: effect {self.effect:.3f} "
            f"({'passes' if self.passes_effect else 'fails'}), significance p = "
            f"{self.significance:.2g} "
            f"({'passes' if self.passes_significance else 'fails'})"
        )
        lines.append(
            f"data only: rho(|s|, scores) = {self.data_only['signed']:.3f}, "
            f"rho(|s|, |scores|) = {self.data_only['absolute']:.3f}"
            + (": the scores are those of the data alone" if self.is_data_only else "")
        )
        return "\n".join(lines)

    def plot(self, *, ax=None):
        """Draw the correlations over the depth of randomisation.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        sktrim.inspection.RandomisationDisplay
        """
        from sktrim.inspection import RandomisationDisplay

        return RandomisationDisplay.from_values(
            self.layers,
            self.signed,
            absolute=self.absolute["spearman"],
            reference=self.data_only["absolute"],
            threshold=self.threshold,
            title=f"{self.scorer}: weights randomised, {self.mode}",
            ax=ax,
        )


def _check_options(mode, n_draws, depths, n_layers) -> list[int]:
    check_option("mode", mode, MODES)
    if n_draws < 1:
        raise ValueError(f"n_draws={n_draws}; expected at least 1.")
    if n_layers == 0:
        raise ValueError("the network has no parameters, so nothing can be randomised.")
    chosen = range(1, n_layers + 1) if depths is None else depths
    chosen = [d + n_layers + 1 if d < 0 else d for d in chosen]
    if not chosen or min(chosen) < 1 or max(chosen) > n_layers:
        raise ValueError(
            f"depths={depths!r}; the network has {n_layers} layers with parameters, so "
            f"depths run from 1 to {n_layers} (-1: all)."
        )
    return sorted(set(chosen))


def randomisation_test(
    trim,
    X,
    y=None,
    *,
    mode="cascade",
    n_draws=8,
    depths: Sequence[int] | None = None,
    threshold=0.1,
    level=0.05,
    random_state=0,
    verbose=None,
) -> RandomisationResult:
    r"""Re-draw the network's weights layer by layer and see whether scores change.

    A score that says the same of a trained and of a random network is not about what
    the network learned. Two verdicts are given: the *effect*,

    .. math::

       e = \max_\rho \Bigl[ \, \overline{|\rho|}^2
           - \frac{2}{\pi} \, \overline{v_\rho} \, \Bigr]_+^{1/2}, \qquad
       v = \sum_g \hat\phi_g^2 \, \hat\psi_g^2,

    where :math:`\overline{|\rho|}` is the mean magnitude, over samples and draws, of
    the Pearson, Spearman or Kendall correlation of a sample's scores :math:`\phi` with
    those of the random network, :math:`\psi`, and v the variance that random signs of
    the products would give it (:math:`\hat\phi` are the scores, or their ranks, centred
    and of length 1); and the *significance* of the mean correlation, a t test against
    its spread over re-drawn networks. An effect of at most `threshold` passes: low is
    good.

    Parameters
    ----------
    trim : fitted TransformImportance
        Neither it nor its network is touched: copies are randomised.
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
        For ``target="true"``.
    mode : {"cascade", "independent"}, default="cascade"
        Randomise from the output down to each depth, or each layer alone.
    n_draws : int, default=8
        Random networks per depth.
    depths : sequence of int or None, default=None
        Which depths, 1 the output layer and -1 all layers; None: every one.
    threshold : float, default=0.1
        Largest effect that passes.
    level : float, default=0.05
        Of the significance test and the confidence intervals.
    random_state : int, default=0
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    RandomisationResult

    Raises
    ------
    ValueError
        If an option is unknown, there are several targets per sample, or the network
        has no parameters.

    See Also
    --------
    RandomisationResult : What is returned.
    scorer_agreement : Relates scorers instead of networks.

    Notes
    -----
    The test is the sanity check of :footcite:t:`adebayo2018sanity`; in astronomy the
    null test of :footcite:t:`zorrilla2020lensing`, Table II, who keep the methods for
    which the null of no relation is not rejected by any of the three correlations.
    Their p-values take neighbouring pixels as independent, so that a correlation of .01
    is significant: hence two verdicts, and the textbook p only in the table.

    Scores of both networks contain the sample itself.
    :footcite:t:`binder2023randomization` show that a correlation is left for methods
    that are right, and that randomising from the top down favours noisy ones. Hence the
    data-only reference: the correlation of the coefficients' size with the scores,
    which needs no network at all.

    Weights are drawn from a normal distribution with mean 0 and the standard deviation
    they have; biases, scales and statistics of a batch norm change places.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import randomisation_test
    >>> _ = torch.manual_seed(0)
    >>> X = np.random.default_rng(0).standard_normal((10, 50)).astype("float32")
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Linear(50, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)
    ... )
    >>> trim = TransformImportance(net, scorer="gradient").fit(X)
    >>> result = randomisation_test(trim, X, n_draws=4, random_state=0)
    >>> result.layers, result.signed["spearman"].shape
    (['2', '0'], (2, 4))
    >>> result.effect < 0.5
    True
    """
    explanation = trim.explain(X, y)
    fixed = with_target(trim, explanation)
    network = trim.network_
    layers, chosen = _layers(trim, X, mode, n_draws, depths)
    sizes = _amplitudes(explanation)
    trained = check_scores(explanation, trim)
    comparisons = []
    verbose = trim.verbose if verbose is None else verbose
    with tqdm(total=n_draws * len(chosen), unit="network", disable=not verbose) as bar:
        for seed in np.random.SeedSequence(random_state).spawn(n_draws):
            for module in _randomised(network.module, layers, chosen, mode, seed):
                other = with_module(fixed, module).explain(X)
                scores = check_scores(other, trim)
                comparisons.append(_compare(explanation, other, trained, scores, sizes))
                bar.update()
    shape = (n_draws, len(chosen))
    table = {
        k: np.reshape([f[k] for f in comparisons], shape).T for k in comparisons[0]
    }
    return RandomisationResult(
        scorer=explanation.scorer,
        mode=mode,
        layers=[layers[d - 1] for d in chosen],
        signed={kind: table[kind] for kind in KINDS},
        absolute={kind: table[f"absolute {kind}"] for kind in KINDS},
        sizes={kind: table[f"size {kind}"] for kind in KINDS},
        chances={kind: table[f"chance {kind}"] for kind in KINDS},
        data_only={
            "signed": float(row_correlations(sizes, trained).mean()),
            "absolute": float(row_correlations(sizes, np.abs(trained)).mean()),
        },
        data_only_random=table["data only"],
        output_change=table["output change"],
        n_samples=trained.shape[0],
        n_groups=trained.shape[1],
        threshold=threshold,
        level=level,
    )


def randomised_explanations(
    trim, X, y=None, *, depths: Sequence[int] | None = None, random_state=0
) -> list:
    """Explain the same with the weights re-drawn down to each depth: for pictures.

    Parameters
    ----------
    trim : fitted TransformImportance
        Neither it nor its network is touched: copies are randomised.
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
        For ``target="true"``.
    depths : sequence of int or None, default=None
        How many layers with parameters are random, from the output: 1 the last layer
        alone and -1 all of them; None: every number.
    random_state : int, default=0

    Returns
    -------
    list of Explanation
        Of the outputs that the trained network's explanation is of; from few random
        layers to many.

    Raises
    ------
    ValueError
        As `randomisation_test`.

    See Also
    --------
    randomisation_test : Says in numbers how alike they are.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import randomised_explanations
    >>> X = np.random.default_rng(0).standard_normal((10, 50)).astype("float32")
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Linear(50, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)
    ... )
    >>> trim = TransformImportance(net, scorer="gradient").fit(X)
    >>> last, everything = randomised_explanations(trim, X, depths=[1, -1])
    >>> last.values.shape
    (10, 50)
    """
    fixed = with_target(trim, trim.explain(X, y))
    layers, chosen = _layers(trim, X, "cascade", 1, depths)
    [seed] = np.random.SeedSequence(random_state).spawn(1)
    modules = _randomised(trim.network_.module, layers, chosen, "cascade", seed)
    return [with_module(fixed, copy.deepcopy(m)).explain(X) for m in modules]


def _layers(trim, X, mode, n_draws, depths) -> tuple[list[str], list[int]]:
    """Return the layers from output to input, and the depths that are asked for."""
    layers = layers_in_order(trim.network_, trim.signals(X)[:2])[::-1]
    return layers, _check_options(mode, n_draws, depths, len(layers))


def _randomised(module, layers, depths, mode, seed):
    """Yield copies of a module with the layers down to each depth re-drawn."""
    generator = torch.Generator().manual_seed(int(seed.generate_state(1)[0]))
    random = copy.deepcopy(module)
    for depth in range(1, max(depths) + 1):
        if mode == "independent":
            random = copy.deepcopy(module)
        redraw(random.get_submodule(layers[depth - 1]), generator)
        if depth in depths:
            yield random


def _amplitudes(explanation) -> np.ndarray:
    """Size of each group's coefficients, (n_samples, n_groups)."""
    s = explanation.coefficients
    s = s.toarray() if hasattr(s, "toarray") else np.asarray(s)
    return np.sqrt(explanation.feature_groups.aggregate(s.astype(float) ** 2))


def _compare(explanation, other, trained, scores, sizes) -> dict[str, float]:
    """Relate the scores of a randomised network to the trained one's."""
    maps = map_correlations(trained, scores)
    sized = map_correlations(np.abs(trained), np.abs(scores))
    relations = {}
    for kind in KINDS:
        relations[kind] = float(maps[kind].mean())
        relations[f"size {kind}"] = float(np.abs(maps[kind]).mean())
        relations[f"chance {kind}"] = float(sign_chance(trained, scores, kind).mean())
        relations[f"absolute {kind}"] = float(sized[kind].mean())
    relations["data only"] = float(row_correlations(sizes, np.abs(scores)).mean())
    before, after = explanation.explained, other.explained
    change = np.abs(after - before).mean()
    relations["output change"] = float(change / unit_of(before, after))
    return relations
