"""A rule of relevance propagation: shares by squared contributions."""

from sktrim.propagation import Rule, Side, Term

squared = Term("square", "square", "square")
SQUARED_CONTRIBUTIONS = Rule("squared_contributions", (Side((squared,)),))
