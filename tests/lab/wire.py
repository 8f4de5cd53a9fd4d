"""What captures of a lab's cables say about SCTP: chunks with their times and addresses."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from free5gc_lab.capture import Capture, Frame
from free5gc_lab.lab import Lab

from protocols import sctp


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One SCTP packet on a cable; `ecn` are the two bits of its IP header (RFC 3168 §5)."""

    time_ns: int
    source: str
    destination: str
    ecn: int
    packet: sctp.Packet

    def has(self, kind: type[sctp.Chunk]) -> bool:
        return any(isinstance(chunk, kind) for chunk in self.packet.chunks)


def kinds(packet: bytes) -> Iterator[int]:
    """The types of an SCTP packet's chunks."""
    at = 12
    while at + 4 <= len(packet):
        yield packet[at]
        at += max(4, (int.from_bytes(packet[at + 2 : at + 4]) + 3) & ~3)


def seen(frame: Frame, port: int | None, wanted: frozenset[int] | None) -> Seen | None:
    """The frame's SCTP packet if it has this port at either end and one of these chunks."""
    network, raw = frame.network, frame.sctp
    if network is None or raw is None:
        return None
    if port is not None and port.to_bytes(2) not in {raw[0:2], raw[2:4]}:
        return None
    if wanted is not None and wanted.isdisjoint(kinds(raw)):
        return None
    ip = frame.data[14:]
    field = ip[1] if ip[0] >> 4 == 4 else ip[1] >> 4
    return Seen(
        time_ns=frame.time_ns,
        source=network[0],
        destination=network[1],
        ecn=field & 3,
        packet=sctp.decode(raw, verify=False),  # the hosts' kernels verify it
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cables:
    """Captures of every cable of some hosts."""

    captures: tuple[Capture, ...]

    def packets(self, *wanted: type[sctp.Chunk], towards_host: bool, port: int | None = None) -> list[Seen]:
        """One direction in order of time; only of one port, or with one of some chunks, where asked."""
        types = frozenset(kind.TYPE for kind in wanted) or None
        frames = [f for c in self.captures for f in c.frames if f.towards_host is towards_host]
        found = filter(None, (seen(frame, port, types) for frame in frames))
        return sorted(found, key=lambda one: one.time_ns)


@contextmanager
def cables(lab: Lab, *hosts: str) -> Iterator[Cables]:
    """Watch all cables of these hosts."""
    ends = [(host, nic) for host in hosts for nic in range(len(lab.topology.host(host).subnets))]
    with ExitStack() as stack:
        yield Cables(captures=tuple(stack.enter_context(lab.capture(*end)) for end in ends))


def chunks(packets: Iterable[Seen]) -> Counter[bytes]:
    """How often each chunk went by; addresses, ports and tags are not part of one, INIT and INIT ACK left out."""
    return Counter(
        sctp.build_chunk(chunk)
        for one in packets
        for chunk in one.packet.chunks
        if not isinstance(chunk, sctp.Init | sctp.InitAck)
    )


def heartbeat_answers(sent: Sequence[Seen], received: Sequence[Seen]) -> dict[tuple[str, str], float]:
    """Per (own, peer address): milliseconds until the first HEARTBEAT was answered; missing ones are infinite."""
    first: dict[tuple[str, str], tuple[int, tuple[sctp.Parameter, ...]]] = {}
    for one in sent:
        for chunk in one.packet.chunks:
            if isinstance(chunk, sctp.Heartbeat):
                first.setdefault((one.source, one.destination), (one.time_ns, chunk.parameters))
    answers = {
        chunk.parameters: one.time_ns
        for one in reversed(received)
        for chunk in one.packet.chunks
        if isinstance(chunk, sctp.HeartbeatAck)
    }
    return {
        ends: (answers[info] - at) / 1e6 if info in answers else float("inf")
        for ends, (at, info) in first.items()
    }
