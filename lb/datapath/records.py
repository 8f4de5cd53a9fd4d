"""From the model to the datapath's records. Pure but for the layouts, which come from the compiled objects."""

from collections.abc import Iterator
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address
from struct import pack

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
VIP_LENGTHS = 0xFF  # plen that stands for the set of lengths in use


def mapped(address: Address) -> bytes:
    """An address as the datapath has it: IPv4 as ::ffff:a.b.c.d."""
    return b"\0" * 10 + b"\xff\xff" + address.packed if isinstance(address, IPv4Address) else address.packed


def unmapped(raw: bytes) -> Address:
    """The address in 16 bytes."""
    return IPv4Address(raw[12:]) if raw[:12] == b"\0" * 10 + b"\xff\xff" else IPv6Address(raw)


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

    def service(self, service: Service, paths: Paths, ring: int) -> bytes:
        """struct service."""
        return self.service_layout.pack(
            name=service_name(service),
            active=1,
            mode=self._mode[service.mode],
            pick=self._pick[service.pick],
            vips=len(service.vips),
            protocol=IP_PROTOCOL[service.protocol],
            single=paths is Paths.SINGLE,
            ootb=service.ootb is Ootb.ABORT,
            no_endpoint=service.no_endpoint is NoEndpoint.ABORT,
            idle_abort=service.idle_expiry is IdleExpiry.ABORT,
            restricted=bool(service.allowed_sources),
            ring=ring,
            pool=pool_number(service.pool),
            established=int(service.timeouts.established * self._ticks),
            shutdown=int(service.timeouts.shutdown * self._ticks),
            pending=int(service.timeouts.pending * self._ticks),
            vip=b"".join(map(mapped, service.vips)),
        )

    def endpoint(self, pool: Pool, endpoint: Endpoint, live: int, sources: list[Address | None]) -> bytes:
        """struct endpoint; ``live``: a bit for each address; ``sources``: our address that faces each."""
        return self.endpoint_layout.pack(
            name=endpoint_name(pool.name, endpoint),
            live=live,
            admin=self._admin[endpoint.admin],
            addresses=len(endpoint.addresses),
            port=endpoint.port,
            weight=endpoint.weight,
            domain=domain(endpoint),
            pool=pool_number(pool.name),
            address=b"".join(map(mapped, endpoint.addresses)),
            source=b"".join(mapped(source) if source else b"\0" * 16 for source in sources),
        )


def vip_entries(service: Service, number: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the map ``vips`` for one service, without the sets of lengths."""
    protocol = IP_PROTOCOL[service.protocol]
    for index, vip in enumerate(service.vips):
        for port, bits in prefixes(service.port, service.last_port):
            yield vip_key(vip, port, protocol, bits), pack("=II", number, index)


def vip_key(vip: Address, port: int, protocol: int, plen: int) -> bytes:
    """struct vip_key."""
    return mapped(vip) + pack(">HBBI", port, protocol, plen, 0)


def length_sets(services: Iterator[Service]) -> dict[bytes, bytes]:
    """For each VIP and protocol: which prefix lengths its services use."""
    lengths: dict[tuple[Address, int], int] = {}
    for service in services:
        bits = sum({1 << bits for _, bits in prefixes(service.port, service.last_port)})
        for vip in service.vips:
            key = (vip, IP_PROTOCOL[service.protocol])
            lengths[key] = lengths.get(key, 0) | bits
    return {
        vip_key(vip, 0, protocol, VIP_LENGTHS): pack("=II", bits, 0)
        for (vip, protocol), bits in lengths.items()
    }


def member_key(address: Address, pool: str) -> bytes:
    """struct member_key."""
    return mapped(address) + pack("=II", pool_number(pool), 0)


def source_key(network: Network, number: int) -> bytes:
    """struct source_key: the service number is matched whole, then the prefix."""
    prefix = network.prefixlen + (96 if network.version == 4 else 0)
    return pack("=II", 32 + prefix, number) + mapped(network.network_address)
