"""What a unit responds to: images that it wants, and rows that it likes."""

from sktrim.stimuli._embedding import Embedding, layer_embedding
from sktrim.stimuli._maximizer import ActivationMaximizer, Stimuli
from sktrim.stimuli._top import TopSignals, max_activating

__all__ = [
    "ActivationMaximizer",
    "Embedding",
    "Stimuli",
    "TopSignals",
    "layer_embedding",
    "max_activating",
]
