"""Labs that live as long as the test session: booting is paid once, each test gets them reset."""

import os
from collections.abc import Callable, Iterator

import pytest
from free5gc_lab import guest
from free5gc_lab.errors import LabPrerequisiteError
from free5gc_lab.lab import Lab
from free5gc_lab.topologies import topology

LabOf = Callable[[str], Lab]


@pytest.fixture(scope="session")
def _labs() -> Iterator[dict[str, Lab]]:
    try:
        guest.check_machine()
    except LabPrerequisiteError as error:
        pytest.skip(str(error))
    labs: dict[str, Lab] = {}
    yield labs
    for lab in labs.values():
        lab.down()


@pytest.fixture
def lab_of(_labs: dict[str, Lab]) -> Iterator[LabOf]:
    """A lab of the named topology, made once and reset for each test that asks for it."""

    def get(name: str) -> Lab:
        if name not in _labs:
            _labs[name] = Lab.up(topology(name), name=f"t{os.getpid()}{name}")
        used.append(_labs[name])
        _labs[name].reset()
        return _labs[name]

    used: list[Lab] = []
    yield get
    for lab in used:
        lab.reset()


@pytest.fixture
def core(lab_of: LabOf) -> Lab:
    """The core topology over plain kernel forwarding in the balancer's place."""
    lab = lab_of("core")
    lab.forwarding(on=True)
    return lab
