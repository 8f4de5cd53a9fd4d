"""The application: routes, and nothing else."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

from telco.api import openapi, problems, views
from telco.api.hub import Hub
from telco.api.openapi import ASK, CHANGE, answer, body
from telco.document import read_json, read_yaml, short
from telco.errors import PolicyError, Problem
from telco.keeper import Applied, Keeper, kind_of
from telco.resources import NAME, Resource, check, dump, parse

JSON_TYPES = {"application/json"}
YAML_TYPES = {"application/yaml", "application/x-yaml", "text/yaml"}
SHOWN_STEPS = 1000
ETAG = r'(?:W/)?"(\d{1,18})"'

IfMatch = Annotated[
    str | None, Header(description="the ETag that this change is based on, or several", examples=['"7"'])
]
Kind = Annotated[
    str,
    Path(description="a kind, in the singular or plural", json_schema_extra={"enum": ["pools", "services"]}),
]
Name = Annotated[
    str, Path(description="of a resource", examples=["amf"], json_schema_extra={"pattern": NAME})
]
OfService = Annotated[str | None, Query(description="only this service's", examples=["n2"])]
OfEndpoint = Annotated[str | None, Query(description="only this one's, as POOL/NAME", examples=["amf/amf-1"])]


def _revision(etags: str | None, now: int) -> int | None:
    """The revision that a change may start from; any of several. RFC 9110 §13.1.1."""
    if etags is None or etags.strip() == "*":
        return None
    if not re.fullmatch(rf"\s*{ETAG}\s*(,\s*{ETAG}\s*)*", etags):
        raise HTTPException(412, f"If-Match: {short(etags)}: the ETag of an earlier answer is allowed")
    given = [int(number) for number in re.findall(ETAG, etags)]
    return now if now in given else given[0]


async def _body(request: Request) -> tuple[bytes, bool]:
    """The body, and whether it is YAML."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in JSON_TYPES | YAML_TYPES:
        allowed = ", ".join(sorted(JSON_TYPES | YAML_TYPES))
        raise HTTPException(415, f"content-type: {short(kind) if kind else 'none'}: {allowed} are allowed")
    return await request.body(), kind in YAML_TYPES


async def _resources(request: Request) -> list[Resource]:
    text, is_yaml = await _body(request)
    return await run_in_threadpool(parse, text, yaml_text=is_yaml)


def _one(text: bytes, kind: str, name: str, *, yaml_text: bool) -> list[Resource]:
    """The resource of a request to its own path: whole, or its spec alone."""
    found: Any = read_yaml(text) if yaml_text else read_json(text)
    found = found[0] if yaml_text and len(found) == 1 else found
    if not isinstance(found, dict):
        allowed = "one resource {kind, name, spec}, or its spec"
        raise PolicyError([Problem(field="body", value=short(found), allowed=allowed)])
    whole = found if "spec" in found else {"spec": found}
    for part, mine in (("kind", kind), ("name", name)):
        if whole.get(part, mine) != mine:
            raise PolicyError(
                [Problem(field=part, value=short(whole[part]), allowed=f"{mine!r}, as in the path")]
            )
    return check([whole | {"kind": kind, "name": name}])


def _etag(revision: int) -> dict[str, str]:
    return {"ETag": f'"{revision}"'}


def _answer(applied: Applied) -> Response:
    steps = [{"action": s.action, "kind": s.kind, "name": s.name} for s in applied.steps[:SHOWN_STEPS]]
    shown = {
        "revision": applied.revision,
        "changes": len(applied.steps),
        "steps": steps,
        "warnings": list(applied.warnings),
    }
    return JSONResponse(shown, headers=_etag(applied.revision))


def policy_routes(keeper: Keeper) -> APIRouter:
    """The whole policy."""
    router = APIRouter(prefix="/api/v1", tags=["policy"])
    changed: Mapping[str, Any] = {
        "responses": answer("Applied", *CHANGE, etag=True),
        "openapi_extra": body("Policy", "PoolResource", "ServiceResource"),
    }

    @router.get("/policy", summary="Every resource", responses=answer("Policy", *ASK, etag=True))
    async def read() -> Response:
        revision, listed = keeper.revision, list(keeper.resources.values())
        found = await run_in_threadpool(lambda: [dump(resource) for resource in listed])
        return JSONResponse(found, headers=_etag(revision))

    @router.put("/policy", summary="Replace the whole policy, or refuse it whole", **changed)
    async def replace(request: Request, if_match: IfMatch = None) -> Response:
        wanted, revision = await _resources(request), _revision(if_match, keeper.revision)
        return _answer(await run_in_threadpool(keeper.replace, wanted, revision))

    @router.patch("/policy", summary="Add or change resources, leave the others", **changed)
    async def merge(request: Request, if_match: IfMatch = None) -> Response:
        wanted, revision = await _resources(request), _revision(if_match, keeper.revision)
        return _answer(await run_in_threadpool(keeper.merge, wanted, revision))

    @router.post("/policy/diff", summary="What a push would change; nothing is changed", **changed)
    async def diff(
        request: Request,
        *,
        prune: Annotated[bool, Query(description="as PUT would, instead of PATCH")] = False,
    ) -> Response:
        wanted = await _resources(request)
        return _answer(await run_in_threadpool(keeper.diff, wanted, prune=prune))

    return router


def resource_routes(keeper: Keeper, engine: views.Observed) -> APIRouter:
    """One resource, or all of a kind."""
    router = APIRouter(prefix="/api/v1", tags=["resources"])
    changed = answer("Applied", *CHANGE, etag=True)

    @router.get("/{kind}", summary="All resources of a kind", responses=answer("Resources", *ASK, etag=True))
    async def listed(
        kind: Kind, *, status: Annotated[bool, Query(description="with what is observed of each")] = False
    ) -> Response:
        revision, found = keeper.revision, keeper.of_kind(kind_of(kind))

        def shown() -> list[Any]:
            return [*views.observed(engine, found, keeper.warnings)] if status else [dump(r) for r in found]

        return JSONResponse(await run_in_threadpool(shown), headers=_etag(revision))

    @router.get(
        "/{kind}/{name}",
        summary="One resource and its status",
        responses=answer("Resource", *ASK, etag=True),
    )
    async def one(kind: Kind, name: Name) -> Response:
        revision, found = keeper.revision, keeper.get(kind_of(kind), name)
        shown = await run_in_threadpool(views.observed, engine, [found], keeper.warnings)
        return JSONResponse(shown[0], headers=_etag(revision))

    @router.put(
        "/{kind}/{name}",
        summary="Make or change a resource",
        responses=changed,
        openapi_extra=body("PoolResource", "ServiceResource"),
    )
    async def put(kind: Kind, name: Name, request: Request, if_match: IfMatch = None) -> Response:
        text, is_yaml = await _body(request)
        wanted = await run_in_threadpool(_one, text, kind_of(kind), name, yaml_text=is_yaml)
        return _answer(await run_in_threadpool(keeper.merge, wanted, _revision(if_match, keeper.revision)))

    @router.delete("/{kind}/{name}", summary="Remove a resource", responses=changed)
    async def delete(kind: Kind, name: Name, if_match: IfMatch = None) -> Response:
        revision = _revision(if_match, keeper.revision)
        return _answer(await run_in_threadpool(keeper.delete, kind_of(kind), name, revision))

    return router


def observed_routes(keeper: Keeper, engine: views.Observed, hub: Hub) -> APIRouter:
    """What is, rather than what should be."""
    router = APIRouter(prefix="/api/v1", tags=["observed"])

    @router.get("/status", summary="Interfaces, health, warnings", responses=answer("Status", *ASK))
    async def status() -> Response:
        return JSONResponse(views.status(engine, keeper.revision, keeper.warnings))

    @router.get("/associations", summary="Every association, live", responses=answer("Associations", *ASK))
    async def associations(service: OfService = None, endpoint: OfEndpoint = None) -> Response:
        def shown() -> list[Any]:
            return [
                views.association(row)
                for row in engine.associations()
                if service in {None, row.service} and endpoint in {None, row.endpoint}
            ]

        return JSONResponse(await run_in_threadpool(shown))

    @router.get(
        "/stats",
        summary="Counters per service, endpoint, path and drop reason",
        responses=answer("Stats", *ASK),
    )
    async def stats() -> Response:
        return JSONResponse(await run_in_threadpool(views.stats, engine))

    @router.get(
        "/events",
        summary="Events as they happen, one JSON object a line, an empty line each second",
        response_class=StreamingResponse,
        responses=answer("Event", 401, 422, 429, media="application/x-ndjson"),
    )
    async def events(
        *, trace: Annotated[bool, Query(description="with every packet that is dropped")] = False
    ) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async with hub.listen(trace=trace) as queue:
                yield "\n"
                while True:
                    try:
                        yield json.dumps(views.event(await asyncio.wait_for(queue.get(), 1))) + "\n"
                    except TimeoutError:
                        yield "\n"  # tells a listener that is gone from one that waits
                    if lost := hub.take_lost(queue):
                        yield json.dumps(views.lost(lost)) + "\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    return router


def health_routes(keeper: Keeper, engine: views.Observed, hub: Hub) -> APIRouter:
    """For supervisors and scrapers."""
    router = APIRouter(tags=["health"], default_response_class=PlainTextResponse)

    @router.get("/healthz", summary="The process answers", responses=answer("healthz", media="text/plain"))
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @router.get(
        "/readyz",
        summary="The policy is in the datapath",
        responses=answer("readyz", 503, media="text/plain"),
    )
    async def readyz() -> Response:
        if not keeper.applied:
            return problems.problem(503, "not-ready", "the policy is not in the datapath: the log says why")
        return PlainTextResponse(f"ready, revision {keeper.revision}\n")

    @router.get(
        "/metrics", summary="Prometheus metrics", responses=answer("metrics", 401, 429, media="text/plain")
    )
    async def metrics() -> Response:
        from telco.api.metrics import exposition  # noqa: PLC0415  # prometheus_client is slow to import

        page, kind = await run_in_threadpool(exposition, engine, keeper, hub)
        return Response(page, media_type=kind)

    return router


def create_app(keeper: Keeper, engine: views.Observed, hub: Hub) -> FastAPI:
    """The application over a keeper and an engine."""
    app = FastAPI(
        title="telco-lb",
        version="1",
        summary="Load balancer for mobile cores",
        redirect_slashes=False,
    )
    problems.install(app)
    app.include_router(health_routes(keeper, engine, hub))
    app.include_router(policy_routes(keeper))
    app.include_router(observed_routes(keeper, engine, hub))
    app.include_router(resource_routes(keeper, engine))
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    return app
