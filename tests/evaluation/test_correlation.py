"""Rank correlations of rows are those of SciPy."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from sktrim.evaluation._correlation import row_correlations


@pytest.mark.parametrize(
    ("kind", "reference"), [("pearson", pearsonr), ("spearman", spearmanr)]
)
def test_rows_agree_with_scipy(kind, reference):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, (2, 4, 20)).astype(float)
    expected = [reference(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(row_correlations(a, b, kind), expected)


def test_a_constant_row_counts_as_no_relation():
    rows = np.array([[1.0, 2, 3], [0.1, 0.1, 0.1], [0, 0, 0]])
    other = np.array([[2.0, 4, 7], [1, 2, 3], [1, 2, 3]])
    for kind in ("pearson", "spearman"):
        found = row_correlations(rows, other, kind)
        assert found[0] > 0.98
        np.testing.assert_array_equal(found[1:], 0)
