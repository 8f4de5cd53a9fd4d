"""The first process of a guest: serves one JSON request a connection from the real host.

It keeps Python and pysctp loaded and forks itself for each program, which saves a start of the interpreter
every time.  It must stay single-threaded: it forks.
"""

import asyncio
import ctypes
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .netns import NETNS_DIR, setns

PORT = 7777
MAX_LINE = 1 << 24
POWER_OFF = 0x4321FEDC  # LINUX_REBOOT_CMD_POWER_OFF, reboot(2)
CRASHED = 70
MOST_FILES = 512  # open in the agent at once: three a program

Reply = dict[str, object]


@dataclass(slots=True)
class Child:
    """A program of a host: its output so far, its standard input, and how it ended."""

    pid: int
    stdin: int
    lines: list[str] = field(default_factory=list)
    partial: bytes = b""
    errors: bytes = b""
    open_pipes: int = 2
    status: int | None = None  # exit code, or minus the signal

    @property
    def ended(self) -> bool:
        return self.status is not None and not self.open_pipes


class Agent:
    """Children by pid, and a condition that is notified whenever one of them said or did something."""

    def __init__(self) -> None:
        self.children: dict[int, Child] = {}
        self.news = asyncio.Condition()
        self.tasks: set[asyncio.Task[None]] = set()

    # -- requests -------------------------------------------------------------------------------------------

    def ip(self, lines: list[str], host: str | None = None, version: int | None = None) -> Reply:
        argv = ["ip", *([f"-{version}"] if version else []), *(["-n", host] if host else []), "-batch", "-"]
        done = subprocess.run(argv, input="\n".join(lines), capture_output=True, text=True, check=False)
        return {"error": f"ip: {' '.join(done.stderr.split())}"} if done.returncode else {}

    def sysctls(self, host: str, values: dict[str, str]) -> Reply:
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        enter(host)
        try:
            for key, value in values.items():
                Path("/proc/sys", *key.split(".")).write_text(value)
        finally:
            setns(home)
            os.close(home)
        return {}

    def preload(self, modules: list[str]) -> Reply:
        for name in modules:
            importlib.import_module(name)
        return {}

    def start(self, host: str, program: str, argv: list[str]) -> Reply:
        """Fork a program of free5gc_lab.programs inside a host."""
        module = importlib.import_module(f"{__package__}.programs.{program}")
        return self.fork(host, lambda: int(module.main(argv) or 0))

    def execute(self, host: str, argv: list[str]) -> Reply:
        """Fork and exec a command inside a host."""
        return self.fork(host, lambda: os.execvp(argv[0], argv))  # noqa: S606 - no shell is meant

    def signal(self, pid: int, number: int) -> Reply:
        child = self.children[pid]
        if child.status is None:
            os.kill(pid, number)
        return {}

    def stop_all(self) -> Reply:
        """Kill every program and command; pids go on being known until they have ended."""
        for pid, child in self.children.items():
            if child.status is None:
                os.kill(pid, signal.SIGKILL)
        return {}

    def tell(self, pid: int, text: str) -> Reply:
        os.write(self.children[pid].stdin, text.encode())
        return {}

    def poweroff(self) -> Reply:
        ctypes.CDLL(None).reboot(POWER_OFF)
        return {}

    async def poll(self, pid: int, since: int, wait_s: float) -> Reply:
        """Output lines from number `since` on; waits until there is one or the program has ended."""
        child = self.children[pid]
        try:
            async with asyncio.timeout(wait_s), self.news:
                await self.news.wait_for(lambda: len(child.lines) > since or child.ended)
        except TimeoutError:
            pass  # nothing new is an answer too
        errors = child.errors.decode(errors="replace")
        return {
            "lines": child.lines[since:],
            "status": child.status if child.ended else None,
            "errors": errors,
        }

    # -- children -------------------------------------------------------------------------------------------

    def fork(self, host: str, main: Callable[[], int]) -> Reply:
        stdin, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if not pid:
            become(host, (stdin[0], stdout[1], stderr[1]), main)
        for fd in (stdin[0], stdout[1], stderr[1]):
            os.close(fd)
        child = self.children[pid] = Child(pid=pid, stdin=stdin[1])
        loop = asyncio.get_running_loop()
        loop.add_reader(stdout[0], self.on_output, child, stdout[0])
        loop.add_reader(stderr[0], self.on_errors, child, stderr[0])
        return {"pid": pid}

    def on_output(self, child: Child, fd: int) -> None:
        data = self.read(child, fd)
        *lines, child.partial = (child.partial + data).split(b"\n")
        if not data and child.partial:
            lines, child.partial = [child.partial], b""
        child.lines += [line.decode(errors="replace") for line in lines]
        self.notify()

    def on_errors(self, child: Child, fd: int) -> None:
        child.errors = (child.errors + self.read(child, fd))[-MAX_LINE >> 8 :]
        self.notify()

    def read(self, child: Child, fd: int) -> bytes:
        data = os.read(fd, 65536)
        if not data:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
            child.open_pipes -= 1
        return data

    def on_child_exit(self) -> None:
        """Reap everything: orphans become the first process's children too."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if child := self.children.get(pid):
                    child.status = os.waitstatus_to_exitcode(status)
                    os.close(child.stdin)
        except ChildProcessError:
            pass  # none left
        self.notify()

    def notify(self) -> None:
        task = asyncio.get_running_loop().create_task(self.announce())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def announce(self) -> None:
        async with self.news:
            self.news.notify_all()

    # -- transport ------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.readline())
        try:
            reply = getattr(self, request.pop("op"))(**request)
            reply = await reply if asyncio.iscoroutine(reply) else reply
        except Exception as error:  # noqa: BLE001 - the caller on the real host is told, the agent must live
            reply = {"error": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(reply).encode() + b"\n")
        await writer.drain()
        writer.close()


def enter(host: str) -> None:
    fd = os.open(NETNS_DIR / host, os.O_RDONLY)
    setns(fd)
    os.close(fd)


def become(host: str, pipes: tuple[int, int, int], main: Callable[[], int]) -> None:
    """Turn the forked copy of the agent into the program; never returns."""
    status = CRASHED
    try:
        for target, fd in enumerate(pipes):
            os.dup2(fd, target)
        os.closerange(3, MOST_FILES)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        asyncio.events._set_running_loop(None)  # noqa: SLF001 - a forked copy does not own the agent's loop
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
        enter(host)
        status = main()
        sys.stdout.flush()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it is, it is printed and becomes the exit code
        traceback.print_exc()
    finally:
        os._exit(status)


async def run(address: str) -> None:
    from .programs import options  # noqa: PLC0415  # needs pysctp, which this module's importers may lack

    agent = Agent()
    options.parser("", port=0)  # has argparse import and compile what every program would
    gc.freeze()
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, agent.on_child_exit)
    server = await asyncio.start_server(agent.serve, address, PORT, limit=MAX_LINE)
    async with server:
        await server.serve_forever()


def main(address: str) -> None:
    """Serve on that address of the guest for ever."""
    asyncio.run(run(address))
