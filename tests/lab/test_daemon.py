"""The daemon as users run it, under traffic: killed, restarted, given other policies, told by probes who is dead."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from free5gc_lab.balancer import Balancer
from free5gc_lab.echo import WHOLE, dial, finish, serve, wait_for_state
from free5gc_lab.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.lab]
PORT = 38412
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
    with daemon(lab, attach) as balancer:
        push(balancer, "amf1")
        client = dial(lab.host("gnb1"), vips[:1], "--interval", 2)
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
        balancer.start()
        assert where(balancer) == before
        report = finish(client)
        assert report.items() >= WHOLE.items()
        assert float(str(report["max_gap_ms"])) < 100


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
