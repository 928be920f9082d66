"""Run the methods on the zoo, resume where results are there, print the tables."""

import argparse
import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

from benchmarks.zoo import _report
from benchmarks.zoo.models import ENTRIES

PER_MODEL = 900


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.zoo", description=__doc__
    )
    parser.add_argument(
        "names", nargs="*", help="only models with one of these in them"
    )
    parser.add_argument("--results", type=Path, default=Path("zoo.jsonl"))
    parser.add_argument("--again", action="store_true", help="what has failed, again")
    parser.add_argument(
        "--table", type=Path, help="write reStructuredText to this file"
    )
    arguments = parser.parse_args()
    entries = [e for e in ENTRIES if _wanted(e, arguments.names)]
    rows = _report.read(arguments.results)
    keep = _report.settled(rows) if arguments.again else _report.finished(rows)
    todo = [e for e in entries if e.key not in keep]
    for package, group in groupby(todo, key=lambda e: e.package):
        _run(package, [e.key for e in group], arguments.results)
    rows = _report.read(arguments.results)
    print(_report.summary(rows, ENTRIES))
    print(_report.causes(rows))
    if arguments.table:
        arguments.table.write_text(_report.restructured(rows, ENTRIES))


def _wanted(entry, names):
    return not names or any(name in entry.key for name in names)


def _run(package, keys, results):
    """Run networks of one package; another process goes on where one dies."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    while keys:
        print(f"{package}: {len(keys)} to go", flush=True)
        command = [sys.executable, "-m", "benchmarks.zoo._worker", str(results), *keys]
        with open(os.devnull, "w") as quiet:
            try:
                code = subprocess.run(
                    command,
                    env=environment,
                    stdout=quiet,
                    stderr=quiet,
                    timeout=PER_MODEL * len(keys),
                ).returncode
            except subprocess.TimeoutExpired:
                code = "too slow"
        if code == 0:
            return
        left = _report.note_death(results, keys, code)
        if len(left) == len(keys):
            raise SystemExit(f"{package} cannot be run: exit code {code}")
        keys = left


if __name__ == "__main__":
    main()
