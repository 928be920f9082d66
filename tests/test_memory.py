"""What stays with the process after memory was freed."""

import subprocess
import sys

CODE = """
import os
import numpy as np, torch
import sktrim
net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
sktrim.transform_importance(net, np.ones((3, 8), "float32"))

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def kept():
    before = resident()
    blocks = [torch.ones(2**19) for _ in range(20)]
    assert resident() - before > 30
    del blocks
    return resident() - before

print(kept())
sktrim.keep_freed_memory()
print(kept())
"""


def test_freed_memory_stays_only_once_that_was_asked_for():
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    unasked, asked = map(float, done.stdout.split())
    assert unasked < 10
    assert asked > 25
