"""Rules over torch operations: how each treats a decomposed value."""

from sktrim.exceptions import OutputMismatchError, UnsupportedOperationError
from sktrim.propagation.as_it_is import AsItIs
from sktrim.propagation.backward._lrp_rules import Rule, Side, Term
from sktrim.propagation.decomposition._chunked import (
    DenseParts,
    LowRankParts,
    decompose,
)
from sktrim.propagation.decomposition._interactions import pairwise_interactions
from sktrim.propagation.decomposition._run import contextual_decomposition
from sktrim.propagation.mixtures import Mixtures
from sktrim.propagation.registry import register_operation
from sktrim.propagation.running import (
    explained_output,
    find_ending,
    looks_like_probabilities,
    outputs_of,
)

__all__ = [
    "AsItIs",
    "DenseParts",
    "LowRankParts",
    "Mixtures",
    "OutputMismatchError",
    "Rule",
    "Side",
    "Term",
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
