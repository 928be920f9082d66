"""Transforms of signals into coefficients, with their inverses: NumPy in and out."""

from sktrim.transforms._along_axis import AlongAxis
from sktrim.transforms._cosine import CosineTransformer
from sktrim.transforms._dictionary import LinearDictionary
from sktrim.transforms._fourier import FourierTransformer
from sktrim.transforms._lapped import LappedTransformer
from sktrim.transforms._lda import LatentDirichletAllocation
from sktrim.transforms._packets import WaveletPacketTransformer
from sktrim.transforms._short_time import ShortTimeFourierTransformer
from sktrim.transforms._wavelet import WaveletTransformer

__all__ = [
    "AlongAxis",
    "CosineTransformer",
    "FourierTransformer",
    "LappedTransformer",
    "LatentDirichletAllocation",
    "LinearDictionary",
    "ShortTimeFourierTransformer",
    "WaveletPacketTransformer",
    "WaveletTransformer",
]
