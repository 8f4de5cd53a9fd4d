"""`telco bench GROUP`: one group of figures, measured here and now."""

import json
from typing import Annotated

import typer

from telco.errors import TelcoError


def bench(
    group: Annotated[str, typer.Argument(help="datapath, live, control or stress")],
    *,
    quick: Annotated[bool, typer.Option("--quick", help="few short rounds")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Measure one group of figures on this machine, as bench/RESULTS.md has them, in less than 40 s.

    Needs root and a checkout. `make bench` measures all of them, and takes more pushes.
    """
    try:
        from bench import errors, machine, registry, report, rounds  # noqa: PLC0415  # no part of an installed wheel
    except ModuleNotFoundError as error:
        raise TelcoError("telco bench needs a checkout of the project: it is no part of the wheel") from error
    try:
        here = machine.machine()
        pace = rounds.Pace.QUICK if quick else rounds.Pace.BRIEF
        values = report.results(registry.group(group)(pace), here)
    except errors.BenchError as error:
        raise TelcoError(str(error)) from error
    if as_json:
        print(json.dumps(values, ensure_ascii=False))  # noqa: T201
    else:
        report.show(values)
