"""Two namespaces and a wire between them."""

import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest


def run(*command: str) -> str:
    """A command that must succeed; what it printed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Wires:
    """`near` is ours: 10.77.0.1 and fd77::1 on v0. `far` is the other end: .2 on v1."""

    def __init__(self) -> None:
        self.far = {4: "10.77.0.2", 6: "fd77::2"}
        word = uuid4().hex[:6]
        self.near_name, self.far_name = f"net-{word}a", f"net-{word}b"
        for name in (self.near_name, self.far_name):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run(
            *("ip", "link", "add", "v0", "netns", self.near_name, "type", "veth"),
            *("peer", "name", "v1", "netns", self.far_name),
        )
        for name, link, host in ((self.near_name, "v0", 1), (self.far_name, "v1", 2)):
            run("ip", "-n", name, "link", "set", link, "up")
            run("ip", "-n", name, "addr", "add", f"10.77.0.{host}/24", "dev", link)
            run("ip", "-n", name, "addr", "add", f"fd77::{host}/64", "dev", link, "nodad")

    def cut(self) -> None:
        """Take the far end away."""
        run("ip", "-n", self.far_name, "link", "set", "v1", "down")

    def mend(self) -> None:
        """And bring it back; IPv6 addresses go with the link."""
        run("ip", "-n", self.far_name, "link", "set", "v1", "up")
        run("ip", "-n", self.far_name, "addr", "replace", "fd77::2/64", "dev", "v1", "nodad")

    def close(self) -> None:
        """Remove both."""
        for name in (self.near_name, self.far_name):
            run("ip", "netns", "del", name)


@pytest.fixture
def wires() -> Iterator[Wires]:
    """A fresh pair."""
    made = Wires()
    yield made
    made.close()
