"""Answers for people: tables, YAML, JSON."""

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import yaml
from rich.console import Console
from rich.table import Table

console = Console()


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def applied(values: dict[str, Any]) -> None:
    """Steps of a push or a diff."""
    for step in values["steps"]:
        console.print(f"{step['action']:>7} {step['kind']}/{step['name']}")
    for warning in values["warnings"]:
        console.print(f"warning: {warning}", style="yellow")
    console.print(f"{values['changes']} changes, revision {values['revision']}")


def associations(rows: list[dict[str, Any]]) -> None:
    """One line an association, its paths beneath each other."""
    table = _table("associations", "service", "endpoint", "state", "tags", "paths", "packets", "bytes", "age")
    for row in rows:
        paths = [
            f"{p['client']} → {p['vip']} ⇒ {p['source']} → {p['server']} {p['state']}" for p in row["paths"]
        ]
        both = [f"{row[what]['to_endpoint']} / {row[what]['to_client']}" for what in ("packets", "bytes")]
        tags = f"{row['client_tag']}\n{row['server_tag']}"
        table.add_row(
            row["service"],
            row["endpoint"],
            row["state"],
            tags,
            "\n".join(paths),
            *both,
            f"{row['age_s']:.0f} s",
        )
    console.print(table)


def status(values: dict[str, Any]) -> None:
    """Interfaces and health."""
    table = _table(f"revision {values['revision']}", "pool", "endpoint", "admin", "addresses")
    for pool, endpoints in values["pools"].items():
        for endpoint in endpoints:
            why = {address: f" ({found['reason']})" for address, found in endpoint["trouble"].items()}
            health = ", ".join(
                f"{address} {state}{why.get(address, '')}" for address, state in endpoint["addresses"].items()
            )
            table.add_row(pool, endpoint["name"], endpoint["admin"], health)
    console.print(table)
    for interface, hooks in values["interfaces"].items():
        console.print(f"{interface}: {' and '.join(hooks)}")
    for warning in values["warnings"]:
        console.print(f"warning: {warning}", style="yellow")


def stats(values: dict[str, Any]) -> None:
    """Counters."""
    for what in ("services", "endpoints"):
        table = _table(
            what, "name", "associations", "created", "packets to/from endpoint", "bytes to/from endpoint"
        )
        for name, one in values[what].items():
            both = [f"{one[k]['to_endpoint']} / {one[k]['to_client']}" for k in ("packets", "bytes")]
            table.add_row(name, str(one["associations"]), str(one["created"]), *both)
        console.print(table)
    table = _table("drops", "reason", "packets")
    for reason, count in values["drops"].items():
        if count:
            table.add_row(reason, str(count))
    console.print(table)


def _yaml(values: Any) -> None:
    console.print(yaml.safe_dump_all(values, sort_keys=False), end="", highlight=False)


SHOWN: dict[str, Callable[[Any], None]] = {
    "applied": applied,
    "associations": associations,
    "status": status,
    "stats": stats,
    "yaml": _yaml,
}


def result(values: Any, *, as_json: bool, table: str | None) -> None:
    """Print an answer."""
    if as_json or table is None:
        console.print_json(json.dumps(values))
    else:
        SHOWN[table](values)


def event(values: dict[str, Any], *, as_json: bool) -> None:
    """One event, one line."""
    if as_json:
        print(json.dumps(values), flush=True)  # noqa: T201
        return
    ends = f"{values['source']}:{values['sport']} → {values['destination']}:{values['dport']}"
    where = " ".join(filter(None, (values["service"], values["endpoint"])))
    console.print(
        f"{values['kind']:8} {values['reason']:20} {ends} {values['client_tag']} {where}", highlight=False
    )


class Step(Protocol):
    """One step of a scenario."""

    @property
    def title(self) -> str: ...
    @property
    def effect(self) -> str: ...
    @property
    def held(self) -> bool: ...


def steps(story: Iterable[Step], *, as_json: bool) -> int:
    """Steps as they happen, then all of them in a table; 0 if every one held."""
    seen: list[Step] = []
    for step in story:
        seen.append(step)
        if not as_json:
            mark = "[green]✓[/green]" if step.held else "[red]✗[/red]"
            console.print(f"{mark} {step.title}: {step.effect}", highlight=False)
    if as_json:
        console.print_json(json.dumps([{"title": s.title, "effect": s.effect, "held": s.held} for s in seen]))
    else:
        table = _table("what was done, and its effect", "step", "effect", "held")
        for step in seen:
            table.add_row(step.title, step.effect, "yes" if step.held else "NO")
        console.print(table)
    return 0 if seen and all(step.held for step in seen) else 1
