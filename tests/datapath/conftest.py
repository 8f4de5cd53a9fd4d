"""A datapath of its own in a network namespace of its own, and packets run through it."""

import ctypes
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lb.bpf import run_packet
from lb.datapath.objects import Datapath, Sizes
from lb.datapath.program import Programmer
from lb.model import Address, Endpoint, Mode, Paths, Pick, Policy, Pool, Protocol, Service
from tests.datapath.packets import Seen, parse

CLONE_NEWNET = 0x40000000
VERDICTS = {
    "xdp": {0: "aborted", 1: "drop", 2: "pass", 3: "tx", 4: "redirect"},
    "tc": {2**32 - 1: "pass", 2: "drop", 7: "redirect"},
}
SMALL = Sizes(conversations=256, handshakes=128, services=64, endpoints=64)
LINKS = ("10.1.0", "10.2.0", "10.11.0", "10.12.0")


def run(*command: str) -> None:
    """A command that must succeed."""
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def namespace() -> Iterator[str]:
    """A network namespace, entered; left and removed at the end."""
    name = f"dp-{uuid4().hex[:8]}"
    libc = ctypes.CDLL(None, use_errno=True)
    run("ip", "netns", "add", name)
    with Path("/proc/self/ns/net").open("rb") as home, Path("/run/netns", name).open("rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield name
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)
            run("ip", "netns", "del", name)


def wire_up() -> None:
    """Four links, each with permanent neighbours .2 to .9, and IPv6 beside IPv4."""
    run("sysctl", "-qw", "net.ipv4.conf.all.forwarding=1", "net.ipv6.conf.all.forwarding=1")
    run("ip", "link", "set", "lo", "up")
    for i, subnet in enumerate(LINKS):
        run("ip", "link", "add", f"v{i}", "type", "veth", "peer", "name", f"p{i}")
        run("ip", "link", "set", f"v{i}", "up")
        run("ip", "link", "set", f"p{i}", "up")
        run("ip", "addr", "add", f"{subnet}.1/24", "dev", f"v{i}")
        run("ip", "addr", "add", f"fd00:{i}::1/64", "dev", f"v{i}", "nodad")
        for host in range(2, 10):
            mac = f"02:00:00:00:{i:02x}:{host:02x}"
            run("ip", "neigh", "add", f"{subnet}.{host}", "lladdr", mac, "dev", f"v{i}", "nud", "permanent")
            run("ip", "neigh", "add", f"fd00:{i}::{host}", "lladdr", mac, "dev", f"v{i}", "nud", "permanent")


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """The namespace that every datapath test runs in."""
    with namespace() as name:
        wire_up()
        yield name


class Wire:
    """A datapath with a policy, and packets through it."""

    def __init__(self, hook: str, sizes: Sizes = SMALL) -> None:
        self.hook = hook
        self.datapath = Datapath(sizes=sizes, seed=0x9E3779B97F4A7C15)
        self.programmer = Programmer(self.datapath)
        self.reasons = {number: name for name, number in self.datapath.btf.enum("reason").items()}

    def apply(self, policy: Policy, dead: frozenset[str] = frozenset()) -> None:
        """Program a policy; endpoint addresses in ``dead`` do not answer."""
        facing = {
            prefix: ip_address(prefix + "1") for prefix in ("10.11.0.", "10.12.0.", "fd00:2::", "fd00:3::")
        }

        def our(address: Address) -> Address | None:
            return next((ours for prefix, ours in facing.items() if str(address).startswith(prefix)), None)

        self.programmer.apply(policy, lambda _, address: str(address) not in dead, our)

    def send(self, packet: bytes) -> tuple[str, bytes]:
        """Verdict by name, and the packet as it left."""
        result = run_packet(self.datapath.programs[f"telco_{self.hook}"], packet)
        return VERDICTS[self.hook][result.verdict], result.data

    def through(self, packet: bytes) -> Seen:
        """A packet that must be forwarded, taken apart."""
        verdict, raw = self.send(packet)
        assert verdict in {"tx", "redirect"}, (verdict, self.drops())
        return parse(raw)

    def drops(self) -> dict[str, int]:
        """Packets counted by reason, zeros left out."""
        counter = self.datapath.btf.layout("counter")
        counts = {}
        for number, name in self.reasons.items():
            if name == "REASON_COUNT":
                continue
            total = sum(counter.number(raw, "packets") for raw in self.datapath.maps["drops"].per_cpu(number))
            if total:
                counts[name.removeprefix("REASON_").lower()] = total
        return counts


@pytest.fixture(params=["xdp", "tc"])
def wire(network: str, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A fresh datapath behind each hook."""
    made = Wire(request.param)
    yield made
    made.datapath.close()


def policy(mode: Mode = Mode.FULLNAT, **changes: object) -> Policy:
    """One service n2 with two VIPs over one endpoint with two addresses."""
    values: dict[str, object] = {
        "vips": ("10.100.0.1", "10.101.0.1"),
        "servers": (("10.11.0.2", "10.12.0.2"),),
        "port": 38412,
        "server_port": 0,
        "pick": Pick.ROUND_ROBIN,
        "paths": Paths.MIRROR,
        "protocol": Protocol.SCTP,
        **changes,
    }
    servers: Any = values["servers"]
    port: Any = values["server_port"]
    endpoints = tuple(
        Endpoint(name=f"amf-{i}", addresses=tuple(map(ip_address, listed)), port=port)
        for i, listed in enumerate(servers, 1)
    )
    known = {"vips", "servers", "port", "server_port", "pick", "paths", "protocol"}
    service = Service(
        name="n2",
        vips=tuple(map(ip_address, values["vips"])),  # type: ignore[call-overload]
        protocol=values["protocol"],  # type: ignore[arg-type]
        port=values["port"],  # type: ignore[arg-type]
        last_port=values["port"],  # type: ignore[arg-type]
        mode=mode,
        pick=values["pick"],  # type: ignore[arg-type]
        pool="amf",
        **{k: v for k, v in values.items() if k not in known},  # type: ignore[arg-type]
    )
    pool = Pool(name="amf", endpoints=endpoints, paths=values["paths"])  # type: ignore[arg-type]
    return Policy(pools={"amf": pool}, services={"n2": service})
