"""A layer's view of many signals, in the plane."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.manifold import TSNE, trustworthiness

from sktrim.inspection import EmbeddingDisplay
from sktrim.stimuli._units import check_signals, resolve_response, responses_of

__all__ = ["Embedding", "layer_embedding"]


@dataclass(eq=False)
class Embedding:
    r"""Points in the plane for signals, one plane for each model and perplexity.

    Parameters
    ----------
    points : list of ndarray of shape (n_samples, 2)
    trust : list of float
        Trustworthiness of each plane: 1 where near points were near in the layer.
    names : list of str
        What each plane is of.
    signals : ndarray of shape (n_samples, \*signal_shape)
    labels : ndarray of shape (n_samples,) or None

    See Also
    --------
    layer_embedding : Makes it.
    """

    points: list[np.ndarray]
    trust: list[float]
    names: list[str]
    signals: np.ndarray
    labels: np.ndarray | None = field(default=None)

    def __repr__(self) -> str:
        planes = [
            f"{name}: trustworthiness {trust:.2f}"
            for name, trust in zip(self.names, self.trust, strict=True)
        ]
        return f"Embedding({len(self.signals)} signals; {'; '.join(planes)})"

    def plot(self, ax: Any = None, *, n_images: int = 60) -> EmbeddingDisplay:
        """Draw the planes, with some of the images at their points.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        n_images : int, default=60
            So many images in each plane; 0: points alone.

        Returns
        -------
        EmbeddingDisplay
        """
        titles = [
            f"{name}\ntrustworthiness {trust:.2f}"
            for name, trust in zip(self.names, self.trust, strict=True)
        ]
        shown = EmbeddingDisplay(
            self.points, titles, self.signals, self.labels, n_images
        )
        return shown.plot(ax)


def layer_embedding(
    layer: Any,
    model: Any,
    X: Any,
    y: Any = None,
    *,
    reducer: Any = None,
    perplexities: Sequence[float] = (5, 30, 50),
    random_state: Any = 0,
) -> Embedding:
    r"""Lay out signals in the plane by what a layer makes of them.

    A picture, not a truth: distances between clusters, and their sizes, mean nothing in
    t-SNE, and clusters can appear where there are none. Hence several perplexities, and
    for each the trustworthiness :footcite:p:`venna2001trustworthiness`,

    .. math::

       1 - \frac{2}{n k (2n - 3k - 1)} \sum_i \sum_{j \in U_i} \bigl(r(i, j) - k\bigr),

    where :math:`U_i` are the k = 5 nearest points of i in the plane and r(i, j) is the
    rank of j among the neighbours of i in the layer.

    Parameters
    ----------
    layer : str or torch.nn.Module
    model : torch.nn.Module or fitted skorch net, or list of them
        Several, such as before and after training, have planes of their own; `layer` is
        then a name. A dict names them.
    X : array-like of shape (n_samples, \*signal_shape)
    y : array-like of shape (n_samples,), default=None
        Classes, for the colours.
    reducer : scikit-learn transformer with ``fit_transform`` or None, default=None
        None: ``TSNE``. One without a perplexity makes one plane for each model.
    perplexities : sequence of float, default=(5, 30, 50)
    random_state : int, RandomState or None, default=0

    Returns
    -------
    Embedding

    Raises
    ------
    ValueError
        If there is no such layer, or a perplexity is not below the number of signals.

    See Also
    --------
    max_activating : What single units of the layer like.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim.stimuli import layer_embedding
    >>> X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
    >>> net = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU())
    >>> layer_embedding("1", net, X, perplexities=[10]).points[0].shape
    (40, 2)
    """
    X = check_signals(X)
    models = model if isinstance(model, dict) else _named(model)
    reducer = TSNE() if reducer is None else reducer
    params = reducer.get_params()
    values: Sequence[Any] = perplexities if "perplexity" in params else [None]
    bad = [v for v in values if v is not None and not 0 < v < len(X)]
    if bad:
        raise ValueError(
            f"perplexity {bad[0]:g} for {len(X)} signals; expected a number of "
            "neighbours, below that of the signals."
        )
    points, trust, names = [], [], []
    for title, one in models.items():
        at = resolve_response(one, (layer, 0), X)
        features = responses_of(at, X, whole=True).reshape(len(X), -1)
        for value in values:
            own = {} if value is None else {"perplexity": value}
            if "random_state" in params and params["random_state"] is None:
                own["random_state"] = random_state
            fresh: Any = clone(reducer)
            plane = fresh.set_params(**own).fit_transform(features)
            points.append(plane)
            near = min(5, (len(X) - 1) // 2)
            trust.append(float(trustworthiness(features, plane, n_neighbors=near)))
            parts = [title, "" if value is None else f"perplexity {value:g}"]
            names.append(", ".join(filter(None, parts)))
    return Embedding(points, trust, names, X, None if y is None else np.asarray(y))


def _named(model: Any) -> dict[str, Any]:
    """Return models by what to call them."""
    if not isinstance(model, list | tuple):
        return {"": model}
    return {f"model {at}": one for at, one in enumerate(model)}
