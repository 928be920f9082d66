"""Wavelet packets: bands of frequency of equal width, each at its own times."""

from typing import Any

import numpy as np
import pywt

from sktrim.transforms._short_time import one_axis
from sktrim.transforms._time_frequency import TimeFrequencyTransformer, check_count
from sktrim.transforms._wavelet import check_wavelet

__all__ = ["WaveletPacketTransformer"]

WaveletPacket: Any = pywt.WaveletPacket  # pyright: ignore[reportAttributeAccessIssue]


class WaveletPacketTransformer(TimeFrequencyTransformer):
    r"""Wavelet packet transform of one axis, its nodes in order of frequency.

    .. math::

       s^{(l + 1, 2 b)}_j = \sum_m h_{m - 2j} \, s^{(l, b)}_m, \qquad
       s^{(l + 1, 2 b + 1)}_j = \sum_m g_{m - 2j} \, s^{(l, b)}_m,
       \qquad s^{(0, 0)} = x,

    for levels l up to L, nodes b and places j, with the low-pass filter h and the
    high-pass filter g of the wavelet: unlike the wavelet transform it splits the high
    frequencies, too. The :math:`2^L` nodes of the last level, in order of frequency,
    are bands of equal width, which overlap more the shorter the filters are. Signals go
    on periodically. With an orthogonal wavelet the transform is an orthogonal matrix.

    Parameters
    ----------
    wavelet : str or pywt.Wavelet, default="sym8"
        Any discrete wavelet of PyWavelets, see ``pywt.wavelist(kind="discrete")``.
    level : int, default=4
        L: :math:`2^L` bands, and as many samples between the coefficients of one.
    signal_shape : int or tuple of int, default=None
        How one row of a 2-D X is laid out, e.g. (2, 8000). None: a row is a signal,
        or, for n-D X, the shape is that of the data.
    axes : int, default=-1
        The axis of the signal that is time; the others are channels.

    Attributes
    ----------
    nodes_ : list of str
        Paths of the nodes in PyWavelets, "aad" and the like, in order of frequency.
    wavelet_ : pywt.Wavelet
    frame_centers_ : ndarray of shape (n_places,)
        The middle of each place, in samples.
    frequencies_ : ndarray of shape (n_nodes, 1), float64
        The middle of each node's band, in cycles per signal.
    frequency_of_, frame_of_ : ndarray of int, shape (n_coefficients_ / n_channels_,)
        Node and place that each coefficient of a channel belongs to.
    signal_shape_ : tuple of int
        Shape one signal is laid out as.
    layout_ : tuple of int
        ``X.shape[1:]`` in fit; what `inverse_transform` gives back.
    n_coefficients_ : int
        Number of coefficients: that of the values where :math:`2^L` divides the length.
    n_features_in_ : int
        Number of values in one signal.

    See Also
    --------
    WaveletTransformer : Bands that are octaves.
    LappedTransformer : Sharper bands, with cosines.

    Notes
    -----
    Packets are those of :footcite:t:`coifman1992packets`, at one level. Filtering
    mirrors the order of frequencies at every high-pass: nodes are sorted by the number
    of their sign changes, as PyWavelets does for ``order="freq"``. Where :math:`2^L`
    does not divide the length, zeros are put behind the signal, and the inverse is
    exact all the same. Coefficients are in the units of the signal.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim import WaveletPacketTransformer
    >>> X = np.sin(2 * np.pi * 0.2 * np.arange(512))[None]
    >>> packets = WaveletPacketTransformer(level=3).fit(X)
    >>> nodes = packets.feature_groups(sample_spacing=1.0)
    >>> power = nodes.aggregate(packets.transform(X)[0] ** 2)
    >>> nodes.names[int(power.argmax())], packets.nodes_[int(power.argmax())]
    ('0.2188 1/sample unit', 'ada')
    """

    def __init__(
        self,
        wavelet: Any = "sym8",
        level: int = 4,
        signal_shape: int | tuple[int, ...] | None = None,
        axes: int = -1,
    ) -> None:
        self.wavelet = wavelet
        self.level = level
        self.signal_shape = signal_shape
        self.axes = axes

    def _plan(self) -> int:
        one_axis(self)
        level = check_count("level", self.level)
        n, step = self.grid_shape_[0], 2**level
        if step > 2 * n:
            raise ValueError(
                f"level={level} has {step} bands, but a signal has {n} values; take at "
                f"most level={int(np.log2(2 * n))}."
            )
        self.wavelet_ = check_wavelet(self.wavelet)
        n_places = -(-n // step)
        self.frame_centers_ = (np.arange(n_places) + 0.5) * step - 0.5
        tree = self._tree(np.zeros(n_places * step))
        self.nodes_ = [node.path for node in tree.get_level(level, "freq")]
        frequencies = (np.arange(step) + 0.5) / (2 * step)
        return self._lay_frames_out(frequencies[:, None], np.arange(step))

    def _tree(self, data: Any) -> Any:
        options = {"mode": "periodization", "maxlevel": self.level, "axis": -1}
        return WaveletPacket(data, self.wavelet_, **options)

    def _analyse(self, signals: np.ndarray) -> np.ndarray:
        n_padded = len(self.frame_centers_) * len(self.nodes_)
        after = n_padded - signals.shape[-1]
        tree = self._tree(np.pad(signals, ((0, 0), (0, 0), (0, after))))
        s = np.stack([tree[path].data for path in self.nodes_], axis=-1)
        return s.reshape(*signals.shape[:2], -1)

    def _synthesise(self, coefficients: np.ndarray) -> np.ndarray:
        s = coefficients.reshape(*coefficients.shape[:2], -1, len(self.nodes_))
        tree = self._tree(None)
        for at, path in enumerate(self.nodes_):
            tree[path] = np.ascontiguousarray(s[..., at])
        signals = tree.reconstruct(update=False)
        return np.asarray(signals)[..., : self.grid_shape_[0]]
