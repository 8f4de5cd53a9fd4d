"""A benched program and its packet: armed, guarded against measuring a miss, timed."""

from dataclasses import dataclass
from ipaddress import ip_address
from struct import unpack_from

from bench.errors import GuardError
from bench.frames import ends
from bench.world import TC_REDIRECT, XDP_TX, World
from lb.datapath.records import mapped

Sender = dict[str, int | bytes]


def sender(packet: bytes) -> Sender:
    """struct sender: what its translation takes from a packet."""
    four = packet[12:14] == b"\x08\x00"
    at = 34 if four else 54
    source, sport, destination, dport = ends(packet)
    return {
        "lifetime": unpack_from("<I", packet, 22)[0] if four else unpack_from("<H", packet, 20)[0],
        "checksum": unpack_from("<I", packet, at + 8)[0],
        "sport": sport,
        "dport": dport,
        "tag": unpack_from(">I", packet, at + 4)[0],
        "source": mapped(ip_address(source)),
        "destination": mapped(ip_address(destination)),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One program on one packet; ``armed`` is false for programs that generate nothing."""

    world: World
    program: str
    packet: bytes
    armed: bool = True

    def arm(self) -> None:
        """Have the generator make this packet."""
        if self.armed:
            self.world.put("senders", 0, **sender(self.packet))

    def measure(self, repeat: int) -> float:
        """ns a packet."""
        self.arm()
        return self.world.time(self.program, self.packet, repeat)

    def guard(self) -> tuple[str, int, str, int]:
        """Translated each time, checksums right, counted, nothing dropped: the new ends. Raises GuardError."""
        self.arm()
        dropped, counted = self.world.drops(), self.world.counted()
        verdict, once = self.world.send(self.program, self.packet)
        _, again = self.world.send(self.program, self.packet, 1000)
        if verdict not in {XDP_TX, TC_REDIRECT} or self.world.drops() != dropped:
            raise GuardError(f"{self.program}: verdict {verdict}, drops {self.world.drops()}")
        if once != again or ends(once) == ends(self.packet):
            raise GuardError(f"{self.program}: {ends(self.packet)} became {ends(once)}, then {ends(again)}")
        if self.world.counted() != counted + 1001:
            raise GuardError(f"{self.program}: {self.world.counted() - counted} hits counted, 1001 expected")
        return ends(once)
