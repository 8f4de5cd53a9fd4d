"""Errors as application/problem+json (RFC 9457): a stable type, one sentence, and each field that is wrong."""

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lb.bpf import BpfError
from lb.net.vips import JournalError
from telco.api.examples import BASE
from telco.errors import ConflictError, NotFoundError, PolicyError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MEDIA = "application/problem+json"
log = logging.getLogger("telco")
KINDS: dict[type[Exception], tuple[int, str]] = {
    PolicyError: (422, "invalid-policy"),
    ConflictError: (412, "stale-revision"),
    NotFoundError: (404, "not-found"),
    StoreError: (507, "store"),
    JournalError: (507, "store"),
    BpfError: (503, "datapath"),
}


class TooLargeError(Exception):
    """The body went over its bound."""


def problem(status: int, kind: str, detail: str, errors: list[dict[str, str]] | None = None) -> JSONResponse:
    """One answer."""
    body: dict[str, object] = {
        "type": BASE + kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return JSONResponse(body | ({"errors": errors} if errors else {}), status_code=status, media_type=MEDIA)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    log.warning("refused reason=%s", str(error).replace("\n", " "))
    status, kind = next(value for known, value in KINDS.items() if isinstance(error, known))
    errors = None
    if isinstance(error, PolicyError):
        errors = [{"field": p.field, "value": p.value, "allowed": p.allowed} for p in error.problems[:100]]
    return problem(status, kind, str(error), errors)


async def _internal(_: Request, error: Exception) -> JSONResponse:
    return problem(500, "internal", f"an error of ours, {type(error).__name__}: the log has it")


async def _too_large(_: Request, error: Exception) -> JSONResponse:
    return problem(413, "too-large", str(error))


async def _http(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    answer = problem(error.status_code, f"http-{error.status_code}", str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _arguments(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        {"field": ".".join(map(str, e["loc"])), "value": repr(e.get("input"))[:60], "allowed": e["msg"]}
        for e in error.errors()
    ]
    return problem(422, "invalid-request", errors[0]["allowed"], errors)


def install(app: FastAPI) -> None:
    """Have the application answer every error this way."""
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[JSONResponse]]] = {
        **dict.fromkeys(KINDS, _ours),
        TooLargeError: _too_large,
        Exception: _internal,
        HTTPException: _http,
        RequestValidationError: _arguments,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
