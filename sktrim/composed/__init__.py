"""f o T^-1 bound to samples: what a scorer is given."""

from sktrim.composed._masks import GroupMasks
from sktrim.composed._model import ComposedModel, SharedGradients

__all__ = ["ComposedModel", "GroupMasks", "SharedGradients"]
