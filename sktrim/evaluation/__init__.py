"""Is the explanation right: curves, scores and studies."""

from typing import TYPE_CHECKING

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
)

if TYPE_CHECKING:
    from sktrim.evaluation.recovery import (
        RecoveryResult,
        RecoverySetting,
        RecoveryTable,
        recovery_benchmark,
    )

_RECOVERY = (
    "RecoveryResult",
    "RecoverySetting",
    "RecoveryTable",
    "recovery_benchmark",
)

__all__ = [
    "FaithfulnessCurves",
    "FaithfulnessReport",
    "RandomisationResult",
    "RecoveryResult",
    "RecoverySetting",
    "RecoveryTable",
    "completeness_score",
    "explanation_scores",
    "faithfulness_curves",
    "faithfulness_report",
    "faithfulness_score",
    "localisation_score",
    "marginal_changes",
    "neg_sufficient_fraction",
    "randomisation_test",
    "recovery_benchmark",
    "sparsity_score",
    "sufficient_fraction",
]


def __getattr__(name):
    """Import the benchmark when it is asked for: it also runs as a script."""
    if name in _RECOVERY:
        from sktrim.evaluation import recovery

        return getattr(recovery, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
