"""Echo servers and clients on lab hosts, in the words scenarios and tests use."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import LabGuestError
from .host import GuestHost
from .remote import Program, Record

POLL_S = 0.02
# A client's report of a run in which nothing went wrong, beside how many were delivered.
WHOLE = {"lost": 0, "damaged": 0, "reordered": 0, "duplicates": 0, "waiting": 0}


def serve(host: GuestHost, *words: object, binds: Sequence[str] | None = None) -> Program:
    """An echo server that listens, on all of the host's addresses if none are given."""
    server = host.start("echo_server", "--bind", ",".join(binds or host.addresses), *words)
    server.expect("listening")
    return server


def dial(
    host: GuestHost, peers: Sequence[str], *words: object, binds: Sequence[str] | None = None
) -> Program:
    """An echo client that has begun to dial these addresses, from all of the host's if none are given."""
    local = ",".join(binds or host.addresses)
    return host.start("echo_client", "--bind", local, "--peer", ",".join(peers), *words)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathState:
    """A peer address as the kernel of a program's host sees it."""

    state: str
    srtt: int
    rto: int
    mtu: int


def paths(client: Program) -> dict[str, PathState]:
    """The states of an echo client's peer addresses, now."""
    found = client.ask("paths", "paths")["paths"]
    return (
        {address: PathState(**values) for address, values in found.items()} if isinstance(found, dict) else {}
    )


def wait_for_state(client: Program, address: str, state: str, *, timeout_s: float = 5.0) -> float:
    """Seconds until the kernel puts a peer address into a state; LabGuestError if it does not in time."""
    started = time.monotonic()
    while (seen := paths(client)[address].state) != state:
        waited = time.monotonic() - started
        if waited > timeout_s:
            raise LabGuestError(f"{client.title}: {address} is {seen} after {waited:.1f} s, not {state}")
        time.sleep(POLL_S)
    return time.monotonic() - started


def finish(client: Program, *, timeout_s: float = 20.0) -> Record:
    """Have a client stop sending, collect its echoes and end; its report."""
    client.tell("finish")
    report = client.expect("done", timeout_s=timeout_s)
    client.wait()
    return report
