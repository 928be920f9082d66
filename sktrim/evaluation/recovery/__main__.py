"""Run the recovery benchmark: ``python -m sktrim.evaluation.recovery``."""

import argparse
from collections.abc import Sequence

import numpy as np

from sktrim.datasets._simulated import REGIMES
from sktrim.evaluation.recovery._benchmark import _plan, recovery_benchmark
from sktrim.scorers import check_scorer


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table; see ``python -m sktrim.evaluation.recovery --help``."""
    parser = argparse.ArgumentParser(
        prog="python -m sktrim.evaluation.recovery", description=__doc__
    )
    parser.add_argument("--networks", type=int, help="networks per regime")
    parser.add_argument("--rows", type=int, help="test rows per network")
    parser.add_argument(
        "--regime",
        nargs="+",
        default=["reference"],
        choices=[*REGIMES, "all"],
        help="what the networks are trained on",
    )
    parser.add_argument("--scorer", nargs="+", help="names; default: the whole table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    given = parser.parse_args(arguments)
    regimes = list(REGIMES) if "all" in given.regime else given.regime
    try:
        for name in given.scorer or ():
            check_scorer(name)
        for name in regimes:
            _plan(name, given.networks, given.rows)
        np.random.SeedSequence(given.seed)
    except ValueError as error:
        parser.error(str(error))
    table = recovery_benchmark(
        given.scorer,
        regimes=regimes,
        n_networks=given.networks,
        n_rows=given.rows,
        random_state=given.seed,
        verbose=1,
    )
    print(table.to_json() if given.json else table)


if __name__ == "__main__":
    main()
