"""Maps by file descriptor: elements, batches, per-CPU values, memory shared with the datapath."""

import ctypes
import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from lb.bpf.errors import BpfError
from lb.bpf.syscall import Command, address, bpf, close, possible_cpus

ENOENT = 2
BATCH = 65_536  # elements of one batch call: bounds the kernel's work between two schedules
READ_BATCH = 4096  # likewise of one that reads, whose room is made before it is known how many there are
STRETCH = 1024  # elements of memory looked at together: most of a large array is empty


class MapType(IntEnum):
    """enum bpf_map_type, as far as it is used here."""

    HASH = 1
    ARRAY = 2
    PERCPU_ARRAY = 6
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12
    QUEUE = 22
    RINGBUF = 27


@dataclass(frozen=True, slots=True, kw_only=True)
class MapInfo:
    """struct bpf_map_info's first fields; sizes in bytes."""

    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


def map_info(descriptor: int) -> MapInfo:
    """Ask the kernel about a map."""
    info = ctypes.create_string_buffer(80)
    bpf(
        Command.OBJ_GET_INFO_BY_FD,
        struct.pack("=IIQ", descriptor, len(info), address(info)),
        "read map information",
    )
    kind, number, key, value, entries, flags = struct.unpack_from("=6I", info)
    return MapInfo(type=kind, id=number, key_size=key, value_size=value, max_entries=entries, flags=flags)


def create_map(
    kind: MapType, *, key_size: int, value_size: int, max_entries: int, flags: int = 0, name: str = ""
) -> "Map":
    """Make an anonymous map, such as the inner one of an array of maps."""
    attributes = struct.pack(
        "=5IIi16s", kind, key_size, value_size, max_entries, flags, 0, 0, name.encode()[:15]
    )
    descriptor, _ = bpf(Command.MAP_CREATE, attributes, f"create a {kind.name} map of {max_entries} entries")
    return Map(descriptor, name)


class Map:
    """One map. Keys and values are bytes of exactly the map's sizes; the map closes with the process."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.fd = descriptor
        self.name = name
        self.info = map_info(descriptor)
        per_cpu = self.info.type == MapType.PERCPU_ARRAY
        self.value_bytes = (
            (self.info.value_size + 7) // 8 * 8 * possible_cpus() if per_cpu else self.info.value_size
        )

    def close(self) -> None:
        """Let go of the descriptor; the map lives on where something else holds it."""
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1

    def _element(self, command: Command, key: bytes, value: bytes | None, flags: int, what: str) -> bytes:
        if len(key) != self.info.key_size:
            raise BpfError(f"{self.name}: a key has {self.info.key_size} bytes, not {len(key)}")
        key_buffer = ctypes.create_string_buffer(key, max(len(key), 1))
        value_buffer = ctypes.create_string_buffer(value or b"", max(self.value_bytes, 1))
        # A deletion has no value, and the kernel refuses one that is named.
        place = 0 if command is Command.MAP_DELETE_ELEM else address(value_buffer)
        attributes = struct.pack("=IIQQQ", self.fd, 0, address(key_buffer), place, flags)
        bpf(command, attributes, f"{what} {self.name}")
        return value_buffer.raw[: self.value_bytes]

    def lookup(self, key: bytes) -> bytes | None:
        """The value of a key; None: not there."""
        try:
            return self._element(Command.MAP_LOOKUP_ELEM, key, None, 0, "look up in")
        except BpfError as error:
            if error.errno == ENOENT:
                return None
            raise

    def update(self, key: bytes, value: bytes, flags: int = 0) -> None:
        """Set the value of a key."""
        if len(value) != self.value_bytes:
            raise BpfError(f"{self.name}: a value has {self.value_bytes} bytes, not {len(value)}")
        self._element(Command.MAP_UPDATE_ELEM, key, value, flags, "update")

    def delete(self, key: bytes) -> bool:
        """Remove a key; false: it was not there."""
        try:
            self._element(Command.MAP_DELETE_ELEM, key, None, 0, "delete from")
        except BpfError as error:
            if error.errno == ENOENT:
                return False
            raise
        return True

    def __getitem__(self, index: int) -> bytes:
        value = self.lookup(struct.pack("=I", index))
        if value is None:
            raise IndexError(f"{self.name} has {self.info.max_entries} elements, {index} is not one")
        return value

    def __setitem__(self, index: int, value: bytes) -> None:
        self.update(struct.pack("=I", index), value)

    def put(self, value: bytes) -> None:
        """Set the one element of an array of one."""
        self[0] = value

    def per_cpu(self, index: int) -> list[bytes]:
        """The value of each possible CPU."""
        step = (self.info.value_size + 7) // 8 * 8
        raw = self[index]
        return [raw[at : at + self.info.value_size] for at in range(0, len(raw), step)]

    def keys(self) -> Iterator[bytes]:
        """Every key, in the kernel's order."""
        key: bytes | None = None
        while True:
            buffer = ctypes.create_string_buffer(key, self.info.key_size) if key is not None else None
            following = ctypes.create_string_buffer(self.info.key_size)
            try:
                bpf(
                    Command.MAP_GET_NEXT_KEY,
                    struct.pack("=IIQQ", self.fd, 0, address(buffer), address(following)),
                    f"walk {self.name}",
                )
            except BpfError as error:
                if error.errno == ENOENT:
                    return
                raise
            key = following.raw
            yield key

    def items(self) -> dict[bytes, bytes]:
        """Every key and its value, in few calls; a map that changes meanwhile may give some twice or not at all."""
        key_size, value_size, count = self.info.key_size, self.info.value_size, READ_BATCH
        keys = ctypes.create_string_buffer(key_size * count)
        values = ctypes.create_string_buffer(value_size * count)
        place = ctypes.create_string_buffer(max(key_size, 8))
        found: dict[bytes, bytes] = {}
        start, result = 0, 0
        while result != -ENOENT:
            attributes = struct.pack(
                "=QQQQIIQQ", start, address(place), address(keys), address(values), count, self.fd, 0, 0
            )
            result, after = bpf(Command.MAP_LOOKUP_BATCH, attributes, f"read {self.name}", ENOENT)
            (got,) = struct.unpack_from("=I", after, 32)
            raw = keys.raw[: got * key_size], values.raw[: got * value_size]
            listed = zip(
                *(
                    [part[at : at + size] for at in range(0, len(part), size)]
                    for part, size in zip(raw, (key_size, value_size), strict=True)
                ),
                strict=True,
            )
            found.update(listed)
            start = address(place)
        return found

    def update_batch(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Set many keys in few calls."""
        for start in range(0, len(keys), BATCH):
            self._batch(Command.MAP_UPDATE_BATCH, keys[start : start + BATCH], values[start : start + BATCH])

    def delete_batch(self, keys: Sequence[bytes]) -> None:
        """Remove many keys that are there."""
        for start in range(0, len(keys), BATCH):
            self._batch(Command.MAP_DELETE_BATCH, keys[start : start + BATCH], ())

    def _batch(self, command: Command, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        parts = b"".join(keys), b"".join(values)
        for part, size, what in zip(
            parts, (self.info.key_size, self.value_bytes), ("key", "value"), strict=True
        ):
            if len(part) != size * len(keys) and part:
                raise BpfError(f"{self.name}: a {what} has {size} bytes")
        places = [ctypes.cast(ctypes.c_char_p(part), ctypes.c_void_p).value if part else 0 for part in parts]
        attributes = struct.pack("=QQQQIIQQ", 0, 0, places[0], places[1], len(keys), self.fd, 0, 0)
        bpf(command, attributes, f"{command.name} of {len(keys)} in {self.name}")

    def memory(self) -> memoryview:
        """The values themselves, shared with the datapath (BPF_F_MMAPABLE). Elements are padded to 8 bytes."""
        size = (self.info.value_size + 7) // 8 * 8 * self.info.max_entries
        pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        try:
            shared = mmap.mmap(self.fd, pages, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            raise BpfError(f"map the memory of {self.name}", error.errno or 0) from error
        return memoryview(shared)[:size]

    def stretches(self) -> Iterator[tuple[int, bytes]]:
        """Memory in pieces of so many elements, all-zero ones left out: the number of the first, and a copy."""
        memory, step = self.memory(), (self.info.value_size + 7) // 8 * 8
        empty = bytes(STRETCH * step)
        for first in range(0, self.info.max_entries, STRETCH):
            piece = bytes(memory[first * step : (first + STRETCH) * step])
            if piece != empty[: len(piece)]:
                yield first, piece
