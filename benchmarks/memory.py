"""Peak resident memory of explaining 100,000 signals in frequency bands."""

import subprocess
import sys
import time

from ._peak import peak_bytes
from ._tables import Table

N_SAMPLES, LENGTH, N_BANDS = 100_000, 100, 10
SCORERS = ["cd", "integrated_gradients"]


def _explain(scorer):
    """Explain in this process; print its peak memory in bytes and the seconds taken."""
    import numpy as np
    import torch
    from torch import nn

    from sktrim import FourierTransformer, transform_importance

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(LENGTH, 100), nn.ReLU(), nn.Linear(100, 2)).eval()
    X = np.random.default_rng(0).standard_normal((N_SAMPLES, LENGTH), np.float32)
    transformer = FourierTransformer().fit(X[:100])
    bands = transformer.feature_groups(by="band", n_bands=N_BANDS)
    start = time.perf_counter()
    transform_importance(model, X, transformer=transformer, groups=bands, scorer=scorer)
    seconds = time.perf_counter() - start
    print(peak_bytes(), seconds)


def measure():
    """Measure each scorer in a process of its own."""
    rows = []
    for scorer in SCORERS:
        command = [sys.executable, "-m", "benchmarks.memory", scorer]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, seconds = map(float, done.stdout.split())
        rows.append([scorer, peak / 1e9, seconds])
    return Table(
        f"explaining {N_SAMPLES:,} x {LENGTH} samples in {N_BANDS} bands, one thread",
        ["scorer", "peak resident memory (GB)", "seconds"],
        rows,
        ["The whole process, imports included.  To reach: below 1.5 GB."],
    )


if __name__ == "__main__":
    _explain(sys.argv[1])
