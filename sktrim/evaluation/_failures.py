"""Where the errors concentrate, in the space of explanations."""

from dataclasses import dataclass, field

import numpy as np
from scipy import stats
from sklearn.cluster import KMeans

from sktrim.evaluation._trace import check_scores
from sktrim.report._card import absolute_errors, is_regression, predicted_labels


@dataclass(frozen=True)
class FailureCluster:
    """Samples that are explained alike.

    Parameters
    ----------
    samples : ndarray of int
        Which.
    error_rate : float
        Mean error among them.
    p_value : float
        Of at least as many errors in as many samples drawn at random.
    drivers : list of tuple (name, float)
        Groups whose scores set the cluster's errors apart from all other samples,
        first the largest difference, in standard deviations over all samples.

    See Also
    --------
    failure_report : Makes them.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.evaluation import FailureCluster
    >>> cluster = FailureCluster(np.array([0, 4]), 0.5, 0.3, [("3.0 cycles", 1.7)])
    >>> len(cluster)
    2
    """

    samples: np.ndarray
    error_rate: float
    p_value: float
    drivers: list[tuple[str, float]]

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class FailureReport:
    """Clusters of explanations, those with most errors first.

    Parameters
    ----------
    clusters : list of FailureCluster
    labels : ndarray of int, shape (n_samples,)
        Index of each sample's cluster in `clusters`.
    errors : ndarray of shape (n_samples,)
        1 where the network is wrong; a regressor's absolute error, mean over outputs.

    See Also
    --------
    failure_report : Makes it.
    FailureCluster : What it holds.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.evaluation import FailureCluster, FailureReport
    >>> cluster = FailureCluster(np.array([0, 1]), 0.5, 1.0, [("3.0 cycles", 1.7)])
    >>> print(FailureReport([cluster], np.array([0, 0]), np.array([1.0, 0.0])))
    error 0.500 over 2 samples
     samples    error         p  driven by
           2    0.500         1  3.0 cycles (+1.7)
    """

    clusters: list[FailureCluster]
    labels: np.ndarray
    errors: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        lines = [
            f"error {self.errors.mean():.3f} over {len(self.errors)} samples",
            f"{'samples':>8s}{'error':>9s}{'p':>10s}  driven by",
        ]
        for cluster in self.clusters:
            named = ", ".join(f"{name} ({z:+.1f})" for name, z in cluster.drivers[:3])
            lines.append(
                f"{len(cluster):8d}{cluster.error_rate:9.3f}{cluster.p_value:10.2g}"
                f"  {named}"
            )
        return "\n".join(lines)

    def plot(self, *, title: str | None = None, ax=None):
        """Draw the error of each cluster, with the mean of all as a line.

        Parameters
        ----------
        title : str, optional
        ax : matplotlib Axes, optional

        Returns
        -------
        sktrim.inspection.FailureDisplay
        """
        from sktrim.inspection import FailureDisplay

        return FailureDisplay.from_values(
            [cluster.error_rate for cluster in self.clusters],
            [len(cluster) for cluster in self.clusters],
            [
                cluster.drivers[0][0] if cluster.drivers else ""
                for cluster in self.clusters
            ],
            overall=float(self.errors.mean()),
            title=title,
            ax=ax,
        )


def failure_report(
    explanation, y, *, n_clusters=8, classes=None, n_drivers=5, random_state=0
) -> FailureReport:
    r"""Cluster explanations and find where the network's errors concentrate.

    A cluster with many errors and a few groups that drive it points at a systematic
    bias in the data: samples that the network gets wrong for the same reason. Clusters
    are those of the directions :math:`z_i / \lVert z_i \rVert` of the scores
    :math:`z_{ig}`, standardised over samples. The p-value of a cluster of m samples, e
    of them wrong, is

    .. math::

       p = \sum_{j \ge e} \binom{E}{j} \binom{n - E}{m - j} \bigg/ \binom{n}{m},

    the chance of as many among m drawn at random from all n samples, E of them wrong
    (for a regressor, of as large a mean error, taken as normal). The drivers are the
    groups with the largest difference of the mean of z between the wrong samples of the
    cluster and all samples outside it.

    Parameters
    ----------
    explanation : Explanation
        With ``predictions``, one target per sample.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        True labels, or a regressor's true values.
    n_clusters : int, default=8
        At most one per sample.
    classes : array-like of shape (n_outputs,) or None
        Label of each output; None: 0, 1, 2, ...
    n_drivers : int, default=5
        Groups named per cluster.
    random_state : int, default=0

    Returns
    -------
    FailureReport

    Raises
    ------
    ValueError
        If there are no predictions, or y does not fit.

    See Also
    --------
    FailureReport : What is returned.
    sktrim.inspection.FailureDisplay : Draws it.

    Notes
    -----
    :footcite:t:`lapuschkin2019cleverhans` cluster heat maps, by spectral clustering, to
    find networks that are right for the wrong reason; here k-means on standardised
    scores of named groups, and errors. The p-values are each cluster's own: with eight
    clusters one of .05 is nothing.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network whose predictions are off where its first column is large:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import failure_report
    >>> X = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype("float32")
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([4.0, 2.0, 0.0, 0.0])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> trim = TransformImportance(net).fit(X)
    >>> explanation = trim.explain(X)
    >>> y = explanation.predictions + (X[:, :1] > 1.5)
    >>> report = failure_report(explanation, y, n_clusters=2)
    >>> report.clusters[0].drivers[0][0]
    'coefficient0'
    """
    values = check_scores(explanation.values)
    errors = _errors(explanation, y, classes)
    z = _standardised(values)
    # directions, so that a few samples with large scores are no clusters of their own
    length = np.linalg.norm(z, axis=1, keepdims=True)
    directions = z / np.where(length > 0, length, 1)
    n_clusters = min(n_clusters, len(np.unique(directions, axis=0)))
    model = KMeans(n_clusters, random_state=random_state).set_params(n_init=10)
    # fitted in an order that does not depend on that of the samples
    order = np.lexsort(directions.T)
    fitted = np.empty(len(values), dtype=int)
    fitted[order] = model.fit_predict(directions[order])
    names = explanation.group_names
    clusters = [
        _cluster(np.flatnonzero(fitted == c), errors, z, names, n_drivers)
        for c in range(n_clusters)
    ]
    clusters.sort(key=lambda cluster: -cluster.error_rate)
    labels = np.empty(len(values), dtype=int)
    for index, cluster in enumerate(clusters):
        labels[cluster.samples] = index
    return FailureReport(clusters, labels, errors)


def _standardised(values) -> np.ndarray:
    """Scale each group over the samples; 0 where they are equal but for round-off."""
    rounding = 16 * np.finfo(values.dtype).eps * np.abs(values).max(axis=0)
    varies = np.ptp(values, axis=0) > rounding
    z = (values - values.mean(axis=0)) / np.where(varies, values.std(axis=0), 1)
    return np.where(varies, z, 0)


def _errors(explanation, y, classes) -> np.ndarray:
    outputs, y = explanation.predictions, np.asarray(y)
    if outputs is None:
        raise ValueError("the explanation holds no predictions; explain with sktrim.")
    outputs = outputs.reshape(len(outputs), -1)
    if is_regression(explanation):
        return absolute_errors(outputs, y)
    return (predicted_labels(outputs, y, classes) != y).astype(float)


def _cluster(samples, errors, z, names, n_drivers) -> FailureCluster:
    """Describe one cluster."""
    inside = errors[samples]
    wrong = samples[inside > 0] if (inside > 0).any() else samples
    outside = np.setdiff1d(np.arange(len(errors)), samples)
    rest = z[outside].mean(axis=0) if len(outside) else 0
    difference = z[wrong].mean(axis=0) - rest
    order = np.argsort(-np.abs(difference), kind="stable")[:n_drivers]
    drivers = [(names[i], float(difference[i])) for i in order]
    return FailureCluster(samples, float(inside.mean()), _p(inside, errors), drivers)


def _p(inside, errors) -> float:
    """Probability of such a mean error in as many samples drawn at random."""
    if set(np.unique(errors)) <= {0.0, 1.0}:
        n, wrong = len(errors), int(errors.sum())
        return float(stats.hypergeom.sf(inside.sum() - 1, n, wrong, len(inside)))
    if len(inside) in (1, len(errors)):
        return 1.0
    spread = errors.std() / np.sqrt(len(inside))
    return float(stats.norm.sf((inside.mean() - errors.mean()) / spread))
