"""Displays of importances: matplotlib pictures drawn from plain arrays and names."""

from sktrim.inspection._agreement import AgreementDisplay
from sktrim.inspection._bar import BarDisplay
from sktrim.inspection._components import ComponentsDisplay
from sktrim.inspection._concepts import ConceptsDisplay
from sktrim.inspection._contours import ContoursDisplay
from sktrim.inspection._curve import CurveDisplay
from sktrim.inspection._failures import FailureDisplay
from sktrim.inspection._faithfulness import FaithfulnessDisplay
from sktrim.inspection._heatmap import HeatmapDisplay
from sktrim.inspection._patches import PatchesDisplay
from sktrim.inspection._randomisation import RandomisationDisplay
from sktrim.inspection._sensors import SensorsDisplay
from sktrim.inspection._stimuli import EmbeddingDisplay, StimuliDisplay
from sktrim.inspection._text import TextDisplay
from sktrim.inspection._tree import TreeDisplay

__all__ = [
    "AgreementDisplay",
    "BarDisplay",
    "ComponentsDisplay",
    "ConceptsDisplay",
    "ContoursDisplay",
    "CurveDisplay",
    "EmbeddingDisplay",
    "FailureDisplay",
    "FaithfulnessDisplay",
    "HeatmapDisplay",
    "PatchesDisplay",
    "RandomisationDisplay",
    "SensorsDisplay",
    "StimuliDisplay",
    "TextDisplay",
    "TreeDisplay",
]
