"""Every command: arguments in, a table or JSON out."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telco.cli.bench import bench

if TYPE_CHECKING:
    from telco.client import Client

app = typer.Typer(
    name="telco",
    help="Load balancer for mobile cores.\n\nExit codes: 0 done, 2 refused, 3 no daemon, 4 the host lacks something.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
lab = typer.Typer(help="Real SCTP hosts around a balancer, on this machine.", no_args_is_help=True)
app.add_typer(lab, name="lab")
app.command()(bench)

Where = Annotated[str, typer.Option("--at", envvar="TELCO_AT", help="the daemon's socket, or its URL")]
Token = Annotated[str, typer.Option(envvar="TELCO_TOKEN", help="bearer token for a URL")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
File = Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON; - is standard input")]
Prune = Annotated[bool, typer.Option(help="remove what the document does not have")]
SOCKET = "/run/telco-lb/telco.sock"


def _client(where: str, token: str) -> "Client":
    from telco.client import Client  # noqa: PLC0415  # httpx is slow to import

    return Client(where, token=token or None)


def _document(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        from telco.errors import TelcoError  # noqa: PLC0415

        raise TelcoError(f"{path}: {error.strerror}") from error


def _show(values: Any, *, as_json: bool, table: Any = None) -> None:
    from telco.cli import show  # noqa: PLC0415  # rich is slow to import

    show.result(values, as_json=as_json, table=table)


@app.command()
def serve(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="settings; default /etc/telco-lb/telco.yaml")
    ] = None,
    interface: Annotated[
        list[str] | None, typer.Option("--interface", "-i", help="where traffic arrives")
    ] = None,
    attach: Annotated[str | None, typer.Option(help="auto, xdp, xdp-generic or tc")] = None,
    netns: Annotated[str | None, typer.Option(help="network namespace of the interfaces")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="where the policy is kept")] = None,
    pin_dir: Annotated[Path | None, typer.Option(help="where the datapath is pinned")] = None,
    socket: Annotated[Path | None, typer.Option(help="unix socket of the API")] = None,
    listen: Annotated[str | None, typer.Option(help="ADDRESS:PORT for TCP beside the socket")] = None,
) -> None:
    """Run the daemon. The datapath outlives it and is adopted by the next start."""
    from telco.cli.serve import serve as run  # noqa: PLC0415

    run(
        {
            "config": config,
            "interface": interface,
            "attach": attach,
            "netns": netns,
            "state_dir": state_dir,
            "pin_dir": pin_dir,
            "socket": socket,
            "listen": listen,
        }
    )


@app.command()
def apply(
    file: File, where: Where = SOCKET, token: Token = "", *, prune: Prune = False, as_json: AsJson = False
) -> None:
    """Push a document: add and change, or with --prune replace the whole policy. All of it or nothing."""
    with _client(where, token) as client:
        push = client.replace if prune else client.merge
        _show(push(_document(file)), as_json=as_json, table="applied")


@app.command()
def diff(
    file: File, where: Where = SOCKET, token: Token = "", *, prune: Prune = False, as_json: AsJson = False
) -> None:
    """Show what apply would change."""
    with _client(where, token) as client:
        _show(client.diff(_document(file), prune=prune), as_json=as_json, table="applied")


@app.command()
def get(
    kind: Annotated[str, typer.Argument(help="pools, services or associations")],
    name: Annotated[str | None, typer.Argument()] = None,
    where: Where = SOCKET,
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Show resources as YAML, or associations as a table."""
    with _client(where, token) as client:
        if kind == "associations":
            _show(client.associations(service=name), as_json=as_json, table="associations")
        else:
            _show(client.get(kind, name), as_json=as_json, table="yaml")


@app.command()
def delete(
    kind: str, name: str, where: Where = SOCKET, token: Token = "", *, as_json: AsJson = False
) -> None:
    """Remove a resource."""
    with _client(where, token) as client:
        _show(client.delete(kind, name), as_json=as_json, table="applied")


@app.command()
def status(where: Where = SOCKET, token: Token = "", *, as_json: AsJson = False) -> None:
    """Interfaces, health of each endpoint address, warnings."""
    with _client(where, token) as client:
        _show(client.status(), as_json=as_json, table="status")


@app.command()
def stats(where: Where = SOCKET, token: Token = "", *, as_json: AsJson = False) -> None:
    """Counters of each service and endpoint, drops by reason."""
    with _client(where, token) as client:
        _show(client.stats(), as_json=as_json, table="stats")


@app.command()
def associations(
    service: Annotated[str | None, typer.Option(help="only this service's")] = None,
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint's, as POOL/NAME")] = None,
    where: Where = SOCKET,
    token: Token = "",
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="again every second")] = False,
    as_json: AsJson = False,
) -> None:
    """Live associations: tags, paths with state, endpoint, bytes, age."""
    with _client(where, token) as client:
        while True:
            _show(client.associations(service, endpoint), as_json=as_json, table="associations")
            if not watch:
                return
            time.sleep(1)


@app.command()
def trace(
    service: Annotated[str | None, typer.Option(help="only this service's")] = None,
    address: Annotated[str | None, typer.Option(help="only from or to this address")] = None,
    tag: Annotated[str | None, typer.Option(help="only with this verification tag, as 0x12345678")] = None,
    where: Where = SOCKET,
    token: Token = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Decisions of the datapath as they happen, until interrupted."""
    from telco.cli import show  # noqa: PLC0415

    with _client(where, token) as client:
        for event in client.events(trace=True):
            if service not in {None, event["service"]}:
                continue
            if address not in {None, event["source"], event["destination"]}:
                continue
            if tag is None or int(tag, 16) in {int(event["client_tag"], 16), int(event["server_tag"], 16)}:
                show.event(event, as_json=as_json)


@lab.command("run")
def lab_run(scenario: str, *, as_json: AsJson = False) -> None:
    """Run a scenario with its own lab, print what it measured; exit 0 only if every step held."""
    from free5gc_lab import run  # noqa: PLC0415

    from telco.cli import show  # noqa: PLC0415

    raise typer.Exit(show.steps(run(scenario), as_json=as_json))


@lab.command("up")
def lab_up(topology: Annotated[str, typer.Argument()] = "core") -> None:
    """Make a lab and leave it up."""
    from free5gc_lab import up  # noqa: PLC0415

    made = up(topology)
    _show({"lab": made.name, "balancer": made.balancer, "vips": list(made.topology.vips)}, as_json=True)


@lab.command("down")
def lab_down() -> None:
    """Remove the lab."""
    from free5gc_lab import down  # noqa: PLC0415

    down()
