"""Is the explanation right: curves and scores."""

from sktrim.evaluation._faithfulness import (
    FaithfulnessCurves,
    faithfulness_curves,
    faithfulness_score,
)

__all__ = ["FaithfulnessCurves", "faithfulness_curves", "faithfulness_score"]
