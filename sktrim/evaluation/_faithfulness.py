"""Deletion and insertion curves in coefficient space, and their gap as a score."""

from dataclasses import dataclass

import numpy as np
import torch

from sktrim.evaluation._trace import (
    check_scores,
    over_chunks,
    rank_groups,
    unit_of,
)
from sktrim.inspection import FaithfulnessDisplay
from sktrim.inspection._style import check_option
from sktrim.network._network import to_numpy

ORDERS = ("scores", "random", "magnitude")


@dataclass(frozen=True)
class FaithfulnessCurves:
    """What the explained output does as groups are removed or restored in order.

    Parameters
    ----------
    fractions : ndarray of shape (n_points,)
        Share of the groups removed (deletion) or restored (insertion).
    deletion : ndarray of shape (n_samples, n_points)
        Output as the groups are replaced, the highest score first.
    insertion : ndarray of shape (n_samples, n_points)
        Output as the groups are put back, the highest score first.
    output : str
        What the output is, for the axis of the plot.

    See Also
    --------
    faithfulness_curves : Makes them, and says what they are.
    sktrim.inspection.FaithfulnessDisplay : Draws them.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.evaluation import FaithfulnessCurves
    >>> fractions = np.array([0.0, 0.5, 1.0])
    >>> deletion, insertion = np.array([[1.0, 0.2, 0.0]]), np.array([[0.0, 0.9, 1.0]])
    >>> round(FaithfulnessCurves(fractions, deletion, insertion).score, 2)
    0.35
    """

    fractions: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    output: str = "explained output"

    @property
    def deletion_area(self) -> np.ndarray:
        """Area under the deletion curve of each sample, (n_samples,); low is good."""
        return np.trapezoid(self.deletion, self.fractions, axis=1)

    @property
    def insertion_area(self) -> np.ndarray:
        """Area under the insertion curve of each sample, (n_samples,); high is good."""
        return np.trapezoid(self.insertion, self.fractions, axis=1)

    @property
    def gap(self) -> np.ndarray:
        """Area between insertion and deletion of each sample, (n_samples,)."""
        difference = self.insertion - self.deletion
        return np.trapezoid(difference, self.fractions, axis=1)

    @property
    def score(self) -> float:
        """Mean gap."""
        return float(self.gap.mean())

    @property
    def std_error(self) -> float:
        """Standard error of the mean gap over samples; infinite for one sample."""
        return std_error(self.gap)

    def plot(self, *, title: str | None = None, ax=None) -> FaithfulnessDisplay:
        """Draw the mean curves.

        Parameters
        ----------
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        sktrim.inspection.FaithfulnessDisplay
        """
        pair = {"scores": (self.deletion, self.insertion)}
        return FaithfulnessDisplay.from_curves(
            self.fractions, pair, ylabel=self.output, title=title, ax=ax
        )


@dataclass(frozen=True)
class FaithfulnessReport:
    """Faithfulness of the scores beside its two controls.

    Parameters
    ----------
    scores : FaithfulnessCurves
        Groups in the order of the scores.
    random : FaithfulnessCurves
        Groups in random order.
    magnitude : FaithfulnessCurves
        Groups in the order of the size of their coefficients: no network needed.

    See Also
    --------
    faithfulness_report : Makes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.evaluation import FaithfulnessCurves, FaithfulnessReport
    >>> p = np.array([0.0, 0.5, 1.0])
    >>> down = np.array([[1.0, 0.2, 0.0], [1.0, 0.3, 0.0]])
    >>> steep = FaithfulnessCurves(p, down, 1 - down)
    >>> even = FaithfulnessCurves(p, *[np.array([[1.0, 0.5, 0.0]] * 2)] * 2)
    >>> FaithfulnessReport(steep, random=even, magnitude=even).beats_controls
    True
    """

    scores: FaithfulnessCurves
    random: FaithfulnessCurves
    magnitude: FaithfulnessCurves

    @property
    def beats_controls(self) -> bool:
        """Whether the mean gap exceeds both controls' by two standard errors."""
        gap = self.scores.gap
        margins = (gap - self.random.gap, gap - self.magnitude.gap)
        return all(m.mean() > 2 * std_error(m) for m in margins)

    def _named(self) -> dict[str, FaithfulnessCurves]:
        return {
            "scores": self.scores,
            "random order": self.random,
            "order of |s|": self.magnitude,
        }

    def plot(self, *, title: str | None = None, ax=None) -> FaithfulnessDisplay:
        """Draw the mean curves of the scores and of the controls.

        Parameters
        ----------
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        sktrim.inspection.FaithfulnessDisplay
        """
        curves = {name: (c.deletion, c.insertion) for name, c in self._named().items()}
        return FaithfulnessDisplay.from_curves(
            self.scores.fractions,
            curves,
            ylabel=self.scores.output,
            title=title,
            ax=ax,
        )

    def __str__(self) -> str:
        return "\n".join(
            f"{name:14s}{curves.score:8.4f} +- {curves.std_error:.4f}"
            for name, curves in self._named().items()
        )


def std_error(values: np.ndarray) -> float:
    """Return the standard error of a mean; infinite for a single value."""
    if len(values) < 2:
        return np.inf
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def curve_steps(n_groups: int, max_steps: int) -> np.ndarray:
    """Return the numbers of groups removed along a curve, from 0 to all."""
    if max_steps < 1:
        raise ValueError(f"max_steps={max_steps}; expected at least 1.")
    n_points = min(n_groups, max_steps) + 1
    return np.unique(np.linspace(0, n_groups, n_points).round().astype(int))


def _magnitude_order(curves, groups, random_state) -> np.ndarray:
    """Order the groups by the size of their coefficients."""
    s = to_numpy(curves.model.s[:, : groups.n_coefficients])
    return rank_groups(groups.aggregate(s.astype(float) ** 2), random_state)


def _trace(
    trim, X, y, orders, scores, baseline, n_rows, max_steps, random_state, verbose
) -> dict[str, FaithfulnessCurves]:
    """Curves for several orders at once."""
    scores = check_scores(trim.explain(X, y) if scores is None else scores, trim, X)
    steps = curve_steps(scores.shape[1], max_steps)
    ranked = {}
    if "scores" in orders:
        ranked["scores"] = rank_groups(scores, random_state)
    if "random" in orders:
        ranked["random"] = rank_groups(np.zeros_like(scores), random_state + 1)

    def visit(curves, rows):
        pairs = []
        for name in orders:
            if name == "magnitude":
                order = _magnitude_order(curves, trim.groups_, random_state)
            else:
                order = ranked[name][rows]
            order = torch.as_tensor(order, device=curves.model.s.device)
            pairs.extend(curves.along(order, steps))
        return tuple(pairs)

    options = {"baseline": baseline, "n_rows": n_rows, "verbose": verbose}
    outputs = over_chunks(trim, X, y, visit, n_samples=len(scores), **options)
    output = "probability of the explained class"
    if not trim.explains_probability:
        unit = unit_of(outputs[0][:, 0], *outputs)
        outputs = [curve / unit for curve in outputs]
        output = "explained output (standard deviations over samples)"
    pairs = zip(orders, outputs[::2], outputs[1::2], strict=True)
    fractions = steps / steps[-1]
    return {name: FaithfulnessCurves(fractions, d, i, output) for name, d, i in pairs}


def faithfulness_curves(
    trim,
    X,
    y=None,
    *,
    scores=None,
    order="scores",
    baseline="zero",
    n_rows=8,
    max_steps=20,
    random_state=0,
    verbose=None,
):
    r"""Remove and restore groups in the order of their scores and watch the output.

    .. math::

       D_j = F\bigl(b + c_j \odot (s - b)\bigr), \qquad
       I_j = F\bigl(b + (c_G + 1 - c_j) \odot (s - b)\bigr), \qquad
       c_j = \prod_{i \le j} \bigl(1 - M_{g_i}\bigr),

    are the deletion and the insertion curve, where :math:`g_1, g_2, \dots, g_G` are the
    groups from the highest score down, :math:`M_g` their weights, :math:`c_j` is what
    removing the first j leaves of each coefficient, b the baseline and F the output
    at coefficients: the probability of the explained class for a classifier, and the
    explained output in units of its standard deviation over X for a regressor, so that
    curves of different transforms compare. Right scores make D fall early and I rise
    early. Coefficients outside every group stay; the residual is held as
    ``trim.residual`` says. Equal scores are ordered at random.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
        What ``trim.explain`` takes.
    y : array-like of shape (n_samples,) or None
        For ``target="true"``.
    scores : Explanation, ndarray of shape (n_samples, n_groups) or None
        Order the groups by these; None: by ``trim.explain(X, y).values``.
    order : {"scores", "random", "magnitude"}, default="scores"
        The two others are controls: chance, and the size of the coefficients.
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        What replaces removed coefficients: zeros, the training mean, `n_rows` training
        rows in turn, over which the output is averaged, or rows of one's own, of shape
        (n_coefficients,) or (n_rows, n_coefficients).
    n_rows : int, default=8
        Training rows for ``baseline="rows"``.
    max_steps : int, default=20
        Groups beyond this number are removed several at a time.
    random_state : int, default=0
        Seeds the order of ties and the random control.
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    FaithfulnessCurves

    Raises
    ------
    ValueError
        If there are several targets per sample, or an option is unknown.

    See Also
    --------
    faithfulness_score : The area between the curves.
    faithfulness_report : Two controls beside them.
    FaithfulnessCurves : What is returned.

    Notes
    -----
    Deletion and insertion are those of :footcite:t:`petsiuk2018rise` for pixels
    (inserted into a blurred image there), and go back to the flipping of regions of
    :footcite:t:`samek2017evaluating`. The replaced signals may be none that the network
    ever saw, and zeros may be informative themselves: ``baseline="rows"`` puts other
    signals in.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import faithfulness_curves
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> curves = faithfulness_curves(trim, X)
    >>> curves.fractions.round(2)
    array([0.  , 0.33, 0.67, 1.  ])
    >>> mean = curves.deletion.mean(axis=0)
    >>> bool(mean[0] > mean[1] > mean[2]), bool(abs(mean[2]) < 1e-6)
    (True, True)
    """
    check_option("order", order, ORDERS)
    options = (scores, baseline, n_rows, max_steps, random_state, verbose)
    return _trace(trim, X, y, [order], *options)[order]


def faithfulness_report(
    trim,
    X,
    y=None,
    *,
    scores=None,
    baseline="zero",
    n_rows=8,
    max_steps=20,
    random_state=0,
    verbose=None,
):
    """Measure faithfulness beside a random order and the order of sizes.

    Natural signals have most of their energy in few coefficients, so that the order of
    the coefficients' size, which needs no network, scores high too: only what exceeds
    it speaks for the method.

    Parameters
    ----------
    trim, X, y, scores, baseline, n_rows, max_steps, random_state, verbose
        See `faithfulness_curves`.

    Returns
    -------
    FaithfulnessReport

    See Also
    --------
    FaithfulnessReport : What is returned.
    faithfulness_curves : The curves, and the parameters.

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import faithfulness_report
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> report = faithfulness_report(trim, X)
    >>> report.beats_controls
    True
    """
    options = (scores, baseline, n_rows, max_steps, random_state, verbose)
    return FaithfulnessReport(**_trace(trim, X, y, ORDERS, *options))


def faithfulness_score(trim, X, y=None, **options) -> float:
    r"""Mean area between the insertion and the deletion curve; higher is better.

    .. math::

       \frac{1}{n} \sum_{i=1}^{n} \int_0^1 \bigl[ I_i(p) - D_i(p) \bigr] \, dp

    over n samples, by the trapezoidal rule, where p is the share of the groups restored
    or removed. It is 0 on average for a random order. In units of probability (at most
    1) for a classifier, else in standard deviations of the explained output.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    **options
        See `faithfulness_curves`.

    Returns
    -------
    float
        Around 0 for scores that order the groups at random, at most 1 for a
        classifier.

    See Also
    --------
    faithfulness_curves : The curves, and where they come from.
    sktrim.TransformImportance.score : The same.
    explanation_scores : All metrics at once.

    Examples
    --------
    A network that uses two of three columns, 4 x1 + 2 x2:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import faithfulness_score
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> right = faithfulness_score(trim, X)
    >>> wrong = faithfulness_score(trim, X, scores=-trim.explain(X).values)
    >>> bool(right > 0 > wrong)
    True
    """
    return faithfulness_curves(trim, X, y, **options).score
