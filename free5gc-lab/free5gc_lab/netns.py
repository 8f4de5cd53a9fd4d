"""The real host's side of the lab: network namespaces, `ip` in them, sysctls, offloads."""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .errors import LabError, LabPrerequisiteError

NETNS_DIR = Path("/run/netns")
CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
# ETHTOOL_SRXCSUM, STXCSUM, STSO, SGSO, SGRO: a raw socket must see finished checksums and frames as sent.
OFFLOADS_OFF = (0x15, 0x17, 0x1F, 0x24, 0x2C)

_libc = ctypes.CDLL(None, use_errno=True)


def setns(fd: int) -> None:
    """Move the calling thread into the network namespace behind fd (setns(2))."""
    if _libc.setns(fd, CLONE_NEWNET):
        raise LabPrerequisiteError(f"entering a network namespace: {os.strerror(ctypes.get_errno())}")


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """The calling thread, and what it opens or starts, inside a named namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        try:
            there = os.open(NETNS_DIR / namespace, os.O_RDONLY)
        except FileNotFoundError:
            raise LabError(f"network namespace {namespace!r} does not exist: the lab is not up") from None
        try:
            setns(there)
        finally:
            os.close(there)
        yield
    finally:
        setns(home)
        os.close(home)


def ip_batch(namespace: str | None, lines: Iterable[str], *, version: int | None = None) -> None:
    """Run `ip` commands, one a line, in one process; LabError carries what `ip` said."""
    argv = [
        "ip",
        *([f"-{version}"] if version else []),
        *(["-n", namespace] if namespace else []),
        "-batch",
        "-",
    ]
    done = subprocess.run(argv, input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip in {namespace or 'the host'}: {' '.join(done.stderr.split())}")


def create(namespace: str) -> None:
    ip_batch(None, [f"netns add {namespace}"])
    ip_batch(namespace, ["link set lo up"])


def delete(namespace: str) -> None:
    """Delete it if it is there; its veths go with it."""
    if (NETNS_DIR / namespace).exists():
        ip_batch(None, [f"netns del {namespace}"])


def named(prefix: str) -> list[str]:
    """The namespaces whose names start so."""
    return sorted(path.name for path in NETNS_DIR.glob(f"{prefix}*"))


def sysctls(namespace: str, values: Mapping[str, str]) -> None:
    """Write net.* sysctls (dots in names are path separators) as seen from inside."""
    with entered(namespace):
        for key, value in values.items():
            Path("/proc/sys", *key.split(".")).write_text(value)


def offloads_off(namespace: str, interfaces: Iterable[str]) -> None:
    """Turn off checksum and segmentation offloads (SIOCETHTOOL), where the driver has them."""
    with entered(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for interface in interfaces:
            for command in OFFLOADS_OFF:
                value = ctypes.create_string_buffer(struct.pack("II", command, 0))
                request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
                fcntl.ioctl(control, SIOCETHTOOL, request)
