"""Rules over torch operations: how each treats a decomposed value."""

from .as_it_is import AsItIs
from .chunked import DenseParts, LowRankParts, decompose
from .decomposition import (
    contextual_decomposition,
    explained_output,
    find_ending,
    looks_like_probabilities,
    outputs_of,
)
from .interactions import pairwise_interactions
from .mixtures import Mixtures
from .registry import (
    OutputMismatchError,
    UnsupportedOperationError,
    register_operation,
)

__all__ = [
    "AsItIs",
    "DenseParts",
    "LowRankParts",
    "Mixtures",
    "OutputMismatchError",
    "UnsupportedOperationError",
    "contextual_decomposition",
    "decompose",
    "explained_output",
    "find_ending",
    "looks_like_probabilities",
    "outputs_of",
    "pairwise_interactions",
    "register_operation",
]
