"""From the model to the datapath's records. Pure but for the layouts, which come from the compiled objects."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address
from struct import Struct, pack

from lb.bpf import Btf
from lb.model import (
    Address,
    Admin,
    Endpoint,
    IdleExpiry,
    Mode,
    Network,
    NoEndpoint,
    Ootb,
    Paths,
    Pick,
    Pool,
    Protocol,
    Service,
)

IP_PROTOCOL = {Protocol.SCTP: 132, Protocol.TCP: 6, Protocol.UDP: 17}
PORT_BITS = 16
MAPPED = b"\0" * 10 + b"\xff\xff"
VIP_PORT, VIP_VALUE = Struct(">HBB").pack, Struct("=I").pack
VIP_INDEX_SHIFT = 29
SERVICE_FIELDS = (
    "name",
    "active",
    "mode",
    "pick",
    "vips",
    "protocol",
    "single",
    "ootb",
    "no_endpoint",
    "idle_abort",
    "restricted",
    "ring",
    "pool",
    "established",
    "shutdown",
    "pending",
    "vip",
)
VIP_LENGTHS = 0xFF  # plen that stands for the set of lengths in use


def mapped(address: Address) -> bytes:
    """An address as the datapath has it: IPv4 as ::ffff:a.b.c.d."""
    return MAPPED + address.packed if isinstance(address, IPv4Address) else address.packed


def unmapped(raw: bytes) -> Address:
    """The address in 16 bytes."""
    return IPv4Address(raw[12:]) if raw[:12] == MAPPED else IPv6Address(raw)


def name_hash(*parts: str) -> int:
    """64 bits of a name, never 0."""
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=8).digest(), "little") | 1


def pool_number(pool: str) -> int:
    """32 bits of a pool's name."""
    return name_hash("pool", pool) & 0xFFFFFFFF


def domain(endpoint: Endpoint) -> int:
    """One number for each server, by its primary address, whatever pools it is in; never 0."""
    return int.from_bytes(blake2b(mapped(endpoint.addresses[0]), digest_size=4).digest(), "little") | 1


def endpoint_name(pool: str, endpoint: Endpoint) -> int:
    """What makes an endpoint the same: name, pool and addresses; port and weight may change in place."""
    return name_hash("endpoint", pool, endpoint.name, *map(str, endpoint.addresses))


def service_name(service: Service) -> int:
    """What makes a service the same: its name."""
    return name_hash("service", service.name)


def prefixes(first: int, last: int) -> Iterator[tuple[int, int]]:
    """A port range as (port, significant bits), fewest first."""
    if first == last:
        yield first, PORT_BITS
        return
    while first <= last:
        bits = PORT_BITS
        while (
            bits
            and not first & (1 << (PORT_BITS - bits))
            and first + (1 << (PORT_BITS - bits + 1)) - 1 <= last
        ):
            bits -= 1
        yield first, bits
        first += 1 << (PORT_BITS - bits)


class Records:
    """Packs the records of one set of compiled objects."""

    def __init__(self, btf: Btf, ticks: int) -> None:
        self.service_layout = btf.layout("service")
        self.endpoint_layout = btf.layout("endpoint")
        self._mode = {mode: btf.enum("mode")[f"MODE_{mode.name}"] for mode in Mode}
        self._admin = {admin: btf.enum("endpoint_admin")[f"ENDPOINT_{admin.name}"] for admin in Admin}
        pick = btf.enum("pick")
        self._pick = {
            Pick.MAGLEV: pick["PICK_RING"],
            Pick.ROUND_ROBIN: pick["PICK_COUNTER"],
            Pick.WEIGHTED_ROUND_ROBIN: pick["PICK_COUNTER"],
            Pick.RANDOM: pick["PICK_RANDOM"],
            Pick.LEAST_CONNECTIONS: pick["PICK_LEAST"],
            Pick.STICKY_SOURCE: pick["PICK_SOURCE"],
        }
        self._ticks = ticks
        self._pack_service = self.service_layout.packer(*SERVICE_FIELDS)

    def service(self, service: Service, name: int, paths: Paths, ring: int, pool: int) -> bytes:
        """struct service; ``name`` and ``pool`` are the numbers of its own and its pool's name."""
        timeouts, ticks = service.timeouts, self._ticks
        return self._pack_service(
            name,
            1,
            self._mode[service.mode],
            self._pick[service.pick],
            len(service.vips),
            IP_PROTOCOL[service.protocol],
            paths is Paths.SINGLE,
            service.ootb is Ootb.ABORT,
            service.no_endpoint is NoEndpoint.ABORT,
            service.idle_expiry is IdleExpiry.ABORT,
            bool(service.allowed_sources),
            ring,
            pool,
            int(timeouts.established * ticks),
            int(timeouts.shutdown * ticks),
            int(timeouts.pending * ticks),
            b"".join(map(mapped, service.vips)),
        )

    def endpoint(self, pool: Pool, endpoint: Endpoint, live: int, sources: list[Address | None]) -> bytes:
        """struct endpoint; ``live``: a bit for each address; ``sources``: our address that faces each."""
        return self.endpoint_layout.pack(
            name=endpoint_name(pool.name, endpoint),
            live=live,
            admin=self._admin[endpoint.admin],
            addresses=len(endpoint.addresses),
            listed=sum(1 << i for i, ours in enumerate(sources) if ours and ours not in sources[:i]),
            port=endpoint.port,
            weight=endpoint.weight,
            domain=domain(endpoint),
            pool=pool_number(pool.name),
            address=b"".join(map(mapped, endpoint.addresses)),
            source=b"".join(mapped(source) if source else b"\0" * 16 for source in sources),
        )


def vip_key(vip: Address, port: int, protocol: int, plen: int) -> bytes:
    """struct vip without its value."""
    return mapped(vip) + VIP_PORT(port, protocol, plen)


def vip_entries(services: Iterable[tuple[int, Service]]) -> dict[bytes, bytes]:
    """The map ``vips``: who serves a VIP, protocol and port prefix; and of a VIP and protocol the set of lengths."""
    entries: dict[bytes, bytes] = {}
    lengths: dict[tuple[bytes, int], int] = {}
    for number, service in services:
        protocol = IP_PROTOCOL[service.protocol]
        spans = [
            (VIP_PORT(p, protocol, bits), 1 << bits) for p, bits in prefixes(service.port, service.last_port)
        ]
        used = sum({bit for _, bit in spans})
        for index, vip in enumerate(service.vips):
            address, value = mapped(vip), VIP_VALUE(number | index << VIP_INDEX_SHIFT)
            for span, _ in spans:
                entries[address + span] = value
            lengths[address, protocol] = lengths.get((address, protocol), 0) | used
    for (address, protocol), bits in lengths.items():
        entries[address + VIP_PORT(0, protocol, VIP_LENGTHS)] = VIP_VALUE(bits)
    return entries


def member_key(address: Address, pool: str) -> bytes:
    """struct member_key."""
    return mapped(address) + pack("=II", pool_number(pool), 0)


def source_key(network: Network, number: int) -> bytes:
    """struct source_key: the service number is matched whole, then the prefix."""
    prefix = network.prefixlen + (96 if network.version == 4 else 0)
    return pack("=II", 32 + prefix, number) + mapped(network.network_address)
