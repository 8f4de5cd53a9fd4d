"""Kernel settings of lab hosts and the balancer's namespace, with the reason for each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SctpSettings:
    """RFC 9260 §16 parameters of every SCTP host, milliseconds; small, for failover in seconds."""

    rto_initial: int = 200
    rto_min: int = 100
    rto_max: int = 1000
    sack_timeout: int = 20  # well below the RTO, or a lone message looks lost
    hb_interval: int = 500
    path_max_retrans: int = 2
    association_max_retrans: int = 10
    max_init_retransmits: int = 8

    def sysctls(self) -> dict[str, str]:
        """As net.sctp.* sysctls; the minimum is written between the bounds the kernel checks it against."""
        order = ["rto_min", "rto_initial", "rto_max", "sack_timeout", "hb_interval", "path_max_retrans"]
        order += ["association_max_retrans", "max_init_retransmits"]
        return {f"net.sctp.{name}": str(getattr(self, name)) for name in order}


# A multi-homed host must answer ARP for an address only on its own NIC, and take packets by any route.
HOST = {
    "net.ipv4.conf.all.arp_ignore": "1",
    "net.ipv4.conf.all.arp_announce": "2",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv6.conf.all.accept_ra": "0",
    "net.ipv6.conf.default.accept_ra": "0",
}
# Cables and bridges carry frames and must not speak themselves.
SILENT = {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}
BALANCER = {
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
}


def forwarding(on: bool) -> dict[str, str]:
    """Whether the balancer's own kernel routes packets, beside what the balancer does."""
    return {"net.ipv4.ip_forward": str(int(on)), "net.ipv6.conf.all.forwarding": str(int(on))}
