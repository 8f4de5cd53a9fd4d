"""The balancer under test: the daemon as a user runs it, in the lab's namespace, spoken to by REST."""

import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from telco.client import Client

from . import netns
from .errors import LabError
from .lab import Lab

log = logging.getLogger(__name__)

PINS = Path("/sys/fs/bpf")
START_S = 20.0


class Balancer:
    """`telco serve` on every NIC of a lab's balancer; a context manager that leaves nothing behind."""

    def __init__(self, lab: Lab, *, attach: str = "auto") -> None:
        self.lab, self.attach = lab, attach
        self.folder = Path(tempfile.mkdtemp(prefix="telco-"))
        self.pins = PINS / f"{lab.name}-{self.folder.name}"
        self.socket = self.folder / "telco.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind and self.process and self.process.poll() is not None:
            log.error("telco serve ended with %s: %s", self.process.returncode, " ".join(self.log()[-5:]))
        self.stop()
        netns.ip_batch(self.lab.balancer, ["addr flush dev lo scope global"])  # VIPs outlive the daemon
        for path in (self.pins, self.folder):
            if path.exists():
                for entry in sorted(path.rglob("*"), reverse=True):
                    entry.rmdir() if entry.is_dir() else entry.unlink()
                path.rmdir()

    def start(self) -> float:
        """Start the daemon; seconds until it is ready. LabError with its last words if it is not."""
        words = [
            sys.executable,
            "-m",
            "telco",
            "serve",
            "--netns",
            self.lab.balancer,
            "--attach",
            self.attach,
        ]
        words += [
            "--state-dir",
            str(self.folder / "state"),
            "--pin-dir",
            str(self.pins),
            "--socket",
            str(self.socket),
        ]
        for subnet in self.lab.topology.subnets:
            words += ["--interface", subnet.name]
        self.socket.unlink(missing_ok=True)  # a killed daemon leaves it
        started = time.monotonic()
        with (self.folder / "log").open("ab") as said:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        while time.monotonic() - started < START_S:
            if self.process.poll() is not None:
                break
            with Client(self.socket, timeout=2.0) as client:
                if client.ready():
                    return time.monotonic() - started
            time.sleep(0.02)
        raise LabError(f"telco serve: {' '.join(self.log()[-3:]) or 'not ready in time'}")

    def log(self) -> list[str]:
        """What the daemon said so far."""
        return (self.folder / "log").read_text().splitlines()

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)

    def client(self) -> Client:
        """The typed REST client."""
        return Client(self.socket)
