"""Programs by file descriptor: what they are, and a run on a packet or a context of our own."""

import ctypes
import struct
from dataclasses import dataclass

from lb.bpf.syscall import Command, address, bpf

LIVE_FRAMES = 1 << 1  # BPF_F_TEST_XDP_LIVE_FRAMES
PACKET_ROOM = 16_384  # bytes for a packet that grew


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """What a run gave: the program's verdict, the packet or context afterwards, ns a repetition."""

    verdict: int
    data: bytes
    context: bytes
    duration: int


def _attributes(fd: int, fields: tuple[int, ...]) -> bytes:
    return struct.pack("=IIIIQQIIIIQQIII", fd, *fields)


def run_packet(fd: int, packet: bytes, *, repeat: int = 1, context: bytes = b"") -> TestRun:
    """BPF_PROG_TEST_RUN of an XDP or tc program; ``context`` is struct xdp_md or __sk_buff."""
    data = ctypes.create_string_buffer(packet, len(packet))
    out = ctypes.create_string_buffer(PACKET_ROOM)
    given = ctypes.create_string_buffer(context, len(context)) if context else None
    size = len(context)
    fields = (0, len(packet), PACKET_ROOM, address(data), address(out), repeat, 0)
    attributes = _attributes(fd, (*fields, size, 0, address(given), 0, 0, 0, 0))
    _, after = bpf(Command.PROG_TEST_RUN, attributes, "run a program on a packet")
    _, verdict, _, length, _, _, _, duration = struct.unpack_from("=IIIIQQII", after)
    return TestRun(verdict=verdict, data=out.raw[:length], context=b"", duration=duration)


def run_live(fd: int, packet: bytes, *, repeat: int, context: bytes, batch: int = 64) -> None:
    """Run an XDP program on frames that really go where its verdict says; ``context`` tells where they come from."""
    data = ctypes.create_string_buffer(packet, len(packet))
    given = ctypes.create_string_buffer(context, len(context))
    fields = (0, len(packet), 0, address(data), 0, repeat, 0)
    attributes = _attributes(fd, (*fields, len(context), 0, address(given), 0, LIVE_FRAMES, 0, batch))
    bpf(Command.PROG_TEST_RUN, attributes, "run a program on live frames")


def run_syscall(fd: int, context: bytes) -> bytes:
    """Run a ``syscall`` program once; gives its context as it left it."""
    given = ctypes.create_string_buffer(context, len(context))
    fields = (0, 0, 0, 0, 0, 0, 0, len(context), 0, address(given), 0, 0, 0, 0)
    bpf(Command.PROG_TEST_RUN, _attributes(fd, fields), "run a syscall program")
    return given.raw


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramInfo:
    """struct bpf_prog_info's interesting fields."""

    id: int
    name: str
    verified_instructions: int
    translated_bytes: int


def program_info(fd: int) -> ProgramInfo:
    """Ask the kernel about a program."""
    info = ctypes.create_string_buffer(232)
    bpf(
        Command.OBJ_GET_INFO_BY_FD,
        struct.pack("=IIQ", fd, len(info), address(info)),
        "read program information",
    )
    _, number = struct.unpack_from("=II", info)
    (translated,) = struct.unpack_from("=I", info, 20)
    name = info.raw[64:80].split(b"\0")[0].decode()
    (verified,) = struct.unpack_from("=I", info, 216)
    return ProgramInfo(id=number, name=name, verified_instructions=verified, translated_bytes=translated)
