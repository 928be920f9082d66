"""What a unit wants to see: signals that drive it, made or found among the data."""

from sktrim.stimuli._deeptune import DeepTune
from sktrim.stimuli._embedding import Embedding, layer_embedding
from sktrim.stimuli._findings import (
    DeepTuneImages,
    NeuronClusters,
    Recombinations,
    Stability,
    TopImages,
)
from sktrim.stimuli._maximiser import ActivationMaximizer
from sktrim.stimuli._stimuli import Stimuli
from sktrim.stimuli._top import TopSignals, max_activating

__all__ = [
    "ActivationMaximizer",
    "DeepTune",
    "DeepTuneImages",
    "Embedding",
    "NeuronClusters",
    "Recombinations",
    "Stability",
    "Stimuli",
    "TopImages",
    "TopSignals",
    "layer_embedding",
    "max_activating",
]
