"""A typed client of the REST API, over the daemon's socket or TCP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from telco.errors import PolicyError, Problem, TelcoError

DEFAULT_SOCKET = Path("/run/telco-lb/telco.sock")
Json = dict[str, Any]


class ApiError(TelcoError):
    """The daemon refused; ``status`` is HTTP's, ``type`` the problem's stable name."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.type = kind


class UnreachableError(TelcoError):
    """No daemon answers."""


class Client:
    """One connection. ``where`` is a socket's path or a URL."""

    def __init__(
        self, where: Path | str = DEFAULT_SOCKET, *, token: str | None = None, timeout: float = 60.0
    ) -> None:
        self.where = str(where)
        url = self.where.startswith(("http://", "https://"))
        transport = None if url else httpx.HTTPTransport(uds=self.where)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = self.where if url else "http://telco"
        self._http = httpx.Client(transport=transport, base_url=base, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise UnreachableError(
                f"no daemon answers at {self.where} ({error}): is `telco serve` running?"
            ) from error
        if answer.is_error:
            raise self._error(answer)
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text

    @staticmethod
    def _error(answer: httpx.Response) -> TelcoError:
        try:
            body = answer.json()
        except ValueError:
            return ApiError(answer.status_code, "unknown", answer.text[:200])
        kind = body["type"].rpartition("/")[2]
        if kind == "invalid-policy":
            return PolicyError([Problem(**problem) for problem in body.get("errors", [])])
        return ApiError(answer.status_code, kind, body["detail"])

    def _push(
        self, method: str, path: str, document: bytes, revision: int | None, *, yaml_text: bool
    ) -> Json:
        headers = {"Content-Type": "application/yaml" if yaml_text else "application/json"}
        if revision is not None:
            headers["If-Match"] = f'"{revision}"'
        result: Json = self._call(method, path, content=document, headers=headers)
        return result

    def replace(self, document: bytes, *, yaml_text: bool = True, revision: int | None = None) -> Json:
        """Make a document the whole policy."""
        return self._push("PUT", "/api/v1/policy", document, revision, yaml_text=yaml_text)

    def merge(self, document: bytes, *, yaml_text: bool = True, revision: int | None = None) -> Json:
        """Add or change what a document has."""
        return self._push("PATCH", "/api/v1/policy", document, revision, yaml_text=yaml_text)

    def diff(self, document: bytes, *, prune: bool, yaml_text: bool = True) -> Json:
        """What a push would change."""
        path = f"/api/v1/policy/diff?prune={str(prune).lower()}"
        return self._push("POST", path, document, None, yaml_text=yaml_text)

    def get(self, kind: str, name: str | None = None) -> list[Json]:
        """Resources of a kind, or the one named."""
        found = self._call("GET", f"/api/v1/{kind}" + (f"/{name}" if name else ""))
        return found if isinstance(found, list) else [found]

    def delete(self, kind: str, name: str) -> Json:
        """Remove a resource."""
        result: Json = self._call("DELETE", f"/api/v1/{kind}/{name}")
        return result

    def status(self) -> Json:
        """Interfaces, health, warnings."""
        result: Json = self._call("GET", "/api/v1/status")
        return result

    def stats(self) -> Json:
        """Counters."""
        result: Json = self._call("GET", "/api/v1/stats")
        return result

    def associations(self, service: str | None = None, endpoint: str | None = None) -> list[Json]:
        """Every association."""
        wanted = {"service": service, "endpoint": endpoint}
        result: list[Json] = self._call(
            "GET", "/api/v1/associations", params={name: value for name, value in wanted.items() if value}
        )
        return result

    def ready(self) -> bool:
        """Whether the policy is in the datapath."""
        try:
            self._call("GET", "/readyz")
        except TelcoError:
            return False
        return True

    def events(self, *, trace: bool = False) -> Iterator[Json]:
        """Events as they happen."""
        path = f"/api/v1/events?trace={str(trace).lower()}"
        try:
            with self._http.stream("GET", path, timeout=None) as answer:
                for line in answer.iter_lines():
                    if line:
                        yield json.loads(line)
        except httpx.TransportError as error:
            raise UnreachableError(f"the daemon at {self.where} went away ({error})") from error
