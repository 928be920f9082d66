"""What a unit wants to see: signals that drive it, made or found among the data."""

from sktrim.stimuli._deeptune import DeepTune
from sktrim.stimuli._embedding import LayerEmbedding, layer_embedding
from sktrim.stimuli._findings import (
    DeepTuneImages,
    NeuronClusters,
    Recombinations,
    Stability,
    TopImages,
)
from sktrim.stimuli._maximiser import ActivationMaximizer
from sktrim.stimuli._rows import ActivatingRows, max_activating
from sktrim.stimuli._stimuli import Stimuli

__all__ = [
    "ActivatingRows",
    "ActivationMaximizer",
    "DeepTune",
    "DeepTuneImages",
    "LayerEmbedding",
    "NeuronClusters",
    "Recombinations",
    "Stability",
    "Stimuli",
    "TopImages",
    "layer_embedding",
    "max_activating",
]
