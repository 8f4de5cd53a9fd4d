"""Raw sockets that hear nothing but answers to probes."""

import ctypes
import socket
from struct import pack

from lb.probe.sctp import SOURCE_PORT

IPPROTO_SCTP, IPPROTO_ICMPV6 = 132, 58
SOL_RAW, ICMP_FILTER, ICMP6_FILTER = 255, 1, 1
SO_ATTACH_FILTER = 26
ECHO_REPLY, ECHO_REPLY_V6 = 0, 129


def _only_port(made: socket.socket, port: int, *, header: bool) -> None:
    """Classic BPF: the destination port is this; a raw IPv4 socket sees the IP header too."""
    load_header = [(0xB1, 0, 0, 0)] if header else [(0x01, 0, 0, 0)]  # ldx 4*([0]&0xf) or ldx #0
    code = [*load_header, (0x48, 0, 0, 2), (0x15, 0, 1, port), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
    filters = ctypes.create_string_buffer(b"".join(pack("=HBBI", *step) for step in code))
    made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pack("HL", len(code), ctypes.addressof(filters)))


def open_sctp(family: int) -> socket.socket:
    """For INIT and its answers."""
    made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, IPPROTO_SCTP)
    _only_port(made, SOURCE_PORT, header=family == 4)
    made.setblocking(False)
    return made


def open_ping(family: int) -> socket.socket:
    """For echo requests and their replies."""
    if family == 4:
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        made.setsockopt(SOL_RAW, ICMP_FILTER, pack("=I", ~(1 << ECHO_REPLY) & 0xFFFFFFFF))
    else:
        made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, IPPROTO_ICMPV6)
        words = [0xFFFFFFFF] * 8
        words[ECHO_REPLY_V6 >> 5] &= ~(1 << (ECHO_REPLY_V6 & 31)) & 0xFFFFFFFF
        made.setsockopt(IPPROTO_ICMPV6, ICMP6_FILTER, pack("=8I", *words))
    made.setblocking(False)
    return made


def payload(family: int, packet: bytes) -> bytes:
    """What a raw socket received, without the header that IPv4 leaves on it."""
    return packet[(packet[0] & 15) * 4 :] if family == 4 and packet else packet
