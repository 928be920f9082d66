"""Attribution methods: how much each group of coefficients counts."""

from sktrim.composed import ComposedModel, GroupMasks
from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._captum import CaptumScorer
from sktrim.scorers._cd import ContextualDecomposition
from sktrim.scorers._deeplift import DeepLift
from sktrim.scorers._gradient import (
    ExpectedGradients,
    Gradient,
    InputTimesGradient,
    IntegratedGradients,
    SmoothGrad,
    SquaredGradient,
)
from sktrim.scorers._gradient_shap import GradientShap
from sktrim.scorers._guided import Deconvnet, GuidedBackprop
from sktrim.scorers._kernel_shap import KernelShap
from sktrim.scorers._lime import Lime
from sktrim.scorers._lrp import (
    DeepTaylor,
    LRPAlphaBeta,
    LRPComposite,
    LRPEpsilon,
    LRPFlat,
    LRPGamma,
    LRPWSquare,
    LRPZBox,
    LRPZPlus,
)
from sktrim.scorers._occlusion import Occlusion
from sktrim.scorers._registry import check_scorer, get_scorer_names, scorer_name
from sktrim.scorers._shapley import Shapley

__all__ = [
    "Attribution",
    "CaptumScorer",
    "ComposedModel",
    "ContextualDecomposition",
    "Deconvnet",
    "DeepLift",
    "DeepTaylor",
    "ExpectedGradients",
    "Gradient",
    "GradientShap",
    "GroupMasks",
    "GuidedBackprop",
    "InputTimesGradient",
    "IntegratedGradients",
    "KernelShap",
    "LRPAlphaBeta",
    "LRPComposite",
    "LRPEpsilon",
    "LRPFlat",
    "LRPGamma",
    "LRPWSquare",
    "LRPZBox",
    "LRPZPlus",
    "Lime",
    "Occlusion",
    "Scorer",
    "Shapley",
    "SmoothGrad",
    "SquaredGradient",
    "check_scorer",
    "get_scorer_names",
    "scorer_name",
]
