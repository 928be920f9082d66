"""DeepTune: what a measured neuron wants to see, by networks that predict it."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn
from tqdm.auto import tqdm

from sktrim._memory import chunks
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._network import to_numpy
from sktrim.stimuli._findings import (
    DeepTuneImages,
    NeuronClusters,
    Recombinations,
    Stability,
    TopImages,
)
from sktrim.stimuli._maximiser import ActivationMaximizer
from sktrim.stimuli._probes import center_of, cropped, importance, recombined
from sktrim.stimuli._readout import (
    PredictedResponse,
    Readout,
    compressed,
    cross_validated,
    features_at,
    fit_readout,
    has_filters,
    readout_of,
    regression_of,
)
from sktrim.stimuli._similarity import mean_correlation
from sktrim.stimuli._steps import spatial_axes
from sktrim.stimuli._units import ROWS, check_signals, resolve_response, responses_of

_FIELDS = [
    ("neuron", int),
    ("model", int),
    ("layer", object),
    ("correlation", float),
    ("spread", float),
    ("n_weights", int),
]


class DeepTune(BaseEstimator):
    r"""What a measured neuron wants to see, by several networks that predict it.

    .. math::

       \hat r_i(x) = w_i^\top h_i(x) + b_i, \qquad
       \hat x_i = \operatorname*{arg\,max}_{x \in B} \hat r_i(x),

    with the features :math:`h_i` of a layer of network i, standardised, a sparse or
    ridge regression of the responses on them, and a set B of images, such as a ball.
    The consensus image follows the smallest of the slopes of all networks where their
    signs agree. An image is to be believed as far as the prediction is right on images
    not seen, and as far as networks, starts and compressed networks agree on it.

    Parameters
    ----------
    models : list of torch.nn.Module
        Trained networks, or networks with random weights.
    layers : list of str
        Names of layers, which each network has; the best of them by cross-validation
        stands for the network.
    regression : {"lasso", "ridge"} or estimator, default="lasso"
        `sklearn.linear_model.LassoCV`, `RidgeCV`, or a linear regression.
    cv : int, default=5
        Folds, of shuffled rows.
    n_compressed : int, default=2
        Compressed networks: of the best network, with up to `compression` of the
        filters of every convolution set to zero, those of the smallest norm, and the
        readout fitted anew. 0: none.
    compression : float, default=0.3
        Largest share of filters that go.
    n_starts : int, default=10
        Random starts of every maximisation.
    maximizer : dict or ActivationMaximizer, default=None
        Parameters of `ActivationMaximizer`; its unit, starts, consensus and seed are
        set here.
    min_correlation : float, default=0.3
        A neuron whose out-of-fold predictions correlate less with the response is
        unstable, and left out of families.
    min_agreement : float, default=0.5
        So is one whose images correlate less, at the best shift.
    random_state : int, RandomState or None, default=None
        Seeds folds and starts.
    verbose : int, default=0
        1 shows progress bars.

    Attributes
    ----------
    scores_ : DataFrame or structured array
        A row per neuron, network and layer: the correlation of out-of-fold
        predictions, its standard deviation over folds, and how many weights are not 0.
    best_layers_ : list of list of str
        Of each neuron and network.
    stability_ : dict of int to Stability
        Of the neurons that `maximize` was called for.
    n_neurons_ : int

    See Also
    --------
    ActivationMaximizer : The maximisation.
    sktrim.datasets.simulate_neurons : Neurons of known tuning.

    Notes
    -----
    The framework is that of :footcite:t:`abbasi2018deeptune`, who predict neurons of V4
    from layers of three networks trained on ImageNet. Here networks and layers are the
    user's, agreement over compressed networks is stated beside that over networks, and
    images are compared at the best shift, since a neuron need not care where its
    stimulus lies. The thresholds of the verdict are conventions, not tests.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import torch
    >>> from sktrim.datasets import simulate_neurons, texture_images
    >>> from sktrim.stimuli import DeepTune
    >>> X = texture_images(300, 10, random_state=0)
    >>> neurons = simulate_neurons(X, "energy", random_state=0)
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 5), torch.nn.ReLU()).double()
    >>> tune = DeepTune([net], ["1"], "ridge", n_compressed=0, n_starts=2, cv=3,
    ...                 maximizer={"n_steps": 20}, random_state=0)
    >>> images = tune.fit(X, neurons.responses).maximize()
    >>> images.consensus_image.shape
    (1, 10, 10)
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        layers: Sequence[str],
        regression: Any = "lasso",
        *,
        cv: int = 5,
        n_compressed: int = 2,
        compression: float = 0.3,
        n_starts: int = 10,
        maximizer: Any = None,
        min_correlation: float = 0.3,
        min_agreement: float = 0.5,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.models = models
        self.layers = layers
        self.regression = regression
        self.cv = cv
        self.n_compressed = n_compressed
        self.compression = compression
        self.n_starts = n_starts
        self.maximizer = maximizer
        self.min_correlation = min_correlation
        self.min_agreement = min_agreement
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, responses: ArrayLike) -> Self:
        r"""Predict responses from every layer of every network.

        Parameters
        ----------
        X : array-like of shape (n_samples, \*signal_shape)
            Images.
        responses : array-like of shape (n_samples,) or (n_samples, n_neurons)
            What neurons answered.

        Returns
        -------
        DeepTune

        Raises
        ------
        ValueError
            If responses do not fit X, a layer does not exist or a parameter is out of
            range.
        """
        X = check_signals(X)
        y = self._check(X, responses)
        regression = regression_of(self.regression)
        self._X, self._y, self._flat = X, y, np.ndim(responses) == 1
        self.n_neurons_ = y.shape[1]
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.stability_: dict[int, Stability] = {}
        self._readouts: dict[tuple, Readout] = {}
        places = [(m, name) for m in range(len(self.models)) for name in self.layers]
        bar = tqdm(places, disable=not self.verbose, desc="readouts")
        for m, name in bar:
            _, features = features_at(self.models[m], name, X)
            for neuron in range(self.n_neurons_):
                self._readouts[neuron, m, name] = cross_validated(
                    regression, features, y[:, neuron], self.cv, self._seed
                )
        self.best_layers_ = [
            [self._best_layer(k, m) for m in range(len(self.models))]
            for k in range(self.n_neurons_)
        ]
        self.scores_ = self._table()
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        r"""Predict responses: the mean over networks, each by its best layer.

        Parameters
        ----------
        X : array-like of shape (n_samples, \*signal_shape)
            Images.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_neurons)
            As the responses in fit.
        """
        check_is_fitted(self)
        X = check_signals(X)
        columns = [self._predicted(X, k) for k in range(self.n_neurons_)]
        return columns[0] if self._flat else np.stack(columns, axis=1)

    def response_module(
        self, model: int = 0, layer: str | None = None, neuron: int = 0
    ) -> nn.Module:
        r"""Return a predicted response as a differentiable torch module.

        Parameters
        ----------
        model : int, default=0
            Which network.
        layer : str, default=None
            None: its best layer for the neuron.
        neuron : int, default=0
            Which neuron.

        Returns
        -------
        torch.nn.Module
            Maps images (n, \*signal_shape) to (n, 1).
        """
        check_is_fitted(self)
        self._check_neuron(neuron)
        if not 0 <= model < len(self.models):
            raise ValueError(f"model={model}; there are {len(self.models)} networks.")
        name = self.best_layers_[neuron][model] if layer is None else layer
        if name not in list(self.layers):
            raise ValueError(f"layer={name!r}; expected one of {list(self.layers)}.")
        response = resolve_response(self.models[model], (name, 0), self._X)
        return PredictedResponse(response, self._readouts[neuron, model, name])

    def maximize(self, neuron: int = 0) -> DeepTuneImages:
        """Find the images that drive a predicted neuron most.

        Parameters
        ----------
        neuron : int, default=0
            Which neuron.

        Returns
        -------
        DeepTuneImages
            Of each network and of all together; `stability_` knows the neuron then.
        """
        check_is_fitted(self)
        modules = self._modules(neuron)
        plain, X = self._maximizer(None), self._X
        by_model = [plain.maximize(module, X) for module in modules]
        consensus = None
        if len(modules) > 1:
            consensus = self._maximizer("min").maximize(modules, X)
        smaller = self._of_compressed(neuron, plain)
        axes = spatial_axes(X.shape[1:], plain.axes)
        each = [s.best for s in by_model]
        best = each[self._best_model(neuron)]
        if consensus is not None:
            each.append(consensus.best)
        stability = Stability(
            float(np.mean([r.correlation for r in self._best_readouts(neuron)])),
            float(np.mean([mean_correlation(s.images, axes) for s in by_model])),
            mean_correlation(np.stack(each), axes),
            mean_correlation(np.concatenate([best[None], smaller]), axes),
            self.min_correlation,
            self.min_agreement,
        )
        self.stability_[neuron] = stability
        return DeepTuneImages(by_model, consensus, smaller, stability, neuron)

    def top_images(self, X: ArrayLike, n: int = 9, neuron: int = 0) -> TopImages:
        r"""Return the images whose predicted response is largest.

        Parameters
        ----------
        X : array-like of shape (n_samples, \*signal_shape)
            Images.
        n : int, default=9
            How many.
        neuron : int, default=0
            Which neuron.

        Returns
        -------
        TopImages
        """
        X = check_signals(X)
        return self._top(X, self._predicted(X, neuron), n, neuron)

    def top_measured(
        self, X: ArrayLike, responses: ArrayLike, n: int = 9, neuron: int = 0
    ) -> TopImages:
        r"""Return the images whose measured response is largest.

        Parameters
        ----------
        X : array-like of shape (n_samples, \*signal_shape)
            Images.
        responses : array-like of shape (n_samples,) or (n_samples, n_neurons)
            What was measured.
        n : int, default=9
            How many.
        neuron : int, default=0
            Which neuron.

        Returns
        -------
        TopImages
        """
        X = check_signals(X)
        y = _as_table(responses, len(X))
        return self._top(X, y[:, neuron if y.shape[1] > 1 else 0], n, neuron)

    def response_to_crops(
        self, X: ArrayLike, sizes: Sequence[int], neuron: int = 0
    ) -> np.ndarray:
        r"""Predict responses to the middle of images alone.

        Outside a window about the centre of what the prediction depends on, images are
        at their mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, \*signal_shape)
            Images.
        sizes : sequence of int
            Lengths of the window, in pixels.
        neuron : int, default=0
            Which neuron.

        Returns
        -------
        ndarray of shape (n_samples, n_sizes)
        """
        X = check_signals(X)
        sizes = np.atleast_1d(sizes).tolist()
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError(f"sizes={sizes}; expected lengths in pixels, from 1 on.")
        axes = spatial_axes(X.shape[1:], None)
        center = center_of(self._importance(X[:ROWS], neuron), axes)
        return np.stack(
            [self._predicted(cropped(X, s, center, axes), neuron) for s in sizes],
            axis=1,
        )

    def response_to_recombinations(
        self,
        X: ArrayLike,
        patch: int,
        n: int = 100,
        neuron: int = 0,
        random_state: Any = None,
    ) -> Recombinations:
        r"""Predict responses to images put together from patches of others.

        Parameters
        ----------
        X : array-like of shape (n_samples, \*signal_shape)
            Images; each patch stays where it lies.
        patch : int
            Length of a patch, in pixels.
        n : int, default=100
            How many are made.
        neuron : int, default=0
            Which neuron.
        random_state : int, RandomState or None, default=None
            Seeds the choice of patches.

        Returns
        -------
        Recombinations
            The strongest first.
        """
        X = check_signals(X)
        if patch < 1 or n < 1:
            raise ValueError(f"patch={patch}, n={n}; expected both from 1 on.")
        axes = spatial_axes(X.shape[1:], None)
        rng = check_random_state(random_state)
        images, sources = recombined(X, patch, n, axes, rng)
        r = self._predicted(images, neuron)
        order = np.argsort(-r, kind="stable")
        largest = float(self._predicted(X, neuron).max())
        return Recombinations(images[order], r[order], sources[order], largest)

    def cluster_units(
        self,
        model: int = 0,
        layer: str | None = None,
        n_clusters: int | None = None,
        method: str = "average",
    ) -> NeuronClusters:
        """Find families of neurons that read the same features.

        Parameters
        ----------
        model : int, default=0
            Whose features.
        layer : str, default=None
            None: the one that predicts the neurons best in the mean.
        n_clusters : int, default=None
            Number of families; None: neurons whose weights correlate by more than 0.5
            are one.
        method : str, default="average"
            As in `scipy.cluster.hierarchy.linkage`, on 1 - correlation of weights.

        Returns
        -------
        NeuronClusters
            Of neurons that are predicted with `min_correlation` or more.

        Raises
        ------
        ValueError
            If there are fewer than two of these.
        """
        check_is_fitted(self)
        neurons = range(self.n_neurons_)
        if layer is None:
            means = {
                name: np.mean(
                    [self._readouts[k, model, name].correlation for k in neurons]
                )
                for name in self.layers
            }
            layer = max(means, key=lambda name: means[name])
        readouts = [self._readouts[k, model, layer] for k in neurons]
        good = np.array([r.correlation >= self.min_correlation for r in readouts])
        if good.sum() < 2:
            raise ValueError(
                f"{good.sum()} of {len(good)} neurons are predicted with a correlation "
                f"of {self.min_correlation} or more; families need two. Likely causes: "
                "(a) too few images; (b) the layer's features say nothing of them."
            )
        weights = np.stack([r.standardised for r in readouts])[good]
        tree = linkage(weights, method, "correlation")
        cut = (0.5, "distance") if n_clusters is None else (n_clusters, "maxclust")
        labels = fcluster(tree, *cut)
        kept, out = np.flatnonzero(good), np.flatnonzero(~good)
        return NeuronClusters(tree, labels, kept, out, layer)

    def _check(self, X: np.ndarray, responses: ArrayLike) -> np.ndarray:
        """Return responses as a table, or raise."""
        if not len(self.models) or not all(
            isinstance(m, nn.Module) for m in self.models
        ):
            raise TypeError("models= must be a list of torch.nn.Module, one at least.")
        if isinstance(self.layers, str) or not len(self.layers):
            raise TypeError(f"layers={self.layers!r}; expected a list of names.")
        for name, lowest in (("cv", 2), ("n_compressed", 0), ("n_starts", 1)):
            value: Any = getattr(self, name)
            if not isinstance(value, Integral) or value < lowest:
                raise ValueError(f"{name}={value!r}; expected an int from {lowest} on.")
        if not 0 < self.compression < 1:
            raise ValueError(
                f"compression={self.compression!r}; expected a share between 0 and 1."
            )
        y = _as_table(responses, len(X))
        if len(y) < 2 * self.cv:
            raise ValueError(
                f"{len(y)} images for cv={self.cv} folds; expected two or more a fold."
            )
        return y

    def _check_neuron(self, neuron: int) -> None:
        if not 0 <= neuron < self.n_neurons_:
            raise ValueError(
                f"neuron={neuron}; {self.n_neurons_} were fitted, counted from 0."
            )

    def _best_layer(self, neuron: int, model: int) -> str:
        r = [self._readouts[neuron, model, name].correlation for name in self.layers]
        return self.layers[int(np.argmax(r))]

    def _best_readouts(self, neuron: int) -> list[Readout]:
        names = self.best_layers_[neuron]
        return [self._readouts[neuron, m, name] for m, name in enumerate(names)]

    def _best_model(self, neuron: int) -> int:
        return int(np.argmax([r.correlation for r in self._best_readouts(neuron)]))

    def _table(self) -> Any:
        """Return a row per neuron, network and layer."""
        rows = [
            (*key, r.correlation, r.spread, int(np.count_nonzero(r.weights)))
            for key, r in sorted(self._readouts.items(), key=lambda item: item[0][:2])
        ]
        table = np.array(rows, dtype=_FIELDS)
        try:
            import pandas as pd
        except ImportError:
            return table
        return pd.DataFrame(table)

    def _modules(self, neuron: int) -> list[nn.Module]:
        return [self.response_module(m, neuron=neuron) for m in range(len(self.models))]

    def _predicted(self, X: np.ndarray, neuron: int) -> np.ndarray:
        check_is_fitted(self)
        modules = self._modules(neuron)
        by_model = [responses_of(resolve_response(m, 0, X), X) for m in modules]
        return np.mean(by_model, axis=0)

    def _maximizer(self, consensus: str | None) -> ActivationMaximizer:
        """Return a maximiser of a predicted response."""
        given = self.maximizer or {}
        if isinstance(given, ActivationMaximizer):
            chosen: Any = clone(given)
        elif isinstance(given, dict):
            chosen = ActivationMaximizer(0, **given)
        else:
            raise TypeError(
                f"maximizer={given!r}; expected a dict of parameters of "
                "ActivationMaximizer, or one of these."
            )
        return chosen.set_params(
            unit=0,
            n_starts=self.n_starts,
            consensus=consensus,
            random_state=self._seed,
            verbose=self.verbose,
        )

    def _of_compressed(self, neuron: int, how: ActivationMaximizer) -> np.ndarray:
        """Return the best images of compressed networks, readouts fitted anew."""
        best = self._best_model(neuron)
        model, name = self.models[best], self.best_layers_[neuron][best]
        images = [np.empty((0, *self._X.shape[1:]))]
        n = self.n_compressed if has_filters(model) else 0
        for share in np.linspace(0, self.compression, n + 1)[1:]:
            smaller = compressed(model, share)
            response, features = features_at(smaller, name, self._X)
            regression = regression_of(self.regression)
            steps = fit_readout(regression, features, self._y[:, neuron])
            module = PredictedResponse(response, readout_of(steps))
            found = how.maximize(module, self._X)
            images.append(found.best[None])
        return np.concatenate(images)

    def _importance(self, X: np.ndarray, neuron: int) -> np.ndarray:
        """Return where the prediction depends on images, from 0 to 1."""
        slopes = np.zeros(X.shape)
        for module in self._modules(neuron):
            network = resolve_response(module, 0, X).network
            with evaluation_mode(module):
                for rows in chunks(len(X), ROWS):
                    x = network.to_tensor(X[rows]).requires_grad_()
                    (g,) = torch.autograd.grad(network.forward(x).sum(), x)
                    slopes[rows] += to_numpy(g)
        return importance(slopes)

    def _top(self, X: np.ndarray, r: np.ndarray, n: int, neuron: int) -> TopImages:
        check_is_fitted(self)
        self._check_neuron(neuron)
        if not 1 <= n <= len(X):
            raise ValueError(f"n={n}; expected 1 to {len(X)}, the number of images.")
        order = np.argsort(-r, kind="stable")[:n]
        images = X[order]
        mask = self._importance(images, neuron)
        axes = spatial_axes(X.shape[1:], None)
        means = images.mean(axis=axes, keepdims=True)
        masked = means + mask * (images - means)
        return TopImages(images, masked, mask, order, r[order])


def _as_table(responses: ArrayLike, n_rows: int) -> np.ndarray:
    """Return finite responses of shape (n_samples, n_neurons)."""
    y = np.asarray(responses, dtype=np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or len(y) != n_rows or not y.size:
        raise ValueError(
            f"responses have shape {np.shape(responses)} for {n_rows} images; expected "
            f"({n_rows},) or ({n_rows}, n_neurons)."
        )
    if not np.isfinite(y).all():
        raise ValueError("responses hold NaN or infinity; leave those rows out.")
    return y
