"""Scores by multipole recover networks whose use of every band is known."""

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.lensing import shipped_cosmologies, simulate_convergence_maps
from sktrim.scorers import ContextualDecomposition, InputTimesGradient

ARCMIN = np.deg2rad(1 / 60)
EDGES = np.array([0, 1500, 4000, 8000, 20_000.0])
WEIGHTS = np.array([3.0, -1.0, 2.0, 0.5])


class LinearInPower(nn.Module):
    """The power of bands of multipoles, weighed."""

    def __init__(self, n_pixels, pixel_arcmin):
        super().__init__()
        k = 2 * np.pi * np.fft.fftfreq(n_pixels, pixel_arcmin * ARCMIN)
        band = np.searchsorted(EDGES, np.hypot(k[:, None], k), side="right") - 1
        self.register_buffer("weights", torch.as_tensor(WEIGHTS[band]))

    def forward(self, x):
        # orthonormal, so that powers add up to the squares of the map
        spectrum = torch.fft.fft2(x[:, 0], norm="ortho")
        power = spectrum.real**2 + spectrum.imag**2
        return (power * self.weights).sum((1, 2))[:, None]


def _asked(scorer, n_pixels=24):
    maps = simulate_convergence_maps(
        shipped_cosmologies("trim")[:3], 2, n_pixels=n_pixels, random_state=0
    ).data.astype(float)
    fourier = FourierTransformer().fit(maps)
    groups = fourier.feature_groups(
        "band", edges=EDGES, sample_spacing=0.8 * ARCMIN, unit="multipole"
    )
    trim = TransformImportance(
        LinearInPower(n_pixels, 0.8), fourier, scorer, groups=groups, target=0
    ).fit(maps)
    coefficients = fourier.transform(maps)
    power = groups.aggregate(coefficients**2)
    return trim.explain(maps).values, power * WEIGHTS


@pytest.mark.parametrize(
    "scorer",
    [
        "occlusion",
        "integrated_gradients",
        "shapley",
        "kernel_shap",
        ContextualDecomposition(),
        ContextualDecomposition(partition=True),
    ],
    ids=lambda scorer: scorer if isinstance(scorer, str) else repr(scorer),
)
def test_a_network_that_is_linear_in_power_is_recovered(scorer):
    found, expected = _asked(scorer)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_the_gradient_counts_squares_twice():
    found, expected = _asked(InputTimesGradient())
    np.testing.assert_allclose(found, 2 * expected, rtol=1e-6)
