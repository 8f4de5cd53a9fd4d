"""What scenarios break: cables, hosts, neighbour tables, MTUs, link quality."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from . import netns, wiring
from .errors import LabTopologyError
from .topology import BALANCER, Kind

if TYPE_CHECKING:
    from .guest import Guest
    from .lab import Lab
    from .remote import Program

T = TypeVar("T")


class Faults:
    """Faults of one lab.  A cable is (host, NIC number); the balancer's are ('lb', subnet number)."""

    def __init__(self, lab: "Lab") -> None:
        self.lab = lab

    def cut(self, host: str, nic: int) -> int:
        """Cut a cable at the switch; the time of the cut (CLOCK_MONOTONIC, ns)."""
        return self._set_port(host, nic, "down")

    def mend(self, host: str, nic: int) -> int:
        return self._set_port(host, nic, "up")

    def mend_all(self) -> None:
        ends = [(host.name, nic) for host in self.lab.topology.hosts for nic in range(len(host.subnets))]
        ends += [(BALANCER, nic) for nic in range(len(self.lab.topology.subnets))]
        lines = [f"link set {self._port(*end)} up" for end in ends]
        netns.ip_batch(self.lab.names.switch, lines)

    def flush_neighbours(self) -> None:
        """Empty the ARP and ND tables of the balancer and of every host."""
        netns.ip_batch(self.lab.balancer, ["neigh flush all"])
        for host in self.lab.topology.hosts:
            if host.kind is Kind.PLAIN:
                netns.ip_batch(self.lab.names.of(self.lab.topology, host.name), ["neigh flush all"])
            else:
                self.lab.host(host.name).ip("neigh flush all")

    def mtu(self, host: str, nic: int, size: int) -> None:
        """Set the MTU (bytes) of a host's NIC; of the balancer's, with what it must be able to receive."""
        if host == BALANCER:
            netns.ip_batch(self.lab.balancer, [f"link set {self._port(host, nic)} mtu {size}"])
        else:
            self.lab.host(host).ip(f"link set eth{nic} mtu {size}")

    def netem(self, host: str, nic: int, *rules: str) -> None:
        """Delay, lose or reorder what a host sends by a NIC, as tc-netem(8) says; no rule: stop that."""
        found = self.lab.host(host)
        if rules:
            found.run("tc", "qdisc", "replace", "dev", f"eth{nic}", "root", "netem", *rules)
        else:
            found.run("tc", "qdisc", "del", "dev", f"eth{nic}", "root")

    def hang(self, host: str) -> None:
        """Stop a host with a guest of its own: NICs up, nobody home."""
        self._own_guest(host).hang()

    def resume(self, host: str) -> None:
        self._own_guest(host).resume()

    def kill(self, host: str) -> None:
        """Pull a host's power cord: nothing is sent to anybody."""
        self._own_guest(host).kill()

    def reboot(self, host: str) -> None:
        """Kill it if it lives, and boot it again with the same NICs and addresses; about two seconds."""
        self._own_guest(host).kill()
        self.lab.boot(host)

    def vanish(self, host: str, program: "Program") -> None:
        """End a program and its associations without a word to the peers, as if it had lost power.

        Its ABORT is sent into cut cables: SIGKILL alone would have the kernel say SHUTDOWN.  The cables are
        whole again afterwards: the host's kernel answers what the peers still send to the dead association.
        """
        self._while_cut(host, lambda: _abort(program))

    def relive(self, host: str, old: "Program", program: str, *argv: object) -> "Program":
        """A program vanishes and the next one dials before any peer can notice: restart (RFC 9260 §5.2.2).

        Dial every address of the peer: what it sends from one that the new association does not know would be
        answered with an ABORT, and the old association be gone before the restart.
        """

        def act() -> "Program":
            _abort(old)
            new = self.lab.host(host).start(program, *argv)
            new.expect("connecting")
            return new

        return self._while_cut(host, act)

    def _while_cut(self, host: str, act: Callable[[], T]) -> T:
        nics = range(len(self.lab.topology.host(host).subnets))
        for nic in nics:
            self.cut(host, nic)
        done = act()
        for nic in nics:
            self.mend(host, nic)
        return done

    def _own_guest(self, host: str) -> "Guest":
        if self.lab.topology.host(host).kind is not Kind.OWN:
            own = [each.name for each in self.lab.topology.hosts if each.kind is Kind.OWN]
            raise LabTopologyError(f"host: {host!r} shares its guest; those that can die are {own}")
        return self.lab.guests[host]

    def _port(self, host: str, nic: int) -> str:
        names = self.lab.topology.subnets if host == BALANCER else self.lab.topology.host(host).subnets
        if not 0 <= nic < len(names):
            raise LabTopologyError(f"{host}: NIC {nic} is none of 0 to {len(names) - 1}")
        return self.lab.topology.subnets[nic].name if host == BALANCER else wiring.cable(host, nic)

    def _set_port(self, host: str, nic: int, word: str) -> int:
        port = self._port(host, nic)
        before = time.monotonic_ns()
        netns.ip_batch(self.lab.names.switch, [f"link set {port} {word}"])
        return before


def _abort(program: "Program") -> None:
    program.tell("abort")
    program.wait()
