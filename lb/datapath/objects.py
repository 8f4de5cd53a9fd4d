"""Loading the datapath: new, or adopting the pinned maps of an earlier process."""

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from lb.bpf import BpfError, BpfObject, Btf, Map, run_packet
from lb.datapath.kept import PREFIX, fingerprint, keep, kept
from lb.datapath.pins import get_pinned, pin

OBJECTS = ("xdp", "tc", "control")
CLOCK_MONOTONIC_COARSE = 6  # advances once a jiffy
PENDING_WAYS = 8
ETHERNET_BYTES = 14  # the shortest packet that a test run takes


def ticks() -> int:
    """Jiffies a second (CONFIG_HZ), which the datapath's clock counts in."""
    return round(1 / time.clock_getres(CLOCK_MONOTONIC_COARSE))


def object_directory() -> Path:
    """Where the compiled programs are: inside the installed package, else the build directory of a checkout."""
    packaged = Path(__file__).parent / "objects"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "build" / "bpf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many of each the maps hold. Conversations and handshakes are rounded up to powers of two."""

    conversations: int = 65_536
    handshakes: int = 32_768
    services: int = 131_072
    endpoints: int = 8_192

    @property
    def table_bits(self) -> int:
        """Two entries a conversation, at load 0.5."""
        return (self.conversations * 4 - 1).bit_length()

    @property
    def index_bits(self) -> int:
        """A port, two peers and two aliases a conversation; a port and a candidate a handshake; at load 0.6 if all are.

        Unlike the table the index has no overflow: what finds no slot is not remembered.
        """
        return (max(self.conversations * 8, self.handshakes * 4) - 1).bit_length()

    @property
    def vip_bits(self) -> int:
        """Two VIPs a service, at load 0.5."""
        return (self.services * 4 - 1).bit_length()

    @property
    def vips(self) -> int:
        """VIPs that may be in the table: a slot in two."""
        return 1 << self.vip_bits >> 1

    @property
    def pending_bits(self) -> int:
        """Buckets of eight, two at least: the hash's top bits choose, and a shift by all 64 of them is none."""
        return (max(self.handshakes // PENDING_WAYS, 2) - 1).bit_length()

    def entries(self) -> dict[str, int]:
        """``max_entries`` of each map that depends on them."""
        buckets = 1 << self.pending_bits
        return {
            "table": 1 << self.table_bits,
            "index_table": 1 << self.index_bits,
            "conversations": self.conversations,
            "unused": self.conversations,
            "buckets": buckets,
            "handshakes": buckets * PENDING_WAYS,
            "services": self.services,
            "service_totals": self.services,
            "endpoints": self.endpoints,
            "endpoint_totals": self.endpoints,
            "vips": 1 << self.vip_bits,
            "members": self.endpoints * 8,
        }


class Datapath:
    """The loaded programs and their maps. ``adopted`` tells whether the maps were there before."""

    def __init__(
        self, *, sizes: Sizes | None = None, pins: Path | None = None, seed: int | None = None
    ) -> None:
        paths = {name: object_directory() / f"{name}.bpf.o" for name in OBJECTS}
        self._objects = {name: BpfObject(path) for name, path in paths.items()}
        self.btf: Btf = self._objects["control"].btf
        self.sizes = sizes or Sizes()
        self.seed = seed or secrets.randbits(64) | 1
        self.maps: dict[str, Map] = {}
        self.adopted = bool(pins and self._adopt(pins))
        mark = fingerprint(paths.values())
        names = {name for item in self._objects.values() for name in item.program_names}
        self.programs = kept(names, pins, mark) if pins and self.adopted else {}
        self._taken = list(self.programs.values())
        if not self.programs:
            self._load(pins)
            self.programs = {name: fd for o in self._objects.values() for name, fd in o.programs.items()}
            if pins:
                keep(self.programs, pins, mark)
        if not self.adopted:
            self._fill()

    def _adopt(self, pins: Path) -> bool:
        if not (pins / "meta").exists():
            self._clear(pins)
            return False
        meta = Map(get_pinned(pins / "meta"), "meta")
        layout, record = self.btf.layout("meta"), meta[0]
        wanted = self.btf.enum("layout")["LAYOUT_VERSION"]
        if (found := layout.number(record, "layout")) != wanted:
            raise BpfError(
                f"the maps in {pins} have layout {found}, this version needs {wanted}: stop traffic and run "
                f"'rm -r {pins}', or start the version that made them"
            )
        self.seed = layout.number(record, "seed")
        self.sizes = Sizes(
            conversations=layout.number(record, "conversations"),
            handshakes=PENDING_WAYS << layout.number(record, "pending_bits"),
            services=Map(get_pinned(pins / "services"), "services").info.max_entries,
            endpoints=Map(get_pinned(pins / "endpoints"), "endpoints").info.max_entries,
        )
        names = set().union(*(item.map_names for item in self._objects.values()))
        for path in pins.iterdir():
            if path.name in names:
                self.maps[path.name] = Map(get_pinned(path), path.name)
        return True

    def _clear(self, pins: Path) -> None:
        """What a process left that died before ``meta``, hence before it attached anything."""
        names = set().union(*(item.map_names for item in self._objects.values()))
        for path in list(pins.iterdir()):
            if path.name in names or path.name.startswith(PREFIX):
                path.unlink()

    def _load(self, pins: Path | None) -> None:
        for item in self._objects.values():
            for name in self.join(item):
                if pins:
                    pin(self.maps[name].fd, pins / name)

    def join(self, item: BpfObject) -> list[str]:
        """Load an object on the maps of this datapath; gives the names of those that it adds."""
        sizes = self.sizes
        item.resize(sizes.entries())
        for name in item.map_names & self.maps.keys():
            item.reuse(name, self.maps[name].fd)
        item.configure(
            seed=self.seed,
            table_bits=sizes.table_bits,
            index_bits=sizes.index_bits,
            pending_bits=sizes.pending_bits,
            vip_bits=sizes.vip_bits,
            hz=ticks(),
        )
        item.load()
        added = [name for name in item.maps if name not in self.maps]
        self.maps |= {name: item.maps[name] for name in added}
        return added

    def _fill(self) -> None:
        """What a new datapath needs before its first packet; ``meta`` last, for it says that all is there."""
        self.call(
            "setup",
            conversations=self.sizes.conversations,
            lines=self.maps["checksum_lines"].info.max_entries,
        )
        self.maps["control"].put(self.btf.layout("control").pack(generation=1))
        self.maps["meta"].put(
            self.btf.layout("meta").pack(
                layout=self.btf.enum("layout")["LAYOUT_VERSION"],
                table_bits=self.sizes.table_bits,
                index_bits=self.sizes.index_bits,
                pending_bits=self.sizes.pending_bits,
                conversations=self.sizes.conversations,
                seed=self.seed,
            )
        )

    def call(self, program: str, **arguments: int) -> bytes:
        """Run one of the control programs; its arguments are the struct of the same name."""
        given = self.btf.layout(program).pack(**arguments)
        return run_packet(self.programs[program], given.ljust(ETHERNET_BYTES, b"\0")).data

    def close(self) -> None:
        """Let go; what is pinned or attached goes on."""
        for item in self._objects.values():
            item.close()
        for held in self.maps.values():
            held.close()
        for program in self._taken:
            os.close(program)
        self._taken.clear()
