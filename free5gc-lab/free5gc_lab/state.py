"""What is known of a lab outside the process that made it, so that a later one can use it or clear it."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import netns
from .errors import LabError
from .guest import Guest, identity
from .settings import SctpSettings
from .topology import Host, Kind, Side, Subnet, Topology

STATE_DIR = Path("/run/telco-lab")


def save(folder: Path, topology: Topology, sctp: SctpSettings, *, owned: bool) -> None:
    """Write it before anything is made; an owned lab is rubbish once its process is gone."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise LabError(f"lab {folder.name!r} is already up: take it down first") from None
    owner = identity(os.getpid()) if owned else None
    fields = {"topology": asdict(topology), "sctp": asdict(sctp), "owner": owner}
    (folder / "state.json").write_text(json.dumps(fields))


def load(folder: Path) -> tuple[Topology, SctpSettings]:
    """The topology and settings of a lab that is up; LabError if there is none."""
    try:
        fields = json.loads((folder / "state.json").read_text())
    except FileNotFoundError:
        raise LabError(f"lab {folder.name!r} is not up") from None
    return _topology(fields["topology"]), SctpSettings(**fields["sctp"])


def _topology(fields: dict[str, Any]) -> Topology:
    subnets = (
        Subnet(
            name=one["name"], side=Side(one["side"]), networks=tuple(one["networks"]), via=tuple(one["via"])
        )
        for one in fields["subnets"]
    )
    hosts = (
        Host(name=one["name"], number=one["number"], subnets=tuple(one["subnets"]), kind=Kind(one["kind"]))
        for one in fields["hosts"]
    )
    return Topology(
        name=fields["name"], subnets=tuple(subnets), hosts=tuple(hosts), vips=tuple(fields["vips"])
    )


def clear(name: str) -> None:
    """Remove every guest, namespace, cable and file of a lab, whatever state it is in."""
    folder = STATE_DIR / name
    for pid_file in folder.glob("*/pid"):
        Guest(namespace="", folder=pid_file.parent, nics=(), memory_mb=0).kill()
    for namespace in netns.named(f"{name}-"):
        netns.delete(namespace)
    shutil.rmtree(folder, ignore_errors=True)


def sweep() -> list[str]:
    """Clear the labs whose owning process died without doing so; their names."""
    swept = []
    for path in STATE_DIR.glob("*/state.json"):
        owner = json.loads(path.read_text())["owner"]
        if owner is not None and not _lives(owner):
            clear(path.parent.name)
            swept.append(path.parent.name)
    return swept


def _lives(owner: str) -> bool:
    try:
        return identity(int(owner.partition(" ")[0])) == owner
    except ProcessLookupError:
        return False
