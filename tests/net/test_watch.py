"""Word of changes in the network namespace."""

import asyncio

import pytest

from lb.net import Watch
from lb.net.watch import PATHS, SOURCES
from tests.net.conftest import Wires, run

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("groups", "command"),
    [
        (PATHS, "link set v0 mtu 1400"),
        (PATHS, "neigh replace 10.77.0.9 lladdr 02:00:00:00:00:09 dev v0"),
        (SOURCES, "addr add 10.78.0.1/24 dev v0"),
        (SOURCES, "route add 10.79.0.0/24 via 10.77.0.2"),
        (SOURCES, "route add fd79::/64 via fd77::2"),
    ],
)
def test_a_change_is_heard_once(wires: Wires, groups: int, command: str) -> None:
    """A burst of messages is one call."""

    async def go() -> int:
        calls: asyncio.Queue[None] = asyncio.Queue()
        watch = Watch(groups, lambda: calls.put_nowait(None), netns=wires.near_name)
        await asyncio.sleep(0.2)  # what the wire's own making still has to say
        while not calls.empty():
            calls.get_nowait()
        run("ip", "-n", wires.near_name, *command.split())
        await asyncio.wait_for(calls.get(), 2)
        watch.close()
        return calls.qsize()

    assert asyncio.run(go()) == 0
