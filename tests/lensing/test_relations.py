"""Correlations within cosmologies are Pearson's, and held-out ones do not overfit."""

import numpy as np
import pytest

from sktrim.lensing import best_linear_correlations, output_correlations


def _data(seed=0, n=60, d=4):
    rng = np.random.default_rng(seed)
    cosmology = np.repeat([0, 1, 2], n)
    statistics = rng.standard_normal((3 * n, d)) + 10 * cosmology[:, None]
    outputs = statistics[:, :2] @ [[1.0, 0.0], [0.5, 1.0]]
    outputs += rng.standard_normal(outputs.shape)
    return outputs, statistics, cosmology


@pytest.mark.parametrize("seed", range(3))
def test_correlations_are_those_of_numpy_averaged(seed):
    outputs, statistics, cosmology = _data(seed)
    expected = np.mean(
        [
            np.corrcoef(outputs[cosmology == c].T, statistics[cosmology == c].T)[:2, 2:]
            for c in range(3)
        ],
        axis=0,
    )
    found = output_correlations(outputs, statistics, cosmology)
    np.testing.assert_allclose(found, expected)


def test_what_differs_between_cosmologies_does_not_count():
    rng = np.random.default_rng(0)
    cosmology = np.repeat(np.arange(50), 100)
    outputs = rng.standard_normal((5000, 1)) + 100 * cosmology[:, None]
    statistics = rng.standard_normal((5000, 1)) + 100 * cosmology[:, None]
    assert np.abs(output_correlations(outputs, statistics, cosmology)).max() < 0.05


def test_numbers_that_never_change_are_uncorrelated():
    outputs, statistics, cosmology = _data()
    statistics[:, 3] = cosmology
    assert (output_correlations(outputs, statistics, cosmology)[:, 3] == 0).all()


def test_a_linear_output_is_its_own_best_combination():
    _, statistics, cosmology = _data()
    outputs = statistics @ np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    found = best_linear_correlations(outputs, statistics, cosmology)
    np.testing.assert_allclose(np.diag(found), 1, atol=0.01)
    within = [np.corrcoef(outputs[cosmology == c].T)[0, 1] for c in range(3)]
    np.testing.assert_allclose(found[0, 1], np.mean(within), atol=0.02)


def test_noise_is_not_explained_by_other_maps():
    rng = np.random.default_rng(0)
    outputs, statistics = rng.standard_normal((300, 1)), rng.standard_normal((300, 40))
    cosmology = np.repeat([0, 1, 2], 100)
    held_out = best_linear_correlations(outputs, statistics, cosmology)
    inside = best_linear_correlations(outputs, statistics, cosmology, n_splits=None)
    assert abs(held_out[0, 0]) < 0.25
    assert inside[0, 0] > held_out[0, 0] + 0.1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"outputs": np.zeros(180)}, "outputs has shape"),
        ({"statistics": np.zeros((10, 4))}, "statistics"),
        ({"cosmology": np.arange(180)}, "a cosmology has 1 maps"),
        ({"outputs": np.full((180, 2), np.nan)}, "NaN"),
    ],
)
@pytest.mark.parametrize("relate", [output_correlations, best_linear_correlations])
def test_bad_input_is_refused(relate, changed, message):
    outputs, statistics, cosmology = _data()
    given = {"outputs": outputs, "statistics": statistics, "cosmology": cosmology}
    with pytest.raises(ValueError, match=message):
        relate(**{**given, **changed})
