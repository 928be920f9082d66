"""How much memory a pass takes, and how many rows fit into what there is."""

from collections.abc import Iterator

import torch
from sklearn import get_config
from sklearn.utils import gen_batches
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for what comes next, in this process.

    Activations of some megabytes come and go with every operation. On Linux, glibc
    hands their memory back to the system each time, and fetching it again costs up to
    a third of the time of a small network. After this call it keeps up to 64 MB per
    thread that allocates (per arena, that is), until the process ends: after eight
    threads have freed twenty activations of 3 MB each, 482 MiB stay with the process
    instead of 2. There is no way back, so it is never done unasked.

    Other C libraries are not affected.
    """
    # glibc raises its threshold to the size of the largest block that it has seen
    # freed, at most 32 MB; the block is never touched, so it takes no memory
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


class ByteCounter(TorchDispatchMode):
    """Add up the bytes of every tensor an operation returns, views left out."""

    def __init__(self):
        super().__init__()
        # so far, in all and of the largest tensor
        self.total = 0
        self.largest = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # otherwise torch imports its compiler, a second and 80 MB, to skip this class
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        arguments = {_storage(t) for t in tree_leaves((args, kwargs)) if _is_tensor(t)}
        for leaf in tree_leaves(out):
            if _is_tensor(leaf) and _storage(leaf) not in arguments:
                size = leaf.numel() * leaf.element_size()
                self.total += size
                self.largest = max(self.largest, size)
        return out


def _is_tensor(value) -> bool:
    return isinstance(value, torch.Tensor)


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


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
