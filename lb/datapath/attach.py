"""Hanging programs on interfaces, by links: XDP where asked or possible, tc ingress always behind it.

A link goes with its descriptor or its pin, so that nothing is left behind by a process that was not pinned. A clsact
filter, which stands in for a link before kernel 6.6, stays until it is replaced or removed.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from lb.bpf.errors import BpfError, ForeignProgramError
from lb.bpf.programs import program_info
from lb.bpf.syscall import Command, bpf
from lb.datapath.pins import get_pinned, pin

CLONE_NEWNET = 0x40000000
ATTACH_XDP, ATTACH_TCX_INGRESS = 37, 46  # enum bpf_attach_type
XDP_GENERIC, XDP_NATIVE = 1 << 1, 1 << 2  # XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE

_libc = ctypes.CDLL(None, use_errno=True)


class Attach(StrEnum):
    """Where the datapath hangs; auto: XDP native, else generic, else tc alone."""

    AUTO = "auto"
    XDP = "xdp"
    XDP_GENERIC = "xdp-generic"
    TC = "tc"


@contextmanager
def inside(netns: str | None) -> Iterator[None]:
    """Run in a named network namespace (this thread), or where we are. Pins stay visible: only the network changes."""
    if netns is None:
        yield
        return
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        try:
            there = os.open(Path("/run/netns", netns), os.O_RDONLY)
        except FileNotFoundError as error:
            raise BpfError(f"network namespace {netns!r} does not exist") from error
        if _libc.setns(there, CLONE_NEWNET):
            raise BpfError(f"enter network namespace {netns!r}", ctypes.get_errno())
        os.close(there)
        try:
            yield
        finally:
            _libc.setns(home.fileno(), CLONE_NEWNET)


def interface_index(name: str) -> int:
    """Number of an interface of the current namespace."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        known = ", ".join(sorted(found for _, found in socket.if_nameindex()))
        raise BpfError(f"interface {name!r} does not exist; there are {known}") from error


def _link(program: int, index: int, attach_type: int, flags: int, what: str) -> int:
    return bpf(Command.LINK_CREATE, struct.pack("=IIII", program, index, attach_type, flags), what)[0]


def _holder(interface: str) -> tuple[int, str]:
    """Number and name of the XDP program on an interface."""
    from pyroute2 import IPRoute  # noqa: PLC0415  # slow to import, rarely needed

    with IPRoute() as netlink:
        link = netlink.get_links(interface_index(interface))[0]
    number = (link.get_attr("IFLA_XDP") or link).get_attr("IFLA_XDP_PROG_ID") or 0
    try:
        descriptor, _ = bpf(Command.PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0), "open program")
    except BpfError:
        return number, "unknown"
    name = program_info(descriptor).name
    os.close(descriptor)
    return number, name


def _xdp(program: int, interface: str, mode: Attach) -> int | None:
    index = interface_index(interface)
    tries = {
        Attach.XDP: (XDP_NATIVE,),
        Attach.XDP_GENERIC: (XDP_GENERIC,),
        Attach.AUTO: (XDP_NATIVE, XDP_GENERIC),
    }
    for flags in tries.get(mode, ()):
        try:
            return _link(program, index, ATTACH_XDP, flags, f"attach XDP to {interface}")
        except BpfError as error:
            if error.errno in {errno.EBUSY, errno.EEXIST}:
                raise ForeignProgramError(interface, *_holder(interface)) from error
            if mode is not Attach.AUTO:
                raise
    return None


class Hooks:
    """The links of one datapath, by interface."""

    def __init__(self, xdp: int, tc: int, pins: Path | None = None) -> None:
        self._programs = {"xdp": xdp, "tc": tc}
        self._pins = pins
        self._links: dict[tuple[str, str], int] = {}
        self._new: set[tuple[str, str]] = set()  # of the links, those that nobody had before us
        self._filters: dict[str, int] = {}  # interface → its number, where there are no TCX links

    def attach(self, interface: str, mode: Attach) -> list[str]:
        """Hang on one interface of the current namespace; gives the hooks that hold. An earlier pin is taken over."""
        index = interface_index(interface)
        if not self._adopt(interface, "tc"):
            self._tc(interface, index)
        if mode is Attach.TC:
            self._forget(interface, "xdp")
        elif not self._adopt(interface, "xdp"):
            self._hang(interface, "xdp", _xdp(self._programs["xdp"], interface, mode))
        held = [hook for name, hook in self._links if name == interface]
        return ["tc", *held] if interface in self._filters else held

    def _tc(self, interface: str, index: int) -> None:
        """A TCX link, or before kernel 6.6 a clsact filter."""
        try:
            link = _link(self._programs["tc"], index, ATTACH_TCX_INGRESS, 0, f"attach tc to {interface}")
        except BpfError as error:
            if error.errno != errno.EINVAL:
                raise
            from lb.datapath import clsact  # noqa: PLC0415  # pyroute2 is slow to import

            clsact.hang(self._programs["tc"], index, interface)
            self._filters[interface] = index
        else:
            self._hang(interface, "tc", link)

    def _adopt(self, interface: str, hook: str) -> bool:
        """Put our program into a link that an earlier process pinned: no packet passes without one."""
        path = self._pins / f"link_{hook}_{interface}" if self._pins else None
        if not path or not path.exists():
            return False
        link = get_pinned(path)
        try:
            bpf(
                Command.LINK_UPDATE,
                struct.pack("=IIII", link, self._programs[hook], 0, 0),
                f"replace {hook} of {interface}",
            )
        except BpfError:
            os.close(link)
            path.unlink()  # the interface is gone, the pin outlived it
            return False
        self._links[interface, hook] = link
        return True

    def _forget(self, interface: str, hook: str) -> None:
        """Take away what an earlier process hung there in another mode."""
        if self._pins:
            (self._pins / f"link_{hook}_{interface}").unlink(missing_ok=True)

    def _hang(self, interface: str, hook: str, link: int | None) -> None:
        if link is None:
            return
        self._links[interface, hook] = link
        self._new.add((interface, hook))
        if self._pins:
            pin(link, self._pins / f"link_{hook}_{interface}")

    def undo(self) -> None:
        """Take away what this process hung, and leave what it adopted: traffic goes through that."""
        adopted = {at: link for at, link in self._links.items() if at not in self._new}
        self._links = {at: link for at, link in self._links.items() if at in self._new}
        self.detach()
        self._links = adopted

    def close(self) -> None:
        """Let go of the links: those that are pinned hold on."""
        for link in self._links.values():
            os.close(link)
        self._links.clear()

    def detach(self) -> None:
        """Take every link away, pins too."""
        for (interface, hook), link in self._links.items():
            if self._pins:
                (self._pins / f"link_{hook}_{interface}").unlink(missing_ok=True)
            os.close(link)
        self._links.clear()
        for interface, index in self._filters.items():
            from lb.datapath import clsact  # noqa: PLC0415

            clsact.remove(index, interface)
        self._filters.clear()
