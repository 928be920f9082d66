"""Stages: what was computed once is read back, also after an interruption."""

import time
from pathlib import Path

from joblib import Memory


class Stages:
    """Run functions, keep what they return, and say what is going on.

    Results are kept for each function and its arguments, in a folder, and written when
    they are complete.
    """

    def __init__(self):
        self.memory = Memory(None, verbose=0)

    def keep_in(self, folder):
        """Say where results are kept."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.memory = Memory(folder, verbose=0)

    def __call__(self, title, function, *args, **kwargs):
        """Return ``function(*args, **kwargs)``, read back if it is there."""
        cached = self.memory.cache(function)
        if self.memory.location and cached.check_call_in_cache(*args, **kwargs):
            return cached(*args, **kwargs)
        print(f"{title} ...", flush=True)
        start = time.perf_counter()
        result = cached(*args, **kwargs)
        print(f"{title}: {time.perf_counter() - start:.0f} s", flush=True)
        return result


stages = Stages()
