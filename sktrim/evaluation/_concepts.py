"""What is known of concepts: how well they represent a layer, and how they recur."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.utils import check_random_state
from tqdm.auto import tqdm

from sktrim.evaluation._trace import over_chunks
from sktrim.groups._resolve import coefficient_names, last_step
from sktrim.inspection import ConceptsDisplay
from sktrim.inverse import inverse_module
from sktrim.network._inputs import signal_of
from sktrim.network._network import to_numpy
from sktrim.transforms import AlongAxis

_DEAD = 1e-8


@dataclass(repr=False)
class ConceptReport:
    """A table of the components of a transform, with the maps of where they are.

    Parameters
    ----------
    names : list of str
        The concepts.
    importance : ndarray of shape (n_concepts,)
        Mean magnitude of the scores, in units of the explained output.
    sparsity : ndarray of shape (n_concepts,)
        Hoyer's measure of the coefficients over samples and places: 0 where all are
        equal, 1 where there is one. NaN where there is nothing.
    active : ndarray of shape (n_concepts,)
        Share of samples and places where the coefficient is not 0.
    deletion : ndarray of shape (n_concepts,)
        By how much the explained output falls, in the mean over samples, when the
        concept alone becomes zero: for a classifier its probability.
    insertion : ndarray of shape (n_concepts,)
        By how much it rises when the concept alone is put back where all are zero.
    stability : ndarray of shape (n_concepts,)
        Mean cosine of the concept and its like in fits with other seeds; NaN without.
    r2 : float
        Share of the variance of the signal that the concepts represent.
    maps : ndarray of shape (n_concepts, n_samples, *places)
        The coefficients.
    signals : ndarray of shape (n_samples, *signal_shape)
        What the network was given.

    See Also
    --------
    concept_report : Makes it.
    sktrim.inspection.ConceptsDisplay : What ``plot`` draws.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.decomposition import PCA
    >>> from sktrim import TransformImportance
    >>> from sktrim.evaluation import concept_report
    >>> X = np.random.default_rng(0).standard_normal((20, 6)).astype("float32")
    >>> trim = TransformImportance(torch.nn.Linear(6, 1), PCA(2)).fit(X)
    >>> report = concept_report(trim, X)
    >>> report.names, report.dead.tolist()
    (['pca0', 'pca1'], [False, False])
    """

    names: list[str]
    _: KW_ONLY
    importance: np.ndarray
    sparsity: np.ndarray
    active: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    stability: np.ndarray
    r2: float
    maps: np.ndarray
    signals: np.ndarray

    @property
    def dead(self) -> np.ndarray:
        """Concepts that are nowhere in these samples."""
        return self.active == 0

    def to_frame(self):
        """Return the table as a pandas DataFrame, the most important concept first.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        columns = ("importance", "deletion", "insertion", "sparsity", "active")
        columns = (*columns, "stability", "dead")
        table = {name: getattr(self, name) for name in columns}
        frame = pd.DataFrame(table, index=pd.Index(self.names, name="concept"))
        return frame.sort_values("importance", ascending=False)

    def __str__(self) -> str:
        rows = [
            f"{'concept':14s}{'importance':>12s}{'deletion':>10s}{'insertion':>11s}"
        ]
        rows[0] += f"{'sparsity':>10s}{'active':>8s}{'stability':>11s}"
        for k in np.argsort(-self.importance, kind="stable"):
            rows.append(
                f"{self.names[k][:13]:14s}{self.importance[k]:12.3g}"
                f"{self.deletion[k]:10.3g}{self.insertion[k]:11.3g}"
                f"{self.sparsity[k]:10.2f}{self.active[k]:8.2f}{self.stability[k]:11.2f}"
                f"{'  dead' if self.dead[k] else ''}"
            )
        return "\n".join([*rows, f"R2 of what they represent: {self.r2:.3f}"])

    __repr__ = __str__

    def plot(
        self,
        k: int = 5,
        *,
        n_columns: int = 5,
        crop: float | None = None,
        title=None,
        ax=None,
    ):
        """Draw the maps of the most important concepts over inputs.

        Parameters
        ----------
        k : int, default=5
            Concepts.
        n_columns : int, default=5
            Inputs for each, those where it is strongest.
        crop : float in (0, 1], optional
            Also draw these inputs cut to this share of their sides, around the place
            where the concept is strongest.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        ConceptsDisplay

        Raises
        ------
        ValueError
            If the concepts are those of whole signals, which have no places.
        """
        if self.maps.ndim == 2:
            raise ValueError(
                "These concepts are of whole signals and have no places to draw. Use "
                "AlongAxis(transformer, axis=) for a concept at every position, or "
                "trim.explain(X).plot.components() for what a concept looks like."
            )
        order = np.argsort(-self.importance, kind="stable")[:k]
        return ConceptsDisplay.from_maps(
            self.signals,
            self.maps[order],
            [self.names[i] for i in order],
            n_columns=n_columns,
            crop=crop,
            title=title,
            ax=ax,
        )


def concept_report(
    trim,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n_fits: int = 0,
    random_state: Any = None,
    verbose: int | None = None,
) -> ConceptReport:
    r"""Tell how important, sparse and stable the components of a transform are.

    .. math::

       \mathrm{sparsity} = \frac{\sqrt n - \|s\|_1 / \|s\|_2}{\sqrt n - 1}, \qquad
       R^2 = 1 - \frac{\sum_i \|x_i - T^{-1}(T(x_i))\|^2}{\sum_i \|x_i - \bar x\|^2},

    with the n coefficients s of a concept over samples and places, and signals
    :math:`x_i` at the layer that is explained.

    Parameters
    ----------
    trim : fitted TransformImportance
        With a transformer of components, such as NMF, or `AlongAxis` of one.
    X : array-like of shape (n_samples, ...)
        What `trim` explains.
    y : array-like of shape (n_samples,), default=None
        For ``target="true"``.
    n_fits : int, default=0
        Fits of the transformer to X, with other seeds, that its components are
        compared with.
    random_state : int, RandomState or None, default=None
        Draws those seeds.
    verbose : int or None, default=None
        1 shows a progress bar; None: as ``trim.verbose``.

    Returns
    -------
    ConceptReport

    Raises
    ------
    ValueError
        If `trim` has no transformer, or its inverse no components.

    See Also
    --------
    faithfulness_curves : Deletion and insertion, concept by concept.

    Notes
    -----
    The measure of sparsity is that of :footcite:t:`hoyer2004nmf`. Components are
    matched one to one with those of another fit, to X, so that their absolute cosines
    sum to the most (the Hungarian method). What the concepts miss is the residual:
    ``residual="component"`` scores it.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.decomposition import NMF
    >>> from sktrim import AlongAxis, TransformImportance
    >>> from sktrim.evaluation import concept_report
    >>> X = np.random.default_rng(0).standard_normal((20, 1, 9)).astype("float32")
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv1d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
    ...     torch.nn.Linear(28, 2),
    ... )
    >>> concepts = AlongAxis(NMF(2, random_state=0, max_iter=500), axis=1)
    >>> trim = TransformImportance(net, concepts, layer="1").fit(X)
    >>> concept_report(trim, X).maps.shape
    (2, 20, 7)
    """
    if trim.transformer_ is None:
        raise ValueError(
            "A report of concepts needs a transformer of components; this estimator "
            "explains the signal's own coordinates."
        )
    explanation = trim.explain(X, y)
    given = trim.signals(X)
    x = _dense(signal_of(given))
    maps, names = _maps(trim.transformer_, explanation.coefficients)
    scores = np.abs(_by_concept(trim, explanation, len(names))).mean(axis=0)
    own = np.abs(maps.reshape(len(maps), -1))
    verbose = trim.verbose if verbose is None else verbose
    stability = np.full(len(names), np.nan)
    if n_fits:
        stability = _stability(trim.transformer_, x, n_fits, random_state, verbose)
    falls, rises = over_chunks(trim, X, y, _one_by_one, baseline="zero", verbose=0)
    return ConceptReport(
        names,
        importance=scores,
        deletion=falls.mean(axis=0),
        insertion=rises.mean(axis=0),
        sparsity=_hoyer(own),
        active=(own > _DEAD * max(own.max(), 1e-300)).mean(axis=1),
        stability=stability,
        r2=_r2(trim.transformer_, x, explanation.coefficients),
        maps=maps,
        signals=_dense(trim.network_.given(given)[0]),
    )


def _dense(x) -> np.ndarray:
    return x.toarray() if sp.issparse(x) else np.asarray(x)


def _one_by_one(curves, chunk) -> tuple[np.ndarray, np.ndarray]:
    """Return changes of the output by each group, (n_samples, n_groups): cut, restored.

    Coefficients in no group stay as they are.
    """
    s, others = curves.model.s, curves.complement
    ends = curves.values(torch.stack([torch.ones_like(s), curves.floor.expand_as(s)]))
    falls, rises = [], []
    for other in others:
        both = other.expand_as(s), curves.restored(other).expand_as(s)
        cut, alone = curves.values(torch.stack(both))
        falls.append(ends[0] - cut)
        rises.append(alone - ends[1])
    return to_numpy(torch.stack(falls, 1)), to_numpy(torch.stack(rises, 1))


def _r2(transformer, x: np.ndarray, s: np.ndarray) -> float:
    """Return the share of the variance of signals that the inverse gives back."""
    x = x.astype(float)
    fitted = np.asarray(transformer.inverse_transform(s), dtype=float)
    left = ((x - fitted.reshape(x.shape)) ** 2).sum()
    return float(1 - left / max(((x - x.mean(axis=0)) ** 2).sum(), 1e-300))


def _maps(transformer, s: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return coefficients as (n_concepts, n_samples, *places), and their names."""
    last = last_step(transformer)
    if isinstance(last, AlongAxis):
        places = last.position_shape_
        maps = s.reshape(len(s), *places, -1)
        return np.moveaxis(maps, -1, 0), last.feature_groups().names
    names = coefficient_names(transformer)
    names = [f"component{k}" for k in range(s.shape[1])] if names is None else names
    return s.T, list(names)


def _by_concept(trim, explanation, n_concepts: int) -> np.ndarray:
    """Return scores (n_samples, n_concepts), or raise where groups are others."""
    values = explanation.without_residual().values
    if values.ndim != 2 or values.shape[1] != n_concepts:
        raise ValueError(
            f"The scores have shape {values.shape} for {n_concepts} components; a "
            "report of concepts needs one group per component (groups='natural') and "
            "one target per sample."
        )
    return values


def _hoyer(own: np.ndarray) -> np.ndarray:
    root = np.sqrt(own.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = own.sum(axis=1) / np.sqrt((own**2).sum(axis=1))
        return (root - ratio) / (root - 1)


def _atoms(transformer) -> np.ndarray:
    """Return the unit-norm components, (n_concepts, n_values)."""
    last = last_step(transformer)
    inner = last.transformer_ if isinstance(last, AlongAxis) else transformer
    inverse = inverse_module(inner).double()
    if not inverse.is_affine or inverse.n_coefficients is None:
        raise ValueError(
            f"n_fits compares components, and the inverse of {type(inner).__name__} is "
            "not affine, so that it has none; leave n_fits at 0."
        )
    unit = torch.eye(inverse.n_coefficients, dtype=torch.float64)
    with torch.no_grad():
        atoms = inverse.linear(unit).reshape(len(unit), -1).numpy()
    sizes = np.linalg.norm(atoms, axis=1, keepdims=True)
    return atoms / np.where(sizes > 0, sizes, 1)


def _stability(transformer, x, n_fits: int, random_state, verbose) -> np.ndarray:
    """Return mean cosines with the matched components of other fits."""
    own = _atoms(transformer)
    flat = not transformer.__sklearn_tags__().input_tags.three_d_array
    rows = x.reshape(len(x), -1) if flat else x
    cosines = []
    rng = check_random_state(random_state)
    for _ in tqdm(range(n_fits), unit="fit", disable=not verbose):
        again = clone(transformer)
        seed = int(rng.randint(2**31 - 1))
        named = [k for k in again.get_params() if k.endswith("random_state")]
        again.set_params(**dict.fromkeys(named, seed))
        other = np.abs(own @ _atoms(again.fit(rows)).T)
        first, second = linear_sum_assignment(-other)
        cosines.append(other[first, second][np.argsort(first)])
    return np.mean(cosines, axis=0)
