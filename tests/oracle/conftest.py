"""One datapath in a namespace of its own for all sequences."""

from collections.abc import Iterator

import pytest

from tests.oracle.driver import Driver
from tests.oracle.driver import driver as made
from tests.oracle.network import network


@pytest.fixture(scope="session")
def oracle_driver() -> Iterator[Driver]:
    """The real datapath."""
    with network(), made() as one:
        yield one
