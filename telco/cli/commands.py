"""Every command: arguments in, a table or JSON out."""

import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from telco.cli.bench import bench

if TYPE_CHECKING:
    from telco.client import Client

app = typer.Typer(
    name="telco",
    help="Load balancer for mobile cores: `telco serve` runs it, the other commands ask or tell it.\n\n"
    "Exit codes: 0 done, 1 `diff --exit-code` found changes or a step did not hold, 2 refused or wrongly asked, "
    "3 no daemon answers, 4 the host lacks something, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
lab = typer.Typer(help="Real SCTP hosts around a balancer, on this machine.", no_args_is_help=True)
app.add_typer(lab, name="lab")
app.command()(bench)


class Shell(StrEnum):
    """Shells that complete commands."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


class Output(StrEnum):
    """How resources are shown."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"


Where = Annotated[str, typer.Option("--at", envvar="TELCO_AT", help="the daemon's socket, or its URL")]
Token = Annotated[str, typer.Option(envvar="TELCO_TOKEN", help="bearer token for a URL")]
Authority = Annotated[
    Path | None,
    typer.Option("--ca", envvar="TELCO_CA", help="PEM file that an https URL's certificate is held to"),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
File = Annotated[Path, typer.Option("--file", "-f", help="YAML or JSON; - is standard input")]
Prune = Annotated[bool, typer.Option(help="remove what the document does not have")]
SOCKET = "/run/telco-lb/telco.sock"
SCENARIOS = (  # those of free5gc_lab, which is slow to import; a test holds the two together
    "Scenarios: demo (two gNBs and three AMFs, all multi-homed, around two VIPs; then everything fails once), "
    "failover (a client's cable is cut and mended under traffic, over plain forwarding)."
)


def _client(where: str, token: str, authority: Path | None) -> "Client":
    from telco.client import Client  # noqa: PLC0415  # httpx is slow to import

    return Client(where, token=token or None, authority=authority)


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
    file: File,
    where: Where = SOCKET,
    token: Token = "",
    ca: Authority = None,
    *,
    prune: Prune = False,
    as_json: AsJson = False,
) -> None:
    """Push a document: add and change, or with --prune replace the whole policy. All of it or nothing."""
    with _client(where, token, ca) as client:
        push = client.replace if prune else client.merge
        _show(push(_document(file)), as_json=as_json, table="applied")


@app.command()
def diff(
    file: File,
    where: Where = SOCKET,
    token: Token = "",
    ca: Authority = None,
    *,
    prune: Prune = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="1 if there are changes")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what apply would change."""
    with _client(where, token, ca) as client:
        found = client.diff(_document(file), prune=prune)
    _show(found, as_json=as_json, table="applied")
    if exit_code and found["changes"]:
        raise typer.Exit(1)


@app.command()
def get(
    kind: Annotated[str, typer.Argument(help="pools, services or associations")],
    name: Annotated[
        str | None, typer.Argument(help="one of them; of associations, those of this service")
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="yaml and json can be applied again")
    ] = Output.TABLE,
    where: Where = SOCKET,
    token: Token = "",
    ca: Authority = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show resources and what is observed of them, or associations."""
    with _client(where, token, ca) as client:
        if kind in {"association", "associations"}:
            found: Any = client.associations(service=name)
            _show(found, as_json=as_json or output is Output.JSON, table="associations")
            return
        resources = client.get(kind, name, status=output is not Output.NAME)
    if output is Output.TABLE:
        plural = "pools" if kind.lower().startswith("pool") else "services"
        _show(resources, as_json=as_json, table=plural)
    else:
        _show(resources, as_json=as_json or output is Output.JSON, table=output.value)


@app.command()
def delete(
    kind: Annotated[str, typer.Argument(help="pool or service")],
    name: Annotated[str, typer.Argument()],
    where: Where = SOCKET,
    token: Token = "",
    ca: Authority = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Remove a resource."""
    with _client(where, token, ca) as client:
        _show(client.delete(kind, name), as_json=as_json, table="applied")


@app.command()
def status(
    where: Where = SOCKET, token: Token = "", ca: Authority = None, *, as_json: AsJson = False
) -> None:
    """Interfaces, health of each endpoint address, warnings."""
    with _client(where, token, ca) as client:
        _show(client.status(), as_json=as_json, table="status")


@app.command()
def stats(where: Where = SOCKET, token: Token = "", ca: Authority = None, *, as_json: AsJson = False) -> None:
    """Counters of each service and endpoint, drops by reason."""
    with _client(where, token, ca) as client:
        _show(client.stats(), as_json=as_json, table="stats")


@app.command()
def associations(
    service: Annotated[str | None, typer.Option(help="only this service's")] = None,
    endpoint: Annotated[str | None, typer.Option(help="only this endpoint's, as POOL/NAME")] = None,
    where: Where = SOCKET,
    token: Token = "",
    ca: Authority = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="again every second")] = False,
    as_json: AsJson = False,
) -> None:
    """Live associations: tags, paths with state, endpoint, bytes, age."""
    with _client(where, token, ca) as client:
        if not watch:
            _show(client.associations(service, endpoint), as_json=as_json, table="associations")
            return
        from telco.cli import show  # noqa: PLC0415

        def again() -> Iterator[Any]:
            while True:
                yield client.associations(service, endpoint)
                time.sleep(1)

        show.watch(again(), as_json=as_json, table="associations")


@app.command()
def trace(
    service: Annotated[str | None, typer.Option(help="only this service's")] = None,
    address: Annotated[str | None, typer.Option(help="only from or to this address")] = None,
    tag: Annotated[str | None, typer.Option(help="only with this verification tag, as 0x12345678")] = None,
    where: Where = SOCKET,
    token: Token = "",
    ca: Authority = None,
    *,
    bcc: Annotated[
        bool, typer.Option("--bcc", help="what the kernel's XDP layer reports, by BCC; asks no daemon")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Decisions of the datapath as they happen, until interrupted: births, deaths, moves, refusals, drops by reason."""
    from telco.cli import show, wanted  # noqa: PLC0415

    if bcc:
        from telco.cli import kernel  # noqa: PLC0415

        for found in kernel.trouble():
            show.event(found, as_json=as_json)
        return
    with _client(where, token, ca) as client:
        fits = wanted.events(client, service=service, address=address, tag=tag)
        for event in client.events(trace=True):
            if fits(event):
                show.event({**event}, as_json=as_json)


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish")]) -> None:
    """Print a script that completes commands, as for `source <(telco completion bash)`."""
    from typer._completion_shared import get_completion_script  # noqa: PLC0415  # what --show-completion uses

    print(  # noqa: T201
        get_completion_script(prog_name="telco", complete_var="_TELCO_COMPLETE", shell=shell.value)
    )


@lab.command("run", epilog=SCENARIOS)
def lab_run(
    scenario: Annotated[str, typer.Argument(help="one of those below")], *, as_json: AsJson = False
) -> None:
    """Run a scenario with its own lab, print what it measured; exit 0 only if every step held."""
    from free5gc_lab import run  # noqa: PLC0415

    from telco.cli import show  # noqa: PLC0415

    raise typer.Exit(show.steps(run(scenario), as_json=as_json))


@lab.command("up")
def lab_up(
    topology: Annotated[str, typer.Argument(help="core, small, small6 or mixed")] = "core",
    *,
    as_json: AsJson = False,
) -> None:
    """Make a lab and leave it up."""
    from free5gc_lab import up  # noqa: PLC0415

    made = up(topology)
    found = {"lab": made.name, "balancer": made.balancer, "vips": list(made.topology.vips)}
    if as_json:
        _show(found, as_json=True)
    else:
        print(f"lab {made.name} is up: balancer {made.balancer}, VIPs {', '.join(found['vips'])}")  # noqa: T201


@lab.command("down")
def lab_down(*, as_json: AsJson = False) -> None:
    """Remove the lab, whatever its state, and what killed ones left; none there is no error."""
    from free5gc_lab import down  # noqa: PLC0415

    down()
    if as_json:
        _show({"lab": None}, as_json=True)
