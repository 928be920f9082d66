"""Any transformer of rows, applied along one axis of signals at every position."""

from math import prod
from numbers import Integral
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from sktrim.groups import FeatureGroups
from sktrim.groups._resolve import coefficient_names
from sktrim.transforms._base import SignalTransformer

__all__ = ["AlongAxis"]

_BY = ("natural", "component", "position", "coefficient")


class AlongAxis(SignalTransformer):
    r"""Apply a transformer of rows along one axis, at every position of the others.

    .. math::

       s_{pk} = T(x_{p \cdot})_k, \qquad
       \hat x_{p \cdot} = T^{-1}(s_{p \cdot}),

    where :math:`x_{p \cdot}` are the values along the axis at position p: the
    electrodes at one time, the colours of a pixel, the channels of a layer at one
    place. T is fitted to the values at all positions of all samples, as rows. So ICA
    finds sources over electrodes, PCA mixtures of colours, and NMF concepts in what a
    layer of a network puts out.

    Parameters
    ----------
    transformer : transformer with ``inverse_transform``
        T; cloned and fitted to rows of shape (n_samples * n_positions, length of the
        axis). Where it takes long, choose one that learns in batches, such as
        ``MiniBatchNMF``.
    axis : int, default=1
        The axis of X that T acts on, as NumPy counts: 0 are the samples, 1 is the first
        axis of a signal, -1 the last.
    signal_shape : int or tuple of int, default=None
        How one row of a 2-D X is laid out. None: as X is.

    Attributes
    ----------
    transformer_ : transformer
        Fitted.
    position_shape_ : tuple of int
        Lengths of the other axes, in order.
    signal_shape_ : tuple of int
        Shape one signal is laid out as.
    layout_ : tuple of int
        ``X.shape[1:]`` in fit; what `inverse_transform` gives back.
    axes_ : tuple of int
        The axis acted upon, negative.
    n_coefficients_ : int
        Number of positions times coefficients of T, position by position.
    n_features_in_ : int
        Number of values in one signal.

    See Also
    --------
    sktrim.TransformImportance : Whose ``layer=`` puts it inside a network.
    LinearDictionary : Given atoms for the axis.

    Notes
    -----
    Non-negative factors of activations, position by position, are the concepts of
    :footcite:t:`fel2023craft`; independent components over electrodes are those of
    :footcite:t:`makeig1996ica`. What T does not represent is the residual, which
    ``residual="component"`` scores as one group more.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    Two sources, seen by three electrodes at ten times:

    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sktrim.transforms import AlongAxis
    >>> rng = np.random.default_rng(0)
    >>> mixing, activity = rng.normal(size=(2, 3)), rng.normal(size=(4, 2, 10))
    >>> X = np.einsum("kc,nkt->nct", mixing, activity)
    >>> sources = AlongAxis(PCA(2), axis=1).fit(X)
    >>> sources.transform(X).shape
    (4, 20)
    >>> np.allclose(sources.inverse_transform(sources.transform(X)), X)
    True
    >>> sources.feature_groups().names
    ['pca0', 'pca1']
    """

    def __init__(
        self,
        transformer: Any,
        axis: int = 1,
        signal_shape: int | tuple[int, ...] | None = None,
    ) -> None:
        self.transformer = transformer
        self.axis = axis
        self.signal_shape = signal_shape

    @property
    def axes(self) -> int:
        """The axis, where that of the samples is not counted."""
        return self.axis - 1 if self.axis > 0 else self.axis

    @property
    def position_shape_(self) -> tuple[int, ...]:
        """Lengths of the axes that T does not act on."""
        return self.channel_shape_

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit T to the values along the axis at all positions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *signal_shape)
            Signals; float32 is kept, anything else becomes float64.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the transformer has no ``inverse_transform``.
        ValueError
            If X is empty, complex or not finite, or has no such axis.
        """
        if not hasattr(self.transformer, "fit") or isinstance(self.transformer, type):
            raise TypeError(
                f"transformer={self.transformer!r}; expected an instance of a "
                "transformer of rows, such as PCA(5)."
            )
        if not isinstance(self.axis, Integral) or self.axis == 0:
            raise ValueError(
                f"axis={self.axis!r}; expected an integer: 1 is the first axis of a "
                "signal, -1 the last, and 0 are the samples."
            )
        n_axes = (X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim) - 1
        if self.signal_shape is not None:
            n_axes = np.size(self.signal_shape)
        if not -n_axes <= self.axis <= n_axes:
            raise ValueError(
                f"axis={self.axis} does not fit signals of {n_axes} axes; expected 1 "
                f"to {n_axes}, or -{n_axes} to -1 from the end."
            )
        return super().fit(X)

    def _learn(self, signals: np.ndarray) -> int:
        rows = signals.reshape(-1, signals.shape[-1])
        inner: Any = clone(self.transformer)
        if hasattr(inner, "set_output"):
            inner.set_output(transform="default")
        self.transformer_ = inner.fit(rows)
        if not hasattr(inner, "inverse_transform"):
            raise TypeError(
                f"{type(inner).__name__} has no inverse_transform, which says what a "
                "coefficient stands for."
            )
        return _dense(inner.transform(rows[:1])).shape[-1]

    def rows(self, X: ArrayLike) -> np.ndarray:
        """Return the values along the axis, as T sees them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *signal_shape)

        Returns
        -------
        ndarray of shape (n_samples * n_positions, length of the axis)
        """
        check_is_fitted(self)
        flat, _ = self._validate(X, reset=False)
        return self._channels(flat).reshape(-1, *self.grid_shape_)

    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        s = _dense(self.transformer_.transform(signals.reshape(-1, signals.shape[-1])))
        return s.reshape(*signals.shape[:2], -1)

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        rows = coefficients.reshape(-1, coefficients.shape[-1])
        signals = _dense(self.transformer_.inverse_transform(rows))
        return signals.reshape(*coefficients.shape[:2], -1)

    def _coefficient_names(self) -> list[str]:
        names = coefficient_names(self.transformer_)
        n = self.n_coefficients_ // max(1, self.n_channels_)
        return [f"component{k}" for k in range(n)] if names is None else list(names)

    def _channel_prefixes(self) -> list[str]:
        """Return what names a coefficient's position."""
        if not self.position_shape_:
            return [""]
        return [f"{place} " for place in self._positions()]

    def _positions(self) -> list[str]:
        places = np.ndindex(self.position_shape_)
        return [f"at {at[0] if len(at) == 1 else at}" for at in places]

    def feature_groups(self, by: str = "natural") -> FeatureGroups:
        """Group the coefficients by component or by position.

        Parameters
        ----------
        by : {"natural", "component", "position", "coefficient"}, default="natural"
            "component" (the same as "natural"): one group per coefficient of T, at all
            positions; "position": one per position, all of T; "coefficient": one per
            component and position.

        Returns
        -------
        FeatureGroups
            Those of positions have them as `centers`, or `coordinates` where there are
            several axes.

        Raises
        ------
        ValueError
            If `by` is none of these.
        """
        check_is_fitted(self)
        if by not in _BY:
            raise ValueError(f"by={by!r}; expected one of {_BY}.")
        own, n_positions = self._coefficient_names(), prod(self.position_shape_)
        if by == "coefficient":
            names = list(self.get_feature_names_out())
            return FeatureGroups(sp.eye_array(len(names), format="csr"), names)
        if by != "position":
            return self._over_channels(sp.eye_array(len(own), format="csr"), own)
        masks = sp.kron(sp.eye_array(n_positions), np.ones((1, len(own))), format="csr")
        places = np.array(list(np.ndindex(self.position_shape_)), dtype=float)
        line = len(self.position_shape_) == 1
        return FeatureGroups(
            masks,
            self._positions(),
            centers=places[:, 0] if line else None,
            coordinates=places if len(self.position_shape_) > 1 else None,
        )


def _dense(values: Any) -> np.ndarray:
    return values.toarray() if sp.issparse(values) else np.asarray(values)
