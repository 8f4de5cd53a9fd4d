"""The real datapath: packets through it, time injected into its maps, its counters read, all of it forgotten."""

import ctypes
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from lb.bpf import run_packet
from lb.bpf.syscall import Command, address, bpf
from lb.datapath.objects import Datapath, Sizes, ticks
from lb.datapath.program import Programmer
from lb.datapath.read import AssociationRow, Reader
from lb.datapath.records import unmapped
from tests.oracle.model import WAYS
from tests.oracle.state import Handshake, Policies

# Two buckets of handshakes, so that they fill up. Tables so wide that probing never fails.
SIZES = Sizes(conversations=256, handshakes=16, services=64, endpoints=64)
SEED = 0x9E3779B97F4A7C15
VERDICTS = {
    "xdp": {0: "aborted", 1: "drop", 2: "pass", 3: "answer", 4: "forward"},
    "tc": {2**32 - 1: "pass", 2: "drop", 7: "forward"},
}
CLEARED = ("table", "index_table", "conversations", "buckets", "handshakes", "ring_turns")
EMPTIED = ("overflow", "fragments")
HALF, WHOLE = (1 << 31) - 1, (1 << 32) - 1


class Driver:
    """One datapath behind one hook at a time; both hooks share its maps."""

    def __init__(self) -> None:
        self.datapath = Datapath(sizes=SIZES, seed=SEED)
        self.programmer = Programmer(self.datapath)
        self.hz = ticks()
        btf = self.datapath.btf
        self._reasons = {
            number: name.removeprefix("REASON_").lower()
            for name, number in btf.enum("reason").items()
            if name not in {"REASON_COUNT", "REASON_NONE"}
        }
        self._memory = {name: self.datapath.maps[name].memory() for name in (*CLEARED, "endpoints")}
        self._entry, self._conversation = btf.layout("entry"), btf.layout("conversation")
        self._handshake, self._fragment = btf.layout("handshake"), btf.layout("fragment_value")
        self._endpoint = btf.layout("endpoint")
        self._words = self._memory["buckets"].cast("Q")
        self.reader = Reader(self.datapath)
        self._before: dict[str, int] = {}

    @property
    def reasons(self) -> set[str]:
        """Every reason that there is."""
        return set(self._reasons.values())

    def send(self, hook: str, raw: bytes) -> tuple[str, bytes]:
        """Verdict and the frame as the program left it."""
        result = run_packet(self.datapath.programs[f"telco_{hook}"], raw)
        return VERDICTS[hook].get(result.verdict, str(result.verdict)), result.data

    def apply(self, world: Policies) -> None:
        """Program a policy and who is dead."""
        self.programmer.apply(world.policy, lambda _, a: a not in world.dead, world.facing.get)

    def age_handshakes(self, jiffies: int) -> None:
        """Let time pass for handshakes alone, so that no two are of one age."""
        words = self._words
        for i, word in enumerate(words):
            if word:
                words[i] = word & ~HALF | (word - jiffies) & HALF

    def homes(self) -> dict[int, int]:
        """The bucket of each tag that has a handshake: a hash's choice, which the model only learns."""
        return {
            int.from_bytes((word >> 32).to_bytes(4, "little"), "big"): i // WAYS
            for i, word in enumerate(self._words)
            if word
        }

    def chosen(self, h: Handshake) -> list[tuple[bytes, int]]:
        """First address of the endpoint and the port that a client's handshakes got, the newest first."""
        layout, memory = self._handshake, self._memory["handshakes"]
        wanted = h.tc.to_bytes(4, "big"), h.client_port, h.service_port, h.service.name, h.clients[0]
        found = []
        for i, word in enumerate(self._words):
            at = i * layout.size
            if not word or layout.raw(memory, "client_tag", at) != wanted[0]:
                continue
            ports = [layout.number(memory, name, at) for name in ("client_port", "service_port")]
            name = self.programmer.service_names.get(layout.number(memory, "service", at), "")
            first = at + layout.fields["client"].offset
            if (wanted[0], *ports, name, unmapped(bytes(memory[first : first + 16])).packed) == wanted:
                found.append((word & HALF, self._server(at), layout.number(memory, "our_port", at)))
        newest = max(
            (time for time, _, _ in found), key=lambda t: (t - found[0][0] + HALF // 2) & HALF, default=0
        )
        found.sort(key=lambda one: (newest - one[0]) & HALF)
        return [(server, port) for _, server, port in found]

    def _server(self, handshake: int) -> bytes:
        at = self._handshake.number(self._memory["handshakes"], "endpoint", handshake) * self._endpoint.size
        first = at + self._endpoint.fields["address"].offset
        return unmapped(bytes(self._memory["endpoints"][first : first + 16])).packed

    def age(self, seconds: float) -> None:
        """Let time pass for everything."""
        jiffies = round(seconds * self.hz)
        self.age_handshakes(jiffies)
        self._shift("table", self._entry.size, self._entry.fields["last"].offset, jiffies)
        created = self._conversation.fields["created"].offset
        self._shift("conversations", self._conversation.size, created, jiffies)
        self._shift("handshakes", self._handshake.size, self._handshake.fields["created"].offset, jiffies)
        for name, layout, field in (("overflow", self._entry, "last"), ("fragments", self._fragment, "seen")):
            held, at = self.datapath.maps[name], layout.fields[field].offset
            for key in list(held.keys()):
                value = bytearray(held.lookup(key) or b"")
                if value:
                    _earlier(value, at, jiffies)
                    held.update(key, bytes(value))

    def _shift(self, name: str, size: int, at: int, jiffies: int) -> None:
        memory, step = self._memory[name], (size + 7) // 8 * 8
        for start in range(0, len(memory), step):
            if any(memory[start + at : start + at + 4]):
                _earlier(memory, start + at, jiffies)

    def sweep(self) -> dict[str, int]:
        """What one pass found."""
        record = self.datapath.call(
            "sweep",
            conversation=0,
            conversations=SIZES.conversations,
            handshake=0,
            handshakes=SIZES.handshakes,
        )
        layout = self.datapath.btf.layout("sweep")
        return {name: layout.number(record, name) for name in ("live", "ended", "pending", "expired")}

    def drops(self) -> dict[str, int]:
        """Packets counted by reason since the last reset, zeros left out."""
        now = self._counted()
        return {
            name: n - self._before.get(name, 0) for name, n in now.items() if n != self._before.get(name, 0)
        }

    def _counted(self) -> dict[str, int]:
        held = self.datapath.maps["drops"]
        count, cpus = held.info.max_entries, held.value_bytes // 16
        keys, values = (
            ctypes.create_string_buffer(4 * count),
            ctypes.create_string_buffer(held.value_bytes * count),
        )
        place = ctypes.create_string_buffer(8)
        attributes = struct.pack(
            "=QQQQIIQQ", 0, address(place), address(keys), address(values), count, held.fd, 0, 0
        )
        bpf(Command.MAP_LOOKUP_BATCH, attributes, "read drops", 2)
        numbers = struct.unpack(f"={2 * cpus * count}Q", values.raw)
        return {
            name: sum(numbers[2 * cpus * n : 2 * cpus * (n + 1) : 2]) for n, name in self._reasons.items()
        }

    def rows(self) -> list[AssociationRow]:
        """Every association."""
        return list(self.reader.associations())

    def take_records(self, leave: int) -> list[bytes]:
        """Use up the unused records of conversations but for some."""
        taken: list[bytes] = []
        while True:
            value = self._pop()
            if value is None:
                break
            taken.append(value)
        for value in taken[:leave]:
            self._push(value)
        return taken[leave:]

    def give_records(self, taken: list[bytes]) -> None:
        """Give them back."""
        for value in taken:
            self._push(value)

    def _pop(self) -> bytes | None:
        value = ctypes.create_string_buffer(4)
        attributes = struct.pack("=IIQQQ", self.datapath.maps["unused"].fd, 0, 0, address(value), 0)
        result, _ = bpf(Command.MAP_LOOKUP_AND_DELETE_ELEM, attributes, "take a record", 2)
        return value.raw if result >= 0 else None

    def _push(self, value: bytes) -> None:
        buffer = ctypes.create_string_buffer(value, 4)
        attributes = struct.pack("=IIQQQ", self.datapath.maps["unused"].fd, 0, 0, address(buffer), 0)
        bpf(Command.MAP_UPDATE_ELEM, attributes, "give a record")

    def reset(self) -> None:
        """Forget every conversation; the records of those that live are unused again."""
        step, at = (self._conversation.size + 7) // 8 * 8, self._conversation.fields["state"].offset
        for i in range(SIZES.conversations):
            if self._memory["conversations"][i * step + at]:
                self._push(struct.pack("=I", i))
        for name in CLEARED:
            self._memory[name][:] = bytes(len(self._memory[name]))
        for name in EMPTIED:
            held = self.datapath.maps[name]
            for key in list(held.keys()):
                held.delete(key)
        self._before = self._counted()


def _earlier(memory: memoryview | bytearray, at: int, jiffies: int) -> None:
    (was,) = struct.unpack_from("=I", memory, at)
    struct.pack_into("=I", memory, at, (was - jiffies) & WHOLE)


@contextmanager
def driver() -> Iterator[Driver]:
    """Made and closed."""
    made = Driver()
    try:
        yield made
    finally:
        made.datapath.close()
