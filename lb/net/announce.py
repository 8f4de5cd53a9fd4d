"""Telling the link whose an address is now: gratuitous ARP (RFC 5227 §3), unsolicited NA (RFC 4861 §7.2.6)."""

import socket
from ipaddress import IPv6Address
from struct import pack

from lb.model import Address

ETH_P_ARP = 0x0806
BROADCAST = b"\xff" * 6
NA, OVERRIDE, TARGET_LINK_ADDRESS = 136, 0x20000000, 2
ALL_NODES = "ff02::1"


def gratuitous_arp(mac: bytes, address: Address) -> bytes:
    """The frame of an ARP request for one's own address."""
    head = BROADCAST + mac + pack(">H", ETH_P_ARP)
    return head + pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac + address.packed + bytes(6) + address.packed


def unsolicited_na(mac: bytes, address: Address) -> bytes:
    """The ICMPv6 message, its checksum left to the kernel."""
    return pack(">BBHI", NA, 0, 0, OVERRIDE) + address.packed + bytes((TARGET_LINK_ADDRESS, 1)) + mac


def announce(interface: str, mac: bytes, address: Address) -> None:
    """Say it once, on the interface of the current network namespace. Raises OSError."""
    if isinstance(address, IPv6Address):
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as made:
            index = socket.if_nametoindex(interface)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            made.bind((str(address), 0, 0, index))
            made.sendto(unsolicited_na(mac, address), (ALL_NODES, 0, 0, index))
        return
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((interface, ETH_P_ARP))
        link.send(gratuitous_arp(mac, address))
