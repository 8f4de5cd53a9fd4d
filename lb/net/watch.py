"""Word from the kernel that links, neighbours, addresses or routes changed (rtnetlink multicast)."""

import asyncio
import socket
from collections.abc import Callable
from errno import ENOBUFS

from lb.datapath.attach import inside

NETLINK_ROUTE = 0
LINK, NEIGH = 1 << 0, 1 << 2  # RTMGRP_…
IPV4_ADDRESS, IPV4_ROUTE, IPV6_ADDRESS, IPV6_ROUTE = 1 << 4, 1 << 6, 1 << 8, 1 << 10
PATHS = LINK | NEIGH
SOURCES = IPV4_ADDRESS | IPV4_ROUTE | IPV6_ADDRESS | IPV6_ROUTE
QUIET = 0.05  # seconds: a burst is one change
ROOM = 1 << 16


class Watch:
    """Calls ``changed`` on the running event loop, once a burst of messages of these groups."""

    def __init__(self, groups: int, changed: Callable[[], None], *, netns: str | None = None) -> None:
        self._changed = changed
        self._due: asyncio.TimerHandle | None = None
        with inside(netns):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        self._socket.bind((0, groups))
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._heard)

    def _heard(self) -> None:
        while True:
            try:
                self._socket.recv(ROOM)
            except OSError as error:
                if error.errno != ENOBUFS:  # some were lost: something has changed all the same
                    break
        if self._due is None:
            self._due = self._loop.call_later(QUIET, self._fire)

    def _fire(self) -> None:
        self._due = None
        self._changed()

    def close(self) -> None:
        """Hear no more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._due:
            self._due.cancel()
