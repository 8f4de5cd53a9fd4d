"""One SCTP association over kernel SCTP, non-blocking: whole messages in and out, notices, path states."""

import contextlib
import errno
import socket
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sctp

NGAP_PORT = 38412  # TS 38.412 §7
NGAP_PPID = 60  # TS 38.412 §7
BUFFER = 1 << 20  # bytes; several of the largest messages
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
LARGEST = 1 << 16
# sctp_spinfo_state of Linux (RFC 6458 §8.2.2; potentially failed: RFC 7829 §7.1)
PATH_STATES = {0: "INACTIVE", 1: "PF", 2: "ACTIVE", 3: "UNCONFIRMED"}


class Notice(StrEnum):
    """What the kernel tells beside messages (RFC 6458 §6.1)."""

    UP = "up"
    LOST = "lost"  # ABORT received, or every path given up
    RESTARTED = "restarted"  # RFC 9260 §5.2: the peer came back with the same addresses and ports
    SHUTDOWN = "shutdown"  # the peer wants to end
    ENDED = "ended"  # nothing more will come
    PATH = "path"


# sctp_spc_state (RFC 6458 §6.1.2)
PATH_NEWS = ("available", "unreachable", "removed", "added", "primary", "confirmed", "potentially failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A whole user message and the address it came from."""

    data: bytes
    stream: int = 0
    ppid: int = NGAP_PPID
    unordered: bool = False
    ttl_ms: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A notice with its detail: an error number, or address and state of a path."""

    notice: Notice
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a socket is opened with; RTO bounds in milliseconds, None leaves the host's own."""

    binds: Sequence[str]
    port: int = 0
    streams: int = 16
    rto_initial_ms: int | None = None
    rto_min_ms: int | None = None
    rto_max_ms: int | None = None


_CHANGES = {
    sctp.assoc_change.state_COMM_UP: Notice.UP,
    sctp.assoc_change.state_COMM_LOST: Notice.LOST,
    sctp.assoc_change.state_RESTART: Notice.RESTARTED,
    sctp.assoc_change.state_SHUTDOWN_COMP: Notice.ENDED,
    sctp.assoc_change.state_CANT_START_ASSOCIATION: Notice.LOST,
}


class Association:
    """A connected (or connecting) one-to-one socket."""

    def __init__(self, sock: sctp.sctpsocket_tcp) -> None:
        self.sock = sock
        self.pending: deque[Message] = deque()
        self.ended = False
        self._parts: list[bytes] = []
        sock.setblocking(False)
        sock.set_nodelay(True)
        sock.mappedv4 = False
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        sock.events.data_io = sock.events.association = sock.events.shutdown = sock.events.address = True

    def fileno(self) -> int:
        return int(self.sock.sock().fileno())

    def send(self, message: Message) -> None:
        self.pending.append(message)
        self.flush()

    def flush(self) -> bool:
        """Hand the kernel what it takes; whether that was all.  OSError: the association is gone."""
        while self.pending:
            first = self.pending[0]
            try:
                self.sock.sctp_send(
                    first.data,
                    ppid=first.ppid,
                    stream=first.stream,
                    flags=sctp.MSG_UNORDERED if first.unordered else 0,
                    timetolive=first.ttl_ms,
                )
            except BlockingIOError:
                return False
            self.pending.popleft()
        return True

    def receive(self) -> list[Message | Event]:
        """Everything that is there; the last event is ENDED or LOST when the association is over."""
        found: list[Message | Event] = []
        while not self.ended:
            try:
                source, flags, data, info = self.sock.sctp_recv(LARGEST)
            except BlockingIOError:
                break
            except OSError as error:
                found.append(self._over(Notice.LOST, errno.errorcode.get(error.errno or 0, str(error))))
                break
            if flags & sctp.FLAG_NOTIFICATION:
                found += self._notified(info)
            elif not data:
                found.append(self._over(Notice.ENDED))
            else:
                found += self._assembled(source, flags, data, info)
        return found

    def _assembled(
        self, source: tuple[str, int], flags: int, data: bytes, info: sctp.sndrcvinfo
    ) -> list[Message]:
        self._parts.append(data)
        if not flags & sctp.FLAG_EOR:
            return []
        whole, self._parts = b"".join(self._parts), []
        ppid, unordered = socket.ntohl(info.ppid), bool(info.flags & sctp.MSG_UNORDERED)
        return [Message(data=whole, stream=info.stream, ppid=ppid, unordered=unordered, source=source[0])]

    def _notified(self, info: sctp.notification) -> list[Event]:
        if isinstance(info, sctp.assoc_change):
            notice = _CHANGES[info.state]
            if notice in {Notice.LOST, Notice.ENDED}:
                return [self._over(notice, errno.errorcode.get(info.error, str(info.error)))]
            return [Event(notice=notice)]
        if isinstance(info, sctp.paddr_change):
            return [Event(notice=Notice.PATH, detail=f"{info.addr[0]} {PATH_NEWS[info.state]}")]
        if isinstance(info, sctp.shutdown_event):
            return [Event(notice=Notice.SHUTDOWN)]
        return []

    def _over(self, notice: Notice, detail: str = "") -> Event:
        self.ended = True
        return Event(notice=notice, detail=detail)

    def paths(self) -> dict[str, dict[str, object]]:
        """Per peer address: state, smoothed round-trip time and RTO (ms), path MTU (bytes)."""
        found: dict[str, dict[str, object]] = {}
        for address, port in self.sock.getpaddrs():
            info = self.sock.get_paddrinfo(0, (address, port))
            state = PATH_STATES.get(info.state, str(info.state))
            found[address] = {"state": state, "srtt": info.srtt, "rto": info.rto, "mtu": info.mtu}
        return found

    def streams(self) -> int:
        """Outgoing streams, as the handshake agreed."""
        return int(self.sock.get_status().outstrms)

    def peers(self) -> list[str]:
        return sorted(address for address, _ in self.sock.getpaddrs())

    def locals(self) -> list[str]:
        return sorted(address for address, _ in self.sock.getladdrs())

    def port(self) -> int:
        """The local port."""
        return int(self.sock.getladdrs()[0][1])

    def primary(self) -> str:
        return str(self.sock.get_status().primary.sockaddr[0])

    def shutdown(self) -> None:
        """Begin SHUTDOWN (RFC 9260 §9.2); ENDED follows."""
        self.sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Send ABORT (RFC 9260 §9.1) and forget the association."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.ended = True
        self.sock.close()


def open_socket(options: Options) -> sctp.sctpsocket_tcp:
    """A bound socket; of the IPv6 family if any bind address is, which then takes both."""
    six = any(":" in address for address in options.binds)
    sock = sctp.sctpsocket_tcp(socket.AF_INET6 if six else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.initparams.num_ostreams = sock.initparams.max_instreams = options.streams
    rto = sock.get_rtoinfo()
    rto.initial = options.rto_initial_ms or rto.initial
    rto.min = options.rto_min_ms or rto.min
    rto.max = options.rto_max_ms or rto.max
    sock.set_rtoinfo(rto)
    sock.bindx([(address, options.port) for address in options.binds])
    return sock


def listen(options: Options) -> sctp.sctpsocket_tcp:
    """A listening socket; its file number is readable when a peer waits in accept()."""
    sock = open_socket(options)
    sock.listen(64)
    sock.setblocking(False)
    return sock


def connect(options: Options, peers: Sequence[str], port: int) -> Association:
    """Begin an association with the peer that has these addresses; an UP or LOST event follows."""
    association = Association(open_socket(options))
    with contextlib.suppress(BlockingIOError):
        association.sock.connectx([(address, port) for address in peers])
    return association
