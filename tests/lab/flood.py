"""INITs from spoofed sources at a pace, and a sink beside the balancer that swallows them."""

import fcntl
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from free5gc_lab import netns, xdp
from free5gc_lab.lab import Lab

from lb.bpf import BpfObject, run_live
from lb.datapath.attach import inside, interface_index
from tests.datapath.packets import addresses, init, sctp

OBJECT = Path(__file__).parents[2] / "build" / "bench" / "bench_flood.bpf.o"
PORT = 9999
PACE = 300_000  # INITs a second
ROUND = 4_000
SINK = "10.13.0.2"
SIOCGIFHWADDR = 0x8927


@contextmanager
def sink(lab: Lab) -> Iterator[str]:
    """A namespace on a cable of its own, where SCTP ends before it costs anything: its address.

    Behind the lab's switch each INIT would cost more on the bridge than in the balancer.
    """
    name = f"{lab.name}-flooded"
    netns.create(name)
    try:
        pair = f"link add name flooded type veth peer name eth0 netns {name}"
        netns.ip_batch(lab.balancer, [pair, "addr add 10.13.0.1/24 dev flooded", "link set flooded up"])
        netns.ip_batch(name, [f"addr add {SINK}/24 dev eth0", "link set eth0 up"])
        xdp.attach(xdp.Program.SINK, name, ["eth0"])
        yield SINK
    finally:
        netns.ip_batch(lab.balancer, ["link del flooded"])
        netns.delete(name)


class Flood:
    """INITs to one port of a VIP, put on the balancer's first client-side NIC by two threads until stopped."""

    def __init__(self, lab: Lab, vip: str) -> None:
        self.seconds = 0.0
        self._sent = [0, 0]
        self._object = BpfObject(OBJECT)
        self._object.load()
        with inside(lab.balancer):
            to = _hardware_address("client1")
        body = sctp("10.1.77.77", vip, 5, PORT, 0, init(1, addresses("10.1.0.77")))
        self._frame = to + body[6:]
        self._object.maps["frames"].put(self._frame[:74])
        self._namespace = lab.names.switch
        self._over = threading.Event()
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in (0, 1)]
        for thread in self._threads:
            thread.start()

    @property
    def rate(self) -> float:
        """INITs a second."""
        return sum(self._sent) / self.seconds

    def _run(self, number: int) -> None:
        """Half of the pace, or as fast as it goes."""
        program = self._object.programs["bench_flood"]
        with inside(self._namespace):
            context = struct.pack("=6I", 0, len(self._frame), 0, interface_index("client1"), 0, 0)
            while not self._over.is_set():
                run_live(program, self._frame, repeat=ROUND, context=context)
                self._sent[number] += ROUND
                self._over.wait(max(0.0, self._sent[number] / (PACE / 2) - (time.monotonic() - self._began)))

    def stop(self, *, after_s: float) -> None:
        """End it when it has lasted that long."""
        time.sleep(max(0.0, self._began + after_s - time.monotonic()))
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._began
        self._object.close()


def _hardware_address(name: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        return fcntl.ioctl(control, SIOCGIFHWADDR, struct.pack("16s16x", name.encode()))[18:24]
