"""bpf(2): one call, attributes packed by the caller."""

import ctypes
import os
import platform
from enum import IntEnum
from pathlib import Path

from lb.bpf.errors import BpfError

NUMBER = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), 321)
ATTRIBUTE_BYTES = 144

_libc = ctypes.CDLL(None, use_errno=True)


class Command(IntEnum):
    """enum bpf_cmd, as far as it is used here."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    PROG_GET_FD_BY_ID = 13
    OBJ_GET_INFO_BY_FD = 15
    MAP_LOOKUP_AND_DELETE_ELEM = 21
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27
    LINK_CREATE = 28
    LINK_UPDATE = 29
    LINK_DETACH = 34


def bpf(command: Command, attributes: bytes, what: str, allow: int = 0) -> tuple[int, bytes]:
    """Run one command; gives its result and the attributes as the kernel left them. Raises BpfError.

    ``allow`` is an errno that is an answer too; the result is then its negative.
    """
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), ATTRIBUTE_BYTES))
    result = _libc.syscall(NUMBER, int(command), buffer, len(buffer))
    if result < 0 and ctypes.get_errno() == allow:
        return -allow, buffer.raw
    if result < 0:
        raise BpfError(what, ctypes.get_errno())
    return result, buffer.raw


def address(buffer: ctypes.Array[ctypes.c_char] | None) -> int:
    """Where a buffer is, for a pointer field; 0 for none."""
    return ctypes.addressof(buffer) if buffer is not None else 0


def possible_cpus() -> int:
    """CPUs that may ever be, which is how many values a per-CPU element has."""
    listed = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii")
    return int(listed.strip().replace(",", "-").split("-")[-1]) + 1


def close(descriptor: int) -> None:
    """Close a file descriptor that the kernel gave us."""
    os.close(descriptor)
