"""Real kernel SCTP through the balancer: every mode, homes on either side, VIPs, address family and hook."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from free5gc_lab.echo import WHOLE, dial, serve, wait_for_state
from free5gc_lab.host import GuestHost
from free5gc_lab.lab import Lab
from free5gc_lab.remote import Program

from lb.datapath.attach import Attach
from lb.model import Mode, Policy
from protocols import sctp
from tests.lab.balancing import BOTH, balancer, n2
from tests.lab.wire import Cables, cables, heartbeat_answers

pytestmark = [pytest.mark.root, pytest.mark.lab]
FIRST_PORT = 38401
ECHOES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A service's VIPs and its endpoint's addresses, by their places in the topology's lists."""

    vips: Sequence[int]
    server: Sequence[int]


@contextmanager
def holding(host: GuestHost, vips: Sequence[str]) -> Iterator[None]:
    """A server for `dsr`: it has the VIPs on lo, where nobody asks for them by ARP (arp_ignore) or ND."""
    lines = [f"addr {{}} {vip}/{128 if ':' in vip else 32} dev lo" for vip in vips]
    host.ip(*(line.format("add") + (" nodad" if ":" in line else "") for line in lines))
    try:
        yield
    finally:
        host.ip(*(line.format("del") for line in lines))


def policy(lab: Lab, mode: Mode, setups: Sequence[Setup]) -> Policy:
    """A service and a pool for each setup, from the first port on."""
    own, vips, made = lab.topology.addresses("amf1"), lab.topology.vips, Policy()
    for port, setup in enumerate(setups, FIRST_PORT):
        one = n2(
            mode, tuple(vips[i] for i in setup.vips), tuple(own[i] for i in setup.server), server_port=port
        )
        name = f"n{port}"
        made.pools[name] = replace(one.pools["amf"], name=name)
        made.services[name] = replace(one.services["n2"], name=name, pool=name, port=port, last_port=port)
    return made


def listen(lab: Lab, mode: Mode, setups: Sequence[Setup]) -> list[Program]:
    """An echo server for each setup."""
    own, vips = lab.topology.addresses("amf1"), lab.topology.vips
    binds = [
        [vips[i] for i in setup.vips] if mode is Mode.DSR else [own[i] for i in setup.server]
        for setup in setups
    ]
    ports = range(FIRST_PORT, FIRST_PORT + len(setups))
    return [
        serve(lab.host("amf1"), "--port", port, binds=bind) for port, bind in zip(ports, binds, strict=True)
    ]


def check(lab: Lab, client: Program, vips: Sequence[str], wire: Cables) -> None:
    """All VIPs are advertised, each first HEARTBEAT was answered within one RTO, every echo came."""
    up = client.expect("up")
    assert isinstance(up["peers"], list)
    assert sorted(up["peers"]) == sorted(vips)
    assert client.expect("done", timeout_s=60).items() >= (WHOLE | {"delivered": ECHOES}).items()
    for vip in vips:
        wait_for_state(client, vip, "ACTIVE")
    port = int(str(up["port"]))
    answers = heartbeat_answers(
        wire.packets(sctp.Heartbeat, towards_host=False, port=port),
        wire.packets(sctp.HeartbeatAck, towards_host=True, port=port),
    )
    assert {peer for _, peer in answers} >= set(vips[1:])
    assert max(answers.values(), default=0) <= lab.sctp.rto_initial, answers


def check_endpoint(server: Program) -> None:
    """What the endpoint's kernel was told of its clients' addresses is all reachable."""
    found = server.ask("paths", "paths")["associations"]
    assert isinstance(found, dict)
    assert found
    states = {address: path["state"] for paths in found.values() for address, path in paths.items()}
    assert set(states.values()) == {"ACTIVE"}, states


def run(
    lab: Lab,
    mode: Mode,
    attach: Attach,
    setups: Sequence[Setup],
    clients: Sequence[tuple[str, Sequence[int], int]],
) -> None:
    """Clients (host, places of its addresses, number of its service) all at once."""
    vips = lab.topology.vips
    with holding(lab.host("amf1"), vips if mode is Mode.DSR else ()), balancer(lab, attach) as lb:
        lb.apply(policy(lab, mode, setups))
        servers = listen(lab, mode, setups)
        with cables(lab, *{host for host, _, _ in clients}) as wire:
            dialled = []
            for name, places, number in clients:
                host = lab.host(name)
                words = ("--peer-port", FIRST_PORT + number, "--count", ECHOES, "--stay")
                peer = vips[setups[number].vips[0]]
                binds = [host.addresses[i] for i in places]
                dialled.append(dial(host, [peer], *words, binds=binds))
            for client, (_, _, number) in zip(dialled, clients, strict=True):
                check(lab, client, [vips[i] for i in setups[number].vips], wire)
        for server in servers:
            check_endpoint(server)
        for client in dialled:
            client.tell("shutdown")
            assert client.wait().status == 0
        assert lb.drops() == {}
        assert {row.one_direction for row in lb.rows()} == {mode is Mode.DSR}


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", list(Mode))
def test_thousand_echoes_intact_and_every_path_active(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """Uni- and multi-homed clients, each at uni- and multi-homed endpoints, each behind one and two VIPs."""
    setups = [Setup(vips=range(vips), server=range(homes)) for vips in (1, 2) for homes in (1, 2)]
    clients = [(name, range(homes), n) for name, homes in (("gnb1", 2), ("gnb2", 1)) for n in range(4)]
    run(lab_of("core"), mode, attach, setups, clients)


@pytest.mark.parametrize("attach", BOTH)
@pytest.mark.parametrize("mode", list(Mode))
def test_ipv6_and_mixed_lists_are_confirmed_address_by_address(
    lab_of: Callable[[str], Lab], mode: Mode, attach: Attach
) -> None:
    """IPv6 alone, one address of each family, two of each: all are advertised and confirmed, whatever their family."""
    v6, one_each, both = (1, 3), (0, 1), (0, 1, 2, 3)
    setups = [Setup(vips=places, server=places) for places in (v6, one_each, both)]
    clients = [("gnb1", (1,), 0), ("gnb1", v6, 0), ("gnb1", one_each, 1), ("gnb1", both, 2)]
    run(lab_of("mixed"), mode, attach, setups, clients)
