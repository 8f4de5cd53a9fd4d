"""Pinned objects: names in a BPF file system by which maps and links outlive the process."""

import ctypes
import os
import struct
from pathlib import Path

from lb.bpf.errors import BpfError
from lb.bpf.syscall import Command, address, bpf

BPF_FS_MAGIC = 0xCAFE4A11
_libc = ctypes.CDLL(None, use_errno=True)


def _is_bpffs(path: Path) -> bool:
    buffer = ctypes.create_string_buffer(256)
    if _libc.statfs(str(path).encode(), buffer):
        return False
    return bool(struct.unpack_from("=q", buffer)[0] & 0xFFFFFFFF == BPF_FS_MAGIC)


def prepare(path: Path) -> None:
    """Make the directory, on a BPF file system: one is mounted at its parent where that is an empty directory.

    Raises BpfError.
    """
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if not _is_bpffs(parent):
            _mount(parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BpfError(f"pin directory {path} cannot be made", error.errno or 0) from error


def _mount(place: Path) -> None:
    if any(place.iterdir()):  # it would hide what is there
        raise BpfError(f"{place} is no BPF file system and not empty: name a pin directory in /sys/fs/bpf")
    if _libc.mount(b"bpf", str(place).encode(), b"bpf", 0, b"mode=0700"):
        raise BpfError(f"mount a BPF file system at {place}", ctypes.get_errno())


def unpin(path: Path) -> None:
    """Remove a directory of pins; what nothing else holds ends."""
    for name in list(path.iterdir()):
        name.unlink()
    path.rmdir()


def pin(descriptor: int, path: Path) -> None:
    """Give an object a name."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    bpf(Command.OBJ_PIN, struct.pack("=QII", address(name), descriptor, 0), f"pin {path}")


def get_pinned(path: Path) -> int:
    """A descriptor of a pinned object."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return bpf(Command.OBJ_GET, struct.pack("=QII", address(name), 0, 0), f"open pinned {path}")[0]
