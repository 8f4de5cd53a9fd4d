"""REST over the real engine: what is pushed is in the datapath, what is refused changes nothing."""

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lb.datapath.attach import Attach
from lb.datapath.engine import Engine
from telco.api.app import create_app
from telco.api.examples import POLICY as EXAMPLE
from telco.api.guard import Guard
from telco.api.hub import Hub
from telco.keeper import Keeper
from telco.store import Store
from tests.datapath.conftest import SMALL

pytestmark = pytest.mark.root


class Rest:
    """Requests to an application in this process."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request, one answer."""

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://telco") as client:
                return await client.request(method, path, **options)

        return asyncio.run(go())

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        """PUT."""
        return self.request("PUT", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        """PATCH."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        """DELETE."""
        return self.request("DELETE", path, **options)


@pytest.fixture
def rest(network: str, tmp_path: Path) -> Iterator[Rest]:
    """An engine on two interfaces of the tests' namespace, without pins."""
    engine = Engine(["v0", "v2"], attach=Attach.XDP, sizes=SMALL)
    keeper = Keeper(Store(tmp_path), engine)
    app = Guard(
        create_app(keeper, engine, Hub(lambda _: None)), token_sha256=None, max_body=1 << 20, per_second=1000
    )
    yield Rest(app)
    engine.remove()


def problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    """The body of an answer that must be this problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"].endswith("/" + kind)
    return body


def test_push_is_seen_everywhere(rest: Rest) -> None:
    """Policy, single resources, status, metrics, ETag."""
    answer = rest.put("/api/v1/policy", json=EXAMPLE)
    assert (answer.status_code, answer.json()["changes"], answer.headers["etag"]) == (200, 2, '"1"')
    assert rest.get("/api/v1/policy").json() == EXAMPLE
    assert rest.get("/api/v1/Service/n2").json().items() >= EXAMPLE[1].items()
    assert rest.get("/api/v1/services").json() == [EXAMPLE[1]]
    assert rest.get("/api/v1/status").json()["pools"]["amf"][0]["addresses"]["10.11.0.2"] == "up"
    assert rest.get("/api/v1/stats").json()["services"]["n2"]["associations"] == 0
    assert 'telco_service_associations{service="n2"} 0.0' in rest.get("/metrics").text
    assert rest.get("/api/v1/associations").json() == []
    assert rest.get("/readyz").text == "ready, revision 1\n"


def test_refused_push_changes_nothing(rest: Rest) -> None:
    """One bad field in one of two resources: neither is taken."""
    rest.put("/api/v1/policy", json=EXAMPLE)
    wrong: list[Any] = copy.deepcopy(EXAMPLE)
    wrong[1]["spec"]["port"] = 0
    body = problem(rest.put("/api/v1/policy", json=wrong), 422, "invalid-policy")
    assert body["errors"][0]["field"] == "Service/n2.spec.port"
    assert rest.get("/api/v1/policy").json() == EXAMPLE
    assert rest.get("/readyz").text == "ready, revision 1\n"


def test_stale_etag_is_refused(rest: Rest) -> None:
    """Somebody else was faster."""
    rest.put("/api/v1/policy", json=EXAMPLE)
    rest.put("/api/v1/policy", json=EXAMPLE[:1])
    problem(rest.put("/api/v1/policy", json=[], headers={"If-Match": '"1"'}), 412, "stale-revision")
    assert rest.put("/api/v1/policy", json=[], headers={"If-Match": '"2"'}).status_code == 200


def test_single_resources_come_and_go(rest: Rest) -> None:
    """PUT merges, DELETE removes, a pool in use cannot be removed."""
    rest.put("/api/v1/pools/amf", json=EXAMPLE[0])
    rest.put("/api/v1/services/n2", json=EXAMPLE[1])
    problem(rest.delete("/api/v1/pools/amf"), 422, "invalid-policy")
    assert rest.delete("/api/v1/services/n2").json()["steps"] == [
        {"action": "remove", "kind": "Service", "name": "n2"}
    ]
    problem(rest.get("/api/v1/services/n2"), 404, "not-found")
    problem(rest.get("/api/v1/routers"), 404, "not-found")


def test_diff_changes_nothing(rest: Rest) -> None:
    """What a push would do, and no more."""
    rest.put("/api/v1/policy", json=EXAMPLE)
    answer = rest.post("/api/v1/policy/diff?prune=true", json=[EXAMPLE[0]]).json()
    assert answer["steps"] == [{"action": "remove", "kind": "Service", "name": "n2"}]
    assert len(rest.get("/api/v1/policy").json()) == 2


def test_content_type_size_and_garbage(rest: Rest) -> None:
    """Each has its own answer."""
    problem(rest.put("/api/v1/policy", content=b"x", headers={"Content-Type": "text/plain"}), 415, "http-415")
    garbage = {"content": b"\x00" * 4096, "headers": {"Content-Type": "application/json"}}
    problem(rest.put("/api/v1/policy", **garbage), 422, "invalid-policy")
    large = {"content": b"x" * (1 << 21), "headers": {"Content-Type": "application/json"}}
    problem(rest.put("/api/v1/policy", **large), 413, "too-large")


def test_restart_finds_the_policy(network: str, tmp_path: Path) -> None:
    """Durable before it was acknowledged."""
    engine = Engine(["v1"], attach=Attach.TC, sizes=SMALL)
    Keeper(Store(tmp_path), engine).replace(_example())
    keeper = Keeper(Store(tmp_path), engine)
    assert (keeper.revision, sorted(keeper.policy.services)) == (1, ["n2"])
    engine.remove()


def _example() -> list[Any]:
    from telco.resources import check  # noqa: PLC0415

    return list(check(EXAMPLE))
