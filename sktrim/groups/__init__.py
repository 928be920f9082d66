"""Named soft masks over coefficients: what gets one score."""

from sktrim.groups._groups import FeatureGroups
from sktrim.groups._resolve import check_groups
from sktrim.groups._text import TextUnits, TokenizedTexts, tokenize_texts

__all__ = [
    "FeatureGroups",
    "TextUnits",
    "TokenizedTexts",
    "check_groups",
    "tokenize_texts",
]
