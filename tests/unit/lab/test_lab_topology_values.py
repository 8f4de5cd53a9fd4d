"""Topologies: addresses and routes follow from names and numbers; contradictions are refused."""

import pytest
from free5gc_lab.errors import LabTopologyError
from free5gc_lab.topologies import TOPOLOGIES, topology
from free5gc_lab.topology import Host, Side, Subnet, Topology

NET = Subnet(name="net", side=Side.CLIENT, networks=("10.9.0.0/24", "fd09::/64"))


def made(*hosts: Host) -> Topology:
    return Topology(name="t", subnets=(NET,), hosts=hosts, vips=())


def test_address_is_the_hosts_number_in_each_network() -> None:
    """A host's number is its host part everywhere, for either family."""
    assert made(Host(name="a", number=7, subnets=("net",))).addresses("a") == ("10.9.0.7", "fd09::7")


def test_core_has_what_the_demo_needs() -> None:
    """Two gNBs and three AMFs with two NICs each, one AMF able to die."""
    core = topology("core")
    assert core.addresses("gnb2") == ("10.1.0.3", "10.2.0.3")
    assert core.addresses("amf3") == ("10.11.0.4", "10.12.0.4")
    assert core.host("amf3").kind == "own"
    assert core.vips == ("10.100.0.1", "10.101.0.1")


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
def test_path_k_joins_subnet_k_of_both_sides(name: str) -> None:
    """A host reaches the other side's network k and VIP k through its NIC k only."""
    found = topology(name)
    for client, endpoint in (("client1", "endpoint1"), ("client2", "endpoint2")):
        assert set(found.subnet(endpoint).networks) <= set(found.subnet(client).via)
        assert set(found.subnet(client).networks) <= set(found.subnet(endpoint).via)
    routed = [network for subnet in found.subnets if subnet.side is Side.CLIENT for network in subnet.via]
    assert len(routed) == len(set(routed))


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ((Host(name="a", number=1, subnets=("net",)),), "a.number: 1 must be above 1"),
        ((Host(name="lb", number=2, subnets=("net",)),), "'lb'"),
        ((Host(name="averylongname", number=2, subnets=()),), "1 to 11 letters"),
        ((Host(name="a", number=2, subnets=("nope",)),), "a.subnets: 'nope' is none of ['net']"),
        (
            (Host(name="a", number=2, subnets=("net",)), Host(name="b", number=2, subnets=("net",))),
            "belongs to a",
        ),
        ((Host(name="a", number=2, subnets=()), Host(name="a", number=3, subnets=())), "names must differ"),
    ],
)
def test_contradiction_is_named(hosts: tuple[Host, ...], said: str) -> None:
    """The message says field, value and what is allowed."""
    with pytest.raises(LabTopologyError) as caught:
        made(*hosts)
    assert said in str(caught.value)


def test_unknown_names_list_the_known() -> None:
    """A typo is answered with what there is."""
    with pytest.raises(LabTopologyError, match="'tiny' is none of"):
        topology("tiny")
    with pytest.raises(LabTopologyError, match="'amf9' is none of"):
        topology("core").host("amf9")
    with pytest.raises(LabTopologyError, match="'dmz' is none of"):
        topology("core").subnet("dmz")
