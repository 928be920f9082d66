"""What a layer puts out for many signals, as a map of two dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.manifold import TSNE, trustworthiness

from sktrim.inspection import EmbeddingDisplay
from sktrim.stimuli._units import check_signals, resolve_response, responses_of


@dataclass(eq=False, repr=False)
class LayerEmbedding:
    r"""Maps of what a layer puts out: a picture, not a truth.

    Parameters
    ----------
    points : ndarray of shape (n_models, n_maps, n_samples, 2)
        Where each signal lies.
    trustworthiness : ndarray of shape (n_models, n_maps)
        1 where all neighbours on the map are neighbours in the layer.
    perplexities : list of float or None
        Of each map; None where the reducer has none.
    X : ndarray of shape (n_samples, \*signal_shape)
        The signals.
    y : ndarray of shape (n_samples,) or None
        Their classes.
    model_names : list of str
        What the networks are called.
    layer : str
        What the layer is called.

    See Also
    --------
    sktrim.stimuli.layer_embedding : Makes it.
    """

    points: np.ndarray
    trustworthiness: np.ndarray
    perplexities: list
    X: np.ndarray
    y: np.ndarray | None
    model_names: list[str]
    layer: str

    @property
    def titles(self) -> list[str]:
        """What each map is called, network by network, with its trustworthiness."""
        found = []
        for name, own in zip(self.model_names, self.trustworthiness, strict=True):
            for p, t in zip(self.perplexities, own, strict=True):
                parts = [name] * (len(self.model_names) > 1)
                parts += [] if p is None else [f"perplexity {p:g}"]
                lines = [", ".join(parts)] * bool(parts)
                found.append("\n".join([*lines, f"trustworthiness {t:.3f}"]))
        return found

    def __repr__(self) -> str:
        lines = [title.replace("\n", ": ") for title in self.titles]
        head = f"LayerEmbedding of {self.layer}, {len(self.X)} signals"
        return "\n".join([head, *(f"  {line}" for line in lines)])

    def plot(
        self, ax: Any = None, *, n_pictures: int = 80, title: str | None = None
    ) -> EmbeddingDisplay:
        """Draw the signals at their points, framed by class.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        n_pictures : int, default=80
            At most so many are shown as pictures; the others are dots.
        title : str, optional
            None: the layer.

        Returns
        -------
        EmbeddingDisplay
        """
        n_maps = len(self.perplexities)
        return EmbeddingDisplay.from_points(
            self.points.reshape(-1, *self.points.shape[2:]),
            self.X,
            self.titles,
            labels=self.y,
            n_columns=n_maps if n_maps > 1 else len(self.model_names),
            n_pictures=n_pictures,
            title=self.layer if title is None else title,
            ax=ax,
        )


def layer_embedding(
    layer: Any,
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    reducer: Any = None,
    perplexities: Sequence[float] = (5, 30, 50),
    n_neighbors: int = 5,
    model_names: Sequence[str] | None = None,
    random_state: Any = None,
) -> LayerEmbedding:
    r"""Map what a layer puts out for signals to two dimensions.

    .. math::

       T = 1 - \frac{2}{n k (2 n - 3 k - 1)} \sum_{i=1}^{n} \sum_{j \in N_i^k}
       \max(0, r(i, j) - k)

    is the trustworthiness that is stated of every map, with the k nearest neighbours
    :math:`N_i^k` of signal i on the map, and the rank r(i, j) of j among its neighbours
    in the layer: 1 where no neighbour is made up.

    A map is a picture, not a truth: sizes of clusters, distances between them and empty
    space depend on the perplexity, for which there are several, and clusters appear in
    noise, too. What is seen is to be tested in the layer itself.

    Parameters
    ----------
    layer : str or torch.nn.Module
        The layer; a name where there are two networks.
    model : torch.nn.Module or fitted skorch net, or a list of them
        The trained network; two are drawn side by side, such as before and after
        training.
    X : array-like of shape (n_samples, \*signal_shape)
        Signals.
    y : array-like of shape (n_samples,), default=None
        Their classes, which colours are for.
    reducer : estimator with ``fit_transform``, default=None
        None: `sklearn.manifold.TSNE`. Its perplexity is set to each of
        `perplexities`; one without gives one map.
    perplexities : sequence of float, default=(5, 30, 50)
        How many neighbours count, about; less than the number of signals.
    n_neighbors : int, default=5
        k of the trustworthiness; less than half the number of signals.
    model_names : sequence of str, default=None
        None: "before" and "after" for two, otherwise numbered.
    random_state : int, RandomState or None, default=None
        Seeds the reducer, where it takes a seed.

    Returns
    -------
    LayerEmbedding

    Raises
    ------
    ValueError
        If the layer does not exist, labels do not fit X, or there are too few signals.

    See Also
    --------
    max_activating : Rows by one unit.

    Notes
    -----
    The default map is that of :footcite:t:`vandermaaten2008tsne`, the trustworthiness
    that of :footcite:t:`venna2001trustworthiness`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.decomposition import PCA
    >>> from sktrim.stimuli import layer_embedding
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2)).double()
    >>> X = np.random.default_rng(0).normal(size=(40, 2))
    >>> layer_embedding("0", net, X, reducer=PCA(2))
    LayerEmbedding of 0, 40 signals
      trustworthiness 1.000
    """
    X = check_signals(X)
    models = list(model) if isinstance(model, list | tuple) else [model]
    labels = None if y is None else np.asarray(y)
    if labels is not None and labels.shape != (len(X),):
        raise ValueError(
            f"y has shape {labels.shape}; expected ({len(X)},), a class per signal."
        )
    if not 1 <= n_neighbors < len(X) / 2:
        raise ValueError(
            f"n_neighbors={n_neighbors} for {len(X)} signals; expected 1 or more, and "
            "less than half of them."
        )
    names = _names(models, model_names)
    reducers, used = _reducers(reducer, perplexities, len(X), random_state)
    points, trust = [], []
    for one in models:
        response = resolve_response(one, (layer, 0), X)
        h = responses_of(response, X, whole=True).reshape(len(X), -1)
        maps = [np.asarray(r.fit_transform(h))[:, :2] for r in reducers]
        points.append(maps)
        trust.append([trustworthiness(h, m, n_neighbors=n_neighbors) for m in maps])
    name = layer if isinstance(layer, str) else type(layer).__name__
    return LayerEmbedding(
        np.array(points), np.array(trust), used, X, labels, names, name
    )


def _names(models: list, given: Sequence[str] | None) -> list[str]:
    if given is None:
        two = len(models) == 2
        return (
            ["before", "after"] if two else [f"network {i}" for i in range(len(models))]
        )
    if len(given) != len(models):
        raise ValueError(f"{len(given)} model_names for {len(models)} networks.")
    return list(given)


def _reducers(
    reducer: Any, perplexities: Sequence[float], n: int, random_state: Any
) -> tuple[list, list]:
    """Return a reducer for each perplexity, or the one that has none."""
    base: Any = TSNE(init="pca") if reducer is None else reducer
    if not hasattr(base, "fit_transform"):
        raise TypeError(
            f"reducer={reducer!r} has no fit_transform; expected an estimator such as "
            "sklearn.manifold.TSNE."
        )
    known = base.get_params()
    if "random_state" in known and random_state is not None:
        copied: Any = clone(base)
        base = copied.set_params(random_state=random_state)
    if "perplexity" not in known:
        return [clone(base)], [None]
    wanted = list(np.atleast_1d(perplexities).tolist())
    if not wanted or not all(0 < p < n for p in wanted):
        raise ValueError(
            f"perplexities={wanted} for {n} signals; expected numbers above 0 and "
            f"below {n}."
        )
    copies: list[Any] = [clone(base) for _ in wanted]
    pairs = zip(copies, wanted, strict=True)
    return [one.set_params(perplexity=p) for one, p in pairs], wanted
