"""The meta-estimator `TransformImportance` and the function behind it."""

from sktrim.importance._estimator import TransformImportance
from sktrim.importance._function import layer_output, transform_importance

__all__ = ["TransformImportance", "layer_output", "transform_importance"]
