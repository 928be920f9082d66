"""Run the benchmarks named on the command line, or all of them."""

import argparse
import json
from importlib import import_module
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

NAMES = [
    "decomposition",
    "networks",
    "gradients",
    "peers",
    "passes",
    "memory",
    "working_memory",
]


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--json", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark named {unknown[0]!r}; there are {', '.join(NAMES)}")
    torch.set_num_threads(1)
    tables = {}
    with threadpool_limits(1):
        for name in arguments.names or NAMES:
            table = import_module(f"benchmarks.{name}").measure()
            print(table, end="\n\n\n", flush=True)
            tables[name] = table.as_dict()
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=2) + "\n")


if __name__ == "__main__":
    main()
