"""The product as users have it: the application over a real engine, and `telco serve` as a process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from lb.datapath.attach import Attach
from lb.datapath.engine import Engine
from lb.datapath.objects import Sizes
from telco.api.app import create_app
from telco.api.guard import Guard
from telco.api.hub import Hub
from telco.cli import main
from telco.client import Client
from telco.keeper import Keeper
from telco.policy import Limits
from telco.store import Store
from tests.datapath.conftest import SMALL, namespace, wire_up

START_S = 20
TELCO = (sys.executable, "-m", "telco")
ROOT = Path(__file__).parents[2]


def command(*words: str, wrap: Sequence[str] = (), **settings: str) -> subprocess.CompletedProcess[str]:
    """One run of `telco`, behind another command if need be."""
    return subprocess.run(
        [*wrap, *TELCO, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=os.environ | settings,
    )


class Daemon:
    """`telco serve` with everything of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pins = Path("/sys/fs/bpf", f"t-{uuid4().hex[:8]}")
        self.socket = folder / "telco.sock"
        self.state = folder / "state"
        self.process: subprocess.Popen[bytes] | None = None

    def words(self, *more: str) -> list[str]:
        """The command."""
        own = ["--state-dir", self.state, "--pin-dir", self.pins, "--socket", self.socket]
        interface = [] if "--interface" in more else ["--interface", "v0"]
        return ["serve", *interface, "--attach", "tc", *map(str, own), *more]

    def start(self, *more: str, wrap: Sequence[str] = (), **settings: object) -> "Daemon":
        """Ready when it returns."""
        (self.folder / "telco.yaml").write_text(json.dumps({"associations": 256, "services": 64} | settings))
        before = self.starts
        with (self.folder / "log").open("ab") as said:
            self.process = subprocess.Popen(
                [*wrap, *TELCO, *self.words("--config", str(self.folder / "telco.yaml"), *more)],
                stdout=said,
                stderr=said,
                cwd=ROOT,
            )
        started = time.monotonic()
        while self.starts == before:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() - started < START_S, self.log()
            time.sleep(0.05)
        return self

    @property
    def starts(self) -> int:
        """How often it said that it is ready."""
        return self.log().count("INFO ready revision=")

    def log(self) -> str:
        """What it said so far."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def says(self, words: str) -> bool:
        """Whether it says this within a few seconds: what follows a push is no part of its answer."""
        end = time.monotonic() + 5
        while words not in self.log() and time.monotonic() < end:
            time.sleep(0.05)
        return words in self.log()

    def client(self) -> Client:
        """Over the socket."""
        return Client(self.socket, timeout=10)

    def telco(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command to this daemon, in this process: starting one takes longer than the command."""
        out, err, argv = StringIO(), StringIO(), ["telco", *words, "--at", str(self.socket)]
        code: object = 0
        with mock.patch("sys.argv", argv), redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = end.code
        return subprocess.CompletedProcess(argv, int(str(code or 0)), out.getvalue(), err.getvalue())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    def forget(self) -> None:
        """End it and remove what it pinned."""
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)
        if self.pins.exists():
            for name in list(self.pins.iterdir()):
                name.unlink()
            self.pins.rmdir()


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """The namespace that these tests run in."""
    with namespace() as name:
        wire_up()
        yield name


@contextmanager
def daemon_in(folder: Path) -> Iterator[Daemon]:
    """One that is not started yet; gone afterwards."""
    made = Daemon(folder)
    try:
        yield made
    finally:
        made.forget()


@pytest.fixture
def daemon(network: str, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon of this test's own, not started."""
    with daemon_in(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def running(network: str) -> Iterator[Daemon]:
    """A daemon that tests of a module share."""
    folder = Path(tempfile.mkdtemp(prefix="telco-"))
    with daemon_in(folder) as made:
        yield made.start()
    shutil.rmtree(folder)


Build = Callable[..., tuple[Keeper, FastAPI]]


@pytest.fixture
def build(network: str, tmp_path: Path) -> Iterator[Build]:
    """A keeper and an application over an engine on an interface of the tests' namespace, without pins."""
    made: list[Engine] = []

    def of(sizes: Sizes = SMALL, limits: Limits | None = None) -> tuple[Keeper, FastAPI]:
        engine = Engine(["v1"], attach=Attach.TC, sizes=sizes)
        made.append(engine)
        keeper = Keeper(Store(tmp_path / f"state{len(made)}"), engine, limits)
        return keeper, create_app(keeper, engine, Hub(lambda on: engine.trace(on=on)))

    yield of
    for engine in made:
        engine.remove()


@contextmanager
def asking(app: FastAPI, *, max_body: int = 1 << 20, per_second: int = 10_000) -> Iterator[httpx.AsyncClient]:
    """A client of an application behind its guard."""
    guard = Guard(app, token_sha256=None, max_body=max_body, per_second=per_second)
    yield httpx.AsyncClient(transport=httpx.ASGITransport(app=guard), base_url="http://telco")
