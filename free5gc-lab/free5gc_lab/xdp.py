"""Tiny XDP programs for lab veths, assembled by hand: no compiler, no object file.

A veth that XDP transmits into delivers only while it has NAPI, and a program of its own gives it that.
"""

import ctypes
import os
import platform
import socket
import struct
from enum import Enum

from .errors import LabError, LabPrerequisiteError
from .netns import entered

BPF_PROG_LOAD, PROG_TYPE_XDP = 5, 6
SYS_BPF = {"x86_64": 321, "aarch64": 280}
XDP_DROP, XDP_PASS = 1, 2
RTM_SETLINK, NLM_F_REQUEST_ACK, NLMSG_ERROR = 19, 0x5, 2
IFLA_XDP, IFLA_XDP_FD, NLA_F_NESTED = 43, 1, 0x8000
LDX_W, LDX_H, LDX_B = 0x61, 0x69, 0x71
MOV_IMM, MOV_REG, ADD_IMM, JNE_IMM, JEQ_IMM, JGT_REG, EXIT = 0xB7, 0xBF, 0x07, 0x55, 0x15, 0x2D, 0x95
IPPROTO_SCTP = 132
SCTP_FRAME_MIN = 34  # Ethernet and IPv4 headers: far enough for both protocol fields

_libc = ctypes.CDLL(None, use_errno=True)


def _insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", code, src << 4 | dst, off, imm)


class Program(Enum):
    """What the program does with each frame."""

    PASS = _insn(MOV_IMM, 0, imm=XDP_PASS) + _insn(EXIT)
    # Swallow SCTP over IPv4 and IPv6, let the rest (ARP, ND, ping) be answered.
    SINK = b"".join(
        (
            _insn(LDX_W, 2, 1, 0),  # r2 = data
            _insn(LDX_W, 3, 1, 4),  # r3 = data_end
            _insn(MOV_IMM, 0, imm=XDP_PASS),
            _insn(MOV_REG, 4, 2),
            _insn(ADD_IMM, 4, imm=SCTP_FRAME_MIN),
            _insn(JGT_REG, 4, 3, 8),  # too short: pass
            _insn(LDX_H, 5, 2, 12),  # EtherType
            _insn(LDX_B, 6, 2, 23),  # IPv4 protocol
            _insn(JEQ_IMM, 5, off=2, imm=socket.htons(0x0800)),
            _insn(LDX_B, 6, 2, 20),  # IPv6 next header
            _insn(JNE_IMM, 5, off=3, imm=socket.htons(0x86DD)),
            _insn(JNE_IMM, 6, off=2, imm=IPPROTO_SCTP),
            _insn(MOV_IMM, 0, imm=XDP_DROP),
            _insn(EXIT),
            _insn(EXIT),
        )
    )


def load(program: Program) -> int:
    """The file descriptor of the loaded program; LabPrerequisiteError where bpf(2) refuses."""
    number = SYS_BPF.get(platform.machine())
    if number is None:
        raise LabPrerequisiteError(f"machine: {platform.machine()!r} is none of {sorted(SYS_BPF)}")
    code, licence = ctypes.create_string_buffer(program.value), ctypes.create_string_buffer(b"GPL")
    count = len(program.value) // 8
    attr = ctypes.create_string_buffer(
        struct.pack("=IIQQ", PROG_TYPE_XDP, count, ctypes.addressof(code), ctypes.addressof(licence)), 128
    )
    fd = int(_libc.syscall(number, BPF_PROG_LOAD, attr, len(attr)))
    if fd < 0:
        raise LabPrerequisiteError(f"loading an XDP program: {os.strerror(ctypes.get_errno())}")
    return fd


def attach(program: Program, namespace: str, interfaces: list[str]) -> None:
    """Give interfaces of a namespace the program; it stays until they vanish."""
    fd = load(program)
    try:
        with (
            entered(namespace),
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink,
        ):
            for interface in interfaces:
                netlink.send(_set_link(socket.if_nametoindex(interface), fd))
                _check(netlink.recv(4096), interface)
    finally:
        os.close(fd)


def _set_link(index: int, fd: int) -> bytes:
    inner = struct.pack("=HHi", 8, IFLA_XDP_FD, fd)
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0)
    body += struct.pack("=HH", 4 + len(inner), IFLA_XDP | NLA_F_NESTED) + inner
    return struct.pack("=IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST_ACK, 1, 0) + body


def _check(reply: bytes, interface: str) -> None:
    kind, error = struct.unpack_from("=4xH10xi", reply)
    if kind == NLMSG_ERROR and error:
        raise LabError(f"attaching an XDP program to {interface}: {os.strerror(-error)}")
