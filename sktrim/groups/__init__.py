"""Named soft masks over coefficients: what gets one score."""

from sktrim.groups._groups import FeatureGroups
from sktrim.groups._resolve import check_groups

__all__ = ["FeatureGroups", "check_groups"]
