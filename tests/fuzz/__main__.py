"""Runs many programs: ``python -m tests.fuzz --method cd --programs 20000``."""

import argparse
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch

from tests.fuzz.checks import CHECKS, check
from tests.fuzz.programs import generate
from tests.fuzz.reduce import reduced


def one(method, seed):
    """Check one program."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    program = generate(seed)
    return seed, check(method, program)


def shrunk(method, seed, outcome):
    """Return the smallest program found that fails alike."""

    def fails(program):
        found = check(method, program)
        return found.verdict == "wrong" and _sort(found) == _sort(outcome)

    return reduced(generate(seed), fails)


def _sort(outcome):
    return outcome.why[:25]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=CHECKS, default="cd")
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--shrink", type=int, default=10, help="failures to reduce")
    given = parser.parse_args()
    seeds = range(given.seed, given.seed + given.programs)
    start, counts, causes, left = time.time(), Counter(), Counter(), given.shrink
    with ProcessPoolExecutor(given.jobs) as pool:
        found = pool.map(partial(one, given.method), seeds, chunksize=20)
        for done, (seed, outcome) in enumerate(found, 1):
            counts[outcome.verdict] += 1
            if outcome.verdict != "right":
                causes[outcome.verdict, outcome.why[:60]] += 1
            if outcome.verdict == "wrong":
                print(f"seed {seed}: {outcome.why} ({outcome.size:.1e})", flush=True)
                if left > 0:
                    left -= 1
                    print(shrunk(given.method, seed, outcome), flush=True)
            if done % 500 == 0:
                print(
                    f"{done} in {time.time() - start:.0f} s: {dict(counts)}", flush=True
                )
    print(f"{given.method}: {dict(counts)} in {time.time() - start:.0f} s")
    for (verdict, why), count in causes.most_common():
        print(f"{count:6d} {verdict}: {why}")


if __name__ == "__main__":
    main()
