"""ABORT to both ends of an association that silence ended, each as if from the other (RFC 9260 §9.1)."""

import logging
import socket
from ipaddress import IPv4Address
from struct import pack

from lb.datapath.attach import inside
from lb.datapath.read import AssociationRow
from lb.model import Address
from protocols.sctp import Abort, Packet, encode

log = logging.getLogger(__name__)
IPPROTO_SCTP, HOP_LIMIT = 132, 64


def packets(row: AssociationRow) -> list[tuple[Address, Address, bytes]]:
    """Source, destination and SCTP packet for the client and for the endpoint, on the first path."""
    path = row.paths[0]
    to_client = Packet(
        source=row.service_port, destination=row.client_port, tag=row.client_tag, chunks=(Abort(),)
    )
    to_endpoint = Packet(
        source=row.our_port, destination=row.server_port, tag=row.server_tag, chunks=(Abort(),)
    )
    return [
        (path.vip, path.client, encode(to_client)),
        (path.source, path.server, encode(to_endpoint)),
    ]


def datagram(source: Address, destination: Address, body: bytes) -> bytes:
    """An IP packet around it; the kernel fills in IPv4's length, identification and checksum."""
    if isinstance(source, IPv4Address):
        head = pack(">BBHHHBBH", 0x45, 0, 0, 0, 0, HOP_LIMIT, IPPROTO_SCTP, 0)
    else:
        head = pack(">IHBB", 6 << 28, len(body), IPPROTO_SCTP, HOP_LIMIT)
    return head + source.packed + destination.packed + body


class Farewell:
    """Raw sockets in one network namespace, opened when first needed."""

    def __init__(self, *, netns: str | None = None) -> None:
        self._netns = netns
        self._sockets: dict[int, socket.socket] = {}

    def abort(self, row: AssociationRow) -> None:
        """Tell both ends; what cannot be sent is logged."""
        for source, destination, body in packets(row):
            try:
                sender = self._socket(destination.version)
                sender.sendto(datagram(source, destination, body), (str(destination), 0))
            except OSError as error:
                log.warning("ABORT to %s of an idle association was not sent: %s", destination, error)

    def _socket(self, version: int) -> socket.socket:
        if version not in self._sockets:
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            with inside(self._netns):
                self._sockets[version] = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        return self._sockets[version]

    def close(self) -> None:
        """Let go."""
        for made in self._sockets.values():
            made.close()
        self._sockets.clear()
