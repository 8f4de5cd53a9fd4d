"""What a policy may say, and the words for what it may not: field, value, what is allowed."""

import json
from ipaddress import ip_address
from typing import Any

import pytest

from lb.model import Mode, Paths, Pick, Policy
from telco.errors import PolicyError
from telco.policy import build
from telco.resources import check, dump, parse


def pool(name: str = "amf", **spec: Any) -> dict[str, Any]:
    """A pool of one endpoint."""
    endpoints = [{"name": "amf-1", "addresses": ["10.11.0.2", "10.12.0.2"], "port": 38412}]
    return {"kind": "Pool", "name": name, "spec": {"endpoints": endpoints} | spec}


def service(name: str = "n2", **spec: Any) -> dict[str, Any]:
    """A service on it."""
    values = {"vips": ["10.100.0.1", "10.101.0.1"], "port": 38412, "pool": "amf"}
    return {"kind": "Service", "name": name, "spec": values | spec}


def made(*resources: dict[str, Any]) -> tuple[Policy, list[str]]:
    """Through both checks."""
    return build(check(list(resources)))


def test_yaml_and_json_give_the_same_policy() -> None:
    """Multi-document YAML and a JSON list are two spellings."""
    document = b"""
kind: Pool
name: amf
spec: {endpoints: [{name: amf-1, addresses: [10.11.0.2, 10.12.0.2], port: 38412}], probe: {type: sctp, interval: 2s}}
---
kind: Service
name: n2
spec: {vips: [10.100.0.1], port: 5000-5100, mode: onearm, pick: wrr, pool: amf, timeouts: {established: 10min}}
"""
    resources = parse(document, yaml_text=True)
    again = parse(json.dumps([dump(resource) for resource in resources]).encode(), yaml_text=False)
    policy, warnings = build(again)
    assert build(resources)[0] == policy
    assert warnings == []
    found = policy.services["n2"]
    assert (found.port, found.last_port, found.mode, found.pick) == (
        5000,
        5100,
        Mode.ONEARM,
        Pick.WEIGHTED_ROUND_ROBIN,
    )
    assert found.timeouts.established == 600
    assert policy.pools["amf"].probe.interval == 2


def test_paths_default_to_what_the_endpoints_have() -> None:
    """Mirror where one has several addresses, single where all have one."""
    one = [{"name": "a", "addresses": ["10.11.0.2"]}]
    assert made(pool())[0].pools["amf"].paths is Paths.MIRROR
    assert made(pool(endpoints=one))[0].pools["amf"].paths is Paths.SINGLE


WEIGHT = "Pool/amf.spec.endpoints[0].weight"
TWINS = [{"name": "a", "addresses": ["10.0.0.1"]}, {"name": "b", "addresses": ["10.0.0.2", "10.0.0.1"]}]
BAD = [
    (service(colour="red"), "Service/n2.spec.colour", "no such field; vips, protocol, port,"),
    (service(vips=["10.100.0.300"]), "Service/n2.spec.vips[0]", "an IPv4 or IPv6 address is allowed"),
    (service(vips=["224.0.0.1"]), "Service/n2.spec.vips[0]", "a unicast address"),
    (service(vips=["127.0.0.1"]), "Service/n2.spec.vips[0]", "a unicast address"),
    (service(vips=[]), "Service/n2.spec.vips", "at least 1 item"),
    (service(vips=[f"10.100.0.{i}" for i in range(1, 10)]), "Service/n2.spec.vips", "at most 8 items"),
    (service(vips=["10.100.0.1", "10.100.0.1"]), "Service/n2.spec.vips", "each VIP once"),
    (service(port=70000), "Service/n2.spec.port", "1 to 65535"),
    (service(port="9-5"), "Service/n2.spec.port", "lower first"),
    (service(port="http"), "Service/n2.spec.port", "a port is 1 to 65535"),
    (service(pool="upf"), "Service/n2.spec.pool", "a pool of this policy: amf"),
    (service(mode="nat"), "Service/n2.spec.mode", "'dnat', 'onearm', 'fullnat' or 'dsr'"),
    (service(protocol="tcp", mode="dsr"), "Service/n2.spec.mode", "dnat or fullnat for tcp"),
    (service(vips=["2001:db8::1"]), "Pool/amf.spec.endpoints[amf-1].addresses", "an IPv6 address"),
    (service(allowed_sources=["10.0.0.0/40"]), "Service/n2.spec.allowed_sources[0]", "a prefix such as"),
    (
        service(timeouts={"established": "soon"}),
        "Service/n2.spec.timeouts.established",
        "a number and one of ms",
    ),
    (
        pool("upf", endpoints=[{"name": "a", "addresses": []}]),
        "Pool/upf.spec.endpoints[0].addresses",
        "at least 1",
    ),
    (
        pool("upf", probe={"type": "ping", "interval": "1s", "timeout": "1s"}),
        "Pool/upf.spec.probe.timeout",
        "less than",
    ),
    ({"kind": "Router", "name": "r", "spec": {}}, "Router/r", "'Pool', 'Service'"),
    ({"kind": "Service", "spec": {}}, "resource 3.name", "Field required"),
    (service(vips=["::ffff:10.0.0.1"]), "Service/n2.spec.vips[0]", "an IPv4 address as such"),
    (service(vips=["2001:db8::1%eth0"]), "Service/n2.spec.vips[0]", "without a zone"),
    (service(vips=["255.255.255.255"]), "Service/n2.spec.vips[0]", "a unicast address"),
    (service(vips=["10.11.0.2"]), "Pool/amf.spec.endpoints[amf-1].addresses", "no VIP of n2"),
    (service(vips=[7]), "Service/n2.spec.vips[0]", "a valid string"),
    (service(port=0), "Service/n2.spec.port", "1 to 65535"),
    (service(port="5000-"), "Service/n2.spec.port", "1 to 65535"),
    (service(port=True), "Service/n2.spec.port", "1 to 65535"),
    (service(port=10**400), "Service/n2.spec.port", "1 to 65535"),
    (service(timeouts={"established": True}), "Service/n2.spec.timeouts.established", "a duration is"),
    (service(timeouts={"established": float("nan")}), "Service/n2.spec.timeouts.established", "greater than"),
    (service(timeouts={"established": float("inf")}), "Service/n2.spec.timeouts.established", "less than"),
    (service(timeouts={"idle": 1}), "Service/n2.spec.timeouts.idle", "established, shutdown are allowed"),
    (pool(probe={"rise": True}), "Pool/amf.spec.probe.rise", "a valid integer"),
    (pool(endpoints=[{"name": "a", "addresses": ["10.0.0.1"], "weight": 65536}]), WEIGHT, "65535"),
    (pool(endpoints=[{"name": "a", "addresses": ["10.0.0.1"], "weight": -1}]), WEIGHT, "equal to 0"),
    (pool(endpoints=[{"name": "a", "addresses": ["10.0.0.1"], "weight": "2"}]), WEIGHT, "a valid integer"),
    (pool(endpoints=TWINS), "Pool/amf.spec.endpoints[b].addresses", "that 'a' does not have"),
    (pool(name="a\0"), "Pool/a\\x00.name", "match pattern"),
    (
        {"kind": "Pool", "name": "amf", "spec": {f"f{i}": i for i in range(65)}},
        "Pool/amf",
        "at most 64 fields",
    ),
]


@pytest.mark.parametrize(("wrong", "field", "allowed"), BAD, ids=[field for _, field, _ in BAD])
def test_wrong_fields_are_named(wrong: dict[str, Any], field: str, allowed: str) -> None:
    """One thing wrong, one problem that says where and what would be right."""
    rest = [other for other in (pool(), service()) if other["name"] != wrong.get("name")]
    with pytest.raises(PolicyError) as found:
        made(*rest, wrong)
    problem = next(problem for problem in found.value.problems if problem.field == field)
    assert allowed in problem.allowed


@pytest.mark.parametrize("other", [38412, "38000-39000", "any"])
def test_two_services_may_not_share_a_vip_and_port(other: int | str) -> None:
    """Ranges count, too."""
    with pytest.raises(PolicyError, match="a VIP and port that"):
        made(pool(), service(), service("n2b", vips=["10.101.0.1"], port=other))


def test_same_vip_on_another_port_is_fine() -> None:
    """A VIP may carry many services."""
    assert len(made(pool(), service(), service("s6", port=3868))[0].services) == 2


def test_mixed_scope_and_benchmark_vips_are_warned_about() -> None:
    """Linux peers would ignore or refuse them."""
    _, warnings = made(pool(), service(vips=["10.100.0.1", "8.8.8.8"]), service("b", vips=["198.18.0.1"]))
    assert [warning.partition(":")[0] for warning in warnings] == [
        "Service/n2.spec.vips",
        "Service/b.spec.vips",
    ]


@pytest.mark.parametrize(
    ("body", "yaml_text"),
    [
        (b"{", False),
        (b"\xff\xfe", False),
        (b"[" * 100_000, False),
        (b"a: [", True),
        (b"\x00", True),
        (b"- 3", True),
    ],
)
def test_garbage_is_refused_in_one_sentence(body: bytes, *, yaml_text: bool) -> None:
    """No trace, whatever the bytes."""
    with pytest.raises(PolicyError):
        parse(body, yaml_text=yaml_text)


def test_addresses_are_values() -> None:
    """The model holds addresses, not text."""
    assert made(pool(), service())[0].services["n2"].vips[0] == ip_address("10.100.0.1")
