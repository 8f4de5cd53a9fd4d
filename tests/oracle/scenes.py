"""Random policies and populations: modes, families, addresses a side, dead and draining endpoints."""

import random
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any, Literal

from lb.model import (
    Address,
    Admin,
    Endpoint,
    Mode,
    NoEndpoint,
    Ootb,
    Paths,
    Pick,
    Policy,
    Pool,
    Protocol,
    Service,
)
from tests.oracle.model import Model
from tests.oracle.state import Policies

PORT = 38412
ROOM = 256  # records of conversations
VIPS = {4: ("10.100.0.1", "10.101.0.1", "10.102.0.1"), 6: ("fd00:100::1", "fd00:101::1", "fd00:102::1")}
OTHER_VIP = {4: "10.110.0.1", 6: "fd00:110::1"}
FACING = {f"10.1{i}.0.": f"10.1{i}.0.1" for i in (1, 2)} | {f"fd00:{i}::": f"fd00:{i}::1" for i in (2, 3)}


@dataclass(slots=True)
class Client:
    """One client host: its addresses, the first is the one that it dials from."""

    addresses: list[bytes]
    port: int


@dataclass(slots=True)
class Scene:
    """One sequence's world: what is programmed, who dials, and the model of it."""

    seed: int
    rng: random.Random
    model: Model
    clients: list[Client]
    busy: bool = False  # handshakes pile up
    sent: list[bytes] = field(default_factory=list)  # frames that were forwarded, as they left

    @property
    def world(self) -> Policies:
        """The policy now."""
        return self.model.world


def packed(text: str) -> bytes:
    """An address as bytes."""
    return ip_address(text).packed


def _families(rng: random.Random) -> tuple[int, ...]:
    return rng.choice([(4,), (4,), (6,), (4, 6), (6, 4)])


def _vips(rng: random.Random, families: tuple[int, ...]) -> tuple[str, ...]:
    count = rng.choice([1, 2, 2, 2, 3])
    if len(families) == 1:
        return VIPS[families[0]][:count]
    return tuple(VIPS[families[i % 2]][i // 2] for i in range(max(count, 2)))


def _servers(rng: random.Random, families: tuple[int, ...], host: int) -> tuple[str, ...]:
    count = rng.choice([1, 2, 2, 3, 8])
    hosts = [host, host + 10, host + 20, host + 26]
    four = [f"10.1{1 + i % 2}.0.{hosts[i // 2]}" for i in range(8)]
    six = [f"fd00:{2 + i % 2}::{hosts[i // 2]:x}" for i in range(8)]
    if len(families) == 1:
        return tuple((four if families == (4,) else six)[:count])
    mixed = [(four if families[i % 2] == 4 else six)[i // 2] for i in range(8)]
    return tuple(mixed[: max(count, 2)])


def _endpoints(rng: random.Random, families: tuple[int, ...]) -> tuple[Endpoint, ...]:
    port = rng.choice([0, 0, 36412])
    return tuple(
        Endpoint(
            name=f"e{i}",
            addresses=tuple(map(ip_address, _servers(rng, families, 2 + i))),
            port=port,
            weight=rng.choice([1, 1, 1, 2, 0]) if i else 1,
            admin=rng.choices(list(Admin), [8, 1, 1])[0],
        )
        for i in range(rng.choice([1, 2, 3]))
    )


def policies(rng: random.Random) -> Policies:
    """A policy and who is dead."""
    families = _families(rng)
    mode = rng.choice([Mode.FULLNAT, Mode.FULLNAT, Mode.DNAT, Mode.ONEARM, Mode.DSR])
    pool = Pool(name="amf", endpoints=_endpoints(rng, families), paths=rng.choices(list(Paths), [3, 1])[0])
    last = rng.choice([PORT, PORT, PORT + 2])
    common: dict[str, Any] = {
        "pick": rng.choice(list(Pick)),
        "pool": "amf",
        "ootb": rng.choice(list(Ootb)),
        "no_endpoint": rng.choice(list(NoEndpoint)),
    }
    allowed = (
        tuple(map(ip_network, ("10.1.0.0/16", "10.50.0.0/16", "fd00::/64"))) if rng.random() < 0.1 else ()
    )
    n2 = Service(
        name="n2",
        vips=tuple(map(ip_address, _vips(rng, families))),
        protocol=Protocol.SCTP,
        port=PORT,
        last_port=last,
        mode=mode,
        allowed_sources=allowed,
        **common,
    )
    services = {"n2": n2}
    if rng.random() < 0.3:  # another service over the same endpoints
        services["n3"] = Service(
            name="n3",
            vips=(ip_address(OTHER_VIP[families[0]]),),
            protocol=Protocol.SCTP,
            port=PORT,
            last_port=PORT,
            mode=mode,
            **common,
        )
    if mode in {Mode.FULLNAT, Mode.DNAT} and rng.random() < 0.4:
        services |= {
            p.value: replace(n2, name=p.value, protocol=p, last_port=PORT)
            for p in (Protocol.TCP, Protocol.UDP)
        }
    every = [a for e in pool.endpoints for a in e.addresses]
    dead = frozenset(rng.sample(every, rng.choice([0, 0, 1, len(every) // 2])))
    return Policies(Policy(pools={"amf": pool}, services=services), dead, facing(every))


def facing(servers: list[Address]) -> dict[Address, Address]:
    """Our address in each endpoint address's subnet."""
    return {
        a: ip_address(ours) for a in servers for start, ours in FACING.items() if str(a).startswith(start)
    }


def clients(rng: random.Random, families: set[Literal[4, 6]]) -> list[Client]:
    """Three hosts with addresses of the VIPs' families, and often of others."""
    made = []
    for i in range(3):
        host = 2 + i
        four = [f"10.1.0.{host}", f"10.2.0.{host}", f"10.3.0.{host}", f"10.50.0.{host}"]
        four += [f"10.1.0.{host + 10 * k}" for k in (1, 2)]
        six = [f"fd00::{host:x}", f"fd00:1::{host:x}", f"fd00:4::{host:x}"]
        odd = ["10.1.0.77", "fd00::77", "10.99.0.1", "fd99::1"]
        pools = [p for p in (four[:2], four, six) if 4 in families or p is six]
        pools = [p for p in pools if 6 in families or p is not six]
        pool = rng.choice([*pools, four[:2] + six[:2] if 4 in families else six[:2] + four])
        count = rng.choice([1, 2, 2, 3, len(pool)])
        chosen = [*pool[:count], *(rng.sample(odd, 1) if rng.random() < 0.15 else [])]
        if rng.random() < 0.05:
            chosen = [chosen[0]] + [f"10.2.0.{20 + k}" for k in range(rng.choice([6, 7, 8]))]
        made.append(Client(list(map(packed, chosen)), rng.choice([PORT, PORT, 40_000, 2905])))
    return made


def scene(seed: int) -> Scene:
    """The world of one sequence."""
    rng = random.Random(seed)
    hook = "xdp" if seed % 2 == 0 else "tc"
    world = policies(rng)
    families = {v.version for s in world.policy.services.values() for v in s.vips}
    model = Model(hook=hook, world=world, free=rng.choice([2, *[ROOM] * 9]))
    return Scene(seed=seed, rng=rng, model=model, clients=clients(rng, families), busy=rng.random() < 0.06)
