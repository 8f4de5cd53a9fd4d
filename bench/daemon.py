"""The daemon as its users start it, in a private network namespace, with private directories and BPF file system."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.world import LINK, OBJECTS, namespace, run, wire_up

READY_S = 60.0
POLL_S = 0.002
REQUEST_S = 120.0


def compiled() -> dict[str, str]:
    """The environment of programs that keep their bytecode beside the other builds, as an installed package does."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(OBJECTS.parent / "bytecode")}


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("telco", timeout=REQUEST_S)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Daemon:
    """`telco serve` in a directory of its own; may be killed and started again over the same maps."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.pins = folder / "bpf" / "telco"
        values = {
            "interfaces": [LINK],
            "state_dir": str(folder / "state"),
            "pin_dir": str(self.pins),
            "socket": str(folder / "telco.sock"),
            **settings,
        }
        (folder / "telco.yaml").write_text(json.dumps(values))  # JSON is YAML
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds from the start of the process to the first answer that it is ready. Raises BenchError."""
        began = time.perf_counter()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "telco", "serve", "--config", str(self.folder / "telco.yaml")],
                stderr=log,
                stdout=log,
                env=compiled(),
            )
        while time.perf_counter() - began < READY_S:
            if self._process.poll() is not None:
                raise BenchError(f"the daemon ended: {self._last_words()}")
            if self._ready():
                return time.perf_counter() - began
            time.sleep(POLL_S)
        raise BenchError(f"the daemon is not ready after {READY_S:g} s: {self._last_words()}")

    def _last_words(self) -> str:
        return " ".join((self.folder / "log").read_text(errors="replace").split()[-40:])

    def _ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of one request."""
        connection = _Connection(self.folder / "telco.sock")
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def push(self, document: bytes) -> dict[str, Any]:
        """Replace the policy. Raises BenchError where it is refused."""
        status, body = self.ask("PUT", "/api/v1/policy", document)
        if status != 200:
            raise BenchError(f"the policy was refused: {status} {body[:300]!r}")
        applied: dict[str, Any] = json.loads(body)
        return applied

    def memory_mb(self) -> dict[str, float]:
        """Resident memory of the process: all of it, and without what it shares with the kernel."""
        if self._process is None:
            raise BenchError("the daemon does not run")
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon")}

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the process, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """End it, and remove its policy and its datapath: the next start is a first one."""
        self.stop()
        for folder in (self.pins, self.folder / "state"):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def daemon(**settings: object) -> Iterator[Daemon]:
    """A daemon that is not started yet; gone at the end with all it left."""
    with namespace(), tempfile.TemporaryDirectory(prefix="telco-bench-") as name:
        wire_up()
        folder = Path(name)
        made = Daemon(folder, **settings)
        try:
            yield made
        finally:
            made.stop()
            if os.path.ismount(folder / "bpf"):
                run("umount", str(folder / "bpf"))
