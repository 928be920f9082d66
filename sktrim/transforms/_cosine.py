"""The orthonormal cosine transform (DCT-II) of signals of any shape."""

import numpy as np
import scipy.fft

from sktrim.transforms._frequency import FrequencyTransformer, grid_indices

__all__ = ["CosineTransformer"]


class CosineTransformer(FrequencyTransformer):
    r"""Orthonormal discrete cosine transform, DCT-II.

    .. math::

       s_k = \sqrt{\frac{2 - \delta_{k0}}{n}} \sum_{j=0}^{n-1}
             x_j \cos \left[ \frac{\pi}{n} \left( j + \tfrac{1}{2} \right) k \right],
       \qquad k = 0, \dots, n - 1,

    of a signal of n values along each of the axes acted upon. Coefficient k of an axis
    counts k half cycles, a frequency of k / 2 cycles per signal. Unlike the Fourier
    transform it does not see a jump between the end of a signal and its beginning. The
    transform is an orthogonal matrix: the squares of the coefficients add up to those
    of the signal.

    Parameters
    ----------
    signal_shape : int or tuple of int, default=None
        How one row of a 2-D X is laid out, e.g. (28, 28) or (3, 32, 32). None: a row
        is a 1-D signal, or, for n-D X, the shape is that of the data.
    axes : int or tuple of int, default=None
        Axes of the signal to transform; the others are channels, each with
        coefficients of its own. None: the only axis of a 1-D signal, otherwise the
        last two, leaving out axes of length 1; X of shape (n_samples, a, b) needs
        `axes` or `signal_shape`, since it may hold channels or images.

    Attributes
    ----------
    frequencies_ : ndarray of shape (n_frequencies, n_axes), float64
        Cycles per signal along each of `axes_`: multiples of 1/2, in C order.
    frequency_of_ : ndarray of shape (n_frequencies,), int
        0, 1, 2, ...: every coefficient of a channel is a frequency of its own.
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
        Number of coefficients; equal to `n_features_in_`.
    n_features_in_ : int
        Number of values in one signal.

    See Also
    --------
    FourierTransformer : With phases, for signals that are periodic.
    sktrim.inverse_module : The inverse as a torch module.

    Notes
    -----
    The transform is that of :footcite:t:`ahmed1974dct`, in the orthonormal scaling of
    ``scipy.fft.dctn(norm="ortho")``. Coefficients are in the units of the signal. It is
    the Fourier transform of the signal followed by its mirror image: a coefficient
    stands for the wave that has a crest or a trough at either end, and a shift of the
    signal changes it.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.transforms import CosineTransformer
    >>> cosine = CosineTransformer().fit(np.ones((1, 4)))
    >>> np.round(cosine.transform(np.ones((1, 4))), 3) + 0.0
    array([[2., 0., 0., 0.]])
    >>> cosine.feature_groups().names
    ['0.0 cycles', '0.5 cycles', '1.0 cycles', '1.5 cycles']
    """

    def _plan(self) -> int:
        self.frequencies_ = grid_indices(self.grid_shape_) / 2
        self.frequency_of_ = np.arange(len(self.frequencies_))
        return self.frequency_of_.size

    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        axes = tuple(range(2, signals.ndim))
        spectrum = scipy.fft.dctn(signals, type=2, axes=axes, norm="ortho")
        return np.asarray(spectrum).reshape(*signals.shape[:2], -1)

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        spectrum = coefficients.reshape(*coefficients.shape[:2], *self.grid_shape_)
        axes = tuple(range(2, spectrum.ndim))
        return np.asarray(scipy.fft.idctn(spectrum, type=2, axes=axes, norm="ortho"))

    def _coefficient_names(self) -> list[str]:
        return self._frequency_names(self.frequencies_, "cycles")
