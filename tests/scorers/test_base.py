"""What a scorer returns, chunk by chunk."""

import numpy as np
import pytest
import torch

from sktrim.scorers import Attribution


def chunk(n, *, base=True):
    values = torch.arange(float(n * 6)).reshape(n, 3, 2)
    extra = {"pairs": values[:, :, None] * values[:, None]}
    return Attribution(values, values[:, 0] if base else None, extra=extra)


@pytest.mark.parametrize("base", [True, False])
@pytest.mark.parametrize("as_array", [True, False])
def test_chunks_joined_hold_the_samples_one_after_the_other(base, as_array):
    parts = [chunk(2, base=base), chunk(4, base=base), chunk(1, base=base)]
    if as_array:
        parts = [part.map(lambda tensor: tensor.numpy()) for part in parts]
    whole = Attribution.join(parts)
    expected = np.concatenate([np.asarray(part.values) for part in parts])
    np.testing.assert_array_equal(whole.values, expected)
    assert isinstance(whole.values, np.ndarray) == as_array
    assert whole.extra["pairs"].shape == (7, 3, 3, 2)
    assert whole.std_errors is None
    assert (whole.base_values is not None) == base


def test_a_function_is_applied_to_all_that_is_there():
    halved = chunk(3).map(lambda tensor: tensor / 2)
    for name in ("values", "base_values"):
        torch.testing.assert_close(getattr(halved, name), getattr(chunk(3), name) / 2)
    torch.testing.assert_close(halved.extra["pairs"], chunk(3).extra["pairs"] / 2)
    assert halved.explained is None
