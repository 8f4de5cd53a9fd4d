"""Python and C agree on every record, and what pinned maps hold changes only with LAYOUT_VERSION."""

import ast
from collections.abc import Iterator
from copy import deepcopy
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

import lb.datapath
from lb.bpf import Btf, Layout
from lb.bpf.btf import STRUCT
from lb.datapath import objects, read, records, vips
from lb.datapath.objects import object_directory
from lb.model import Admin, Endpoint, Mode, Paths, Pick, Pool, Protocol, Service
from tests.datapath.baseline import LAYOUT, complaint, layouts, version
from tests.datapath.baseline import read as recorded

BTF = Btf.of_object(object_directory() / "control.bpf.o")
READERS = {"number", "raw", "pack", "set", "packer", "call"}  # their string or keyword arguments are fields
PROGRAMS = {"setup", "sweep", "end", "change_vips"}


def literals() -> Iterator[tuple[str, str]]:
    """File and name of every field that lb/datapath names to a layout."""
    for path in sorted(Path(lb.datapath.__path__[0]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in READERS:
                found = [
                    a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
                ]
                found += [keyword.arg for keyword in node.keywords if keyword.arg and keyword.arg != "start"]
                yield from ((path.name, name) for name in found)
            elif (
                isinstance(node, ast.Subscript)
                and getattr(node.value, "attr", "") == "fields"
                and isinstance(node.slice, ast.Constant)
            ):
                yield path.name, str(node.slice.value)


def members() -> set[str]:
    """Every member's name of every struct of the compiled object."""
    names = {kind.name for kind in BTF._types if kind.kind == STRUCT and kind.name}
    return {field for name in names for field in BTF.layout(name).fields}


def test_every_field_that_python_names_is_a_member_in_c() -> None:
    """A renamed member is found here, not by the first operator who asks for it."""
    named = set(literals())
    assert len(named) > 40, "the search no longer finds what it is for"
    known = members() | PROGRAMS
    assert not {use for use in named if use[1] not in known and use[1].isidentifier()}


def shown(layout: Layout, record: bytes) -> dict[str, bytes]:
    """A record's fields by name."""
    assert len(record) == layout.size
    return {name: layout.raw(record, name) for name in layout.fields}


def test_map_keys_are_laid_out_as_in_c() -> None:
    """These are packed by hand, since there are hundreds of thousands of them."""
    key = records.vip_key(ip_address("192.0.2.1"), 38412, 132, 16)
    vip = shown(BTF.layout("vip"), key + b"\1\2\3\4")
    assert vip == {
        "address": bytes(10) + b"\xff\xff\xc0\x00\x02\x01",
        "port": b"\x96\x0c",
        "protocol": b"\x84",
        "plen": b"\x10",
        "value": b"\1\2\3\4",
    }
    member = shown(BTF.layout("member_key"), records.member_key(ip_address("2001:db8::1"), "amf"))
    assert member["address"] == ip_address("2001:db8::1").packed
    assert member["pool"] == records.pool_number("amf").to_bytes(4, "little")
    source = shown(BTF.layout("source_key"), records.source_key(ip_network("10.0.0.0/8"), 7))
    assert (source["prefixlen"], source["service"]) == ((32 + 96 + 8).to_bytes(4, "little"), b"\7\0\0\0")
    assert source["address"] == bytes(10) + b"\xff\xff\x0a\0\0\0"


def test_vip_values_are_laid_out_as_in_c() -> None:
    """The service's number and the VIP's index; of a length set, its bits."""
    service = _service(vips=("10.100.0.1", "10.101.0.1"))
    entries = records.vip_entries([(9, service)])
    second = entries[records.vip_key(ip_address("10.101.0.1"), 38412, 132, 16)]
    assert int.from_bytes(second, "little") == 9 | 1 << 29
    lengths = entries[records.vip_key(ip_address("10.101.0.1"), 0, 132, records.VIP_LENGTHS)]
    assert int.from_bytes(lengths, "little") == 1 << 16
    slot = BTF.layout("vip_slot")
    assert (slot.size, slot.fields["key"].offset, slot.fields["vip"].offset) == (
        vips.SLOT_BYTES,
        0,
        vips.KEY_AT,
    )
    assert slot.fields["vip"].offset + BTF.layout("vip").fields["value"].offset == vips.VALUE_AT
    assert BTF.layout("vip").size == vips.CHANGE_BYTES


def _service(vips: tuple[str, ...]) -> Service:
    return Service(
        name="n2",
        vips=tuple(map(ip_address, vips)),
        protocol=Protocol.SCTP,
        port=38412,
        last_port=38412,
        mode=Mode.ONEARM,
        pick=Pick.LEAST_CONNECTIONS,
        pool="amf",
    )


def test_service_and_endpoint_records_say_what_the_model_says() -> None:
    """Each field in its place, in its byte order."""
    packer = records.Records(BTF, 250)
    made = shown(
        packer.service_layout,
        packer.service(_service(vips=("10.100.0.1",)), 77, Paths.SINGLE, ring=3, pool=5),
    )
    numbers = {name: int.from_bytes(raw, "little") for name, raw in made.items() if name != "vip"}
    assert numbers == {
        "name": 77,
        "active": 1,
        "mode": BTF.enum("mode")["MODE_ONEARM"],
        "pick": BTF.enum("pick")["PICK_LEAST"],
        "vips": 1,
        "protocol": 132,
        "single": 1,
        "ootb": BTF.enum("refusal")["REFUSE_DROP"],
        "no_endpoint": BTF.enum("refusal")["REFUSE_ABORT"],
        "idle_abort": 0,
        "restricted": 0,
        "pad": 0,
        "ring": 3,
        "pool": 5,
        "established": 900 * 250,
        "shutdown": 30 * 250,
        "pending": 65 * 250,
    }
    assert made["vip"] == records.mapped(ip_address("10.100.0.1")) + bytes(7 * 16)
    addresses = tuple(map(ip_address, ("10.11.0.2", "fd00:2::2")))
    endpoint = Endpoint(name="e", addresses=addresses, port=36412, weight=7, admin=Admin.DRAINING)
    pool = Pool(name="amf", endpoints=(endpoint,))
    raw = packer.endpoint(pool, endpoint, 0b10, [ip_address("10.11.0.1"), None])
    found = shown(packer.endpoint_layout, raw)
    assert (found["live"], found["addresses"], found["port"]) == (b"\2", b"\2", b"\x8e\x3c")
    assert found["admin"] == bytes([BTF.enum("endpoint_admin")["ENDPOINT_DRAINING"]])
    assert found["weight"] == b"\7\0\0\0"
    assert found["address"] == b"".join(map(records.mapped, addresses)) + bytes(6 * 16)
    assert found["source"] == records.mapped(ip_address("10.11.0.1")) + bytes(7 * 16)


def test_numbers_that_python_repeats_are_those_of_c() -> None:
    """What has no place in a layout: counts, flags, offsets that are written through shared memory."""
    flags = BTF.enum("entry_flag")
    wanted = [flags[f"ENTRY_{name}"] for name in ("REVERSE", "WIDE", "FLOW")]
    assert wanted == [read.REVERSE, read.WIDE, read.FLOW]
    assert BTF.layout("addresses").size == read.MAX_ADDRESSES * 16
    assert BTF.layout("bucket").size == objects.PENDING_WAYS * 8
    assert BTF.layout("entry").size == 64
    control = BTF.layout("control").fields
    assert (control["generation"].offset, control["trace"].offset) == (0, 4)
    paths = BTF.layout("conversation").fields["path_packets"]
    assert paths.size == 2 * 4 * read.MAX_ADDRESSES


def test_pinned_maps_hold_what_is_recorded_for_this_version() -> None:
    """A process of one layout version can go on with the maps of another process of that version."""
    wrong = complaint(recorded(LAYOUT), version(), layouts())
    assert not wrong, wrong


def changed(change: str) -> dict[str, Any]:
    """The record with one thing changed."""
    now: dict[str, Any] = deepcopy({k: v for k, v in recorded(LAYOUT).items() if k != "version"})
    maps = now["maps"]
    if change == "order":
        maps["services"]["value"]["holds"]["9 active"] = maps["services"]["value"]["holds"].pop("8 active")
    elif change == "size":
        maps["works"]["value"]["bytes"] += 8
    elif change == "map":
        maps["more"] = maps["control"]
    elif change == "enum":
        now["enums"]["state"]["STATE_SHUTDOWN"] = 9
    elif change == "entries":
        maps["drops"]["max_entries"] += 1
    return now


@pytest.mark.parametrize("change", ["order", "size", "map", "enum", "entries"])
def test_a_change_without_a_new_version_is_found(change: str) -> None:
    """And names what changed."""
    before, now = recorded(LAYOUT), changed(change)
    assert "raise LAYOUT_VERSION" in complaint(before, before["version"], now)
    assert "not recorded" in complaint(before, before["version"] + 1, now)
