"""The daemon as users run it, under traffic: killed, restarted, given other policies, told by probes who is dead."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import pytest
from free5gc_lab.balancer import Balancer
from free5gc_lab.capture import Capture
from free5gc_lab.echo import WHOLE, dial, finish, serve, wait_for_state
from free5gc_lab.errors import LabGuestError
from free5gc_lab.lab import Lab

from tests.lab.wire import cables, chunks

pytestmark = [pytest.mark.root, pytest.mark.lab]
PORT = 38412
IPPROTO_ICMPV6, NEIGHBOUR_ADVERTISEMENT = 58, 136
PROBE = {"type": "sctp", "interval": "0.5s", "timeout": "0.2s", "rise": 2, "fall": 3}
FALL_S = 3 * 0.5


@contextmanager
def daemon(lab: Lab, attach: str) -> Iterator[Balancer]:
    """`telco serve` in the lab's balancer."""
    lab.forwarding(on=True)
    with Balancer(lab, attach=attach) as made:
        yield made


def push(
    balancer: Balancer,
    *amfs: str,
    probe: dict[str, Any] | None = None,
    pick: str = "rr",
    **changes: dict[str, Any],
) -> None:
    """One N2 service over these AMFs; ``changes`` are fields of an endpoint by its name, or of ``service``."""
    lab = balancer.lab
    endpoints = [
        {"name": amf, "addresses": list(lab.topology.addresses(amf)), "port": PORT, **changes.get(amf, {})}
        for amf in amfs
    ]
    service = {"vips": list(lab.topology.vips), "port": PORT, "mode": "fullnat", "pick": pick, "pool": "amf"}
    service |= changes.pop("service", {})
    resources = [
        {
            "kind": "Pool",
            "name": "amf",
            "spec": {"endpoints": endpoints, **({"probe": probe} if probe else {})},
        },
        {"kind": "Service", "name": "n2", "spec": service},
    ]
    with balancer.client() as client:
        client.replace(json.dumps(resources).encode(), yaml_text=False)


def where(balancer: Balancer) -> dict[int, str]:
    """Which endpoint each established association is at, by its client's port."""
    with balancer.client() as client:
        listed = client.associations()
    return {
        int(str(one["client_port"])): str(one["endpoint"]) for one in listed if one["state"] == "established"
    }


def eventually(what: Callable[[], bool], *, within_s: float) -> float:
    """Seconds until something holds; it must, within this time."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < within_s
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.mark.parametrize("attach", ["xdp", "tc"])
def test_sigkill_restart_and_upgrade_lose_nothing(lab_of: Callable[[str], Lab], attach: str) -> None:
    """The datapath forwards without its daemon; the next one adopts what it finds and puts its own programs in."""
    lab = lab_of("core")
    vips = lab.topology.vips
    serve(lab.host("amf1"))
    with daemon(lab, attach) as balancer, cables(lab, "gnb1") as near, cables(lab, "amf1") as far:
        push(balancer, "amf1")
        client = dial(lab.host("gnb1"), vips[:1], "--interval", 2, "--port", 40_000)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        before = where(balancer)
        for _ in range(2):
            balancer.kill()
            time.sleep(0.3)
            balancer.start()
            with balancer.client() as rest:
                assert rest.status()["adopted"] is True
            assert where(balancer) == before
        balancer.stop()
        for program in balancer.pins.glob("prog_*"):
            program.unlink()  # as another build's, which the next start does not know
        balancer.start()
        assert where(balancer) == before
        report = finish(client)
        assert report.items() >= WHOLE.items()
    for towards in (True, False):
        sent = chunks(near.packets(towards_host=towards, port=40_000))
        assert sent == chunks(far.packets(towards_host=not towards, port=40_000))


@pytest.mark.parametrize("attach", ["xdp", "tc"])
def test_policies_change_under_traffic(lab_of: Callable[[str], Lab], attach: str) -> None:
    """What is established stays where it is; what is new follows the policy; what is refused changes nothing."""
    lab = lab_of("core")
    vips, gnb = lab.topology.vips, lab.host("gnb1")
    for amf in ("amf1", "amf2", "amf3"):
        serve(lab.host(amf))
    clients = []

    def join(port: int) -> str:
        clients.append(dial(gnb, vips[:1], "--port", port, "--interval", 5))
        clients[-1].expect("up")
        return where(balancer)[port]

    with daemon(lab, attach) as balancer:
        push(balancer, "amf1")
        assert {join(40_000), join(40_001)} == {"amf/amf1"}
        push(balancer, "amf1", "amf2")  # an endpoint more
        assert {join(40_002), join(40_003)} == {"amf/amf1", "amf/amf2"}
        push(balancer, "amf1", "amf2", pick="wrr", amf1={"weight": 0})  # a weight, and the service's pick
        assert {join(40_004), join(40_005)} == {"amf/amf2"}
        push(balancer, "amf1", "amf2", "amf3", amf2={"admin": "draining"}, amf1={"admin": "draining"})
        assert {join(40_006), join(40_007)} == {"amf/amf3"}
        settled = where(balancer)
        with balancer.client() as rest, pytest.raises(Exception, match="pool"):
            rest.replace(
                b'[{"kind": "Service", "name": "n2", "spec": {"vips": ["10.100.0.1"], "port": 1, "pool": "x"}}]',
                yaml_text=False,
            )
        assert where(balancer) == settled
        push(balancer, "amf3")  # two endpoints less, associations and all
        time.sleep(1.2)  # a sweep
        for client in clients:
            assert finish(client).items() >= WHOLE.items()


@pytest.mark.parametrize("attach", ["xdp", "tc"])
def test_every_field_of_a_service_is_edited_in_place(lab_of: Callable[[str], Lab], attach: str) -> None:
    """Timeouts alone, a sibling more or less, picks, answers: none is refused, and no association ends for it."""
    lab = lab_of("core")
    vips = lab.topology.vips
    serve(lab.host("amf1"))
    edits: list[dict[str, Any]] = [
        {"timeouts": {"established": "20min"}},
        {"vips": [*vips, "10.101.0.9"]},
        {"vips": list(vips)},
        {"vips": list(vips[:1])},
        {"vips": list(vips), "pick": "maglev", "ootb": "abort"},
        {"allowed_sources": ["10.1.0.0/16", "10.2.0.0/16"], "idle_expiry": "abort"},
    ]
    shown: list[Any] = []
    with daemon(lab, attach) as balancer:
        push(balancer, "amf1")
        client = dial(lab.host("gnb1"), vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        before = where(balancer)
        for edit in edits:
            push(balancer, "amf1", service=edit)
            time.sleep(0.1)
            with balancer.client() as rest:
                shown.append(rest.get("services", "n2"))
            assert where(balancer) == before
        assert all(one != following for one, following in pairwise(shown))
        wait_for_state(client, vips[1], "ACTIVE")
        assert finish(client).items() >= WHOLE.items()


@pytest.mark.parametrize("attach", ["xdp", "tc"])
@pytest.mark.parametrize("mode", ["fullnat", "onearm"])
def test_probes_cross_paths_over_where_each_side_lost_another(
    lab_of: Callable[[str], Lab], mode: str, attach: str
) -> None:
    """Each endpoint address is probed by itself: the client's first cable and the endpoint's second are cut at once."""
    lab = lab_of("core")
    vips, amf = lab.topology.vips, lab.host("amf1")
    serve(amf)

    def health(balancer: Balancer) -> list[str]:
        with balancer.client() as rest:
            (found,) = rest.status()["pools"]["amf"]
        return [found["addresses"][address] for address in amf.addresses]

    with daemon(lab, attach) as balancer:
        push(balancer, "amf1", probe=PROBE, service={"mode": mode})
        client = dial(lab.host("gnb1"), vips[:1], "--interval", 5)
        client.expect("up")
        wait_for_state(client, vips[1], "ACTIVE")
        lab.faults.cut("gnb1", 0)
        lab.faults.cut("amf1", 1)
        eventually(lambda: health(balancer) == ["up", "down"], within_s=FALL_S + 0.5)
        wait_for_state(client, vips[0], "INACTIVE")
        wait_for_state(client, vips[1], "ACTIVE")
        lab.faults.mend("gnb1", 0)
        lab.faults.mend("amf1", 1)
        eventually(lambda: health(balancer) == ["up", "up"], within_s=5)
        wait_for_state(client, vips[0], "ACTIVE")
        report = finish(client)
        assert report.items() >= WHOLE.items()
        print(f"gap {report['max_gap_ms']:.0f} ms")  # noqa: T201  # what the scenario is asked to show


@pytest.mark.parametrize("attach", ["xdp", "tc"])
def test_probes_find_the_dead_endpoint_and_its_return(lab_of: Callable[[str], Lab], attach: str) -> None:
    """Down within fall times the interval; new associations and re-INITs go elsewhere; nothing is left half open."""
    lab = lab_of("core")
    vips, gnb, amf = lab.topology.vips, lab.host("gnb1"), lab.host("amf3")
    serve(lab.host("amf1"))
    serve(amf)

    def state(balancer: Balancer, name: str) -> set[str]:
        with balancer.client() as rest:
            pools = rest.status()["pools"]
        (found,) = [endpoint for endpoint in pools["amf"] if endpoint["name"] == name]
        return set(found["addresses"].values())

    with daemon(lab, attach) as balancer:
        push(balancer, "amf1", "amf3", probe=PROBE)
        client = None
        first = 41_000 if attach == "xdp" else 42_000  # what the other one left may still be ending
        for port in (first, first + 1):
            dialled = dial(gnb, vips[:1], "--port", port, "--interval", 5)
            dialled.expect("up")
            if where(balancer)[port] == "amf/amf3":
                client, hit = dialled, port
        assert client
        time.sleep(1.5)
        assert state(balancer, "amf3") == state(balancer, "amf1") == {"up"}
        assert len(amf.run("cat", "/proc/net/sctp/assocs").lines) == 2  # a heading and the client's
        lab.faults.kill("amf3")
        took = eventually(lambda: state(balancer, "amf3") == {"down"}, within_s=FALL_S + 0.5)
        print(f"down after {took:.2f} s")  # noqa: T201  # what the scenario is asked to show
        client.tell("abort")
        client.wait()
        again = dial(gnb, vips[:1], "--port", hit, "--count", 20, "--stay")
        assert again.expect("done").items() >= (WHOLE | {"delivered": 20}).items()
        assert where(balancer)[hit] == "amf/amf1"
        lab.boot("amf3")
        serve(amf)
        eventually(lambda: state(balancer, "amf3") == {"up"}, within_s=5)


@pytest.mark.parametrize("attach", ["xdp", "tc"])
def test_vips_answer_ping_and_vanish_with_their_service(lab_of: Callable[[str], Lab], attach: str) -> None:
    """Others find them by ARP where they share a subnet, and by their routes where they do not."""
    lab = lab_of("core")
    gnb, vips = lab.host("gnb1"), lab.topology.vips

    def answers(vip: str) -> bool:
        said = gnb.run("sh", "-c", f"ping -c1 -W1 {vip} >/dev/null && echo yes || echo no")
        return "yes" in said.lines

    with daemon(lab, attach) as balancer:
        push(balancer, "amf1")
        assert [answers(vip) for vip in vips] == [True, True]
        with balancer.client() as rest:
            rest.delete("Service", "n2")
        assert [answers(vip) for vip in vips] == [False, False]


@pytest.mark.parametrize("attach", ["xdp", "tc"])
def test_vips_of_a_connected_subnet_answer_arp_and_nd(lab_of: Callable[[str], Lab], attach: str) -> None:
    """IPv4 and IPv6: announced to who knew another, found by who knew none, gone with the service."""
    lab = lab_of("mixed")
    gnb = lab.host("gnb1")
    vips = ["192.0.2.60", "2001:db8:1::60"]

    def neighbour(vip: str) -> str:
        gnb.run("ping", "-n", "-c1", "-W1", vip)
        return " ".join(gnb.run("ip", "neigh", "show", vip).lines)

    with daemon(lab, attach) as balancer:
        with lab.capture("gnb1") as wire:
            push(balancer, "amf1", service={"vips": vips})
            eventually(lambda: len(announced(wire, vips)) == len(vips), within_s=5)
        assert all("lladdr" in neighbour(vip) for vip in vips)
        with balancer.client() as rest:
            rest.delete("Service", "n2")
        gnb.ip("neigh flush all")
        for vip in vips:
            with pytest.raises(LabGuestError, match="ping"):
                neighbour(vip)


def announced(wire: Capture, vips: list[str]) -> set[str]:
    """VIPs of gratuitous ARP (RFC 5227 §3) and unsolicited neighbour advertisements (RFC 4861 §7.2.6)."""
    found = set()
    for frame in wire.frames:
        if frame.data[12:14] == b"\x08\x06" and frame.data[28:32] == frame.data[38:42]:
            found.add(str(ip_address(frame.data[28:32])))
        network = frame.network
        if network and network[2] == IPPROTO_ICMPV6 and network[3][0] == NEIGHBOUR_ADVERTISEMENT:
            found.add(str(ip_address(network[3][8:24])))
    return found & set(vips)


@pytest.mark.parametrize("attach", ["xdp", "tc"])
def test_idle_expiry_tells_both_ends(lab_of: Callable[[str], Lab], attach: str) -> None:
    """With `idle_expiry: abort` neither kernel keeps an association that we have forgotten."""
    lab = lab_of("core")
    vips = lab.topology.vips
    gnb, amf = lab.host("gnb1"), lab.host("amf1")
    for host in (gnb, amf):
        host.sysctls({"net.sctp.hb_interval": "60000"})
    server = serve(amf)
    try:
        with daemon(lab, attach) as balancer:
            push(balancer, "amf1", service={"idle_expiry": "abort", "timeouts": {"established": "1s"}})
            client = dial(gnb, vips[:1], "--count", 3, "--stay")
            client.expect("done")
            assert str(client.expect("closed", timeout_s=8)["reason"]).startswith("lost")
            assert str(server.expect("closed", timeout_s=2)["reason"]).startswith("lost")
    finally:
        for host in (gnb, amf):
            host.sysctls(lab.sctp.sysctls())
