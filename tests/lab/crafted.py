"""An SCTP client whose every packet a test decides, over a raw socket of a host without kernel SCTP."""

import socket
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Self, TypeVar

from free5gc_lab.lab import Lab

from lb.datapath.attach import inside
from protocols import sctp

PORT = 38412
WINDOW = 1 << 20
PATIENCE_S = 3.0
C = TypeVar("C", bound=sctp.Chunk)


class Crafted:
    """One association, or the attempt at one, of the lab's `stranger`; a context manager.

    Closed sockets would have the kernel answer with ICMP protocol unreachable: keep it open while a test runs.
    """

    def __init__(
        self,
        lab: Lab,
        vip: str,
        *,
        tag: int,
        address: str | None = None,
        port: int = PORT,
        listed: Sequence[str] = (),
    ) -> None:
        host = lab.plain("stranger")
        self.address, self.vip, self.tag, self.port = address or host.addresses[0], vip, tag, port
        self.listed = listed
        self.peer_tag = 0
        self.sent = self.heard = 0  # TSN of the last DATA each way
        self.raw: list[bytes] = []  # IP packets heard
        with inside(host.namespace):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, sctp.PROTOCOL)
            self.icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.bind((self.address, 0))
        self.icmp.bind((self.address, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.icmp.close()

    def send(self, *chunks: sctp.Chunk, tag: int | None = None) -> None:
        """One packet, with the peer's tag if none is given."""
        packet = sctp.Packet(
            source=self.port,
            destination=PORT,
            tag=self.peer_tag if tag is None else tag,
            chunks=chunks,
        )
        self.socket.sendto(sctp.encode(packet), (self.vip, 0))

    def expect(self, kind: type[C], *, tag: int | None = None, timeout_s: float = PATIENCE_S) -> C:
        """The next chunk of a kind for this association; heartbeats before it are answered, the rest is skipped."""
        until = time.monotonic() + timeout_s
        wanted = self.tag if tag is None else tag
        heard: list[sctp.Chunk] = []
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                raw = self.socket.recv(1 << 16)
            except TimeoutError:
                break
            packet = sctp.decode(raw[20:])
            if packet.destination != self.port or packet.tag != wanted or packet.source != PORT:
                continue
            self.raw.append(raw)
            heard += packet.chunks
            for chunk in packet.chunks:
                if isinstance(chunk, sctp.Heartbeat):
                    self.send(sctp.HeartbeatAck(parameters=chunk.parameters))
                if isinstance(chunk, kind):
                    return chunk
        raise AssertionError(f"no {kind.__name__} in {timeout_s} s, but {[type(c).__name__ for c in heard]}")

    def init(self) -> None:
        """INIT with the listed addresses."""
        listed = tuple(sctp.Address4(address=ip_address(one)) for one in self.listed)  # type: ignore[arg-type]  # IPv4
        self.send(sctp.Init(tag=self.tag, window=WINDOW, tsn=1, parameters=listed), tag=0)

    def take(self, answer: sctp.InitAck) -> sctp.CookieEcho:
        """Believe an INIT ACK; the COOKIE ECHO for it."""
        self.peer_tag, self.heard = answer.tag, answer.tsn - 1
        (cookie,) = (one for one in answer.parameters if isinstance(one, sctp.StateCookie))
        return sctp.CookieEcho(value=cookie.value)

    def dial(self) -> Self:
        """The four-way handshake."""
        self.init()
        self.send(self.take(self.expect(sctp.InitAck)))
        self.expect(sctp.CookieAck)
        return self

    def echo(self, payload: bytes = b"said the stranger") -> None:
        """A message there and back."""
        self.sent += 1
        self.send(sctp.Data(tsn=self.sent, ssn=self.sent - 1, payload=payload))
        back = self.expect(sctp.Data)
        assert back.payload == payload
        self.heard = back.tsn
        self.send(sctp.Sack(tsn=self.heard, window=WINDOW))

    def shutdown(self) -> None:
        """The graceful end."""
        self.send(sctp.Shutdown(tsn=self.heard))
        self.expect(sctp.ShutdownAck)
        self.send(sctp.ShutdownComplete())
