"""Answers for people: tables, YAML, JSON."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

PIPE_COLUMNS = 240  # whoever reads a pipe does not want folded words
console = Console(
    markup=False, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_COLUMNS
)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _warning(text: str) -> Text:
    return Text(f"warning: {text}", style="yellow")


def _both(counted: dict[str, int]) -> str:
    return f"{counted['to_endpoint']} / {counted['to_client']}"


def applied(values: dict[str, Any]) -> Iterator[RenderableType]:
    """Steps of a push or a diff."""
    for step in values["steps"]:
        yield f"{step['action']:>7} {step['kind']}/{step['name']}"
    if (more := values["changes"] - len(values["steps"])) > 0:
        yield f"        and {more} more"
    yield from map(_warning, values["warnings"])
    yield f"{values['changes']} changes, revision {values['revision']}"


def associations(rows: list[dict[str, Any]]) -> Iterator[RenderableType]:
    """One line an association, its paths beneath each other."""
    table = _table("associations", "service", "endpoint", "state", "tags", "paths", "packets", "bytes", "age")
    for row in rows:
        paths = [
            f"{p['client']} → {p['vip']} ⇒ {p['source']} → {p['server']} {p['state']}" for p in row["paths"]
        ]
        tags = f"{row['client_tag']}\n{row['server_tag']}"
        counted = [_both(row[what]) for what in ("packets", "bytes")]
        state = f"{row['state']} ({row['note']})" if "note" in row else row["state"]
        ends = [row["service"], row["endpoint"], state, tags, "\n".join(paths)]
        table.add_row(*ends, *counted, f"{row['age_s']:.0f} s")
    yield table


def _health(endpoint: dict[str, Any]) -> str:
    why = {address: f" ({found['reason']})" for address, found in endpoint["trouble"].items()}
    return "\n".join(
        f"{address} {state}{why.get(address, '')}" for address, state in endpoint["addresses"].items()
    )


def status(values: dict[str, Any]) -> Iterator[RenderableType]:
    """Interfaces and health."""
    table = _table(f"revision {values['revision']}", "pool", "endpoint", "admin", "addresses")
    for pool, endpoints in values["pools"].items():
        for endpoint in endpoints:
            table.add_row(pool, endpoint["name"], endpoint["admin"], _health(endpoint))
    yield table
    for interface, hooks in values["interfaces"].items():
        yield f"{interface}: {' and '.join(hooks)}"
    if values["adopted"]:
        yield "the datapath of an earlier process was adopted"
    yield from map(_warning, values["warnings"])


def stats(values: dict[str, Any]) -> Iterator[RenderableType]:
    """Counters."""
    counted = ("packets to/from endpoint", "bytes to/from endpoint")
    for what in ("services", "endpoints"):
        table = _table(what, "name", "associations", "created", *counted)
        for name, one in values[what].items():
            both = [_both(one[k]) for k in ("packets", "bytes")]
            table.add_row(name, str(one["associations"]), str(one["created"]), *both)
        yield table
    table = _table(
        "paths of live associations", "service", "vip", "endpoint", "server", "associations", counted[0]
    )
    for one in values["paths"]:
        ends = [one[k] for k in ("service", "vip", "endpoint", "server")]
        table.add_row(*ends, str(one["associations"]), _both(one["packets"]))
    yield table
    table = _table("drops", "reason", "packets")
    for reason, count in values["drops"].items():
        if count:
            table.add_row(reason, str(count))
    yield table


def pools(found: list[dict[str, Any]]) -> Iterator[RenderableType]:
    """One line an endpoint."""
    table = _table("pools", "pool", "endpoint", "port", "weight", "admin", "addresses")
    for pool in found:
        health = {one["name"]: one for one in pool["status"].get("endpoints", ())}
        for one in pool["spec"]["endpoints"]:
            shown = _health(health[one["name"]]) if one["name"] in health else "\n".join(one["addresses"])
            port, weight = str(one.get("port", 0) or "the service's"), str(one.get("weight", 1))
            table.add_row(pool["name"], one["name"], port, weight, one.get("admin", "up"), shown)
        if not pool["spec"]["endpoints"]:
            table.add_row(pool["name"], "none", "", "", "", "")
    yield table


def services(found: list[dict[str, Any]]) -> Iterator[RenderableType]:
    """One line a service."""
    table = _table("services", "service", "vips", "port", "mode", "pick", "pool", "associations", "created")
    for service in found:
        spec, counted = service["spec"], service["status"]
        port = f"{spec.get('protocol', 'sctp')} {spec['port']}"
        how = [spec.get("mode", "fullnat"), spec.get("pick", "maglev"), spec["pool"]]
        totals = [str(counted.get(k, "")) for k in ("associations", "created")]
        table.add_row(service["name"], "\n".join(spec["vips"]), port, *how, *totals)
    yield table
    for service in found:
        yield from map(_warning, service["status"].get("warnings", ()))


def yaml(values: Any) -> Iterator[RenderableType]:
    """As `apply` takes it."""
    from yaml import safe_dump_all  # noqa: PLC0415  # only this view needs it

    yield safe_dump_all(values, sort_keys=False).rstrip()


def names(values: list[dict[str, Any]]) -> Iterator[RenderableType]:
    """KIND/NAME, one a line."""
    yield from (f"{one['kind']}/{one['name']}" for one in values)


SHOWN: dict[str, Callable[[Any], Iterator[RenderableType]]] = {
    "applied": applied,
    "associations": associations,
    "status": status,
    "stats": stats,
    "pools": pools,
    "services": services,
    "yaml": yaml,
    "name": names,
}


def result(values: Any, *, as_json: bool, table: str | None, line: bool = False) -> None:
    """Print an answer; JSON is the same on a terminal and in a pipe, ``line``: on one line."""
    if as_json or table is None:
        print(json.dumps(values, ensure_ascii=False, indent=None if line else 2), flush=True)  # noqa: T201
        return
    for part in SHOWN[table](values):
        if isinstance(part, str):
            print(part)  # noqa: T201  # names and YAML must not be wrapped
        else:
            console.print(part, soft_wrap=False)
    sys.stdout.flush()


def watch(values: Iterable[Any], *, as_json: bool, table: str) -> None:
    """Print answers as they come: in place on a terminal, one after the other in a pipe."""
    if as_json or not console.is_terminal:
        for one in values:
            result(one, as_json=as_json, table=table, line=True)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for one in values:
            live.update(Group(*SHOWN[table](one)), refresh=True)


def event(values: dict[str, Any], *, as_json: bool) -> None:
    """One event, one line."""
    if as_json:
        print(json.dumps(values), flush=True)  # noqa: T201
        return
    line = f"{values['kind']:8} {values['reason']:20}"
    if "source" in values:
        ends = f"{values['source']}:{values['sport']} → {values['destination']}:{values['dport']}"
        where = " ".join(filter(None, (values["service"], values["endpoint"])))
        tags = " ".join(tag for tag in (values["client_tag"], values["server_tag"]) if int(tag, 16))
        line += f" {ends} {tags} {where}"
    else:
        line += f" interface {values['interface']} program {values['program']}"
    print(line.rstrip(), flush=True)  # noqa: T201


class Step(Protocol):
    """One step of a scenario."""

    @property
    def title(self) -> str: ...
    @property
    def effect(self) -> str: ...
    @property
    def held(self) -> bool: ...


def _row(mark: Text, title: Text, effect: Text, width: int) -> Table:
    """One line of a table whose lines appear one by one: the columns are as wide in all of them."""
    row = Table.grid(padding=(0, 1))
    for columns in (2, min(34, width // 3)):
        row.add_column(width=columns)
    row.add_column(width=width - min(34, width // 3) - 5, overflow="fold")
    row.add_row(mark, title, effect)
    return row


def steps(story: Iterable[Step], *, as_json: bool) -> int:
    """A table that grows as steps happen, then a verdict that names what failed; 0 if every one held."""
    seen: list[Step] = []
    width, began = min(console.width, 120), time.monotonic()
    for step in story:
        if not seen and not as_json:  # a story that cannot even begin is an error without a table
            console.print(_row(Text(), Text("step", "bold"), Text("measured effect", "bold"), width))
            console.print("─" * width, style="dim")
        seen.append(step)
        if not as_json:
            mark = Text("✓", "green") if step.held else Text("✗", "bold red")
            console.print(_row(mark, Text(step.title), Text(step.effect), width), highlight=False)
    failed = [step.title for step in seen if not step.held]
    if as_json:
        shown = [{"title": s.title, "effect": s.effect, "held": s.held} for s in seen]
        result(shown, as_json=True, table=None)
    else:
        verdict = f"{len(seen) - len(failed)} of {len(seen)} steps held, {time.monotonic() - began:.0f} s"
        if failed:
            verdict += f"; FAILED: {'; '.join(failed)}"
        console.print(verdict, style="bold red" if failed else "bold green", highlight=False)
    return 0 if seen and not failed else 1
