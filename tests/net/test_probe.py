"""Probes through real sockets, to endpoints in a namespace of their own."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from struct import pack, unpack_from
from threading import Event, Thread

import pytest

from lb.datapath.attach import inside
from lb.model import Probe, ProbeType
from lb.probe import Change, Prober, Target
from lb.probe.runner import Runner
from protocols.crc32c import crc32c
from tests.net.conftest import Wires

pytestmark = pytest.mark.root
PORT = 38412


def fast(kind: ProbeType) -> Probe:
    """Down after two misses, a fifth of a second apart."""
    return Probe(type=kind, interval=0.2, timeout=0.1, rise=2, fall=2)


def packet(sport: int, dport: int, tag: int, chunk: bytes) -> bytes:
    """One SCTP packet."""
    raw = pack(">HHII", sport, dport, tag, 0) + chunk
    return raw[:8] + pack("<I", crc32c(raw)) + chunk


class Server(Thread):
    """An SCTP endpoint's side of a probe: INIT ACK while it serves, ABORT while it does not."""

    def __init__(self, netns: str, family: int) -> None:
        super().__init__(daemon=True)
        self.serves = True
        self.aborts: list[int] = []  # tags of the ABORTs that came
        self._family = family
        self._over = Event()
        with inside(netns):
            self._socket = socket.socket(
                socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, 132
            )
        self._socket.settimeout(0.05)

    def run(self) -> None:
        """Answer until told to stop."""
        while not self._over.is_set():
            try:
                raw, sender = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            at = (raw[0] & 15) * 4 if self._family == 4 else 0
            sport, dport, tag, _ = unpack_from(">HHII", raw, at)
            kind = raw[at + 12]
            if kind == 6:
                self.aborts.append(tag)
            if kind != 1:
                continue
            (initiate,) = unpack_from(">I", raw, at + 16)
            ack = pack(">BBHIIHHI", 2, 0, 28, 0x1234567, 65536, 1, 1, 7) + pack(">HH", 7, 8) + b"cook"
            chunk = ack if self.serves else pack(">BBH", 6, 0, 4)
            self._socket.sendto(packet(dport, sport, initiate, chunk), sender)

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()
        self._socket.close()


@contextmanager
def serving(netns: str, family: int) -> Iterator[Server]:
    """A server for a while."""
    server = Server(netns, family)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def heard(changes: "asyncio.Queue[Change]") -> Change:
    """The next change, within three seconds."""
    return await asyncio.wait_for(changes.get(), 3)


def target(wires: Wires, kind: ProbeType, family: int) -> Target:
    """The far end of the wire."""
    address = ip_address(wires.far[family])
    return Target(pool="amf", address=address, port=PORT, probe=fast(kind))


@pytest.mark.parametrize("family", [4, 6])
def test_sctp_probe_follows_the_endpoint(wires: Wires, family: int) -> None:
    """Serving: up, each INIT ACK answered by an ABORT with its tag. Refusing: down. Serving again: up."""

    async def go() -> None:
        changes: asyncio.Queue[Change] = asyncio.Queue()
        runner = Runner(Prober(), changes.put_nowait, netns=wires.near_name)
        task = asyncio.create_task(runner.run())
        runner.retarget([target(wires, ProbeType.SCTP, family)])
        with serving(wires.far_name, family) as server:
            await asyncio.sleep(0.6)
            assert changes.empty()
            assert set(server.aborts) == {0x1234567}
            server.serves = False
            change = await heard(changes)
            assert (change.up, change.reason) == (False, "refused by ABORT")
            server.serves = True
            assert (await heard(changes)).up
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())


@pytest.mark.parametrize("family", [4, 6])
def test_ping_probe_follows_the_link(wires: Wires, family: int) -> None:
    """The kernel answers echo while the link is up."""

    async def go() -> None:
        changes: asyncio.Queue[Change] = asyncio.Queue()
        runner = Runner(Prober(), changes.put_nowait, netns=wires.near_name)
        task = asyncio.create_task(runner.run())
        runner.retarget([target(wires, ProbeType.PING, family)])
        await asyncio.sleep(0.5)
        assert changes.empty()
        wires.cut()
        assert not (await heard(changes)).up
        wires.mend()
        assert (await heard(changes)).up
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())


def test_silence_is_down_and_says_so(wires: Wires) -> None:
    """Nobody there."""

    async def go() -> None:
        changes: asyncio.Queue[Change] = asyncio.Queue()
        runner = Runner(Prober(), changes.put_nowait, netns=wires.near_name)
        task = asyncio.create_task(runner.run())
        nobody = Target(pool="amf", address=ip_address("10.77.0.9"), port=PORT, probe=fast(ProbeType.SCTP))
        runner.retarget([nobody])
        change = await heard(changes)
        assert (change.up, change.reason) == (False, "no answer")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())
