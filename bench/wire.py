"""Client, balancer and server as three namespaces in a row; frames from either end, counted where they arrive."""

import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from uuid import uuid4

from bench.frames import COOKIE_ACK, COOKIE_ECHO, INIT_ACK, chunk, data, frame, init
from bench.world import OBJECTS, run
from lb.bpf import BpfObject, run_live
from lb.bpf.syscall import Command, bpf
from lb.datapath.attach import inside, interface_index

CLIENT, SERVER, VIP, PORT = "10.1.0.2", "10.11.0.2", "10.100.0.1", 38412
CLIENT_TAG, SERVER_TAG = 0x11112222, 0x33334444
ATTACH_XDP, XDP_NATIVE = 37, 1 << 2
LEFT, RIGHT = "left", "right"  # the balancer's interfaces
SETTLE_S = 0.05  # for what is still under way


def mac(number: int) -> str:
    """A local address."""
    return f"02:00:00:00:02:{number:02x}"


@dataclass(slots=True)
class Wire:
    """Interfaces `end` in the client's and the server's namespace, `left` and `right` in the balancer's."""

    name: str
    programs: BpfObject
    links: list[int] = field(default_factory=list)

    def at(self, place: str) -> str:
        """The name of a namespace: client, balancer or server."""
        return f"{self.name}-{place}"

    def emit(self, place: str, packet: bytes, repeat: int = 1) -> None:
        """Send frames from an end to the balancer; returns when all are sent."""
        to = bytes.fromhex(mac(1 if place == "client" else 2).replace(":", ""))
        packet = to + packet[6:]
        self.programs.maps["headers"].put(packet[: self.programs.maps["headers"].info.value_size])
        with inside(self.at(place)):
            context = struct.pack("=6I", 0, len(packet), 0, interface_index("end"), 0, 0)
            run_live(self.programs.programs["bench_emit"], packet, repeat=repeat, context=context)

    def expect(self, source: str, destination: str) -> None:
        """What a packet has that arrives translated; forgets what was counted."""
        record = ip_address(source).packed + ip_address(destination).packed + bytes(16)
        self.programs.maps["sinks"].put(record)

    def counted(self) -> tuple[int, int]:
        """Packets that arrived translated, and others."""
        translated, other = struct.unpack_from("=QQ", self.programs.maps["sinks"][0], 8)
        return translated, other

    def handshake(self) -> None:
        """An association from the client to the VIP, server by name of its address; all four packets are forwarded."""
        there, back = (CLIENT, VIP, (PORT, PORT)), (SERVER, CLIENT, (PORT, PORT))
        for place, packet in (
            ("client", frame(*there, 0, init(CLIENT_TAG, (CLIENT,)))),
            ("server", frame(*back, CLIENT_TAG, init(SERVER_TAG, (SERVER,), INIT_ACK))),
            ("client", frame(*there, SERVER_TAG, chunk(COOKIE_ECHO, b"cookie!!"))),
            ("server", frame(*back, CLIENT_TAG, chunk(COOKIE_ACK))),
        ):
            self.emit(place, packet)
            time.sleep(SETTLE_S)

    def data(self, size: int) -> bytes:
        """DATA of the association, as the client sends it; ``size`` of the IP packet."""
        return frame(CLIENT, VIP, (PORT, PORT), SERVER_TAG, data(size - 32))

    def hang(self, place: str, interface: str, program: str) -> None:
        """Put one of our programs on an interface."""
        with inside(self.at(place)):
            attributes = struct.pack(
                "=IIII", self.programs.programs[program], interface_index(interface), ATTACH_XDP, XDP_NATIVE
            )
        with inside(self.at(place)):
            self.links.append(bpf(Command.LINK_CREATE, attributes, f"attach {program}")[0])


def _wire_up(made: Wire) -> None:
    client, balancer, server = (made.at(place) for place in ("client", "balancer", "server"))
    for name in (client, balancer, server):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    for end, near, number, subnet in ((client, LEFT, 1, "10.1.0"), (server, RIGHT, 2, "10.11.0")):
        run(
            "ip",
            "link",
            "add",
            "end",
            "netns",
            end,
            "address",
            mac(10 + number),
            "type",
            "veth",
            "peer",
            "name",
            near,
            "netns",
            balancer,
            "address",
            mac(number),
        )
        run("ip", "-n", end, "link", "set", "end", "up")
        run("ip", "-n", balancer, "link", "set", near, "up")
        run("ip", "-n", balancer, "addr", "add", f"{subnet}.1/24", "dev", near)
        neighbour = ("lladdr", mac(10 + number), "dev", near, "nud", "permanent")
        run("ip", "-n", balancer, "neigh", "add", f"{subnet}.2", *neighbour)
    with inside(balancer):
        run(
            "sysctl",
            "-qw",
            "net.ipv4.ip_forward=1",
            "net.ipv4.conf.all.rp_filter=0",
            f"net.ipv4.conf.{LEFT}.rp_filter=0",
            f"net.ipv4.conf.{RIGHT}.rp_filter=0",
        )


@contextmanager
def wire() -> Iterator[Wire]:
    """A wire with its sink at the server; gone at the end."""
    made = Wire(name=f"bench-{uuid4().hex[:6]}", programs=BpfObject(OBJECTS / "bench_wire.bpf.o"))
    with ExitStack() as last:
        for place in ("client", "balancer", "server"):
            last.callback(run, "ip", "netns", "del", made.at(place))
        _wire_up(made)
        made.programs.load()
        last.callback(made.programs.close)
        made.hang("client", "end", "bench_sink")
        made.hang("server", "end", "bench_sink")
        made.expect(CLIENT, SERVER)
        yield made
