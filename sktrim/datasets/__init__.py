"""Data to try explanations on: simulated, so that the answer is known, and real."""

from sktrim.datasets._neurons import (
    SimulatedNeurons,
    simulate_neurons,
    texture_images,
)
from sktrim.datasets._news import load_news
from sktrim.datasets._reviews import load_movie_reviews
from sktrim.datasets._shortcuts import (
    color_images,
    plant_decoy,
    plant_grating,
    plant_patch,
    plant_words,
)
from sktrim.datasets._spoken_digits import fetch_spoken_digits

__all__ = [
    "SimulatedNeurons",
    "color_images",
    "fetch_spoken_digits",
    "load_movie_reviews",
    "load_news",
    "plant_decoy",
    "plant_grating",
    "plant_patch",
    "plant_words",
    "simulate_neurons",
    "texture_images",
]
