"""What every request passes first: token, rate, size."""

import hashlib
import hmac
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telco.api.problems import problem

OPEN = {"/healthz", "/readyz"}


class TooLargeError(Exception):
    """The body went over its bound."""


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
            await problem(*refusal)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_body:
                raise TooLargeError
            return message

        try:
            await self.app(scope, counted, send)
        except TooLargeError:
            await problem(413, "too-large", self._size_text())(scope, receive, send)

    def _size_text(self) -> str:
        return f"body: more than {self.max_body} bytes: raise max_body_mb to allow it"

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str, str] | None:
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._count = now, 0
        self._count += 1
        if self._count > self.per_second:
            return 429, "rate", f"more than {self.per_second} requests a second: try again in a second"
        if (
            self.token_sha256
            and scope.get("client")
            and scope["path"] not in OPEN
            and not self._known(headers)
        ):
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
