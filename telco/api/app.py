"""The application: routes, and nothing else."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Header, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, StreamingResponse

from telco.api import problems, views
from telco.api.hub import Hub
from telco.keeper import Applied, Keeper, kind_of
from telco.resources import Resource, check, dump, parse

JSON_TYPES = {"application/json"}
YAML_TYPES = {"application/yaml", "application/x-yaml", "text/yaml"}
EXAMPLE = [
    {
        "kind": "Pool",
        "name": "amf",
        "spec": {"endpoints": [{"name": "amf-1", "addresses": ["10.11.0.2", "10.12.0.2"], "port": 38412}]},
    },
    {
        "kind": "Service",
        "name": "n2",
        "spec": {"vips": ["10.100.0.1", "10.101.0.1"], "port": 38412, "mode": "fullnat", "pool": "amf"},
    },
]
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "array", "items": {"type": "object"}},
                "example": EXAMPLE,
            },
            "application/yaml": {"schema": {"type": "string"}},
        },
    }
}
ONE = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": EXAMPLE[0]}},
    }
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {problems.MEDIA: {}}}
    for status, text in {
        401: "no token",
        404: "no such kind or name",
        412: "stale revision",
        413: "body too large",
        415: "wrong content type",
        422: "a field is wrong",
        429: "too many requests",
        503: "the datapath refused",
        507: "the store refused",
    }.items()
}
IfMatch = Annotated[str | None, Header(description="the ETag that this change is based on")]


def _revision(etag: str | None) -> int | None:
    if etag is None or etag == "*":
        return None
    found = re.fullmatch(r'(?:W/)?"(\d{1,18})"', etag.strip())
    if not found:
        raise HTTPException(412, f"If-Match: {etag[:40]!r}: the ETag of an earlier answer is allowed")
    return int(found[1])


async def _resources(request: Request) -> list[Resource]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON_TYPES | YAML_TYPES:
        allowed = ", ".join(sorted(JSON_TYPES | YAML_TYPES))
        raise HTTPException(415, f"content-type: {kind or 'none'!r}: {allowed} are allowed")
    body = await request.body()
    return await run_in_threadpool(parse, body, yaml_text=kind in YAML_TYPES)


def _answer(applied: Applied, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{applied.revision}"'
    steps = [{"action": s.action, "kind": s.kind, "name": s.name} for s in applied.steps[:1000]]
    return {
        "revision": applied.revision,
        "changes": len(applied.steps),
        "steps": steps,
        "warnings": list(applied.warnings),
    }


def policy_routes(keeper: Keeper) -> APIRouter:
    """The whole policy."""
    router = APIRouter(prefix="/api/v1", tags=["policy"], responses=ERRORS)

    @router.get("/policy", summary="Every resource")
    async def read(response: Response) -> list[dict[str, Any]]:
        response.headers["ETag"] = f'"{keeper.revision}"'
        return [dump(resource) for resource in keeper.resources.values()]

    @router.put("/policy", summary="Replace the whole policy, or refuse it whole", openapi_extra=BODY)
    async def replace(request: Request, response: Response, if_match: IfMatch = None) -> dict[str, Any]:
        wanted = await _resources(request)
        return _answer(await run_in_threadpool(keeper.replace, wanted, _revision(if_match)), response)

    @router.patch("/policy", summary="Add or change resources, leave the others", openapi_extra=BODY)
    async def merge(request: Request, response: Response, if_match: IfMatch = None) -> dict[str, Any]:
        wanted = await _resources(request)
        return _answer(await run_in_threadpool(keeper.merge, wanted, _revision(if_match)), response)

    @router.post("/policy/diff", summary="What a push would change", openapi_extra=BODY)
    async def diff(request: Request, response: Response, *, prune: bool = False) -> dict[str, Any]:
        wanted = await _resources(request)
        return _answer(await run_in_threadpool(keeper.diff, wanted, prune=prune), response)

    return router


def resource_routes(keeper: Keeper) -> APIRouter:
    """One resource."""
    router = APIRouter(prefix="/api/v1", tags=["resources"], responses=ERRORS)

    @router.get("/{kind}", summary="All resources of a kind")
    async def listed(kind: str) -> list[dict[str, Any]]:
        return [dump(resource) for resource in keeper.of_kind(kind_of(kind))]

    @router.get("/{kind}/{name}", summary="One resource")
    async def one(kind: str, name: str, response: Response) -> dict[str, Any]:
        found = dump(keeper.get(kind_of(kind), name))
        response.headers["ETag"] = f'"{keeper.revision}"'
        return found

    @router.put("/{kind}/{name}", summary="Make or change a resource", openapi_extra=ONE)
    async def put(
        kind: str,
        name: str,
        body: Annotated[dict[str, Any], Body()],
        response: Response,
        if_match: IfMatch = None,
    ) -> dict[str, Any]:
        wanted = check([{"spec": body.get("spec", body)} | {"kind": kind_of(kind), "name": name}])
        return _answer(await run_in_threadpool(keeper.merge, wanted, _revision(if_match)), response)

    @router.delete("/{kind}/{name}", summary="Remove a resource")
    async def delete(kind: str, name: str, response: Response, if_match: IfMatch = None) -> dict[str, Any]:
        applied = await run_in_threadpool(keeper.delete, kind_of(kind), name, _revision(if_match))
        return _answer(applied, response)

    return router


def observed_routes(keeper: Keeper, engine: views.Observed, hub: Hub) -> APIRouter:
    """What is, rather than what should be."""
    router = APIRouter(prefix="/api/v1", tags=["observed"], responses=ERRORS)

    @router.get("/status", summary="Interfaces, health, warnings")
    async def status() -> dict[str, Any]:
        return views.status(engine, keeper.revision, keeper.warnings)

    @router.get("/associations", summary="Every association, live")
    async def associations(service: str | None = None, endpoint: str | None = None) -> list[dict[str, Any]]:
        rows = await run_in_threadpool(lambda: list(engine.associations()))
        return [
            views.association(row)
            for row in rows
            if service in {None, row.service} and endpoint in {None, row.endpoint}
        ]

    @router.get("/stats", summary="Counters per service, endpoint and drop reason")
    async def stats() -> dict[str, Any]:
        return await run_in_threadpool(views.stats, engine)

    @router.get(
        "/events", summary="Events as they happen, one JSON object a line", response_class=StreamingResponse
    )
    async def events(*, trace: bool = False) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async with hub.listen(trace=trace) as queue:
                yield "\n"
                while True:
                    try:
                        yield json.dumps(views.event(await asyncio.wait_for(queue.get(), 1))) + "\n"
                    except TimeoutError:
                        yield "\n"  # tells a listener that is gone from one that waits

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    return router


def health_routes(keeper: Keeper, engine: views.Observed) -> APIRouter:
    """For supervisors and scrapers."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", response_class=PlainTextResponse, summary="The process answers")
    async def healthz() -> str:
        return "ok\n"

    @router.get("/readyz", response_class=PlainTextResponse, summary="The policy is in the datapath")
    async def readyz() -> str:
        return f"ready, revision {keeper.revision}\n"

    @router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
    async def metrics() -> Response:
        from telco.api.metrics import exposition  # noqa: PLC0415  # prometheus_client is slow to import

        body, kind = await run_in_threadpool(exposition, engine)
        return Response(body, media_type=kind)

    return router


def create_app(keeper: Keeper, engine: views.Observed, hub: Hub) -> FastAPI:
    """The application over a keeper and an engine."""
    app = FastAPI(
        title="telco-lb", version="1", summary="Load balancer for mobile cores", redirect_slashes=False
    )
    problems.install(app)
    app.include_router(health_routes(keeper, engine))
    app.include_router(policy_routes(keeper))
    app.include_router(observed_routes(keeper, engine, hub))
    app.include_router(resource_routes(keeper))
    return app
