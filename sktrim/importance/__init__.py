"""The meta-estimator `TransformImportance` and the function behind it."""

from sktrim.importance._estimator import TransformImportance
from sktrim.importance._function import transform_importance

__all__ = ["TransformImportance", "transform_importance"]
