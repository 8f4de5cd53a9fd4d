"""Which of our sources and which of the other side's addresses a packet uses (docs/datapath.md §6)."""

from ipaddress import ip_address

from lb.model import Mode
from tests.oracle.state import Association, Handshake, Pair, Peer, Policies, drop


def alive(world: Policies, server: bytes) -> bool:
    """Whether an endpoint address answers."""
    return world.alive(ip_address(server))


def facing(world: Policies, server: bytes) -> bytes:
    """Our address towards an endpoint's."""
    ours = world.facing.get(ip_address(server))
    return ours.packed if ours else bytes(16)


def sources(world: Policies, peer: Peer) -> list[bytes]:
    """What the endpoint may see of the client, in order; dnat and dsr: the client's addresses."""
    if peer.mode is Mode.FULLNAT:
        ours = peer.vips
    elif peer.mode is Mode.ONEARM:
        ours = [facing(world, server) for server in peer.servers]
    else:
        return peer.clients
    return ours[:1] if peer.single else ours


def arrivals(world: Policies, peer: Peer) -> list[bytes]:
    """Where the endpoint's packets may arrive: at any VIP, even where it is shown one only."""
    if peer.mode is Mode.FULLNAT:
        return peer.vips
    if peer.mode is Mode.ONEARM:
        return [facing(world, server) for server in peer.servers]
    return peer.clients


def to_endpoint(world: Policies, peer: Peer, src: bytes, j: int) -> Pair:
    """Our source and the endpoint's address for a packet from a client's address to VIP j."""
    servers, count, size = peer.servers, len(peer.servers), len(src)
    if peer.single:
        taken = 0
        if len(servers[0]) != size:
            raise drop("no_path")
    else:
        fitting = [i for i in ((j + k) % count for k in range(count)) if len(servers[i]) == size]
        if not fitting:
            raise drop("no_path")
        taken = next((i for i in fitting if alive(world, servers[i])), fitting[0])
    source = _source(world, peer, j, taken) or src
    if len(source) != size:
        raise drop("no_path")
    return source, servers[taken]


def _source(world: Policies, peer: Peer, j: int, taken: int) -> bytes | None:
    if peer.mode is Mode.ONEARM:
        return facing(world, peer.servers[taken])
    if peer.mode is not Mode.FULLNAT:
        return None
    if peer.single:
        return peer.vips[0]
    vips = peer.vips
    if taken != j % len(peer.servers) and taken < len(vips) and len(vips[taken]) == len(peer.servers[taken]):
        return vips[taken]
    return vips[j]


def to_client(peer: Association | Handshake, arrived_at: bytes) -> Pair:
    """The client's address and the VIP for a packet that arrives at one of our sources."""
    pair = peer.pairs.get(arrived_at, peer.pair) if isinstance(peer, Association) else peer.pair
    if peer.mode is Mode.DNAT:
        pair = arrived_at, pair[1]
    size = len(arrived_at)
    client, vip = pair
    if len(client) != size or len(vip) != size:
        clients = [a for a in peer.clients if len(a) == size]
        vips = [a for a in peer.vips if len(a) == size]
        if not clients or not vips:
            raise drop("no_path")
        client, vip = (clients[0] if peer.mode is not Mode.DNAT else client), vips[0]
    return client, vip
