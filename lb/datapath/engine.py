"""The datapath as the control plane sees it: apply a policy, ask what is there, let time pass."""

import struct
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lb.bpf import BpfError, RingBuffer
from lb.datapath.attach import Attach, Hooks, inside
from lb.datapath.objects import Datapath, Sizes
from lb.datapath.pins import prepare, unpin
from lb.datapath.program import Programmer
from lb.datapath.read import AssociationRow, Reader, Totals
from lb.datapath.records import endpoint_name, unmapped
from lb.model import Address, Policy, ProbeType, Protocol
from lb.netlink import Netlink

IDLE = "255"  # reason of a death by silence
SLICE = 65_536  # records of one sweep call: about a millisecond of one CPU


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """An association with the names of what it belongs to; '(removed)' for what the policy no longer has."""

    service: str
    endpoint: str
    row: AssociationRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Fired when an association is born, dies or moves, a client is refused, or a packet is traced."""

    kind: str
    reason: str
    service: str
    endpoint: str
    client_tag: int
    server_tag: int
    source: Address
    destination: Address
    sport: int
    dport: int
    conversation: int  # number of its record


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one pass over all conversations and handshakes found."""

    live: int
    ended: int
    pending: int
    expired: int


class Engine:
    """One datapath on some interfaces. Pinned (``pins``), it goes on without us and is adopted by the next."""

    def __init__(
        self,
        interfaces: Iterable[str],
        *,
        attach: Attach = Attach.AUTO,
        pins: Path | None = None,
        sizes: Sizes | None = None,
        netns: str | None = None,
    ) -> None:
        if pins:
            prepare(pins)
        self.datapath = Datapath(sizes=sizes, pins=pins)
        self.programmer = Programmer(self.datapath)
        self.reader = Reader(self.datapath)
        self.policy = Policy()
        self._netns = netns
        self._down: dict[tuple[str, Address], tuple[str, float]] = {}
        self._sources: dict[Address, Address] = {}
        self._lock = threading.Lock()  # policy and health change from several threads
        self._ring = RingBuffer(self.datapath.maps["events"])
        self._event = self.datapath.btf.layout("event")
        self._kinds = {
            n: k.removeprefix("EVENT_").lower() for k, n in self.datapath.btf.enum("event_type").items()
        }
        self._reasons = {
            n: k.removeprefix("REASON_").lower() for k, n in self.datapath.btf.enum("reason").items()
        }
        self._services = self.programmer.service_names
        self._endpoints: dict[int, str] = {}
        self._hooks = Hooks(self.datapath.programs["telco_xdp"], self.datapath.programs["telco_tc"], pins)
        try:
            with inside(netns):
                self.hooks = {interface: self._hooks.attach(interface, attach) for interface in interfaces}
                for interface in self.hooks:
                    _allow_forwarding(interface)
        except BpfError:
            self._undo(pins)
            raise

    def _undo(self, pins: Path | None) -> None:
        """A start that fails leaves the machine as it was: an earlier process's datapath goes on, ours is gone."""
        self._hooks.undo()
        adopted = self.adopted
        self.close()
        if pins and not adopted:
            unpin(pins)

    @property
    def adopted(self) -> bool:
        """Whether an earlier process's associations were taken over."""
        return self.datapath.adopted

    def apply(self, policy: Policy) -> None:
        """Bring the datapath to a policy; conversations stay where they are."""
        with self._lock:
            if self.adopted and not self.policy.pools:
                self._down = self._found_down(policy)
            self._sources = self._facing(policy)
            self.programmer.apply(policy, self.healthy, self._sources.get)
            self.policy = policy
            self._endpoints |= {
                self.programmer.endpoints.of(
                    endpoint_name(pool.name, endpoint)
                ): f"{pool.name}/{endpoint.name}"
                for pool in policy.pools.values()
                for endpoint in pool.endpoints
            }

    def _found_down(self, policy: Policy) -> dict[tuple[str, Address], tuple[str, float]]:
        """What an earlier process knew to be down."""
        return {
            (pool.name, address): ("down before the restart", time.monotonic())
            for pool in policy.pools.values()
            if pool.probe.type is not ProbeType.NONE
            for endpoint in pool.endpoints
            for i, address in enumerate(endpoint.addresses)
            if not self.programmer.live(pool, endpoint) >> i & 1
        }

    def refresh_sources(self) -> bool:
        """Ask again which of our addresses faces each endpoint: routes or addresses changed. True: something did."""
        with self._lock:
            before, self._sources = self._sources, self._facing(self.policy)
            if before == self._sources:
                return False
            self.programmer.apply(self.policy, self.healthy, self._sources.get)
            return True

    def _facing(self, policy: Policy) -> dict[Address, Address]:
        """Our address towards each server, by the kernel's routes; those without a route are left out."""
        servers = {a for pool in policy.pools.values() for e in pool.endpoints for a in e.addresses}
        with inside(self._netns), Netlink() as netlink:
            found = {server: netlink.source_towards(server) for server in servers}
        return {server: source for server, source in found.items() if source}

    def set_health(self, pool: str, address: Address, *, up: bool, reason: str = "") -> None:
        """A probe's verdict about one endpoint address: paths move off it at once, rings leave it."""
        with self._lock:
            if up == self.healthy(pool, address):
                return
            if up:
                del self._down[pool, address]
            else:
                self._down[pool, address] = reason, time.monotonic()
            if pool in self.policy.pools:
                self.programmer.reassess(self.policy.pools[pool], self.healthy, self._sources.get)

    def healthy(self, pool: str, address: Address) -> bool:
        """Whether an endpoint address is used."""
        return (pool, address) not in self._down

    def trouble(self, pool: str, address: Address) -> tuple[str, float] | None:
        """Why an endpoint address is not used, and for how many seconds."""
        found = self._down.get((pool, address))
        return (found[0], time.monotonic() - found[1]) if found else None

    def sweep(self) -> Swept:
        """End what is idle, and have routes and neighbours asked anew. Call it about once a second."""
        self.refresh_routes()
        sizes, layout = self.datapath.sizes, self.datapath.btf.layout("sweep")
        total = Swept(live=0, ended=0, pending=0, expired=0)
        for start in range(0, max(sizes.conversations, sizes.handshakes), SLICE):
            record = self.datapath.call(
                "sweep", conversation=start, conversations=SLICE, handshake=start, handshakes=SLICE
            )
            total = replace(
                total,
                **{name: getattr(total, name) + layout.number(record, name) for name in Swept.__slots__},
            )
        return total

    def refresh_routes(self) -> None:
        """Forget every cached next hop: a route, neighbour or link has changed, or might have."""
        memory = self.datapath.maps["control"].memory()
        (generation,) = struct.unpack_from("=I", memory)
        struct.pack_into("=I", memory, 0, (generation + 1) & 0xFFFFFFFF or 1)

    def associations(self) -> Iterator[Association]:
        """Every association, closing ones too."""
        for row in self.reader.associations():
            yield Association(
                service=self._services.get(row.service, "(removed)"),
                endpoint=self._endpoints.get(row.endpoint, "(removed)"),
                row=row,
            )

    def totals(self) -> tuple[dict[str, Totals], dict[str, Totals]]:
        """Counters of each service and each endpoint (pool/name), live associations included."""
        services = {name: self.reader.totals("service", number) for number, name in self._services.items()}
        endpoints = {name: self.reader.totals("endpoint", number) for number, name in self._endpoints.items()}
        for association in self.associations():
            for totals, name in ((services, association.service), (endpoints, association.endpoint)):
                if name in totals:
                    totals[name] = _add(totals[name], association.row)
        return services, endpoints

    def drops(self) -> dict[str, int]:
        """Packets dropped, by reason."""
        return self.reader.drops()

    def fileno(self) -> int:
        """Readable when there are events."""
        return self._ring.fileno()

    def events(self) -> list[Event]:
        """What the datapath reported since the last call."""
        return [self._decode(record) for record in self._ring.read()]

    def expired(self, event: Event) -> AssociationRow | None:
        """What an association was that silence ended; None: something else, or its record is in use again."""
        if (event.kind, event.reason) != ("death", IDLE):
            return None
        row = self.reader.row(event.conversation)
        same = (row.client_tag, row.server_tag) == (event.client_tag, event.server_tag)
        return row if same and row.protocol is Protocol.SCTP and row.state == "free" else None

    def _decode(self, record: bytes) -> Event:
        layout = self._event
        kind = self._kinds.get(layout.number(record, "type"), "unknown")
        reason = layout.number(record, "reason")
        tags = [int.from_bytes(layout.raw(record, name), "big") for name in ("client_tag", "server_tag")]
        return Event(
            kind=kind,
            reason=self._reasons.get(reason, str(reason)) if kind in {"refusal", "trace"} else str(reason),
            service=self._services.get(layout.number(record, "service"), ""),
            endpoint=self._endpoints.get(layout.number(record, "endpoint"), ""),
            client_tag=tags[0],
            server_tag=tags[1],
            source=unmapped(layout.raw(record, "source")),
            destination=unmapped(layout.raw(record, "destination")),
            sport=layout.number(record, "sport"),
            dport=layout.number(record, "dport"),
            conversation=layout.number(record, "conversation"),
        )

    def trace(self, *, on: bool) -> None:
        """Have every decision reported as an event, or only births, deaths and refusals."""
        struct.pack_into("=I", self.datapath.maps["control"].memory(), 4, int(on))

    def close(self) -> None:
        """Let go; a pinned datapath goes on forwarding."""
        self._ring.close()
        self._hooks.close()
        self.datapath.close()

    def remove(self) -> None:
        """Take the datapath away from its interfaces."""
        self._hooks.detach()
        self.close()


def _add(totals: Totals, row: AssociationRow) -> Totals:
    packets = (totals.packets[0] + row.packets[0], totals.packets[1] + row.packets[1])
    return replace(
        totals, packets=packets, bytes=(totals.bytes[0] + row.bytes[0], totals.bytes[1] + row.bytes[1])
    )


def _allow_forwarding(interface: str) -> None:
    """The kernel answers route look-ups for packets that arrived here only where it may forward them."""
    for family in ("ipv4", "ipv6"):
        switch = Path(f"/proc/sys/net/{family}/conf/{interface}/forwarding")
        if switch.exists() and switch.read_text().strip() == "0":
            switch.write_text("1")
