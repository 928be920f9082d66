"""What a trained network uses, in terms you understand."""

from sktrim._memory import keep_freed_memory
from sktrim.explanation import Explanation
from sktrim.groups import FeatureGroups
from sktrim.importance import (
    TransformImportance,
    layer_output,
    transform_importance,
)
from sktrim.inverse import TrimModel, inverse_module
from sktrim.propagation import UnsupportedOperationError, contextual_decomposition
from sktrim.scorers import Scorer
from sktrim.transforms import (
    AlongAxis,
    CosineTransformer,
    FourierTransformer,
    LappedTransformer,
    LatentDirichletAllocation,
    LinearDictionary,
    ShortTimeFourierTransformer,
    WaveletPacketTransformer,
    WaveletTransformer,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "AlongAxis",
    "CosineTransformer",
    "Explanation",
    "FeatureGroups",
    "FourierTransformer",
    "LappedTransformer",
    "LatentDirichletAllocation",
    "LinearDictionary",
    "Scorer",
    "ShortTimeFourierTransformer",
    "TransformImportance",
    "TrimModel",
    "UnsupportedOperationError",
    "WaveletPacketTransformer",
    "WaveletTransformer",
    "contextual_decomposition",
    "inverse_module",
    "keep_freed_memory",
    "layer_output",
    "transform_importance",
]
