"""Watching a cable: every frame that passes one end of it, as values or as a pcap file."""

import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from . import netns

ETH_P_ALL = 0x0003
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
TIMESPEC, ANCILLARY = struct.Struct("=qq"), 64
RECEIVE_BUFFER = 8 << 20  # bytes: a burst must not overrun a Python thread
LONGEST = 1 << 16
IPPROTO_SCTP = 132
PCAP_MAGIC_NS, LINKTYPE_ETHERNET = 0xA1B23C4D, 1
SETTLE_S = 0.02  # frames on their way into the socket when the watch ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One Ethernet frame; `towards_host` as seen from the host at the end of the cable."""

    time_ns: int
    data: bytes
    towards_host: bool

    @property
    def network(self) -> tuple[str, str, int, bytes] | None:
        """Source, destination, protocol and payload of an IP packet without extension headers, else None."""
        kind, packet = self.data[12:14], self.data[14:]
        if kind == b"\x08\x00" and len(packet) >= 20:
            length = int.from_bytes(packet[2:4])
            payload = packet[(packet[0] & 0xF) * 4 : length]
            return str(ip_address(packet[12:16])), str(ip_address(packet[16:20])), packet[9], payload
        if kind == b"\x86\xdd" and len(packet) >= 40:
            payload = packet[40 : 40 + int.from_bytes(packet[4:6])]
            return str(ip_address(packet[8:24])), str(ip_address(packet[24:40])), packet[6], payload
        return None

    @property
    def sctp(self) -> bytes | None:
        """The SCTP packet inside, from its common header on, or None."""
        found = self.network
        return found[3] if found and found[2] == IPPROTO_SCTP else None


class Capture:
    """A context manager that collects the frames of one interface of a namespace while it is entered.

    Taken at a host's end of a cable, outside any XDP program of the balancer, so it sees what is on the wire.
    """

    def __init__(self, namespace: str, interface: str) -> None:
        self.namespace, self.interface = namespace, interface
        self.frames: list[Frame] = []
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        with netns.entered(self.namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)  # when it passed, not when we read it
        self._socket.bind((self.interface, ETH_P_ALL))
        self._socket.setblocking(False)
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(SETTLE_S)
        self._stop.set()
        self._thread.join()
        self._drain()  # what a busy machine had not come to
        self._socket.close()

    def packets(self, *, towards_host: bool) -> list[tuple[str, str, bytes]]:
        """(source, destination, SCTP packet) of everything in one direction."""
        found = [frame.network for frame in self.frames if frame.towards_host is towards_host]
        return [(net[0], net[1], net[3]) for net in found if net and net[2] == IPPROTO_SCTP]

    def write(self, path: Path) -> None:
        """As a pcap file with nanosecond times."""
        with path.open("wb") as out:
            out.write(struct.pack("=IHHiIII", PCAP_MAGIC_NS, 2, 4, 0, 0, LONGEST, LINKTYPE_ETHERNET))
            for frame in self.frames:
                seconds, rest = divmod(frame.time_ns, 1_000_000_000)
                size = len(frame.data)
                out.write(struct.pack("=IIII", seconds, rest, size, size) + frame.data)

    def _collect(self) -> None:
        while not self._stop.is_set():
            if select.select([self._socket], [], [], 0.05)[0]:
                self._drain()

    def _drain(self) -> None:
        """Everything that is there; what this end of the cable sent on came from the host's guest."""
        while True:
            try:
                data, beside, _, (_, _, kind, *_) = self._socket.recvmsg(LONGEST, ANCILLARY)
            except BlockingIOError:
                return
            seconds, rest = next(TIMESPEC.unpack(raw) for _, what, raw in beside if what == SO_TIMESTAMPNS)
            outgoing = kind == socket.PACKET_OUTGOING
            at = seconds * 1_000_000_000 + rest
            self.frames.append(Frame(time_ns=at, data=data, towards_host=not outgoing))
