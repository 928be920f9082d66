"""What `TransformImportance.explain` returns: importances, with what they explain."""

from sktrim.exceptions import ExplanationFileError
from sktrim.explanation._explanation import Explanation
from sktrim.explanation._queries import TopGroups

__all__ = ["Explanation", "ExplanationFileError", "TopGroups"]
