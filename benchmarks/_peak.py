"""Peak resident memory of this process alone."""

import resource
import sys
from pathlib import Path


def peak_bytes():
    """Peak resident memory since this program was started.

    ``ru_maxrss`` of a child starts at its parent's on Linux, so the kernel's own high
    water mark is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
