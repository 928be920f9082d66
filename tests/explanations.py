"""Explanations to test on, and what makes two of them the same."""

import numpy as np
import scipy.sparse as sp

from sktrim.explanation import Explanation
from sktrim.groups import FeatureGroups

ARRAYS = (
    "values",
    "centers",
    "targets",
    "predictions",
    "base_values",
    "residual_values",
    "completeness_error",
    "explained",
    "std_errors",
    "reconstruction_errors",
    "coefficients",
    "signals",
)


WORDS = ("kind", "signal_space", "n_axes")


class Parts:
    """Every sample's part of a group is known by its row: row + 100 * group."""

    def __call__(self, rows, group):
        return np.asarray(rows)[:, None, None] + 100.0 * group + np.zeros((1, 2, 3))


def make(n=5, n_groups=4, n_targets=None, seed=0, **changes):
    rng = np.random.default_rng(seed)
    tail = () if n_targets is None else (n_targets,)
    n_labels = n if n_targets is None else n_targets
    fields = {
        "values": rng.normal(size=(n, n_groups, *tail)),
        "group_names": [f"band {index}" for index in range(n_groups)],
        "centers": np.arange(n_groups) + 0.5,
        "unit": "cycles/image",
        "targets": rng.integers(0, 3, n_labels),
        "target_names": [f"digit {index}" for index in range(n_labels)],
        "predictions": rng.normal(size=(n, 3)),
        "base_values": rng.normal(size=(n, *tail)),
        "residual_values": rng.normal(size=n),
        "completeness_error": np.where(rng.random(n) < 0.5, np.nan, 1e-9),
        "coefficients": rng.normal(size=(n, 6)),
        "feature_groups": FeatureGroups(
            rng.random((n_groups, 6)), centers=np.arange(n_groups), unit="Hz"
        ),
        "std_errors": rng.random((n, n_groups, *tail)),
        "scorer": "shapley",
        "output": "logit",
        "component_function": Parts(),
        "signal_shape": (2, 3),
        "signals": rng.normal(size=(n, 2, 3)),
        "explained": rng.normal(size=(n, *tail)),
        "reconstruction_errors": rng.random(n) / 1000,
        "kind": "classifier",
        "signal_space": False,
        "n_axes": 2,
        "metadata": {"classes": ["a", "b"], "amplification": rng.normal(size=n)},
    }
    fields |= changes
    return Explanation(fields.pop("values"), fields.pop("group_names"), **fields)


def dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else matrix


def assert_same(one, other, *, components=True):
    for name in ARRAYS:
        np.testing.assert_array_equal(
            dense(getattr(one, name)), dense(getattr(other, name)), name
        )
    for name in ("group_names", "target_names", "unit", "scorer", "output", *WORDS):
        assert getattr(one, name) == getattr(other, name), name
    assert one.signal_shape == other.signal_shape
    assert one.metadata.keys() == other.metadata.keys()
    for key, value in one.metadata.items():
        np.testing.assert_array_equal(value, other.metadata[key])
    if components:
        rows = np.arange(len(one))
        for group in one.group_names:
            np.testing.assert_array_equal(
                one.component(rows, group), other.component(rows, group)
            )
