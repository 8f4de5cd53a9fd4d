"""The model's memory, and what every walk needs of it. Free choices of the datapath are read from what it sent."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.oracle.frames import Frame
from tests.oracle.state import Association, Flow, Handshake, Key, Policies, Stop, Tuple, drop

PENDING_LIFE = 65.0
WAYS = 8


@dataclass(slots=True)
class Model:
    """Everything that is remembered from packet to packet; ``now`` in seconds moves only by injection.

    ``chosen`` tells the endpoint's first address and our port that the datapath took for a client's handshakes, the
    newest first: choices that are free, and that the model only judges.
    """

    hook: str
    world: Policies
    now: float = 0.0
    handshakes: list[Handshake] = field(default_factory=list)
    associations: list[Association] = field(default_factory=list)
    table: dict[Key, tuple[Association, int]] = field(default_factory=dict)
    overflow: dict[tuple[Key, bytes], Association] = field(default_factory=dict)
    peers: dict[tuple[bytes, int, int, str], Association] = field(default_factory=dict)
    direct: dict[tuple[bytes, int, int, str], Handshake] = field(default_factory=dict)  # of dsr
    fragments: dict[tuple[bytes, bytes, int, int], tuple[bytes, bytes, float]] = field(default_factory=dict)
    flows: dict[Tuple, tuple[Flow, int]] = field(default_factory=dict)
    free: int = 256  # records of conversations
    seen: bytes = b""  # what the datapath made of the packet in hand; empty: it went no further
    reasons: list[str] = field(default_factory=list)  # counted without a drop
    homes: dict[int, int] = field(default_factory=dict)  # bucket of each tag, as far as it is known
    chosen: Callable[[Handshake], list[tuple[bytes, int]]] = lambda _: []
    state: str = ""  # that the packet in hand was found in, for the coverage table

    def live(self, handshake: Handshake) -> bool:
        """Not yet expired."""
        return self.now - handshake.last <= PENDING_LIFE

    def heard(self, a: Association, src: bytes) -> None:
        """A client's address has really sent: from now on an INIT from it is a restart. The newest association wins."""
        if src not in a.sent:
            a.sent.add(src)
            self.peers[src, a.client_port, a.service_port, a.service.name] = a

    def forget(self, h: Handshake) -> None:
        """It is over."""
        self.handshakes.remove(h)
        self.direct = {k: v for k, v in self.direct.items() if v is not h}

    def pending(self) -> list[Handshake]:
        """Handshakes that are alive."""
        return [h for h in self.handshakes if self.live(h)]


def malformed(model: Model, f: Frame, reason: str) -> Stop:
    """Dropped if the destination is a VIP of this protocol, else the host's."""
    return drop(reason) if model.world.is_vip(f.dst, f.protocol) else Stop("pass")
