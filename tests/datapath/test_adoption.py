"""A datapath that is pinned is taken over by the next process: its maps always, its programs if they are the same."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from lb.bpf import BpfError, program_info
from lb.datapath.kept import PREFIX
from lb.datapath.objects import Datapath
from lb.datapath.pins import prepare
from lb.datapath.program import Programmer
from lb.datapath.vips import VipTable
from lb.model import Policy
from tests.datapath.conftest import SMALL, policy

pytestmark = pytest.mark.root


@pytest.fixture
def pins() -> Iterator[Path]:
    """A directory of a BPF file system; gone at the end."""
    made = Path("/sys/fs/bpf") / f"adoption-{uuid4().hex[:8]}"
    prepare(made)
    yield made
    for path in made.iterdir():
        path.unlink()
    made.rmdir()


def ids(datapath: Datapath) -> dict[str, int]:
    """Numbers of the loaded programs."""
    return {name: program_info(descriptor).id for name, descriptor in datapath.programs.items()}


def test_the_same_build_is_not_verified_again(pins: Path) -> None:
    """The programs are those that run already, on the same maps."""
    first = Datapath(sizes=SMALL, pins=pins)
    before, table = ids(first), first.maps["table"].info.id
    first.close()
    second = Datapath(pins=pins)
    assert second.adopted
    assert (ids(second), second.maps["table"].info.id) == (before, table)
    assert second.call("sweep")
    second.close()


def test_another_build_loads_its_own_programs(pins: Path) -> None:
    """The maps stay, the programs are new, and those of the earlier build are let go."""
    first = Datapath(sizes=SMALL, pins=pins)
    before, table = ids(first), first.maps["table"].info.id
    first.close()
    for path in list(pins.glob(f"{PREFIX}*")):
        path.rename(path.with_name(path.name[:-4] + "0000"))
    second = Datapath(pins=pins)
    assert second.adopted
    assert not set(ids(second).values()) & set(before.values())
    assert second.maps["table"].info.id == table
    assert not list(pins.glob(f"{PREFIX}*0000"))
    second.close()


def test_vips_of_an_earlier_process_are_known(pins: Path) -> None:
    """What it put into the table is left where it is, and leaves with the service."""
    first = Datapath(sizes=SMALL, pins=pins)
    Programmer(first).apply(policy())
    there = VipTable(first).items()
    first.close()
    second = Datapath(pins=pins)
    programmer = Programmer(second)
    programmer.apply(policy())
    assert VipTable(second).items() == there
    assert len(there) == 4  # two VIPs with their port, and the lengths in use of each
    programmer.apply(Policy())
    assert VipTable(second).items() == {}
    second.close()


def test_maps_of_another_layout_are_refused(pins: Path) -> None:
    """With what is there, what is needed and what can be done; they are left as they are."""
    first = Datapath(sizes=SMALL, pins=pins)
    layout, record = first.btf.layout("meta"), bytearray(first.maps["meta"][0])
    layout.set(record, "layout", 1)
    first.maps["meta"].put(bytes(record))
    first.close()
    before = sorted(path.name for path in pins.iterdir())
    with pytest.raises(BpfError, match=f"layout 1, this version needs \\d+.*rm -r {pins}"):
        Datapath(pins=pins)
    assert sorted(path.name for path in pins.iterdir()) == before
