"""What outlives a process: maps, links, associations; what the next one takes over, and what it refuses to touch."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from textwrap import dedent
from uuid import uuid4

import pytest
from pyroute2 import IPRoute

from lb.bpf import BpfError, ForeignProgramError, program_info
from lb.datapath.attach import Attach
from lb.datapath.engine import Engine
from lb.datapath.objects import Datapath
from lb.datapath.pins import prepare
from tests.datapath.conftest import SMALL, VERDICTS, Wire, namespace, policy, wire_up
from tests.datapath.packets import data, sctp
from tests.datapath.test_handshake import CLIENT, PORT, SERVER, TC, TS, VIP, associate

pytestmark = pytest.mark.root
INTERFACES = ["v0", "v2"]


@pytest.fixture(scope="module", autouse=True)
def links() -> Iterator[None]:
    """A namespace of our own, to hang programs in."""
    with namespace():
        wire_up()
        yield


@pytest.fixture
def pins() -> Iterator[Path]:
    """A directory of a BPF file system; gone at the end, and with it what hangs on interfaces."""
    made = Path("/sys/fs/bpf") / f"pins-{uuid4().hex[:8]}"
    prepare(made)
    yield made
    if made.exists():  # a start that fails takes it away
        for path in made.iterdir():
            path.unlink()
        made.rmdir()
    assert all(map(gone, INTERFACES))


def engine(pins: Path, attach: Attach = Attach.XDP) -> Engine:
    """Pinned, on two interfaces."""
    return Engine(INTERFACES, attach=attach, pins=pins, sizes=SMALL)


def wire_of(datapath: Datapath, hook: str = "xdp") -> Wire:
    """Packets through a datapath that is there."""
    wire = object.__new__(Wire)
    wire.hook, wire.datapath = hook, datapath
    wire.reasons = {number: name for name, number in datapath.btf.enum("reason").items()}
    return wire


def xdp_program(interface: str) -> int:
    """Number of the XDP program that an interface runs; 0: none."""
    with IPRoute() as netlink:
        link = netlink.link("get", ifname=interface)[0]
    return (link.get_attr("IFLA_XDP") or link).get_attr("IFLA_XDP_PROG_ID") or 0


def gone(interface: str) -> bool:
    """Whether the interface runs no XDP program: the kernel frees a link soon after its last holder, not at once."""
    end = time.monotonic() + 10
    while found := xdp_program(interface):
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    return not found


def test_every_map_and_link_has_a_name(pins: Path) -> None:
    """Maps by their own, links by hook and interface."""
    made = engine(pins)
    named = {path.name for path in pins.iterdir()}
    assert named >= made.datapath.maps.keys()
    assert named >= {f"link_{hook}_{interface}" for hook in ("xdp", "tc") for interface in INTERFACES}
    made.close()


def test_the_next_engine_goes_on_with_the_associations(pins: Path) -> None:
    """Equal layout: adopted; its packets pass while nobody is there, and after the next has come."""
    first = engine(pins)
    assert not first.adopted
    first.apply(policy())
    seed, wire = first.datapath.seed, wire_of(first.datapath)
    port = associate(wire)
    before = {name: first.datapath.maps[name].info.id for name in first.datapath.maps}
    program = xdp_program("v0")
    first.close()
    assert xdp_program("v0") == program
    second = engine(pins)
    assert (second.adopted, second.datapath.seed) == (True, seed)
    assert {name: held.info.id for name, held in second.datapath.maps.items()} == before
    second.apply(policy())
    (known,) = second.associations()
    assert (known.service, known.endpoint, known.row.client_port) == ("n2", "amf/amf-1", PORT)
    wire = wire_of(second.datapath)
    assert wire.through(sctp(CLIENT, VIP, PORT, PORT, TS, data())).dst == SERVER
    assert wire.through(sctp(SERVER, VIP, PORT, port, TC, data())).dst == CLIENT
    assert wire.drops() == {}
    second.close()


def test_another_hook_replaces_what_hung_there(pins: Path) -> None:
    """From XDP to tc alone: the pinned XDP link goes."""
    engine(pins).close()
    assert xdp_program("v0")
    second = engine(pins, Attach.TC)
    assert second.hooks == {interface: ["tc"] for interface in INTERFACES}
    assert gone("v0")
    second.close()


def contents(pins: Path) -> dict[str, tuple[int, int]]:
    """What is pinned, by name."""
    return {path.name: (path.stat().st_ino, path.stat().st_dev) for path in pins.iterdir()}


@pytest.mark.parametrize("change", [1, -1])
def test_another_layout_is_refused_with_an_explanation_and_nothing_is_wiped(pins: Path, change: int) -> None:
    """Older or newer: the message names both versions and what to do; forwarding goes on."""
    first = engine(pins)
    first.apply(policy())
    associate(wire_of(first.datapath))
    layout, meta = first.datapath.btf.layout("meta"), first.datapath.maps["meta"]
    other = layout.number(meta[0], "layout") + change
    record = bytearray(meta[0])
    layout.set(record, "layout", other)
    meta.put(bytes(record))
    before, program = contents(pins), xdp_program("v0")
    with pytest.raises(BpfError, match=rf"layout {other}, this version needs {other - change}.*rm -r {pins}"):
        engine(pins)
    assert (contents(pins), xdp_program("v0")) == (before, program)
    wire = wire_of(first.datapath)
    assert wire.through(sctp(CLIENT, VIP, PORT, PORT, TS, data())).dst == SERVER
    first.close()


def test_a_foreign_xdp_program_is_named_and_left_alone(pins: Path) -> None:
    """Its name and id, the interface; it stays, and nothing of ours is left on the other interface."""
    foreign = Datapath(sizes=SMALL)
    number = program_info(foreign.programs["sweep"]).id
    with IPRoute() as netlink:
        index = netlink.link_lookup(ifname="v2")[0]
        netlink.link("set", index=index, xdp_fd=foreign.programs["sweep"])
        try:
            with pytest.raises(
                ForeignProgramError, match=rf"v2 already runs XDP program 'sweep' \(id {number}\)"
            ):
                engine(pins)
            assert gone("v0")
            assert xdp_program("v2") == number
        finally:
            netlink.link("set", index=index, xdp_fd=-1)
    foreign.close()


CHILD = """
    import os, sys
    from pathlib import Path
    from lb.datapath.attach import Attach
    from lb.datapath.engine import Engine
    from tests.datapath.conftest import SMALL, policy
    from tests.datapath.test_handshake import associate
    from tests.datapath.test_pins import wire_of

    made = Engine(["v0", "v2"], attach=Attach.XDP, pins=Path(sys.argv[1]), sizes=SMALL)
    made.apply(policy())
    associate(wire_of(made.datapath))
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_attached_goes_on(pins: Path) -> None:
    """SIGKILL: no farewell, and the programs run; the next process finds the association."""
    command = [sys.executable, "-c", dedent(CHILD), str(pins)]
    root = Path(__file__).parents[2]
    killed = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False)
    assert killed.returncode == -9
    assert xdp_program("v0")
    assert xdp_program("v2")
    following = engine(pins)
    assert following.adopted
    following.apply(policy())
    (known,) = following.associations()
    assert known.row.clients[0] == ip_address(CLIENT)
    for hook in VERDICTS:
        wire = wire_of(following.datapath, hook)
        assert wire.through(sctp(CLIENT, VIP, PORT, PORT, TS, data())).dst == SERVER
    following.close()


def test_without_pins_nothing_stays() -> None:
    """Links go with their descriptors."""
    made = Engine(INTERFACES, attach=Attach.XDP, sizes=SMALL)
    assert xdp_program("v0")
    made.remove()
    assert gone("v0")


def test_a_start_that_died_before_meta_is_begun_anew(pins: Path) -> None:
    """Meta is written last and tells that all is there: without it nothing was ever attached."""
    first = Datapath(sizes=SMALL, pins=pins)
    before = first.maps["table"].info.id
    first.close()
    (pins / "meta").unlink()
    (pins / "events").unlink()
    second = Datapath(sizes=SMALL, pins=pins)
    assert not second.adopted
    assert second.maps["table"].info.id != before
    second.close()
    third = Datapath(pins=pins)
    assert third.adopted
    third.close()
