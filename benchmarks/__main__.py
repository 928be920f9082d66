"""Run the benchmarks named on the command line, or all of them."""

import argparse
import json
from importlib import import_module
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from sktrim import keep_freed_memory

NAMES = [
    "decomposition",
    "networks",
    "gradients",
    "peers",
    "passes",
    "faithfulness",
    "hierarchy",
    "lensing",
    "memory",
    "working_memory",
]
ON_A_GPU = ["decomposition", "networks", "devices"]


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(NAMES))
    parser.add_argument("--json", type=Path, help="also write the tables to this file")
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help=f"cuda runs {', '.join(ON_A_GPU)}",
    )
    arguments = parser.parse_args()
    there = NAMES if arguments.device == "cpu" else ON_A_GPU
    unknown = sorted(set(arguments.names) - set(there))
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r} here; there are {', '.join(there)}")
    more = {} if arguments.device == "cpu" else {"device": arguments.device}
    torch.set_num_threads(1)
    keep_freed_memory()
    tables = {}
    with threadpool_limits(1):
        for name in arguments.names or there:
            table = import_module(f"benchmarks.{name}").measure(**more)
            print(table, end="\n\n\n", flush=True)
            tables[name] = table.as_dict()
    if arguments.json:
        arguments.json.write_text(json.dumps(tables, indent=2) + "\n")


if __name__ == "__main__":
    main()
