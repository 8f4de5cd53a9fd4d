"""A typed client of the REST API, over the daemon's socket or TCP.

    with Client("https://10.0.0.1:8443", token="…", authority=Path("ca.pem")) as client:
        client.replace(Path("n2.yaml").read_bytes())

What it gives is described in telco.shapes. It raises what telco.errors has, beside:

TelcoError
├── ApiError          the daemon refused: ``status``, ``type``, and one sentence
└── UnreachableError  no daemon answers
"""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from telco.errors import ConflictError, NotFoundError, PolicyError, Problem, TelcoError
from telco.shapes import Applied, Association, Event, Resource, Stats, Status

DEFAULT_SOCKET = Path("/run/telco-lb/telco.sock")


class ApiError(TelcoError):
    """The daemon refused; ``status`` is HTTP's, ``type`` the problem's stable name."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.type = kind


class UnreachableError(TelcoError):
    """No daemon answers."""


class Client:
    """One connection; a context manager. ``where`` is a socket's path or a URL, ``timeout`` in seconds.

    ``authority``: a PEM file of the certificates that an https URL's is held to, instead of the system's.
    """

    def __init__(
        self,
        where: Path | str = DEFAULT_SOCKET,
        *,
        token: str | None = None,
        authority: Path | None = None,
        timeout: float = 60.0,
    ) -> None:
        self.where = str(where)
        url = self.where.startswith(("http://", "https://"))
        verify = self.where.startswith("https://") and _trust(
            authority
        )  # loading certificates takes its time
        transport = httpx.HTTPTransport(verify=verify, uds=None if url else self.where)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = self.where if url else "http://telco"
        self._http = httpx.Client(transport=transport, base_url=base, headers=headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(
                f"no daemon answers at {self.where} ({error}): is `telco serve` running?"
            ) from error
        if answer.is_error:
            raise _error(answer)
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text

    def _push(
        self, method: str, path: str, document: bytes, revision: int | None, *, yaml_text: bool
    ) -> Applied:
        headers = {"Content-Type": "application/yaml" if yaml_text else "application/json"}
        result: Applied = self._call(method, path, content=document, headers=headers | _if_match(revision))
        return result

    def replace(self, document: bytes, *, yaml_text: bool = True, revision: int | None = None) -> Applied:
        """Make a document the whole policy; with ``revision``, only if that is the present one."""
        return self._push("PUT", "/api/v1/policy", document, revision, yaml_text=yaml_text)

    def merge(self, document: bytes, *, yaml_text: bool = True, revision: int | None = None) -> Applied:
        """Add or change what a document has."""
        return self._push("PATCH", "/api/v1/policy", document, revision, yaml_text=yaml_text)

    def diff(self, document: bytes, *, prune: bool, yaml_text: bool = True) -> Applied:
        """What a replace (``prune``) or merge would change."""
        path = f"/api/v1/policy/diff?prune={str(prune).lower()}"
        return self._push("POST", path, document, None, yaml_text=yaml_text)

    def policy(self) -> list[Resource]:
        """Every resource."""
        result: list[Resource] = self._call("GET", "/api/v1/policy")
        return result

    def get(self, kind: str, name: str | None = None, *, status: bool = False) -> list[Resource]:
        """Resources of a kind, with ``status`` what is observed of each; or the one named, with its status."""
        path = f"/api/v1/{quote(kind, safe='')}"
        if name is None:
            result: list[Resource] = self._call("GET", path, params={"status": "true"} if status else None)
            return result
        return [self._call("GET", f"{path}/{quote(name, safe='')}")]

    def put(self, kind: str, name: str, spec: dict[str, Any], *, revision: int | None = None) -> Applied:
        """Make or change one resource."""
        path = f"/api/v1/{quote(kind, safe='')}/{quote(name, safe='')}"
        return self._push("PUT", path, json.dumps({"spec": spec}).encode(), revision, yaml_text=False)

    def delete(self, kind: str, name: str, *, revision: int | None = None) -> Applied:
        """Remove a resource."""
        path = f"/api/v1/{quote(kind, safe='')}/{quote(name, safe='')}"
        result: Applied = self._call("DELETE", path, headers=_if_match(revision))
        return result

    def status(self) -> Status:
        """Interfaces, health, warnings."""
        result: Status = self._call("GET", "/api/v1/status")
        return result

    def stats(self) -> Stats:
        """Counters."""
        result: Stats = self._call("GET", "/api/v1/stats")
        return result

    def associations(self, service: str | None = None, endpoint: str | None = None) -> list[Association]:
        """Every association, or those of a service or an endpoint (`pool/name`)."""
        wanted = {"service": service, "endpoint": endpoint}
        result: list[Association] = self._call(
            "GET", "/api/v1/associations", params={name: value for name, value in wanted.items() if value}
        )
        return result

    def _listens(self) -> bool:
        """Whether somebody is behind a unix socket: asked often at starts, and httpcore leaks what is refused."""
        if self._http.base_url.host != "telco":
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(self.where) == 0

    def ready(self) -> bool:
        """Whether the policy is in the datapath."""
        if not self._listens():
            return False
        try:
            self._call("GET", "/readyz")
        except TelcoError:
            return False
        return True

    def events(self, *, trace: bool = False) -> Iterator[Event]:
        """Events as they happen, with ``trace`` every dropped packet too; without end."""
        path = f"/api/v1/events?trace={str(trace).lower()}"
        try:
            with self._http.stream("GET", path, timeout=httpx.Timeout(10, read=30)) as answer:
                if answer.is_error:
                    answer.read()
                    raise _error(answer)
                for line in answer.iter_lines():
                    if line:
                        yield json.loads(line)
        except httpx.TransportError as error:
            raise UnreachableError(f"the daemon at {self.where} does not answer ({error})") from error
        raise UnreachableError(f"the daemon at {self.where} went away")


def _trust(authority: Path | None) -> ssl.SSLContext | bool:
    if authority is None:
        return True
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise TelcoError(
            f"{authority}: {error.strerror or error}: a PEM file of certificates is allowed"
        ) from error


def _if_match(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"If-Match": f'"{revision}"'}


def _error(answer: httpx.Response) -> TelcoError:
    """A problem as the exception that the daemon meant."""
    try:
        body = answer.json()
        kind, detail = body["type"].rpartition("/")[2], body["detail"]
    except (ValueError, KeyError, TypeError):
        return ApiError(answer.status_code, "unknown", f"{answer.status_code} {answer.text[:200]}")
    if kind == "invalid-policy":
        return PolicyError([Problem(**problem) for problem in body.get("errors", [])])
    known: dict[str, type[TelcoError]] = {"stale-revision": ConflictError, "not-found": NotFoundError}
    return known[kind](detail) if kind in known else ApiError(answer.status_code, kind, detail)
