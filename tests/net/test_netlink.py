"""rtnetlink of our own against what the tool `ip` says."""

import errno
import json
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface

import pytest

from lb.datapath.attach import inside
from lb.netlink import Netlink, NetlinkError
from tests.net.conftest import Wires, run

pytestmark = pytest.mark.root


@pytest.fixture
def netlink(wires: Wires) -> Iterator[Netlink]:
    """In the near namespace."""
    with inside(wires.near_name), Netlink() as made:
        yield made


def shown(wires: Wires, *words: str) -> list[dict[str, object]]:
    """What `ip` prints."""
    found: list[dict[str, object]] = json.loads(run("ip", "-n", wires.near_name, "-j", *words))
    return found


def test_links_are_those_of_ip(wires: Wires, netlink: Netlink) -> None:
    """Name, index, hardware address, and whether it is up."""
    run("ip", "-n", wires.near_name, "link", "add", "v9", "type", "veth", "peer", "name", "v8")
    for link in shown(wires, "link"):
        found = netlink.links()[str(link["ifname"])]
        assert found.index == link["ifindex"]
        assert found.mac.hex(":") == link["address"]
        assert found.up == ("UP" in str(link["flags"]))
    assert set(netlink.links()) == {"lo", "v0", "v8", "v9"}


def test_more_links_than_one_answer_holds(wires: Wires, netlink: Netlink) -> None:
    """A dump comes in parts."""
    for i in range(40):
        run("ip", "-n", wires.near_name, "link", "add", f"a{i}", "type", "veth", "peer", "name", f"b{i}")
    assert len(netlink.links()) == 82


def test_addresses_come_and_go(wires: Wires, netlink: Netlink) -> None:
    """Of both families; what is there already, or is not there, is refused with the kernel's number."""
    index = netlink.links()["v0"].index
    before = netlink.addresses()
    assert {ip_interface("10.77.0.1/24"), ip_interface("fd77::1/64")} <= set(before[index])
    for text in ("10.77.0.50", "fd77::50"):
        address = ip_address(text)
        netlink.add_address(index, address)
        assert ip_interface(text) in netlink.addresses()[index]
        with pytest.raises(NetlinkError) as refused:
            netlink.add_address(index, address)
        assert refused.value.errno == errno.EEXIST
        netlink.delete_address(index, address)
        with pytest.raises(NetlinkError) as refused:
            netlink.delete_address(index, address)
        assert refused.value.errno == errno.EADDRNOTAVAIL
    assert netlink.addresses() == before


def test_our_address_towards_a_server_is_the_routes(wires: Wires, netlink: Netlink) -> None:
    """Connected, routed with a source of its own, or not reachable at all."""
    run("ip", "-n", wires.near_name, "addr", "add", "10.77.0.9/24", "dev", "v0")
    run("ip", "-n", wires.near_name, "route", "add", "10.9.0.0/16", "via", "10.77.0.2", "src", "10.77.0.9")
    found = {
        text: netlink.source_towards(ip_address(text))
        for text in ("10.77.0.2", "10.9.1.1", "10.8.1.1", "fd77::2", "fd99::1")
    }
    assert found == {
        "10.77.0.2": ip_address("10.77.0.1"),
        "10.9.1.1": ip_address("10.77.0.9"),
        "10.8.1.1": None,
        "fd77::2": ip_address("fd77::1"),
        "fd99::1": None,
    }
