"""Transforms that are learned, and networks that learn by their explanations."""

from sktrim.learning._learned import LearnedTransformer
from sktrim.learning._minimal import Masks, MinimalMask
from sktrim.learning._nets import PenalisedClassifier, PenalisedRegressor, PenaltyMixin
from sktrim.learning._penalty import ExplanationPenalty
from sktrim.learning._torch import TorchTransformer

__all__ = [
    "ExplanationPenalty",
    "LearnedTransformer",
    "Masks",
    "MinimalMask",
    "PenalisedClassifier",
    "PenalisedRegressor",
    "PenaltyMixin",
    "TorchTransformer",
]
