"""SCTP values as JSON and back: each object says its class, bytes are hexadecimal, defaults are left out."""

from dataclasses import MISSING, Field, fields, is_dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from protocols import sctp

BYTES = {
    "payload",
    "value",
    "hmac",
    "padding",
}  # `value` is a number in some classes: then it is one in JSON too
Json = Any


def _is_default(field: "Field[Any]", value: object) -> bool:
    return field.default is not MISSING and field.default == value


def to_json(value: object) -> Json:
    """What json.dumps takes."""
    if is_dataclass(value):
        shown = {f.name: getattr(value, f.name) for f in fields(value)}
        kept = {f.name: to_json(shown[f.name]) for f in fields(value) if not _is_default(f, shown[f.name])}
        return {"class": type(value).__name__, **kept}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    return str(value) if isinstance(value, IPv4Address | IPv6Address) else value


def from_json(found: Json, name: str = "") -> Any:
    """The value that `to_json` showed so."""
    if isinstance(found, dict):
        kind = getattr(sctp, found["class"])
        return kind(**{key: from_json(item, key) for key, item in found.items() if key != "class"})
    if isinstance(found, list):
        return tuple(from_json(item) for item in found)
    if isinstance(found, str) and name == "address":
        return IPv6Address(found) if ":" in found else IPv4Address(found)
    return bytes.fromhex(found) if isinstance(found, str) and name in BYTES else found
