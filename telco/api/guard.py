"""What every request passes first: token, rate, size."""

import hashlib
import hmac
import logging
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telco.api.problems import TooLargeError, problem

OPEN = {"/healthz", "/readyz"}
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}
log = logging.getLogger("telco")


@dataclass(slots=True)
class Guard:
    """ASGI middleware. Requests over the unix socket need no token: the socket's mode says who may."""

    app: ASGIApp
    token_sha256: str | None
    max_body: int  # bytes
    per_second: int
    _second: int = 0
    _count: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            answer = problem(*refusal)
            answer.headers.update(HEADERS.get(refusal[0], {}))
            await answer(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_body:
                raise TooLargeError(self._size_text())
            return message

        await self.app(scope, counted, send)

    def _size_text(self) -> str:
        return f"body: more than {self.max_body} bytes: raise max_body_mb to allow it"

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str, str] | None:
        if scope["path"] in OPEN:  # a supervisor must not take a busy daemon for a dead one
            return None
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._count = now, 0
        self._count += 1
        if self._count > self.per_second:
            return 429, "rate", f"more than {self.per_second} requests a second: try again in a second"
        if self.token_sha256 and scope.get("client") and not self._known(headers):
            log.warning("refused client=%s path=%s reason=token", scope["client"][0], scope["path"][:80])
            return 401, "token", "authorization: a bearer token is required"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return 400, "content-length", "content-length: a number of bytes is allowed"
        if int(length) > self.max_body:
            return 413, "too-large", self._size_text()
        return None

    def _known(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).hexdigest()
        return scheme.lower() == b"bearer" and hmac.compare_digest(digest, self.token_sha256 or "")
