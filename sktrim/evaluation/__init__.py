"""Is the explanation right: curves, scores and studies."""

from sktrim.evaluation._faithfulness import (
    FaithfulnessCurves,
    FaithfulnessReport,
    faithfulness_curves,
    faithfulness_report,
    faithfulness_score,
)
from sktrim.evaluation._metrics import (
    completeness_score,
    explanation_scores,
    localisation_score,
    marginal_changes,
    neg_sufficient_fraction,
    sparsity_score,
    sufficient_fraction,
)

__all__ = [
    "FaithfulnessCurves",
    "FaithfulnessReport",
    "completeness_score",
    "explanation_scores",
    "faithfulness_curves",
    "faithfulness_report",
    "faithfulness_score",
    "localisation_score",
    "marginal_changes",
    "neg_sufficient_fraction",
    "sparsity_score",
    "sufficient_fraction",
]
