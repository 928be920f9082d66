"""Both studies, from maps to a page: ``python examples/cosmology --scale small``."""

import argparse
from pathlib import Path

import findings_a
import findings_b
import page
import truth
from settings import SCALES
from stages import stages

PARTS = {"A": findings_a.findings, "B": findings_b.findings, "truth": truth.findings}


def main():
    """Run the studies that are asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--output", type=Path, default=Path("demo/cosmology"))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["A", "B"])
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    stages.keep_in(arguments.output / "kept")
    settings = SCALES[arguments.scale]
    found = [
        finding
        for part in arguments.parts
        for finding in PARTS[part](settings, arguments.output)
    ]
    for finding in found:
        print(finding)
    name = "truth.html" if arguments.parts == ["truth"] else "index.html"
    print(page.write(found, arguments.scale, arguments.output / name))


if __name__ == "__main__":
    main()
