"""Simulated neurons answer as their formula says, and textures are natural-like."""

import numpy as np
import pytest

from sktrim.datasets import simulate_neurons, texture_images

X = texture_images(400, 14, random_state=0)
TUNED = pytest.mark.parametrize("kind", ["energy", "curve", "angle"])


@TUNED
@pytest.mark.parametrize("seed", range(3))
def test_templates_have_mean_zero_and_length_one(kind, seed):
    t = simulate_neurons(X, kind, n_neurons=3, random_state=seed).templates
    assert t.shape == (3, 2 if kind == "energy" else 1, 14, 14)
    flat = t.reshape(3, -1, 196)
    np.testing.assert_allclose(flat.mean(axis=-1), 0, atol=1e-12)
    gram = np.einsum("nkp,nlp->nkl", flat, flat)
    np.testing.assert_allclose(gram, np.tile(np.eye(t.shape[1]), (3, 1, 1)), atol=1e-9)


@TUNED
def test_responses_equal_their_formula(kind):
    neurons = simulate_neurons(X, kind, noise=0.0, random_state=1)
    power = [np.mean(x**2) for x in X]
    for i in range(40):
        projected = [np.sum(t * X[i, 0]) for t in neurons.templates[0]]
        if kind == "energy":
            expected = sum(p**2 for p in projected)
        else:
            expected = max(0, projected[0]) ** 2 / (np.mean(power) + power[i])
        assert neurons.responses[i, 0] == pytest.approx(expected)


@TUNED
def test_noise_is_as_large_as_asked(kind):
    neurons = simulate_neurons(X, kind, n_neurons=2, noise=0.5, random_state=2)
    noise = (neurons.responses - neurons.mean).std(axis=0)
    np.testing.assert_allclose(noise, 0.5 * neurons.mean.std(axis=0), rtol=0.1)


def test_a_neuron_of_noise_looks_for_nothing():
    neurons = simulate_neurons(X, "noise", n_neurons=2, random_state=0)
    assert neurons.templates.shape == (2, 0, 14, 14)
    assert not neurons.mean.any()
    np.testing.assert_allclose(neurons.responses.std(axis=0), 1, rtol=0.1)
    assert neurons.tuning(X[0]) == 0


def test_tuning_is_the_correlation_or_that_of_the_best_phase():
    curve = simulate_neurons(X, "curve", random_state=0)
    r = np.corrcoef(curve.templates[0, 0].ravel(), X[3].ravel())[0, 1]
    assert curve.tuning(X[3]) == pytest.approx(abs(r))
    energy = simulate_neurons(X, "energy", random_state=0)
    even, odd = energy.templates[0]
    phases = np.linspace(0, 2 * np.pi, 720)
    best = max(
        np.corrcoef((np.cos(p) * even + np.sin(p) * odd).ravel(), X[3].ravel())[0, 1]
        for p in phases
    )
    assert energy.tuning(X[3]) == pytest.approx(best, abs=1e-4)


def test_an_orientation_turns_the_template():
    a, b = simulate_neurons(
        X, "curve", n_neurons=2, orientation=[0.0, np.pi / 2]
    ).templates[:, 0]
    np.testing.assert_allclose(b, a.T, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_textures_are_scaled_and_strong_at_low_frequencies(seed):
    images = texture_images(200, 16, random_state=seed)
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(images.std(axis=(1, 2, 3)), 1)
    power = (np.abs(np.fft.fft2(images[:, 0])) ** 2).mean(axis=0)
    assert power[1, 1] > 3 * power[3, 3] > 9 * power[7, 7]
    again = texture_images(200, 16, random_state=seed)
    np.testing.assert_array_equal(images, again)


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match="kind='line'"):
        simulate_neurons(X, "line")
    with pytest.raises(ValueError, match="expected images"):
        simulate_neurons(X.reshape(400, -1))
    with pytest.raises(ValueError, match="n_neurons=0"):
        simulate_neurons(X, n_neurons=0)
    with pytest.raises(ValueError, match="noise=-1"):
        simulate_neurons(X, noise=-1)
    with pytest.raises(ValueError, match="size from 4"):
        texture_images(3, 2)
