"""Does a scorer find the group that decides? The simulations of TRIM, Table 1.

``python -m sktrim.evaluation.recovery`` prints the table.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from sktrim.datasets._simulated import N_TEST, Problem, get_regime
from sktrim.evaluation._correlation import row_correlations
from sktrim.evaluation._trace import as_list
from sktrim.evaluation.recovery._networks import train_networks
from sktrim.inspection._style import check_option
from sktrim.inverse import inverse_module
from sktrim.network import Network
from sktrim.network._evaluation import evaluation_mode
from sktrim.scorers import (
    Attribution,
    ComposedModel,
    ContextualDecomposition,
    ExpectedGradients,
    GradientShap,
    GroupMasks,
    Occlusion,
    check_scorer,
    scorer_name,
)
from sktrim.scorers._base import extras_of
from sktrim.targets import Target

OUTPUTS = ("margin", "logit", "probability")
RANKINGS = ("absolute", "signed", "magnitude")
_AT_ONCE = 10
_CHANGES, _BACKGROUND = 8, 200
"""Held-out rows that locality is measured with, and that scorers compare with."""
_RESERVED = _CHANGES + _BACKGROUND


@dataclass(frozen=True)
class RecoverySetting:
    """One line of the table: a scorer, what it explains and how groups are ranked.

    Parameters
    ----------
    scorer : str or Scorer
    output : {"margin", "logit", "probability"}, default="margin"
        Class 1's logit minus class 0's, class 1's logit, or class 1's probability.
    ranking : {"absolute", "signed", "magnitude"}, default="absolute"
        By the magnitude of the group's score, by the score, or by the root of the sum
        of squares of its coefficients' scores (which only additive scorers have).
    label : str or None
        Name in the table; None: made from the scorer.

    See Also
    --------
    recovery_benchmark : Takes them.

    Examples
    --------
    >>> from sktrim.evaluation import RecoverySetting
    >>> from sktrim.scorers import ContextualDecomposition
    >>> RecoverySetting(ContextualDecomposition(bias="channel"), "logit", "signed").name
    "cd (bias='channel')"
    """

    scorer: Any
    output: str = "margin"
    ranking: str = "absolute"
    label: str | None = None

    @property
    def name(self) -> str:
        """What the line is called."""
        if self.label is not None:
            return self.label
        scorer = check_scorer(self.scorer)
        changed = repr(scorer).partition("(")[2].rstrip(")").strip()
        changed = " ".join(changed.split())
        return scorer_name(scorer) + (f" ({changed})" if changed else "")

    @property
    def is_circular(self) -> bool:
        """Whether locality is measured with what the scorer itself does."""
        scorer = check_scorer(self.scorer)
        return isinstance(scorer, Occlusion) and scorer.needs_background

    def check(self) -> None:
        """Raise a ValueError for an unknown option."""
        check_option("output", self.output, OUTPUTS)
        check_option("ranking", self.ranking, RANKINGS)
        if self.ranking == "magnitude" and not check_scorer(self.scorer).additive:
            raise ValueError(
                f'ranking="magnitude" needs scores of coefficients, but {self.name} '
                "only scores whole groups."
            )


@dataclass(frozen=True)
class RecoveryResult:
    """What one setting reached in one regime.

    Parameters
    ----------
    regime, scorer, output, ranking : str
    errors : list of float
        Share of the rows whose true group is not ranked first, for each network.
    locality : list of float
        Spearman correlation over groups of the score's magnitude with the mean absolute
        change under replacement by held-out rows, for each network.
    locality_over_rows : list of float
        The same over rows, at the true group.
    circular : bool
        Whether the scorer itself is that change.

    See Also
    --------
    recovery_benchmark : Makes them.
    RecoveryTable : Prints them.

    Examples
    --------
    >>> from sktrim.evaluation import RecoveryResult
    >>> errors = [0.02, 0.04]
    >>> result = RecoveryResult("reference", "cd", "logit", "signed", errors)
    >>> round(result.error, 2), round(result.std_error, 2)
    (3.0, 1.0)
    """

    regime: str
    scorer: str
    output: str
    ranking: str
    errors: list[float] = field(default_factory=list)
    locality: list[float] = field(default_factory=list)
    locality_over_rows: list[float] = field(default_factory=list)
    circular: bool = False

    @property
    def error(self) -> float:
        """Mean error in per cent."""
        return 100 * float(np.mean(self.errors))

    @property
    def std_error(self) -> float:
        """Standard error of it over networks, in per cent; infinite for one."""
        n = len(self.errors)
        return 100 * float(np.std(self.errors, ddof=1)) / n**0.5 if n > 1 else np.inf


class RecoveryTable:
    """Results of `recovery_benchmark`; printed, it is a table.

    Parameters
    ----------
    results : list of RecoveryResult

    See Also
    --------
    recovery_benchmark : Makes it.

    Examples
    --------
    >>> from sktrim.evaluation import RecoveryResult, RecoveryTable
    >>> lists = {"errors": [0.02], "locality": [0.5], "locality_over_rows": [0.25]}
    >>> result = RecoveryResult("reference", "cd", "logit", "signed", **lists)
    >>> RecoveryTable([result]).rows()
    [('reference', 'cd', 'logit', 'signed', '2.000', 'inf', '0.50', '0.25')]
    """

    columns = (
        "regime",
        "scorer",
        "output",
        "ranking",
        "error [%]",
        "+-",
        "locality",
        "over rows",
    )

    def __init__(self, results: list[RecoveryResult]):
        self.results = results

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self):
        return iter(self.results)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the cells of the table as text."""
        return [
            (
                r.regime,
                r.scorer,
                r.output,
                r.ranking,
                f"{r.error:.3f}",
                f"{r.std_error:.3f}",
                f"{np.mean(r.locality):.2f}" + "*" * r.circular,
                f"{np.mean(r.locality_over_rows):.2f}" + "*" * r.circular,
            )
            for r in self.results
        ]

    def __str__(self) -> str:
        table = [self.columns, *self.rows()]
        widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
        pads = [str.ljust] * 4 + [str.rjust] * 4
        lines = [
            "  ".join(p(c, w) for p, c, w in zip(pads, cells, widths, strict=True))
            for cells in table
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        if any(r.circular for r in self.results):
            lines.append("* circular: the scorer is what locality is measured with")
        return "\n".join(lines)

    def to_frame(self):
        """Give the means as a pandas DataFrame, one row per regime and scorer.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        names = ("regime", "scorer", "output", "ranking", "error", "std_error")
        names += ("locality", "locality_over_rows", "circular")
        table = {name: [getattr(r, name) for r in self.results] for name in names}
        for name in ("locality", "locality_over_rows"):
            table[name] = [float(np.mean(values)) for values in table[name]]
        return pd.DataFrame(table)

    def to_json(self) -> str:
        """Give everything, network by network, as JSON text.

        Returns
        -------
        str
        """
        return json.dumps([asdict(r) for r in self.results], indent=1)


def default_settings() -> list[RecoverySetting]:
    """Return the lines of the table: those of the paper, then the best ones known.

    Returns
    -------
    list of RecoverySetting
        The first is the default unsigned scorer of the benchmark.

    See Also
    --------
    recovery_benchmark : Runs them.

    Examples
    --------
    >>> from sktrim.evaluation.recovery import default_settings
    >>> default_settings()[0].name
    'gradient_shap, rows |.|'
    """
    sampled = GradientShap(absolute=True)
    integrated = ExpectedGradients(absolute=True)
    occluded = Occlusion("rows", absolute=True)
    against_rows = ContextualDecomposition(baseline="rows", absolute=True)
    published = GradientShap(n_points=5, baseline="zero")
    shares = ("channel", "proportional", "context")
    decompositions = [
        RecoverySetting(ContextualDecomposition(share), output, rank, f"cd, {share}")
        for output, rank in (("logit", "signed"), ("margin", "absolute"))
        for share in shares
    ]
    return [
        RecoverySetting(sampled, label="gradient_shap, rows |.|"),
        RecoverySetting(integrated, label="expected_gradients, |.|"),
        RecoverySetting(occluded, label="occlusion, rows |.|"),
        RecoverySetting(against_rows, label="cd, rows |.|"),
        *decompositions,
        RecoverySetting("integrated_gradients", "probability", "magnitude"),
        RecoverySetting("integrated_gradients"),
        RecoverySetting("deeplift", "probability", "magnitude"),
        RecoverySetting("deeplift"),
        RecoverySetting(published, "probability", "magnitude", "gradient_shap, zero"),
        RecoverySetting("input_x_gradient", "probability", "magnitude"),
        RecoverySetting("gradient", "probability", "magnitude"),
        RecoverySetting("occlusion"),
    ]


def _as_setting(scorer) -> RecoverySetting:
    known = isinstance(scorer, RecoverySetting)
    setting = scorer if known else RecoverySetting(scorer)
    setting.check()
    return setting


def _target(output: str) -> Target:
    weights = [0.0, 1.0] if output != "margin" else [-1.0, 1.0]
    squash = "softmax" if output == "probability" else None
    return Target(torch.tensor(weights)[None, None], squash)


class _Trial:
    """One trained network with the rows it is asked about."""

    def __init__(self, module: nn.Module, problem: Problem, n_rows: int, seed: int):
        # for scorers that draw
        self.seed = seed
        self.problem = problem
        x = torch.from_numpy(problem.test[:n_rows])
        network = Network(module, kind="classifier").inspect(x)
        inverse = inverse_module(problem.transformer, X=problem.test[:10])
        self.model = ComposedModel(
            network, inverse.to(dtype=x.dtype), x, self._coefficients(x.numpy())
        )
        self.background = self._coefficients(problem.test[-_RESERVED:-_CHANGES])
        held_out = self._coefficients(problem.test[-_CHANGES:])
        self.changes = self._scores(
            Occlusion("rows", n_rows=_CHANGES, absolute=True),
            problem.groups,
            "margin",
            background=held_out,
        )

    def _coefficients(self, rows) -> torch.Tensor:
        s = self.problem.transformer.transform(rows)
        return torch.as_tensor(np.asarray(s), dtype=torch.float32)

    def _scores(self, scorer, groups, output, **extras) -> np.ndarray:
        model = self.model
        masks = GroupMasks(groups, model.s.dtype, model.s.device)
        with evaluation_mode(model.module), torch.enable_grad():
            scores = scorer.attribute(model, model.s, masks, _target(output), **extras)
        values = scores.values if isinstance(scores, Attribution) else scores
        return values[..., 0].detach().numpy()

    def scores(self, setting: RecoverySetting) -> np.ndarray:
        """Score the groups of every row, shape (n_rows, n_groups), for ranking."""
        scorer = check_scorer(setting.scorer)
        extras = extras_of(scorer, self.background, self.seed)
        groups = self.problem.groups
        if setting.ranking == "magnitude":
            single = type(groups).singletons(groups.n_coefficients)
            squares = self._scores(scorer, single, setting.output, **extras) ** 2
            return np.sqrt(groups.aggregate(squares))
        values = self._scores(scorer, groups, setting.output, **extras)
        return np.abs(values) if setting.ranking == "absolute" else values

    def measure(self, setting: RecoverySetting) -> tuple[float, float, float]:
        """Return the error and the two localities."""
        scores, truth = self.scores(setting), self.problem.truth
        others = np.delete(scores, truth, axis=1).max(axis=1)
        error = float(np.mean(~(scores[:, truth] > others)))
        sizes = np.abs(scores)
        over_groups = row_correlations(sizes, self.changes).mean()
        over_rows = row_correlations(sizes[:, truth], self.changes[:, truth])
        return error, float(over_groups), float(over_rows)


def recovery_benchmark(
    scorers: Sequence | None = None,
    *,
    regimes: Sequence[str] = ("reference",),
    n_networks: int | None = None,
    n_rows: int | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> RecoveryTable:
    r"""Train networks on simulated signals and count how often a scorer is wrong.

    .. math::

       x_j \sim \mathcal{N}(0, 1), \quad j = 1, \dots, 100, \qquad
       y = \bigl[ \, |\hat x_{k^*}| > \text{median} \, \bigr], \qquad
       \text{error} = P\bigl( \phi_{k^*} \text{ is not the largest of } 51 \bigr):

    the label says whether the magnitude of one random frequency :math:`k^*` is above
    its median; the network is a perceptron with a hidden layer of 100 ReLU units. A
    scorer errs on a row if the true frequency is not ranked first among all 51. A score
    that is the same for all rows could have no errors at all, so the locality stands
    beside the error.

    Parameters
    ----------
    scorers : sequence of str, Scorer or RecoverySetting, or None
        None: `default_settings`. A name or scorer explains the margin and is ranked by
        magnitude.
    regimes : sequence of str, default=("reference",)
        Some of "reference", "n2000", "n1000" (fewer training rows, as many steps),
        "deep" (two hidden layers), "uniform" (features), "flips" (20 % wrong labels),
        "real" (label on the real part), "wavelet", "pca", "nmf" (other spaces).
    n_networks : int or None
        None: 100 for the reference regime, 40 for others.
    n_rows : int or None
        Test rows per network; None: 500 for the reference regime, 200 for others.
        The last rows are kept for comparison: 200 for scorers that need a background,
        8 for the locality.
    random_state : int, default=0
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    RecoveryTable

    Raises
    ------
    ValueError
        If a regime, a scorer or an option is unknown, or a number is out of range.

    See Also
    --------
    RecoverySetting : A scorer with what it explains and how groups are ranked.
    RecoveryTable : What is returned.
    localisation_score : The locality, for a network of one's own.

    Notes
    -----
    The simulation is that of :footcite:t:`singh2020trim`, Table 1, with an exact
    inverse transform and many networks instead of one. The published table ranks
    contextual decomposition by its sign but the other methods by the magnitude of the
    scores of real and imaginary part, and leaves out input times gradient, which made
    no errors: no method there can be called the best.

    It runs as a program too, ``python -m sktrim.evaluation.recovery``.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network takes some seconds:

    .. code-block:: python

       from sktrim.evaluation import recovery_benchmark

       print(recovery_benchmark(["cd", "occlusion"], n_networks=4))
    """
    listed = default_settings() if scorers is None else as_list(scorers)
    settings = [_as_setting(scorer) for scorer in listed]
    plans = [_plan(name, n_networks, n_rows) for name in as_list(regimes)]
    results = []
    with tqdm(
        total=sum(n for _, n, _ in plans), unit="network", disable=not verbose
    ) as bar:
        for regime, n, rows in plans:
            bar.set_description(regime.name)
            results += _run(regime, settings, n, rows, random_state, bar)
    return RecoveryTable(results)


def _plan(name: str, n_networks: int | None, n_rows: int | None):
    """Return a regime, and how many networks and rows are tried in it."""
    networks, rows = (100, 500) if name == "reference" else (40, 200)
    networks = networks if n_networks is None else n_networks
    rows = rows if n_rows is None else n_rows
    if networks < 1:
        raise ValueError(f"n_networks={networks}; expected at least 1.")
    if not 1 <= rows <= N_TEST - _RESERVED:
        raise ValueError(f"n_rows={rows}; expected 1 to {N_TEST - _RESERVED}.")
    return get_regime(name), networks, rows


def _run(regime, settings, n_networks, n_rows, seed, bar) -> list[RecoveryResult]:
    """Measure every setting on every network of a regime."""
    results = [
        RecoveryResult(regime.name, s.name, s.output, s.ranking, circular=s.is_circular)
        for s in settings
    ]
    for first in range(0, n_networks, _AT_ONCE):
        size = min(_AT_ONCE, n_networks - first)
        # seeded by position, so that more networks only add to those already run
        modules, problems = train_networks(regime, seed + first, size)
        for offset, (module, problem) in enumerate(zip(modules, problems, strict=True)):
            trial = _Trial(module, problem, n_rows, seed + first + offset)
            for setting, result in zip(settings, results, strict=True):
                measured = trial.measure(setting)
                lists = (result.errors, result.locality, result.locality_over_rows)
                for values, value in zip(lists, measured, strict=True):
                    values.append(value)
            bar.update()
    return results
