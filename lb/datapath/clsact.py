"""tc ingress before kernel 6.6, which has no TCX links: a clsact qdisc with one filter that we know by its place.

A filter stays when its maker dies, and is replaced in one step, as a pinned link is.
"""

from errno import EEXIST, EINVAL, ENOENT

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lb.bpf.errors import BpfError

QDISC, INGRESS = 0xFFFF0000, 0xFFFFFFF2  # clsact and its ingress hook, include/uapi/linux/pkt_sched.h
PRIORITY, HANDLE = 10, 1
ETH_P_ALL = 3
NAME = "telco_tc"


def hang(program: int, index: int, interface: str) -> None:
    """Put a tc program at the ingress of an interface, in place of an earlier one of ours. Raises BpfError."""
    try:
        with IPRoute() as netlink:
            try:
                netlink.tc("add", "clsact", index=index, handle=QDISC)
            except NetlinkError as error:
                if error.code != EEXIST:
                    raise
            netlink.tc(
                "replace-filter",
                "bpf",
                index=index,
                handle=HANDLE,
                fd=program,
                name=NAME,
                parent=INGRESS,
                prio=PRIORITY,
                protocol=ETH_P_ALL,
                classid=1,
                direct_action=True,
            )
    except NetlinkError as error:
        raise BpfError(f"attach tc to {interface} by clsact", error.code) from error


def remove(index: int, interface: str) -> None:
    """Take our filter away, and leave the qdisc: others may have filters on it."""
    try:
        with IPRoute() as netlink:
            netlink.tc(
                "del-filter",
                "bpf",
                index=index,
                handle=HANDLE,
                parent=INGRESS,
                prio=PRIORITY,
                protocol=ETH_P_ALL,
            )
    except NetlinkError as error:
        if error.code not in {ENOENT, EINVAL}:
            raise BpfError(f"remove the tc filter of {interface}", error.code) from error
