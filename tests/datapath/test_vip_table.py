"""The table of VIPs: what is put in is found, what is taken out is not, and readers never miss what stays."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from lb.bpf import BpfError, run_packet
from lb.datapath.objects import Datapath, Sizes
from lb.datapath.records import VIP_LENGTHS, vip_entries, vip_key
from lb.datapath.vips import VipTable
from lb.model import Address, Policy
from tests.datapath.conftest import SMALL, Wire, policy
from tests.datapath.packets import init, sctp

pytestmark = pytest.mark.root
PORT, SCTP = 38412, 132
LIMIT = SMALL.services * 2
TAGGED = sctp("10.1.0.2", "10.100.0.1", PORT, PORT, 5, init(7))  # dropped as init_tag by whoever is dialled


@pytest.fixture
def datapath() -> Iterator[Datapath]:
    """One with 256 slots for VIPs."""
    made = Datapath(sizes=SMALL)
    yield made
    made.close()


@pytest.fixture
def table(datapath: Datapath) -> VipTable:
    """Its table."""
    return VipTable(datapath)


def any_vip(chance: random.Random) -> bytes:
    """A key of either family."""
    address: Address = IPv4Address(chance.getrandbits(32))
    if chance.random() < 0.5:
        address = IPv6Address(chance.getrandbits(128))
    return vip_key(address, chance.randrange(1, 65536), SCTP, 16)


def value(number: int) -> bytes:
    """As the table has it."""
    return number.to_bytes(4, "little")


def test_what_is_put_is_read_back_whatever_its_chain(datapath: Datapath, table: VipTable) -> None:
    """Random changes at load 0.5, where chains collide, wrap and hold tombs; at the end not even a tomb is left."""
    chance, known = random.Random(9), dict[bytes, bytes]()
    for _ in range(200):
        fresh = {any_vip(chance): value(chance.getrandbits(32)) for _ in range(LIMIT - len(known))}
        changed = {
            key: value(chance.getrandbits(32)) for key in chance.sample(sorted(known), len(known) // 4)
        }
        table.update_batch([*fresh, *changed], [*fresh.values(), *changed.values()])
        known |= fresh | changed
        assert table.items() == known
        gone = chance.sample(sorted(known), chance.randrange(len(known)))
        table.delete_batch(gone)
        known = {key: known[key] for key in known.keys() - gone}
        assert table.items() == known
    table.delete_batch(list(known))
    assert not any(datapath.maps["vips"].memory().cast("Q")[::4])


def test_one_key_has_one_slot_even_beyond_a_tomb(table: VipTable) -> None:
    """A key behind a slot that became free again is changed where it is, not put twice."""
    chance = random.Random(4)
    keys = [any_vip(chance) for _ in range(LIMIT)]
    table.update_batch(keys, [value(1)] * LIMIT)
    table.delete_batch(keys[::2])
    table.update_batch(keys[1::2], [value(2)] * (LIMIT // 2))
    table.delete_batch(keys[1::2])
    assert table.items() == {}


def test_more_vips_than_one_call_takes() -> None:
    """Batches follow each other without a gap."""
    datapath = Datapath(sizes=Sizes(conversations=64, handshakes=64, services=8192, endpoints=64))
    table, chance = VipTable(datapath), random.Random(1)
    entries = {any_vip(chance): value(i) for i in range(10_001)}
    table.update_batch(list(entries), list(entries.values()))
    assert table.items() == entries
    table.delete_batch(list(entries)[1:])
    assert table.items() == dict([next(iter(entries.items()))])
    datapath.close()


def test_a_full_table_says_so(table: VipTable) -> None:
    """What finds no slot is an error that names the setting; so is a deletion of what is not there."""
    chance = random.Random(2)
    keys = [any_vip(chance) for _ in range(300)]
    with pytest.raises(BpfError, match=f"more than {LIMIT} VIPs.*raise `services`"):
        table.update_batch(keys, [value(0)] * 300)
    with pytest.raises(BpfError, match="not there"):
        table.delete_batch([any_vip(chance)])


def test_a_policy_with_too_many_vips_changes_nothing(wire: Wire) -> None:
    """Port ranges of eight VIPs take more slots than there are: refused before anything is written."""
    small = policy()
    wire.apply(small)
    wide = replace(
        small.services["n2"],
        port=1,
        last_port=65_534,
        vips=tuple(ip_address(f"10.100.0.{i}") for i in range(1, 9)),
    )
    before = wire.datapath.maps["services"][0]
    with pytest.raises(BpfError, match=f"more than {LIMIT} VIPs"):
        wire.apply(replace(small, services={"n2": wide}))
    assert VipTable(wire.datapath).items() == vip_entries([(0, small.services["n2"])])
    assert wire.datapath.maps["services"][0] == before
    wire.apply(small)
    assert wire.send(TAGGED)[0] == "drop"
    assert wire.drops() == {"init_tag": 1}


def test_old_and_new_vips_need_not_fit_together(wire: Wire) -> None:
    """Where the table is too small for both policies, what is not wanted goes first."""

    def of(subnet: int) -> Policy:
        base = policy()
        service = replace(
            base.services["n2"],
            port=1,
            last_port=0x7FFE,
            vips=tuple(ip_address(f"10.{subnet}.0.{i}") for i in range(1, 5)),
        )
        return replace(base, services={"n2": service})

    for subnet in (100, 101):
        wire.apply(of(subnet))
        assert len(VipTable(wire.datapath).items()) == 4 * 28 + 4
    assert wire.send(sctp("10.1.0.2", "10.101.0.4", PORT, 0x7FFE, 5, init(7)))[0] == "drop"
    assert wire.send(sctp("10.1.0.2", "10.100.0.4", PORT, 0x7FFE, 5, init(7)))[0] == "pass"
    assert wire.drops() == {"init_tag": 1}


@pytest.mark.parametrize("vip", ["10.100.0.1", "fd00:100::1"])
def test_a_range_answers_from_its_first_to_its_last_port(wire: Wire, vip: str) -> None:
    """And an exact port of another service inside it is that service's."""
    base = policy(vips=(vip,))
    ranged = replace(base.services["n2"], port=2_000, last_port=2_999)
    exact = replace(base.services["n2"], name="exact", port=2_500, last_port=2_500)
    source = "fd00:0::2" if ":" in vip else "10.1.0.2"
    wire.apply(replace(base, services={"n2": ranged, "exact": exact}))

    def reason(port: int) -> str:
        before = wire.drops()
        wire.send(sctp(source, vip, PORT, port, 5, init(7)))
        return next(name for name, count in wire.drops().items() if count != before.get(name))

    assert [reason(port) for port in (1_999, 2_000, 2_500, 2_999, 3_000)] == [
        "no_service",
        "init_tag",
        "init_tag",
        "init_tag",
        "no_service",
    ]
    found = VipTable(wire.datapath).items()
    assert found[vip_key(ip_address(vip), 2_500, SCTP, 16)] == value(1)
    lengths = int.from_bytes(found[vip_key(ip_address(vip), 0, SCTP, VIP_LENGTHS)], "little")
    assert lengths >> 16 == 1
    assert lengths & 0xFFFF


def test_readers_never_miss_a_vip_that_stays(wire: Wire) -> None:
    """While the chains around it are taken apart and joined again on another CPU."""
    wire.apply(policy())
    table, chance, ended = VipTable(wire.datapath), random.Random(3), threading.Event()
    keys = [any_vip(chance) for _ in range(LIMIT - 4)]
    rounds = 0

    def churn() -> None:
        nonlocal rounds
        while not ended.is_set():
            table.update_batch(keys, [value(chance.getrandbits(6))] * len(keys))
            table.delete_batch(keys)
            rounds += 1

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        program = wire.datapath.programs[f"telco_{wire.hook}"]
        for _ in range(20):
            run_packet(program, TAGGED, repeat=20_000)
    finally:
        ended.set()
        writer.join()
    assert rounds > 20
    assert wire.drops() == {"init_tag": 400_000}
