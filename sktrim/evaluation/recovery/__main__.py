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
    options = parser.parse_args(arguments)
    regimes = list(REGIMES) if "all" in options.regime else options.regime
    try:
        for name in options.scorer or ():
            check_scorer(name)
        for name in regimes:
            _plan(name, options.networks, options.rows)
        np.random.SeedSequence(options.seed)
    except ValueError as error:
        parser.error(str(error))
    table = recovery_benchmark(
        options.scorer,
        regimes=regimes,
        n_networks=options.networks,
        n_rows=options.rows,
        random_state=options.seed,
        verbose=1,
    )
    print(table.to_json() if options.json else table)


if __name__ == "__main__":
    main()
