"""Reading the datapath: associations, totals, drops, through memory shared with it."""

from collections.abc import Iterator
from dataclasses import dataclass

from lb.bpf import Layout
from lb.datapath.objects import Datapath, ticks
from lb.datapath.records import IP_PROTOCOL, unmapped
from lb.model import Address, Protocol

MAX_ADDRESSES = 8
NO_SLOT = 0xFFFFFFFF
REVERSE, WIDE, FLOW = 1, 2, 8  # enum entry_flag
PROTOCOLS = {number: protocol for protocol, number in IP_PROTOCOL.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRow:
    """One path: the client's address and the VIP that it sends to, and what the endpoint sees of them."""

    client: Address
    vip: Address
    source: Address
    server: Address
    live: bool
    packets: tuple[int, int]  # to the endpoint, to the client


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRow:
    """One association, or flow of TCP or UDP, as the datapath has it; times in seconds. A flow has no tags."""

    number: int
    protocol: Protocol
    service: int
    endpoint: int
    state: str
    client_tag: int
    server_tag: int
    client_port: int
    service_port: int
    our_port: int
    server_port: int
    clients: tuple[Address, ...]
    paths: tuple[PathRow, ...]
    packets: tuple[int, int]
    bytes: tuple[int, int]
    age: float
    idle: float
    one_direction: bool  # dsr: replies are never seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Of a service or endpoint, ended conversations included; packets and bytes to the endpoint and to the client."""

    conversations: int
    created: int
    packets: tuple[int, int]
    bytes: tuple[int, int]


class _Memory(dict[str, memoryview]):
    """Memory of maps by name, shared when it is first looked at: the kernel maps every page of it at once."""

    def __init__(self, datapath: Datapath) -> None:
        super().__init__()
        self._maps = datapath.maps

    def __missing__(self, name: str) -> memoryview:
        self[name] = self._maps[name].memory()
        return self[name]


class Reader:
    """Looks into one datapath; every call gives a snapshot."""

    def __init__(self, datapath: Datapath) -> None:
        self._datapath = datapath
        self._layouts = {
            name: datapath.btf.layout(name)
            for name in ("conversation", "entry", "endpoint", "service", "totals", "counter")
        }
        self._memory = _Memory(datapath)
        self._modes = {number: name for name, number in datapath.btf.enum("mode").items()}
        self._states = {
            number: name.removeprefix("STATE_").lower() for name, number in datapath.btf.enum("state").items()
        }
        self._ticks = ticks()

    def _step(self, layout: Layout) -> int:
        return (layout.size + 7) // 8 * 8

    def _addresses(
        self, memory: memoryview, layout: Layout, field: str, start: int, count: int
    ) -> list[Address]:
        at = start + layout.fields[field].offset
        return [unmapped(bytes(memory[at + 16 * i : at + 16 * i + 16])) for i in range(count)]

    def jiffies(self) -> int:
        """The datapath's clock, 32 bits of it."""
        record = self._datapath.call("sweep")
        return self._datapath.btf.layout("sweep").number(record, "jiffies") & 0xFFFFFFFF

    def associations(self) -> Iterator[AssociationRow]:
        """Every association, closing ones too."""
        now, layout, memory = self.jiffies(), self._layouts["conversation"], self._memory["conversations"]
        step = self._step(layout)
        shown = {n: name for n, name in self._states.items() if name not in {"free", "opening"}}
        try:
            states = memory.cast("I")[layout.fields["state"].offset // 4 :: step // 4]
            for number, state in enumerate(states):
                if state in shown:
                    yield self._row(number, number * step, shown[state], now)
        finally:
            self._memory.clear()

    def row(self, number: int) -> AssociationRow:
        """One record, whatever its state; of a free one, what it was last."""
        at = number * self._step(self._layouts["conversation"])
        state = self._layouts["conversation"].number(self._memory["conversations"], "state", at)
        return self._row(number, at, self._states[state], self.jiffies())

    def _row(self, number: int, at: int, state: str, now: int) -> AssociationRow:
        layout, memory = self._layouts["conversation"], self._memory["conversations"]

        def field(name: str) -> int:
            return layout.number(memory, name, at)

        entries = [self._entry(field("forward")), self._entry(field("reverse")) or self._overflowed(at)]
        last = (
            max(((entry["last"] - now) & 0xFFFFFFFF) - (1 << 32) for entry in entries if entry)
            if any(entries)
            else 0
        )
        protocol = PROTOCOLS[field("protocol")]
        return AssociationRow(
            number=number,
            protocol=protocol,
            service=field("service"),
            endpoint=field("endpoint"),
            state=state,
            client_tag=int.from_bytes(field("client_tag").to_bytes(4, "little"), "big"),
            server_tag=int.from_bytes(field("server_tag").to_bytes(4, "little"), "big"),
            client_port=field("client_port"),
            service_port=field("service_port"),
            our_port=field("our_port"),
            server_port=field("server_port"),
            clients=tuple(self._addresses(memory, layout, "client", at, field("clients"))),
            paths=tuple(
                self._paths(at, entries) if protocol is Protocol.SCTP else [self._flow_path(at, entries)]
            ),
            packets=(self._packets(entries[0], at, 0), self._packets(entries[1], at, 1)),
            bytes=tuple(entry["bytes"] if entry else 0 for entry in entries),  # type: ignore[arg-type]  # two of them
            age=((now - field("created")) & 0xFFFFFFFF) / self._ticks,
            idle=-last / self._ticks if -(1 << 31) < last <= 0 else 0.0,
            one_direction=self._modes[field("mode")] == "MODE_DSR",
        )

    def _entry(self, slot: int) -> dict[str, int] | None:
        return None if slot == NO_SLOT else self._counters(self._memory["table"], slot * 64)

    def _overflowed(self, at: int) -> dict[str, int] | None:
        """The entry to the client of an association whose tag and ports another client has too (dnat)."""
        layout, memory = self._layouts["conversation"], self._memory["conversations"]
        key = b"".join(layout.raw(memory, name, at) for name in ("server_port", "our_port", "client_tag"))
        held = self._datapath.maps["overflow"].lookup(key + layout.raw(memory, "client", at)[:16])
        return self._counters(held, 0) if held else None

    def _counters(self, memory: bytes | memoryview, at: int) -> dict[str, int]:
        layout = self._layouts["entry"]
        both = layout.number(memory, "packets", at)
        return {
            "bytes": layout.number(memory, "bytes", at),
            "first": both & 0xFFFFFFFF,
            "second": both >> 32,
            "last": layout.number(memory, "last", at),
            "flags": layout.number(memory, "flags", at),
        }

    def _per_path(self, entry: dict[str, int] | None, at: int, direction: int, vip: int) -> int:
        if entry is None:
            return 0
        if entry["flags"] & (WIDE | FLOW) == WIDE:
            layout = self._layouts["conversation"]
            start = at + layout.fields["path_packets"].offset + 32 * direction + 4 * vip
            return int.from_bytes(self._memory["conversations"][start : start + 4], "little")
        return entry["second" if vip else "first"] if vip < 2 else 0

    def _packets(self, entry: dict[str, int] | None, at: int, direction: int) -> int:
        return sum(self._per_path(entry, at, direction, vip) for vip in range(MAX_ADDRESSES))

    def _paths(self, at: int, entries: list[dict[str, int] | None]) -> Iterator[PathRow]:
        layout, memory = self._layouts["conversation"], self._memory["conversations"]
        endpoint, endpoints = self._layouts["endpoint"], self._memory["endpoints"]
        there = layout.number(memory, "endpoint", at) * self._step(endpoint)
        vips = self._addresses(memory, layout, "vip", at, layout.number(memory, "vips", at))
        clients = self._addresses(memory, layout, "client", at, layout.number(memory, "clients", at))
        count = endpoint.number(endpoints, "addresses", there)
        servers = self._addresses(endpoints, endpoint, "address", there, count)
        sources = self._addresses(endpoints, endpoint, "source", there, count)
        live, mode = endpoint.number(endpoints, "live", there), self._modes[layout.number(memory, "mode", at)]
        single = layout.number(memory, "single", at)
        pairs = layout.raw(memory, "pairs", at)
        for vip in range(len(vips)):
            server = 0 if single or not servers else vip % len(servers)
            client = clients[pairs[vip] & 7 if (pairs[vip] & 7) < len(clients) else 0]
            ours = {
                "MODE_FULLNAT": vips[0 if single else vip],
                "MODE_ONEARM": sources[server] if sources else client,
            }
            yield PathRow(
                client=client,
                vip=vips[vip],
                source=ours.get(mode, client),
                server=servers[server] if servers else vips[vip],
                live=bool(live >> server & 1),
                packets=(self._per_path(entries[0], at, 0, vip), self._per_path(entries[1], at, 1, vip)),
            )

    def _flow_path(self, at: int, entries: list[dict[str, int] | None]) -> PathRow:
        """A flow's record lists two addresses a side: the near one and the endpoint's."""
        layout, memory = self._layouts["conversation"], self._memory["conversations"]
        vip, source = self._addresses(memory, layout, "vip", at, 2)
        client, server = self._addresses(memory, layout, "client", at, 2)
        forward, reverse = (entry["first"] if entry else 0 for entry in entries)
        return PathRow(
            client=client, vip=vip, source=source, server=server, live=True, packets=(forward, reverse)
        )

    def totals(self, kind: str, number: int) -> Totals:
        """Of one service or endpoint (``kind``), ended conversations only."""
        layout = self._layouts["totals"]
        record = self._datapath.maps[f"{kind}_totals"][number]
        pairs = {name: layout.raw(record, name) for name in ("packets", "bytes")}
        both = {
            name: (int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little"))
            for name, raw in pairs.items()
        }
        return Totals(
            conversations=layout.number(record, "conversations"),
            created=layout.number(record, "created"),
            packets=both["packets"],
            bytes=both["bytes"],
        )

    def drops(self) -> dict[str, int]:
        """Packets dropped so far, by reason."""
        counter = self._layouts["counter"]
        return {
            name.removeprefix("REASON_").lower(): sum(
                counter.number(raw, "packets") for raw in self._datapath.maps["drops"].per_cpu(number)
            )
            for name, number in self._datapath.btf.enum("reason").items()
            if name not in {"REASON_NONE", "REASON_COUNT"}
        }
