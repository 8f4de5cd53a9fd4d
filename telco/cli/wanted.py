"""Which events `telco trace` shows."""

from collections.abc import Callable
from ipaddress import ip_address

from telco.client import Client
from telco.errors import TelcoError
from telco.shapes import Event

Fits = Callable[[Event], bool]


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise TelcoError(f"--address: {text!r}: an IPv4 or IPv6 address is allowed") from error


def _tag(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError as error:
        raise TelcoError(f"--tag: {text!r}: hexadecimal digits are allowed, as in 0x12345678") from error


def events(client: Client, *, service: str | None, address: str | None, tag: str | None) -> Fits:
    """A test of events. A dropped packet belongs to no service yet: it is a service's that goes from or to its VIPs."""
    vips = set[str]()
    if service is not None:
        (found,) = client.get("services", service)
        vips = {str(ip_address(vip)) for vip in found["spec"]["vips"]}
    host = None if address is None else _address(address)
    number = None if tag is None else _tag(tag)

    def fits(event: Event) -> bool:
        ends = {event["source"], event["destination"]}
        if event["kind"] == "lost":
            return True
        if (
            service is not None
            and event["service"] != service
            and (event["service"] or vips.isdisjoint(ends))
        ):
            return False
        if host is not None and host not in ends:
            return False
        return number is None or number in {int(event["client_tag"], 16), int(event["server_tag"], 16)}

    return fits
