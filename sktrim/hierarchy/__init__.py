"""Agglomerative contextual decomposition: trees of features that act together."""

from sktrim.hierarchy._adjacency import region_adjacency
from sktrim.hierarchy._agglomerative import AgglomerativeDecomposition
from sktrim.hierarchy._hierarchy import Hierarchies, Hierarchy

__all__ = [
    "AgglomerativeDecomposition",
    "Hierarchies",
    "Hierarchy",
    "region_adjacency",
]
