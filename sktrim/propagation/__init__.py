"""Rules over torch operations: how each treats a decomposed value."""

from .decomposition import (
    contextual_decomposition,
    explained_output,
    find_ending,
    looks_like_probabilities,
)
from .registry import UnsupportedOperationError, register_operation

__all__ = [
    "UnsupportedOperationError",
    "contextual_decomposition",
    "explained_output",
    "find_ending",
    "looks_like_probabilities",
    "register_operation",
]
