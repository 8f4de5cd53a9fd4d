"""Bad policy over REST: problem+json that names field, value and what is allowed; nothing of it applied."""

import asyncio
import copy
import errno
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lb.bpf import BpfError
from lb.datapath.objects import Sizes
from lb.model import Policy
from telco.api.examples import POLICY
from telco.policy import Limits
from tests.product.conftest import Build, asking

pytestmark = pytest.mark.root
JSON, YAML = {"Content-Type": "application/json"}, {"Content-Type": "application/yaml"}
TIGHT = Sizes(conversations=256, handshakes=128, services=8, endpoints=64)


def changed(index: int, **spec: Any) -> list[dict[str, Any]]:
    """The example policy with one resource's spec changed."""
    policy = copy.deepcopy(POLICY)
    policy[index]["spec"] |= spec
    return policy


def services(count: int) -> list[dict[str, Any]]:
    """The example's pool, and services with a port of their own each."""
    spec = POLICY[1]["spec"]
    made = [POLICY[1] | {"name": f"s{i}", "spec": spec | {"port": 1000 + i}} for i in range(count)]
    return [POLICY[0], *made]


WRONG: dict[str, tuple[Any, str]] = {
    "unknown field": (changed(1, colour="red"), "Service/n2.spec.colour"),
    "bad address": (changed(1, vips=["10.100.0.256"]), "Service/n2.spec.vips[0]"),
    "multicast": (changed(1, vips=["224.0.0.1"]), "Service/n2.spec.vips[0]"),
    "loopback": (changed(1, vips=["::1"]), "Service/n2.spec.vips[0]"),
    "vip of two": (
        [*POLICY, POLICY[1] | {"name": "n2b"}],
        "Service/n2b.spec.vips",
    ),
    "families": (changed(1, vips=["2001:db8::1"]), "Pool/amf.spec.endpoints[amf-1].addresses"),
    "unknown pool": (changed(1, pool="smf"), "Service/n2.spec.pool"),
    "too many": (services(65), "services"),
    "name twice": ([*POLICY, POLICY[0]], "Pool/amf.name"),
    "port": (changed(1, port="9-5"), "Service/n2.spec.port"),
}


def ask(build: Build, *requests: tuple[str, str, dict[str, Any]], **bounds: Any) -> list[httpx.Response]:
    """Answers to requests in turn, after the example was pushed; then what the policy is and whether it is ready."""
    _, app = build(limits=Limits(services=64))

    async def go() -> list[httpx.Response]:
        with asking(app, **bounds) as client:
            async with client:
                assert (await client.put("/api/v1/policy", json=POLICY)).status_code == 200
                found = [await client.request(method, path, **options) for method, path, options in requests]
                return [*found, await client.get("/api/v1/policy"), await client.get("/readyz")]

    return asyncio.run(go())


def refused(build: Build, *requests: tuple[str, str, dict[str, Any]], **bounds: Any) -> list[httpx.Response]:
    """The same, of requests that must leave everything as it was."""
    *answers, policy, ready = ask(build, *requests, **bounds)
    assert policy.json() == POLICY
    assert ready.text == "ready, revision 1\n"
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json().keys() >= {"type", "title", "status", "detail"}
        assert answer.json()["status"] == answer.status_code
    return answers


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_wrong_policies_are_refused_whole(build: Build, method: str) -> None:
    """With the field, its value and what is allowed; in a diff too."""
    asked = [
        (how, path, {"json": document})
        for document, _ in WRONG.values()
        for how, path in ((method, "/api/v1/policy"), ("POST", "/api/v1/policy/diff?prune=true"))
    ]
    answers = refused(build, *asked)
    for i, (case, (_, field)) in enumerate(WRONG.items()):
        for answer in answers[2 * i : 2 * i + 2]:
            assert answer.status_code == 422, (case, answer.text)
            found = {error["field"]: error for error in answer.json()["errors"]}
            assert field in found, case
            assert all(found[field][part] for part in ("value", "allowed")), case


GARBAGE: dict[str, tuple[bytes, dict[str, str], int]] = {
    "10 MB": (b"x" * 10_000_000, JSON, 422),
    "10 MB YAML": (bytes(range(256)) * 40_000, YAML, 422),
    "deep YAML": (b"[" * 100_000, YAML, 422),
    "no UTF-8": (b"\xff\xfe\x00", JSON, 422),
    "empty": (b"", YAML, 422),
    "text": (b"[]", {"Content-Type": "text/plain"}, 415),
    "no type": (b"[]", {}, 415),
    "too large": (b"x" * 20_000_001, JSON, 413),
}


def test_garbage_has_its_own_answer(build: Build) -> None:
    """For the whole policy and for one resource."""
    asked = [
        ("PUT", path, {"content": body, "headers": headers})
        for body, headers, _ in GARBAGE.values()
        for path in ("/api/v1/policy", "/api/v1/pools/amf")
    ]
    answers = refused(build, *asked, max_body=20_000_000)
    for i, (case, (_, _, status)) in enumerate(GARBAGE.items()):
        assert [answer.status_code for answer in answers[2 * i : 2 * i + 2]] == [status, status], case


def test_bodies_without_a_length_are_bounded_too(build: Build) -> None:
    """In chunks, as streamed."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 100_000

    (answer,) = refused(build, ("PUT", "/api/v1/policy", {"content": chunks(), "headers": JSON}))
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (413, "too-large")


def test_every_write_heeds_if_match(build: Build) -> None:
    """A stale or malformed ETag changes nothing; one of several is enough."""
    stale = {"If-Match": '"0"'}
    one = {"spec": POLICY[0]["spec"]}
    writes: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "/api/v1/policy", {"json": []}),
        ("PATCH", "/api/v1/policy", {"json": POLICY}),
        ("PUT", "/api/v1/pools/amf", {"json": one}),
        ("DELETE", "/api/v1/services/n2", {}),
    ]
    wrong = [stale, {"If-Match": "1"}, {"If-Match": "null"}]
    asked = [
        (method, path, options | {"headers": headers})
        for headers in wrong
        for method, path, options in writes
    ]
    assert {answer.status_code for answer in refused(build, *asked)} == {412}
    several = {"headers": {"If-Match": '"0", "1"'}}
    assert ask(build, ("DELETE", "/api/v1/services/n2", several))[0].status_code == 200


def test_put_is_idempotent(build: Build) -> None:
    """The same again changes nothing, not even the revision."""
    put: tuple[str, str, dict[str, Any]] = ("PUT", "/api/v1/pools/amf", {"json": POLICY[0]})
    *answers, _, ready = ask(build, put, put, ("PUT", "/api/v1/policy", {"json": POLICY}))
    assert [answer.json()["changes"] for answer in answers] == [0, 0, 0]
    assert ready.text == "ready, revision 1\n"


def test_a_pool_in_use_stays(build: Build) -> None:
    """And the answer says who uses it."""
    (answer,) = refused(build, ("DELETE", "/api/v1/pools/amf", {}))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Service/n2.spec.pool"


def test_a_body_must_be_what_its_path_says(build: Build) -> None:
    """A name or kind that differs is a mistake."""
    other = POLICY[0] | {"name": "smf"}
    asked = [("PUT", path, {"json": other}) for path in ("/api/v1/pools/amf", "/api/v1/services/smf")]
    assert [answer.status_code for answer in refused(build, *asked)] == [422, 422]


def test_unknown_paths_kinds_names_and_methods(build: Build) -> None:
    """Each is a problem, too."""
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/nowhere", {}),
        ("GET", "/api/v1/routers", {}),
        ("GET", "/api/v1/pools/smf", {}),
        ("DELETE", "/api/v1/pools/smf", {}),
        ("POST", "/api/v1/pools/amf", {}),
        ("POST", "/api/v1/policy/diff?prune=perhaps", {"json": []}),
    ]
    answers = refused(build, *asked)
    assert [answer.status_code for answer in answers] == [404, 404, 404, 404, 405, 422]
    assert answers[2].json()["detail"] == "Pool 'smf' does not exist"


def test_mixed_scope_is_a_warning(build: Build) -> None:
    """In the answer, in the status, and at the service."""
    mixed = changed(1, vips=["10.100.0.1", "8.8.8.8"])
    pushed, status, service, *_ = ask(
        build,
        ("PUT", "/api/v1/policy", {"json": mixed}),
        ("GET", "/api/v1/status", {}),
        ("GET", "/api/v1/services/n2", {}),
    )
    for answer in (pushed.json(), status.json(), service.json()["status"]):
        assert "private and global" in answer["warnings"][0]


def test_a_datapath_that_is_full_puts_everything_back(build: Build) -> None:
    """Limits are told before; where a map is full all the same, nothing is left half written, revision and all."""
    keeper, app = build(sizes=TIGHT, limits=Limits())

    async def go() -> list[httpx.Response]:
        with asking(app) as client:
            async with client:
                return [
                    await client.put("/api/v1/policy", json=POLICY),
                    await client.put("/api/v1/policy", json=services(9)),
                    await client.get("/api/v1/policy"),
                    await client.get("/readyz"),
                ]

    first, full, policy, ready = asyncio.run(go())
    assert (first.status_code, full.status_code) == (200, 503)
    assert full.json()["detail"] == "more than 8 services: raise the limit and restart"
    assert policy.json() == POLICY
    assert ready.text == "ready, revision 1\n"
    assert keeper.applied


def test_not_ready_while_the_policy_is_not_in_the_datapath(build: Build) -> None:
    """A datapath that refuses the new policy and the old: pushes fail, and /readyz says so; /healthz does not."""
    keeper, app = build()

    class Broken:
        def apply(self, policy: Policy) -> None:  # noqa: ARG002
            """What no real map can be made to do: take nothing, not even what it had."""
            raise BpfError("update vips", errno.EIO)

    keeper._engine = Broken()

    async def go() -> list[httpx.Response]:
        with asking(app) as client:
            async with client:
                return [
                    await client.put("/api/v1/policy", json=POLICY),
                    await client.get("/readyz"),
                    await client.get("/healthz"),
                ]

    push, ready, health = asyncio.run(go())
    assert [push.status_code, ready.status_code, health.status_code] == [503, 503, 200]
    assert ready.headers["content-type"] == "application/problem+json"


def test_requests_are_limited_and_supervisors_are_not(build: Build) -> None:
    """429 with when to come again."""
    answers = ask(build, *[("GET", "/api/v1/status", {})] * 20, *[("GET", "/readyz", {})] * 9, per_second=5)
    refusals = [answer for answer in answers if answer.status_code == 429]
    assert refusals
    assert {answer.headers["retry-after"] for answer in refusals} == {"1"}
    assert all(answer.status_code == 200 for answer in answers[20:29])
