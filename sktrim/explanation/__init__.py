"""What `TransformImportance.explain` returns: importances, with what they explain."""

from sktrim.explanation._explanation import Explanation
from sktrim.explanation._files import ExplanationFileError
from sktrim.explanation._queries import TopGroups

__all__ = ["Explanation", "ExplanationFileError", "TopGroups"]
