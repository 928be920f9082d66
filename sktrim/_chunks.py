"""How many rows fit into scikit-learn's working memory at once."""

from collections.abc import Iterator

from sklearn import get_config
from sklearn.utils import gen_batches

CACHE_BYTES = 2**24
"""A chunk beyond this gains nothing on a CPU; measured on small and large networks."""


def rows_in_working_memory(bytes_per_row: int) -> int:
    """Return how many rows scikit-learn's working memory holds, at least one."""
    budget = get_config()["working_memory"] * 2**20
    return max(1, int(budget // max(1, bytes_per_row)))


def rows_in_memory(bytes_per_row: int) -> int:
    """Return how many rows to hold at once while each costs so much, at least one."""
    useful = max(1, int(CACHE_BYTES // max(1, bytes_per_row)))
    # bounded by ``sklearn.set_config(working_memory=...)`` and by what is useful
    return min(useful, rows_in_working_memory(bytes_per_row))


def chunks(n: int, size: int) -> Iterator[slice]:
    """Yield slices, none longer than `size` or 1, that cover ``range(n)`` in order."""
    yield from gen_batches(n, max(1, size))
