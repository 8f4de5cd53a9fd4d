"""VIPs as addresses: answered for, announced, gone with their service, and never another's."""

import json
import socket
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from lb.datapath.attach import inside
from lb.model import Assign, Mode, Pick, Policy, Pool, Protocol, Service
from lb.net import Vips
from tests.net.conftest import Wires, run

pytestmark = pytest.mark.root
SAME_SUBNET = ("10.77.0.50", "fd77::50")
ROUTED = "10.100.0.1"


def policy(*vips: str, assign: Assign = Assign.INTERFACE) -> Policy:
    """One service with these VIPs; none: no service."""
    service = Service(
        name="n2",
        vips=tuple(map(ip_address, vips)),
        protocol=Protocol.SCTP,
        port=38412,
        last_port=38412,
        mode=Mode.FULLNAT,
        pick=Pick.ROUND_ROBIN,
        pool="amf",
        assign=assign,
    )
    return Policy(pools={"amf": Pool(name="amf", endpoints=())}, services={"n2": service} if vips else {})


def addresses(wires: Wires, link: str) -> list[str]:
    """What an interface of ours has."""
    listed = json.loads(run("ip", "-n", wires.near_name, "-j", "addr", "show", "dev", link))
    return [f"{one['local']}/{one['prefixlen']}" for one in listed[0]["addr_info"]]


def answers(wires: Wires, address: str) -> bool:
    """Whether the far end gets ARP or ND, and ping."""
    command = ["ip", "netns", "exec", wires.far_name, "ping", "-c1", "-W1", address]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_vips_of_a_connected_subnet_are_answered_for_and_vanish(wires: Wires, tmp_path: Path) -> None:
    """On the interface that holds the subnet, alone in their prefix."""
    vips = Vips(tmp_path / "vips.json", netns=wires.near_name)
    vips.apply(policy(*SAME_SUBNET))
    assert {"10.77.0.50/32", "fd77::50/128"} <= set(addresses(wires, "v0"))
    assert all(answers(wires, address) for address in SAME_SUBNET)
    vips.apply(policy())
    assert not {"10.77.0.50/32", "fd77::50/128"} & set(addresses(wires, "v0"))
    assert not answers(wires, SAME_SUBNET[0])
    assert vips.held == {}


def test_a_routed_vip_is_on_the_loopback(wires: Wires, tmp_path: Path) -> None:
    """No interface has its subnet; others route it to us."""
    run("ip", "-n", wires.far_name, "route", "add", ROUTED, "via", "10.77.0.1")
    Vips(tmp_path / "vips.json", netns=wires.near_name).apply(policy(ROUTED))
    assert f"{ROUTED}/32" in addresses(wires, "lo")
    assert answers(wires, ROUTED)


def test_assign_lo_and_none(wires: Wires, tmp_path: Path) -> None:
    """As the service says."""
    vips = Vips(tmp_path / "vips.json", netns=wires.near_name)
    vips.apply(policy("10.77.0.50", assign=Assign.LO))
    assert "10.77.0.50/32" in addresses(wires, "lo")
    vips.apply(policy("10.77.0.50", assign=Assign.NONE))
    assert "10.77.0.50/32" not in addresses(wires, "lo") + addresses(wires, "v0")


def test_an_address_that_was_there_is_left_there(wires: Wires, tmp_path: Path) -> None:
    """Not ours to remove."""
    run("ip", "-n", wires.near_name, "addr", "add", "10.77.0.50/24", "dev", "v0")
    vips = Vips(tmp_path / "vips.json", netns=wires.near_name)
    vips.apply(policy("10.77.0.50"))
    vips.apply(policy())
    assert "10.77.0.50/24" in addresses(wires, "v0")


def test_a_later_process_removes_what_an_earlier_one_assigned(wires: Wires, tmp_path: Path) -> None:
    """The journal outlives the process."""
    Vips(tmp_path / "vips.json", netns=wires.near_name).apply(policy("10.77.0.50"))
    later = Vips(tmp_path / "vips.json", netns=wires.near_name)
    later.apply(policy("10.77.0.50"))
    assert addresses(wires, "v0").count("10.77.0.50/32") == 1
    later.apply(policy())
    assert "10.77.0.50/32" not in addresses(wires, "v0")


def test_neighbours_learn_at_once_where_a_vip_is_now(wires: Wires, tmp_path: Path) -> None:
    """Gratuitous ARP: sender and target are the VIP, to everybody."""
    with inside(wires.far_name):
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    with link:
        link.settimeout(2)
        Vips(tmp_path / "vips.json", netns=wires.near_name).apply(policy("10.77.0.50"))
        frame = link.recv(64)
    assert frame[:6] == b"\xff" * 6
    assert frame[28:32] == frame[38:42] == ip_address("10.77.0.50").packed


def test_neighbours_of_ipv6_get_an_unsolicited_advertisement(wires: Wires, tmp_path: Path) -> None:
    """To all nodes, with the override flag and our link-layer address; the receiver checks hop limit and checksum."""
    with inside(wires.far_name):
        heard = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with heard:
        heard.settimeout(2)
        Vips(tmp_path / "vips.json", netns=wires.near_name).apply(policy("fd77::50"))
        while (message := heard.recv(128))[0] != 136 or message[8:24] != ip_address("fd77::50").packed:
            pass
    assert message[4] & 0x20
    assert message[24:26] == b"\x02\x01"
