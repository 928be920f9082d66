"""Transforms that are learned, and transforms made of torch modules."""

from sktrim.learning._torch import TorchTransformer

__all__ = ["TorchTransformer"]
