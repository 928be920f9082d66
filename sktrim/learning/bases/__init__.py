"""The spaces that are learned: one file each."""

from sktrim.learning.bases._autoencoder import Autoencoder
from sktrim.learning.bases._basis import Basis
from sktrim.learning.bases._convolutional import Convolutional
from sktrim.learning.bases._dictionary import Dictionary
from sktrim.learning.bases._orthogonal import Orthogonal
from sktrim.learning.bases._wavelet import Wavelet

__all__ = [
    "Autoencoder",
    "Basis",
    "Convolutional",
    "Dictionary",
    "Orthogonal",
    "Wavelet",
]
