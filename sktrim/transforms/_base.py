"""What every transform of signals shares: how rows become channels and back."""

from abc import ABCMeta, abstractmethod
from math import prod
from numbers import Integral
from operator import index
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_array,
    check_is_fitted,
    validate_data,
)

from sktrim.groups import FeatureGroups

FLOATS: Any = (np.float64, np.float32)


def check_floats(X: Any, **options: Any) -> np.ndarray:
    """Return X as a finite, non-empty, real array of float64, or float32 if it is."""
    return check_array(X, dtype=FLOATS, input_name="X", **options)


def check_width(X: Any, n_coefficients: int, estimator: Any) -> np.ndarray:
    """Return coefficients as a float array (n_samples, n_coefficients), or raise."""
    X = check_floats(X, estimator=estimator)
    if X.shape[1] != n_coefficients:
        raise ValueError(
            f"X has {X.shape[1]} columns, but {type(estimator).__name__} has "
            f"{n_coefficients} coefficients; pass what transform returned."
        )
    return X


def _integers(values: Any) -> tuple[int, ...] | None:
    """Return one integer or a sequence of them as a tuple, None for anything else."""
    values = (values,) if isinstance(values, Integral) else values
    try:
        return tuple(index(value) for value in values)
    except TypeError:
        return None


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leave axes of length 1 out of a shape."""
    return tuple(n for n in shape if n != 1)


def check_signal_shape(
    signal_shape: Any, row_shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape one signal is laid out as: that of the data where it is None."""
    if signal_shape is None:
        return row_shape
    shape = _integers(signal_shape)
    if not shape or min(shape) < 1:
        raise ValueError(
            f"signal_shape={signal_shape!r} is no shape; expected None or positive "
            "integers, e.g. (28, 28)."
        )
    if prod(shape) != prod(row_shape):
        held = (
            f"{row_shape[0]} columns"
            if len(row_shape) == 1
            else f"rows of shape {row_shape}"
        )
        raise ValueError(
            f"signal_shape={shape} has {prod(shape)} values but X has {held}; pass the "
            "shape of one signal (without the sample axis), whose product is the "
            "number of values per row."
        )
    check_layout(row_shape, shape)
    return shape


def check_layout(row_shape: tuple[int, ...], *known: tuple[int, ...]) -> None:
    """Raise where rows cannot be read as signals of one of the known shapes."""
    # flat rows always can; otherwise the shapes must agree but for axes of length 1,
    # since a transposed image has the right size and the wrong meaning
    flat = _squeezed((prod(known[0]),))
    if _squeezed(row_shape) not in {flat, *(_squeezed(shape) for shape in known)}:
        expected = " or ".join(map(str, dict.fromkeys(known)))
        raise ValueError(
            f"X has rows of shape {row_shape}, but signals of shape {expected} were "
            "expected; transpose X, or pass it flat, as (n_samples, n_features)."
        )


def check_axes(axes: Any, signal_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes of a signal to act on, as increasing negative integers."""
    n_axes = len(signal_shape)
    # the last two (or the only one), leaving out axes of length 1
    if axes is None:
        longer = [a for a in range(-min(n_axes, 2), 0) if signal_shape[a] > 1]
        return tuple(longer) or (-1,)
    wanted = _integers(axes)
    if not wanted or not all(-n_axes <= a < n_axes for a in wanted):
        raise ValueError(
            f"axes={axes!r} does not fit signals of shape {signal_shape}; expected "
            f"None or integers from {-n_axes} to {n_axes - 1} (the sample axis is not "
            "counted)."
        )
    negative = sorted({a % n_axes - n_axes for a in wanted})
    if len(negative) != len(wanted):
        raise ValueError(f"axes={axes!r} names an axis of {signal_shape} twice.")
    return tuple(negative)


def axes_are_open(axes: Any, signal_shape: Any, layout: tuple[int, ...]) -> bool:
    """Tell whether signals may be channels x time or an image, nobody says which."""
    said = axes is not None or signal_shape is not None
    return not said and len(layout) == 2 and min(layout) > 1


class SignalTransformer(TransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Base of the invertible transforms of 1-D, 2-D and n-D signals.

    Subclasses work on channels: arrays of shape (n_samples, n_channels, *grid), the
    axes acted upon last. They implement `_plan` (fit-time tables; returns the number
    of coefficients per channel), or `_learn` where that depends on the signals,
    `_analyse`, `_synthesise`, `_coefficient_names` and `feature_groups`.

    Parameters
    ----------
    signal_shape : int or tuple of int, default=None
        How one row of a 2-D X is laid out, e.g. (28, 28) or (3, 32, 32). None: a row
        is a 1-D signal, or, for n-D X, the shape is that of the data.
    axes : int or tuple of int, default=None
        Axes of the signal to act on; the others are channels, each with coefficients
        of its own. None: the only axis of a 1-D signal, otherwise the last two,
        leaving out axes of length 1; X of shape (n_samples, a, b) needs `axes` or
        `signal_shape`, since it may hold channels or images.

    Attributes
    ----------
    signal_shape_ : tuple of int
        Shape one signal is laid out as.
    layout_ : tuple of int
        ``X.shape[1:]`` in fit; what `inverse_transform` gives back.
    axes_ : tuple of int
        Axes acted upon, negative and increasing.
    grid_shape_ : tuple of int
        Lengths along `axes_`.
    channel_shape_ : tuple of int
        Lengths of the axes not acted upon, in order.
    n_channels_ : int
        Product of `channel_shape_`.
    n_coefficients_ : int
        Number of coefficients, over all channels.
    n_features_in_ : int
        Number of values in one signal.
    """

    def __init__(
        self,
        signal_shape: int | tuple[int, ...] | None = None,
        axes: int | tuple[int, ...] | None = None,
    ) -> None:
        self.signal_shape = signal_shape
        self.axes = axes

    def _plan(self) -> int:
        """Prepare tables for `grid_shape_`; return the coefficients per channel."""
        raise NotImplementedError(f"{type(self).__name__} has neither _plan nor _learn")

    @abstractmethod
    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        """Map (n_samples, n_channels, *grid) to (n_samples, n_channels, m)."""

    @abstractmethod
    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        """Map (n_samples, n_channels, m) to (n_samples, n_channels, *grid)."""

    @abstractmethod
    def _coefficient_names(self) -> list[str]:
        """Return the names of one channel's coefficients."""

    def _validate(self, X: Any, *, reset: bool) -> tuple[np.ndarray, tuple[int, ...]]:
        """Return X as a float array (n_samples, n_features) and its ``X.shape[1:]``."""
        n_dims = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        if n_dims <= 2:
            X = validate_data(self, X, dtype=FLOATS, reset=reset)
            return X, X.shape[1:]
        X = check_floats(X, allow_nd=True, estimator=self)
        layout = X.shape[1:]
        X = X.reshape(X.shape[0], prod(layout))
        validate_data(self, X, skip_check_array=True, reset=reset)
        return X, layout

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn the layout of the signals.

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
        ValueError
            If X is empty, complex or not finite, or if `signal_shape` or `axes` do
            not fit it.
        """
        flat, layout = self._validate(X, reset=True)
        if axes_are_open(self.axes, self.signal_shape, layout):
            raise ValueError(
                f"X has signals of shape {layout}, which {type(self).__name__} could "
                "take as channels of a series or as an image. Pass axes=-1 to "
                "transform each channel along the last axis, or axes=(-2, -1) to "
                "transform both axes together. (TransformImportance reads it off a "
                "network that begins with a convolution.)"
            )
        shape = check_signal_shape(self.signal_shape, layout)
        self.axes_ = check_axes(self.axes, shape)
        self.signal_shape_ = shape
        self.layout_ = layout
        kept = [a for a in range(-len(shape), 0) if a not in self.axes_]
        self.grid_shape_ = tuple(shape[a] for a in self.axes_)
        self.channel_shape_ = tuple(shape[a] for a in kept)
        self.n_channels_ = prod(self.channel_shape_)
        self.n_coefficients_ = self.n_channels_ * self._learn(self._channels(flat))
        return self

    def _learn(self, signals: np.ndarray) -> int:
        """Learn from (n_samples, n_channels, *grid); return what `_plan` does."""
        return self._plan()

    def _channels(self, flat: np.ndarray) -> np.ndarray:
        """Lay rows out as (n_samples, n_channels, *grid)."""
        n_samples, n_grid = len(flat), len(self.grid_shape_)
        signals = flat.reshape(n_samples, *self.signal_shape_)
        signals = np.moveaxis(signals, self.axes_, range(-n_grid, 0))
        return signals.reshape(n_samples, self.n_channels_, *self.grid_shape_)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the coefficients, channel by channel.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *signal_shape)
            Signals.

        Returns
        -------
        ndarray of shape (n_samples, n_coefficients)
            Real coefficients, float32 for float32 X and float64 otherwise.

        Raises
        ------
        ValueError
            If X is empty, complex, not finite or of another shape than in `fit`.
        """
        check_is_fitted(self)
        flat, row_shape = self._validate(X, reset=False)
        check_layout(row_shape, self.signal_shape_, self.layout_)
        coefficients = self._analyse(self._channels(flat))
        coefficients = coefficients.reshape(len(flat), self.n_coefficients_)
        return coefficients.astype(flat.dtype, copy=False)

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Rebuild signals from coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_coefficients)
            Coefficients.

        Returns
        -------
        ndarray of shape (n_samples, *layout_)
            Signals in the layout that `fit` saw; float32 is kept.

        Raises
        ------
        ValueError
            If X is not finite or has the wrong number of columns.
        """
        check_is_fitted(self)
        flat = check_width(X, self.n_coefficients_, self)
        n_samples, n_grid = len(flat), len(self.grid_shape_)
        signals = self._synthesise(flat.reshape(n_samples, self.n_channels_, -1))
        signals = signals.reshape(n_samples, *self.channel_shape_, *self.grid_shape_)
        signals = np.moveaxis(signals, range(-n_grid, 0), self.axes_)
        signals = signals.reshape(n_samples, *self.layout_)
        return signals.astype(flat.dtype, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the coefficients.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked against the names seen in `fit`.

        Returns
        -------
        ndarray of str objects of shape (n_coefficients,)
            Names such as "3.0 cycles re", with the channel in front where there are
            several.
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        own = self._coefficient_names()
        names = [prefix + name for prefix in self._channel_prefixes() for name in own]
        return np.asarray(names, dtype=object)

    def _channel_prefixes(self) -> list[str]:
        """Return "" for a single channel, "channel0 ", "channel(0, 1) " otherwise."""
        if self.n_channels_ == 1:
            return [""]
        return [
            f"channel{at[0] if len(at) == 1 else at} "
            for at in np.ndindex(self.channel_shape_)
        ]

    def _over_channels(
        self,
        masks: Any,
        names: list[str],
        *,
        channels: str = "pool",
        centers: np.ndarray | None = None,
        unit: str | None = None,
        coordinates: np.ndarray | None = None,
    ) -> FeatureGroups:
        """Spread groups over one channel's coefficients to those of all channels."""
        if channels not in ("pool", "separate"):
            raise ValueError(f"channels={channels!r}; expected 'pool' or 'separate'.")
        masks = sp.csr_array(masks, dtype=np.float64)
        if channels == "pool" or self.n_channels_ == 1:
            spread = sp.kron(np.ones((1, self.n_channels_)), masks, format="csr")
            return FeatureGroups(
                spread, names, centers=centers, unit=unit, coordinates=coordinates
            )
        spread = sp.kron(sp.eye_array(self.n_channels_), masks, format="csr")
        return FeatureGroups(
            spread,
            [prefix + name for prefix in self._channel_prefixes() for name in names],
            centers=None if centers is None else np.tile(centers, self.n_channels_),
            unit=unit,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
