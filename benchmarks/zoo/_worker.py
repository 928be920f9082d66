"""Run networks of the zoo one by one and append what came of them to a file."""

import argparse
import json
import resource
import signal
import time
from pathlib import Path

from benchmarks.zoo import _building
from benchmarks.zoo.models import ENTRIES

MEMORY = 8 * 2**30
PER_METHOD = 120


class TooSlow(BaseException):
    """A method took longer than it may; not caught on the way."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("keys", nargs="+")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _interrupt)
    entries = [entry for entry in ENTRIES if entry.key in set(arguments.keys)]
    _building.prepare(entries[0].package)
    for entry in entries:
        _append(arguments.file, {"model": entry.key, "started": True})
        for row in _rows(entry):
            _append(arguments.file, {"model": entry.key, **row})


def _rows(entry):
    try:
        signal.alarm(PER_METHOD)
        start = time.perf_counter()
        built = _building.build(entry)
        yield {
            "method": "build",
            "status": "ok",
            "seconds": time.perf_counter() - start,
        }
    except (_building.NotBuilt, TooSlow) as error:
        yield {"method": "build", "status": "does not build", "message": str(error)}
        return
    finally:
        signal.alarm(0)
    yield from _methods(built)


def _methods(built):
    from benchmarks.zoo import _checks

    kept = None
    for method in _checks.METHODS:
        again = kept is not None and method.startswith("cd ")
        row = kept if again else _limited(_checks.run_method, built, method)
        if method.startswith("cd ") and row["status"] in ("refused", "error"):
            # the way to share biases decides nothing about that
            kept = row
        yield {"method": method, **row}


def _limited(run_method, built, method):
    try:
        signal.alarm(PER_METHOD)
        return run_method(built, method)
    except TooSlow:
        return {"status": "error", "message": f"took more than {PER_METHOD} s"}
    finally:
        signal.alarm(0)


def _interrupt(*_):
    raise TooSlow(f"took more than {PER_METHOD} s")


def _append(file, row):
    with file.open("a") as lines:
        lines.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
