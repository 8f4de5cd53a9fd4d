"""What is measured: services and pools, in the balancer's own model."""

from ipaddress import ip_address

from bench.world import SERVERS, SERVERS6
from lb.model import Endpoint, Mode, Pick, Policy, Pool, Protocol, Service

PORT = 38412
SERVER_PORT = 36412
VIPS = {
    "fullnat": ("10.100.0.1", "10.101.0.1"),
    "dnat": ("10.100.0.2", "10.101.0.2"),
    "port": ("10.100.0.3", "10.101.0.3"),
    "v6": ("fd00:100::1",),
}


def service(name: str, vips: tuple[str, ...], pool: str, mode: Mode = Mode.FULLNAT) -> Service:
    """One service on the N2 port."""
    return Service(
        name=name,
        vips=tuple(map(ip_address, vips)),
        protocol=Protocol.SCTP,
        port=PORT,
        last_port=PORT,
        mode=mode,
        pick=Pick.ROUND_ROBIN,
        pool=pool,
    )


def pool(name: str, servers: list[str], port: int = 0) -> Pool:
    """Endpoints of one address each; ``port`` 0: the service's."""
    return Pool(
        name=name,
        endpoints=tuple(
            Endpoint(name=f"{name}-{i}", addresses=(ip_address(server),), port=port)
            for i, server in enumerate(servers)
        ),
    )


def single_endpoint() -> Policy:
    """Each way of translation over one endpoint."""
    pools = [pool("same", SERVERS[:1]), pool("other", SERVERS[:1], SERVER_PORT), pool("six", SERVERS6)]
    services = [
        service("fullnat", VIPS["fullnat"], "same"),
        service("dnat", VIPS["dnat"], "same", Mode.DNAT),
        service("port", VIPS["port"], "other"),
        service("v6", VIPS["v6"], "six"),
    ]
    return Policy(pools={p.name: p for p in pools}, services={s.name: s for s in services})


def many_endpoints() -> Policy:
    """One service over all endpoints."""
    return Policy(pools={"amf": pool("amf", SERVERS)}, services={"n2": service("n2", VIPS["fullnat"], "amf")})
