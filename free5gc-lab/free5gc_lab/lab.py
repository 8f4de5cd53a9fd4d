"""A lab that is up: made from a topology, found again by its name, taken down without a trace."""

import re
from pathlib import Path

from . import netns, settings, state, wiring, xdp
from .capture import Capture
from .errors import LabTopologyError
from .faults import Faults
from .guest import HOST_ADDRESS, MANAGEMENT, MANAGEMENT_RAW, Guest, Nic, check_machine
from .host import GuestHost, PlainHost
from .topology import Kind, Topology

SHARED = "shared"
MEMORY_MB = {SHARED: 512}
OWN_MEMORY_MB = 192


class Lab:
    """Hosts by name, the balancer's namespace (`balancer`), and `faults` to inject."""

    def __init__(self, name: str, topology: Topology, sctp: settings.SctpSettings) -> None:
        _check_name(name)
        self.name, self.topology, self.sctp = name, topology, sctp
        self.names = wiring.Names(lab=name)
        self.folder = state.STATE_DIR / name
        self.guests = {guest: self._guest(guest) for guest in self._guest_hosts()}
        self.faults = Faults(self)

    @classmethod
    def up(
        cls,
        topology: Topology,
        *,
        name: str = "lab",
        sctp: settings.SctpSettings | None = None,
        owned: bool = True,
    ) -> "Lab":
        """Make it: namespaces, cables, guests, hosts.  An owned lab is swept once this process is gone."""
        check_machine()
        state.sweep()
        lab = cls(name, topology, sctp or settings.SctpSettings())
        state.save(lab.folder, topology, lab.sctp, owned=owned)
        try:
            lab._make()
        except BaseException:
            lab.down()
            raise
        return lab

    @classmethod
    def attach(cls, name: str = "lab") -> "Lab":
        """The lab of that name, made by whichever process."""
        return cls(name, *state.load(state.STATE_DIR / name))

    def down(self) -> None:
        """Remove every guest, namespace, cable and file; also after a crash, also twice."""
        for guest in self.guests.values():
            guest.kill()
        state.clear(self.name)

    @staticmethod
    def clear(name: str) -> None:
        """Remove a lab known by its name only, even one whose making was cut off; none there is no error."""
        check_machine()
        _check_name(name)
        state.clear(name)

    @property
    def balancer(self) -> str:
        """The namespace the balancer runs in; its NICs are named as the subnets."""
        return self.names.balancer

    def host(self, name: str) -> GuestHost:
        """A host with an SCTP stack."""
        found = self.topology.host(name)
        if found.kind is Kind.PLAIN:
            raise LabTopologyError(f"host: {name!r} is a plain namespace without SCTP")
        guest = self.guests[SHARED if found.kind is Kind.SHARED else name]
        return GuestHost(name=name, addresses=self.topology.addresses(name), remote=guest.remote)

    def plain(self, name: str) -> PlainHost:
        """A host that is a bare namespace of the real host."""
        if self.topology.host(name).kind is not Kind.PLAIN:
            raise LabTopologyError(f"host: {name!r} lives in a guest")
        namespace = self.names.of(self.topology, name)
        return PlainHost(name=name, addresses=self.topology.addresses(name), namespace=namespace)

    def capture(self, host: str, nic: int = 0) -> Capture:
        """Watch the cable of a host's NIC, at the host's end of it."""
        plain = self.topology.host(host).kind is Kind.PLAIN
        interface = f"eth{nic}" if plain else wiring.cable(host, nic)
        return Capture(self.names.of(self.topology, host), interface)

    def forwarding(self, *, on: bool) -> None:
        """Let the balancer's kernel route between its NICs, or not (as made: not)."""
        netns.sysctls(self.balancer, settings.forwarding(on))

    def reset(self) -> None:
        """As it was made: every guest lives, no program runs, every cable is whole, the balancer routes nothing."""
        for name, guest in self.guests.items():
            if guest.alive():
                guest.remote.request("stop_all")
            else:
                self.boot(name)
        self.faults.mend_all()
        self.forwarding(on=False)

    def boot(self, guest: str) -> None:
        """(Re)boot one guest and give its hosts their NICs and addresses."""
        self.guests[guest].boot()
        self._configure(guest)

    # -- making ---------------------------------------------------------------------------------------------

    def _guest_hosts(self) -> dict[str, list[str]]:
        guests: dict[str, list[str]] = {}
        for host in self.topology.hosts:
            if host.kind is not Kind.PLAIN:
                guests.setdefault(SHARED if host.kind is Kind.SHARED else host.name, []).append(host.name)
        return guests

    def _cables(self, hosts: list[str]) -> list[tuple[str, int]]:
        return [(host, nic) for host in hosts for nic in range(len(self.topology.host(host).subnets))]

    def _guest(self, guest: str) -> Guest:
        nics = [
            Nic(interface=wiring.cable(host, nic), mac=wiring.mac(self.topology, host, nic))
            for host, nic in self._cables(self._guest_hosts()[guest])
        ]
        folder = Path(self.folder, guest)
        memory = MEMORY_MB.get(guest, OWN_MEMORY_MB)
        return Guest(namespace=f"{self.name}-{guest}", folder=folder, nics=nics, memory_mb=memory)

    def _make(self) -> None:
        plain = [host.name for host in self.topology.hosts if host.kind is Kind.PLAIN]
        cable_spaces = [guest.namespace for guest in self.guests.values()]
        for namespace in (
            self.balancer,
            self.names.switch,
            *cable_spaces,
            *(f"{self.name}-{h}" for h in plain),
        ):
            netns.create(namespace)
        for namespace in (self.names.switch, *cable_spaces):
            netns.sysctls(namespace, settings.SILENT)
        netns.sysctls(self.balancer, settings.BALANCER)
        netns.ip_batch(self.names.switch, wiring.switch(self.topology, self.names))
        netns.ip_batch(self.balancer, wiring.balancer(self.topology))
        self._make_ends()
        for guest in self.guests.values():
            guest.boot()
        for host in plain:
            self._configure_plain(host)
        for name in self.guests:
            self._configure(name)

    def _make_ends(self) -> None:
        """Cable ends: finished checksums everywhere, NAPI where XDP may transmit into."""
        subnets = [subnet.name for subnet in self.topology.subnets]
        ports = [wiring.cable(*end) for end in self._cables([host.name for host in self.topology.hosts])]
        netns.offloads_off(self.balancer, subnets)
        netns.offloads_off(self.names.switch, subnets + ports)
        xdp.attach(xdp.Program.PASS, self.names.switch, subnets)
        for guest in self.guests.values():
            ends = [nic.interface for nic in guest.nics]
            up = [f"link set {end} up" for end in (*ends, MANAGEMENT, MANAGEMENT_RAW)]
            pair = f"link add name {MANAGEMENT} type veth peer name {MANAGEMENT_RAW}"
            netns.ip_batch(guest.namespace, [pair, f"addr add {HOST_ADDRESS}/30 dev {MANAGEMENT}", *up])
            netns.offloads_off(guest.namespace, [*ends, MANAGEMENT, MANAGEMENT_RAW])
            xdp.attach(xdp.Program.PASS, guest.namespace, ends)

    def _configure(self, guest: str) -> None:
        """Inside a fresh guest: one namespace a host, with its NICs as eth0, eth1, and so on."""
        found, hosts = self.guests[guest], self._guest_hosts()[guest]
        found.wait()
        vecs = enumerate(self._cables(hosts), start=1)  # vec0 is the management link
        lines = [f"netns add {host}" for host in hosts]
        lines += [f"link set vec{vec} netns {host} name eth{nic}" for vec, (host, nic) in vecs]
        found.remote.request("ip", lines=lines)
        for host in map(self.host, hosts):
            host.sysctls(settings.HOST | self.sctp.sysctls())
            host.ip(*wiring.host_nics(self.topology, host.name))
            for version in (4, 6):
                host.ip(*wiring.host_routes(self.topology, host.name, version), version=version)

    def _configure_plain(self, host: str) -> None:
        namespace = self.names.of(self.topology, host)
        netns.sysctls(namespace, settings.HOST)
        nics = range(len(self.topology.host(host).subnets))
        names = [f"link set {wiring.cable(host, nic)} name eth{nic}" for nic in nics]
        netns.ip_batch(namespace, [*names, *wiring.host_nics(self.topology, host)])
        for version in (4, 6):
            netns.ip_batch(namespace, wiring.host_routes(self.topology, host, version), version=version)
        devices = [f"eth{nic}" for nic in nics]
        netns.offloads_off(namespace, devices)
        xdp.attach(xdp.Program.SINK if host == "sink" else xdp.Program.PASS, namespace, devices)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]{0,14}", name):
        raise LabTopologyError(f"lab: {name!r} must be 1 to 15 lower-case letters or digits, a letter first")
