"""Data to try explanations on: simulated, so that the answer is known, and real."""

from sktrim.datasets._news import load_news
from sktrim.datasets._reviews import load_movie_reviews

__all__ = ["load_movie_reviews", "load_news"]
