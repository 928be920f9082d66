"""Is the explanation right: curves, scores and studies."""

from sktrim.evaluation._agreement import ScorerAgreement, scorer_agreement
from sktrim.evaluation._by_value import ImportanceByValue, importance_by_value
from sktrim.evaluation._card import explanation_card
from sktrim.evaluation._concepts import ConceptReport, concept_report
from sktrim.evaluation._failures import FailureCluster, FailureReport, failure_report
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
from sktrim.evaluation._randomisation import (
    RandomisationResult,
    randomisation_test,
    randomised_explanations,
)
from sktrim.evaluation._stability import (
    Perturbed,
    StabilityReport,
    consensus,
    stability_report,
)
from sktrim.evaluation.recovery import (
    RecoveryResult,
    RecoverySetting,
    RecoveryTable,
    recovery_benchmark,
)

__all__ = [
    "ConceptReport",
    "FailureCluster",
    "FailureReport",
    "FaithfulnessCurves",
    "FaithfulnessReport",
    "ImportanceByValue",
    "Perturbed",
    "RandomisationResult",
    "RecoveryResult",
    "RecoverySetting",
    "RecoveryTable",
    "ScorerAgreement",
    "StabilityReport",
    "completeness_score",
    "concept_report",
    "consensus",
    "explanation_card",
    "explanation_scores",
    "failure_report",
    "faithfulness_curves",
    "faithfulness_report",
    "faithfulness_score",
    "importance_by_value",
    "localisation_score",
    "marginal_changes",
    "neg_sufficient_fraction",
    "randomisation_test",
    "randomised_explanations",
    "recovery_benchmark",
    "scorer_agreement",
    "sparsity_score",
    "stability_report",
    "sufficient_fraction",
]
