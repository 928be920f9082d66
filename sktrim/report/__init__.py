"""What one explanation says, on a card and on a page."""

from sktrim.report._card import ExplanationCard, make_card

__all__ = ["ExplanationCard", "make_card"]
