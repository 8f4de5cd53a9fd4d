"""``python -m bench``: measure every group, print the table, write RESULTS.md and results.json."""

import argparse
import sys

from bench.errors import BenchError
from bench.machine import machine
from bench.registry import GROUPS, group
from bench.report import results, save, show
from bench.rounds import Pace


def main() -> int:
    """Measure; exit 0 whatever targets are missed, 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; none: all, and write the results")
    parser.add_argument("--quick", action="store_true", help="few short rounds: for development")
    arguments = parser.parse_args()
    here, figures = machine(), []
    try:
        for name in arguments.groups or GROUPS:
            figures += group(name)(Pace.QUICK if arguments.quick else Pace.FULL)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)  # noqa: T201  # what a command says
        return 1
    values = results(figures, here)
    show(values)
    if not arguments.groups and not arguments.quick:
        save(values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
