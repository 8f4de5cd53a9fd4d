"""A private datapath in a private network namespace, shipped programs and benched ones on the same maps."""

import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from bench.errors import BenchError, GuardError
from bench.frames import COOKIE_ACK, COOKIE_ECHO, INIT_ACK, chunk, ends, frame, init
from lb.bpf import BpfObject, program_info, run_packet, run_syscall
from lb.datapath.attach import Attach, Hooks, inside, interface_index
from lb.datapath.objects import Datapath, Sizes
from lb.datapath.program import Programmer
from lb.datapath.read import Reader
from lb.model import Policy

OBJECTS = Path(__file__).parent.parent / "build" / "bench"
LINK, PEER = "lb0", "net0"
XDP_TX, XDP_REDIRECT, TC_REDIRECT = 3, 4, 7
PAIRS = 16
CLIENTS = [f"10.1.0.{10 + i}" for i in range(PAIRS)]
SERVERS = [f"10.11.0.{10 + i}" for i in range(PAIRS)]
CLIENTS6 = ["fd00:1::10"]
SERVERS6 = ["fd00:11::10"]


def run(*command: str) -> str:
    """A command that must succeed. Raises BenchError."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def namespace(prefix: str = "bench") -> Iterator[str]:
    """A network namespace, this thread in it; gone at the end."""
    name = f"{prefix}-{uuid4().hex[:8]}"
    run("ip", "netns", "add", name)
    try:
        with inside(name):
            yield name
    finally:
        run("ip", "netns", "del", name)


def wire_up() -> None:
    """One link with every client and endpoint behind it: what comes in goes out the same way, as from a switch."""
    run("sysctl", "-qw", "net.ipv4.conf.all.forwarding=1", "net.ipv6.conf.all.forwarding=1")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", LINK, "type", "veth", "peer", "name", PEER)
    for name in (LINK, PEER):
        run("ip", "link", "set", name, "mtu", "1500", "up")
    run("ip", "addr", "add", "10.1.0.1/16", "dev", LINK)
    run("ip", "addr", "add", "10.11.0.1/16", "dev", LINK)
    for subnet in ("fd00:1::1/64", "fd00:11::1/64"):
        run("ip", "addr", "add", subnet, "dev", LINK, "nodad")
    hosts = [*CLIENTS, *SERVERS, *CLIENTS6, *SERVERS6]
    for number, host in enumerate(hosts, 1):
        mac = f"02:00:00:00:01:{number:02x}"
        run("ip", "neigh", "add", host, "lladdr", mac, "dev", LINK, "nud", "permanent")


class World:
    """One datapath with its policy; ``programs`` and ``maps`` by name, shipped and benched."""

    def __init__(self, datapath: Datapath, objects: tuple[str, ...]) -> None:
        self.datapath = datapath
        self.reader = Reader(datapath)
        self.programs = dict(datapath.programs)
        self._hooks: Hooks | None = None
        self._index = 0
        self._objects = [self._load(name) for name in objects]
        self.maps = datapath.maps
        self.btf = self._objects[0].btf
        self.layouts = {"strain": self._objects[-1].btf.layout("strain")} if "stress" in objects else {}

    def attach(self) -> None:
        """Hang on the link: a veth registers its receive queue with its first XDP program."""
        self._hooks = Hooks(self.programs["telco_xdp"], self.programs["telco_tc"])
        self._hooks.attach(LINK, Attach.XDP)
        self._index = interface_index(LINK)

    def _load(self, name: str) -> BpfObject:
        path = OBJECTS / f"bench_{name}.bpf.o"
        if not path.exists():
            raise BenchError(f"{path} is missing: run 'make bpf'")
        item = BpfObject(path)
        self.datapath.join(item)
        self.programs |= {known: fd for known, fd in item.programs.items() if known not in self.programs}
        return item

    def close(self) -> None:
        """Let go of everything."""
        if self._hooks:
            self._hooks.detach()
        for item in self._objects:
            item.close()
        self.datapath.close()

    def instructions(self, program: str) -> int:
        """Instructions of a program after the verifier has rewritten them."""
        return program_info(self.programs[program]).translated_bytes // 8

    def _context(self, program: str, size: int) -> bytes:
        """struct xdp_md: the packet arrives at our link, so that what leaves by it is transmitted, not redirected."""
        return b"" if "tc" in program else struct.pack("=6I", 0, size, 0, self._index, 0, 0)

    def send(self, program: str, packet: bytes, repeat: int = 1) -> tuple[int, bytes]:
        """Verdict and packet of the last repetition."""
        result = run_packet(
            self.programs[program], packet, repeat=repeat, context=self._context(program, len(packet))
        )
        return result.verdict, result.data

    def time(self, program: str, packet: bytes, repeat: int) -> float:
        """ns a repetition, by this thread's CPU time: what other tasks take meanwhile does not count."""
        once = min(self._spent(program, packet, 1) for _ in range(3))
        return (self._spent(program, packet, repeat) - once) / (repeat - 1)

    def _spent(self, program: str, packet: bytes, repeat: int) -> int:
        start = time.thread_time_ns()
        self.send(program, packet, repeat)
        return time.thread_time_ns() - start

    def forward(self, packet: bytes, program: str = "telco_xdp") -> tuple[str, int, str, int]:
        """The ends of a packet that must be translated. Raises GuardError."""
        verdict, raw = self.send(program, packet)
        if verdict not in {XDP_TX, XDP_REDIRECT, TC_REDIRECT}:
            raise GuardError(f"{program} gave verdict {verdict}, drops are {self.drops()}")
        return ends(raw)

    def associate(self, client: str, vip: str, port: int, tags: tuple[int, int]) -> tuple[str, int, str, int]:
        """A handshake from and to ``port`` with the client's and the endpoint's tag; the ends that the latter sees."""
        theirs, ours = tags
        ports = (port, port)
        seen = self.forward(frame(client, vip, ports, 0, init(theirs, (client,))))
        source, our_port, server, server_port = seen
        back = (server_port, our_port)
        self.forward(frame(server, source, back, theirs, init(ours, (server,), INIT_ACK)))
        self.forward(frame(client, vip, ports, ours, chunk(COOKIE_ECHO, b"cookie!!")))
        self.forward(frame(server, source, back, theirs, chunk(COOKIE_ACK)))
        return seen

    def call(self, program: str, **arguments: int) -> dict[str, int]:
        """Run a bench control program; its arguments and results are the struct of the same name."""
        layout = self.btf.layout(program)
        record = run_syscall(self.programs[program], layout.pack(**arguments))
        return {name: layout.number(record, name) for name in layout.fields}

    def forget(self) -> int:
        """Forget every handshake in progress; how many there were."""
        return self.call("forget", buckets=1 << self.datapath.sizes.pending_bits)["forgotten"]

    def put(self, name: str, index: int, **values: int | bytes) -> None:
        """Set an element of a generator's map."""
        self.maps[name][index] = self.btf.layout(name.removesuffix("s")).pack(**values)

    def counted(self) -> int:
        """Packets counted in the entries of all associations."""
        return sum(sum(row.packets) for row in self.reader.associations())

    def drops(self) -> dict[str, int]:
        """Packets dropped so far, by reason, zeros left out."""
        layout, names = self.datapath.btf.layout("counter"), self.datapath.btf.enum("reason")
        totals = {
            name.removeprefix("REASON_").lower(): sum(
                layout.number(raw, "packets") for raw in self.maps["drops"].per_cpu(number)
            )
            for name, number in names.items()
            if name not in {"REASON_NONE", "REASON_COUNT"}
        }
        return {name: count for name, count in totals.items() if count}


@contextmanager
def world(
    policy: Policy, sizes: Sizes, objects: tuple[str, ...] = ("control", "xdp", "tc")
) -> Iterator[World]:
    """A world, gone at the end; ``objects``: which of bench/bpf, control first."""
    with namespace():
        wire_up()
        datapath = Datapath(sizes=sizes)
        Programmer(datapath).apply(policy)
        made = World(datapath, objects)
        made.attach()
        try:
            yield made
        finally:
            made.close()
