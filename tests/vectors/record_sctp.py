"""Records tests/vectors/sctp from kernel SCTP: `python -m tests.vectors.record_sctp`, as root, in a minute.

Two lab hosts talk over plain forwarding while the cable is watched. Of each scenario, the first packet of each make-up
(chunk and parameter types) that no earlier one had is kept, as NAME.hex and NAME.json.
"""

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from free5gc_lab import netns
from free5gc_lab.lab import Lab
from free5gc_lab.topologies import topology

from protocols import sctp
from protocols.sctp.tlv import Tlv
from tests.vectors.sctp_json import to_json

FOLDER = Path(__file__).parent / "sctp"
PORT = 38412
EXTENSIONS = ("auth_enable", "addip_enable", "reconf_enable", "intl_enable")
# What runs in a host: one statement a line, with the words of RFC 6458 that Python's socket module lacks.
PEER = """
import socket, struct, sys, time
SCTP = 132
def addresses(*hosts, port=38412):
    return b"".join(struct.pack("=HHI8x", 2, socket.htons(port), network_order(h)) for h in hosts)
def network_order(host):
    return int.from_bytes(socket.inet_aton(host), sys.byteorder)
def option(number, value, on=None):
    (on or s).setsockopt(SCTP, number, value)
def fresh(*hosts, port=38412):
    global s
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    option(100, addresses(*hosts, port=port))
def accept():
    global c
    c = s.accept()[0]
def linger_abort(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); sock.close()
print('{"event": "ready"}', flush=True)
for line in sys.stdin:
    exec(line, globals())
    print('{"event": "done"}', flush=True)
"""


class Peer:
    """One host and the Python that runs in it."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.lab, self.host = lab, lab.host(host)
        self.program = self.host.remote.execute(host, sys.executable, "-S", "-c", textwrap.dedent(PEER))
        self.program.expect("ready")

    def __call__(self, *lines: str) -> None:
        """Run statements, each to its end."""
        for line in lines:
            self.program.tell(line)
            self.program.expect("done")

    def start(self, line: str) -> None:
        """Begin a statement that waits for the other side."""
        self.program.tell(line)

    def finish(self) -> None:
        self.program.expect("done")


def names(host: Peer) -> str:
    return ", ".join(repr(address) for address in host.host.addresses)


def meet(client: Peer, server: Peer, *options: str) -> None:
    """An association over both paths; the options are statements about `s` on both sides, before it."""
    server(f"fresh({names(server)})", *options, "s.listen(5)")
    server.start("accept()")
    client(f"fresh({names(client)})", *options, f"option(110, addresses({names(server)}))")
    server.finish()


def end(client: Peer, server: Peer) -> None:
    client("s.close()")
    server("c.close()", "s.close()")
    time.sleep(0.3)


def basic(client: Peer, server: Peer) -> None:
    """Handshake, data, heartbeats, SHUTDOWN."""
    meet(client, server)
    client("s.send(b'hello')")
    server("c.recv(99)", "c.send(b'hello back')")
    client("s.recv(99)")
    time.sleep(1.2)
    end(client, server)


def loss(client: Peer, server: Peer) -> None:
    """Gaps and duplicates in SACK."""
    meet(client, server)
    client.lab.faults.netem("gnb1", 0, "loss", "30%", "duplicate", "20%", "delay", "1ms")
    client("option(3, struct.pack('=i', 1))")  # SCTP_NODELAY
    client("[s.send(b'number %d' % n) and time.sleep(0.003) for n in range(100)]")
    time.sleep(1)
    client.lab.faults.netem("gnb1", 0)
    end(client, server)


def abort(client: Peer, server: Peer) -> None:
    """By the user; for a closed port; with the T bit for an association that is not known."""
    meet(client, server)
    client("linger_abort(s)")
    server("c.close()", "s.close()")
    client(
        f"fresh({names(client)})",
        "s.settimeout(1)",
        f"r = s.connect_ex(({server.host.addresses[0]!r}, 38499))",
        "s.close()",
    )
    meet(client, server)
    faults = client.lab.faults
    faults.cut("gnb1", 0)
    faults.cut("gnb1", 1)
    client("linger_abort(s)")
    faults.mend("gnb1", 0)
    faults.mend("gnb1", 1)
    time.sleep(1.5)
    server("c.close()", "s.close()")


def restart(client: Peer, server: Peer) -> None:
    """The same addresses and ports again, before the server can notice."""
    meet(client, server)
    faults = client.lab.faults
    faults.cut("gnb1", 0)
    faults.cut("gnb1", 1)
    client("linger_abort(s)", f"fresh({names(client)})")
    client.start(f"option(110, addresses({names(server)}))")
    faults.mend("gnb1", 0)
    faults.mend("gnb1", 1)
    client.finish()
    client("s.send(b'again')")
    time.sleep(0.2)
    end(client, server)


def congestion(client: Peer, server: Peer) -> None:
    """ECN: a router marks what the client sends, the server echoes it."""
    meet(client, server)
    mark = "ip saddr 10.1.0.0/24 ip ecn ect0 ip ecn set ce"
    rule = f"table ip vectors {{ chain f {{ type filter hook forward priority 0; {mark}; }}; }}"
    with netns.entered(client.lab.balancer):
        subprocess.run(["nft", rule], check=True)
        client("[s.send(b'x' * 900) for n in range(8)]")
        time.sleep(0.3)
        subprocess.run(["nft", "delete table ip vectors"], check=True)
    client("[s.send(b'x') for n in range(3)]")
    time.sleep(0.3)
    end(client, server)


def _expire(client: Peer, server: Peer) -> None:
    client(
        "option(114, struct.pack('=iIHxx', 0, 50, 0x10))", "s.send(b'arrives')"
    )  # SCTP_DEFAULT_PRINFO, TTL
    for nic in (0, 1):
        client.lab.faults.cut("gnb1", nic)
    client("s.send(b'expires')", "s.send(b'expires too')")
    time.sleep(0.3)
    for nic in (0, 1):
        client.lab.faults.mend("gnb1", nic)
    time.sleep(1.5)
    client("s.send(b'after')")
    time.sleep(0.3)


def partial(client: Peer, server: Peer) -> None:
    """PR-SCTP: FORWARD TSN."""
    meet(client, server)
    _expire(client, server)
    end(client, server)


INTERLEAVE = ("option(18, struct.pack('=i', 1))", "option(125, struct.pack('=iI', 0, 1))")


def interleaved(client: Peer, server: Peer) -> None:
    """I-DATA, in fragments too, and I-FORWARD-TSN."""
    meet(client, server, *INTERLEAVE, "option(13, struct.pack('=i', 512))")
    client("s.send(b'abcdefgh' * 100)")
    time.sleep(0.3)
    _expire(client, server)
    end(client, server)


def reconfigured(client: Peer, server: Peer) -> None:
    """RE-CONFIG: outgoing and incoming reset, TSN reset, more streams, a refusal."""
    allow = "option(118, struct.pack('=iI', 0, 7))"
    meet(client, server, allow)
    for statement in (
        "option(119, struct.pack('=iHHH', 0, 2, 1, 0))",
        "option(119, struct.pack('=iHH', 0, 1, 0))",
        "option(120, struct.pack('=i', 0))",
        "option(121, struct.pack('=iHH', 0, 0, 3))",
        "option(121, struct.pack('=iHH', 0, 3, 0))",
    ):
        client("s.send(b'one')", "time.sleep(0.1)", statement)
        time.sleep(0.4)
    end(client, server)


def authenticated(client: Peer, server: Peer) -> None:
    """AUTH before DATA, and its three parameters in the handshake."""
    meet(client, server, "option(21, b'\\0')")
    client("s.send(b'signed')")
    time.sleep(0.3)
    end(client, server)


def readdressed(client: Peer, server: Peer) -> None:
    """ASCONF and ASCONF-ACK: delete, add, set primary; refused: the last address."""
    meet(client, server)
    second = client.host.addresses[1]
    client(f"option(101, addresses({second!r}))")
    time.sleep(0.5)
    client(f"option(100, addresses({second!r}))")
    time.sleep(0.5)
    client(f"option(5, struct.pack('=i', 0) + addresses({second!r}).ljust(128, b'\\0'))")
    time.sleep(0.5)
    end(client, server)


SCENARIOS: dict[Callable[[Peer, Peer], None], tuple[str, ...]] = {
    basic: (),
    loss: (),
    abort: (),
    restart: (),
    congestion: (),
    partial: (),
    interleaved: ("intl_enable",),
    reconfigured: ("reconf_enable",),
    authenticated: ("auth_enable",),
    readdressed: ("auth_enable", "addip_enable"),
}


def make_up(items: tuple[sctp.Chunk | Tlv, ...]) -> tuple[object, ...]:
    """Types of chunks, and of what is in them, repetitions apart."""
    found: list[object] = []
    for item in items:
        inner = make_up(getattr(item, "parameters", ()) or getattr(item, "causes", ()))
        own = (
            item.type,
            getattr(item, "flags", 0),
            bool(getattr(item, "gaps", ())),
            bool(getattr(item, "duplicates", ())),
            inner,
        )
        if own not in found:
            found.append(own)
    return tuple(found)


@contextmanager
def peers(lab: Lab, extensions: tuple[str, ...]) -> Iterator[tuple[Peer, Peer]]:
    for host in ("gnb1", "amf1"):
        lab.host(host).sysctls({f"net.sctp.{name}": str(int(name in extensions)) for name in EXTENSIONS})
    yield Peer(lab, "gnb1"), Peer(lab, "amf1")
    lab.reset()
    lab.forwarding(on=True)


def keep(name: str, frames: list[bytes], seen: set[tuple[object, ...]]) -> None:
    for raw in frames:
        packet = sctp.decode(raw)
        form = make_up(packet.chunks)
        if form in seen:
            continue
        seen.add(form)
        kinds = "_".join(dict.fromkeys(sctp.ChunkType(chunk.type).name.lower() for chunk in packet.chunks))
        stem, number = f"{name}_{kinds}", 1
        while (FOLDER / f"{stem}.hex").exists():
            number += 1
            stem = f"{name}_{kinds}_{number}"
        (FOLDER / f"{stem}.hex").write_text(raw.hex() + "\n")
        (FOLDER / f"{stem}.json").write_text(json.dumps(to_json(packet), indent=1) + "\n")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    seen: set[tuple[object, ...]] = set()
    lab = Lab.up(topology("small"), name="vectors")
    try:
        lab.forwarding(on=True)
        for scenario, extensions in SCENARIOS.items():
            with peers(lab, extensions) as both, lab.capture("amf1", 0) as one, lab.capture("amf1", 1) as two:
                scenario(*both)
            frames = sorted(one.frames + two.frames, key=lambda frame: frame.time_ns)
            packets = [frame.sctp for frame in frames if frame.sctp]
            keep(scenario.__name__, packets, set() if scenario is restart else seen)
            print(scenario.__name__, len(frames), "frames")  # noqa: T201  # what takes a minute says what it does
    finally:
        lab.down()


if __name__ == "__main__":
    main()
