"""Type, length, value, padding: what parameters and error causes have in common (RFC 9260 §3.2.1, §3.3.10)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812  # an exception
from typing import ClassVar, Self, TypeVar

from protocols.errors import LengthError, RangeError, TruncatedError

HEADER = Struct(">HH")
WORD = Struct(">I")
LONGEST = 0xFFFF
MALFORMED = "protocol-violation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tlv(ABC):
    """One item. `padding` None is the usual: zeros to a multiple of four, nothing behind the last item.

    A last item may be padded within its container (RFC 9260 §3.2: accept either) and padding need not be zero:
    then `padding` holds the very bytes.
    """

    TYPE: ClassVar[int]
    padding: bytes | None = None

    @property
    def type(self) -> int:
        """The number on the wire."""
        return self.TYPE

    @classmethod
    @abstractmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        """From what follows the length. Raises ProtocolError."""

    @abstractmethod
    def body(self) -> bytes:
        """What follows the length."""


T = TypeVar("T", bound=Tlv)


def sized(view: memoryview, length: int, field: str) -> memoryview:
    """The view if it has exactly `length` bytes. Raises LengthError."""
    if len(view) != length:
        raise LengthError(MALFORMED, field, len(view), f"exactly {length} bytes of value")
    return view


def at_least(view: memoryview, length: int, field: str) -> memoryview:
    """The view if it has `length` bytes or more. Raises LengthError."""
    if len(view) < length:
        raise LengthError(MALFORMED, field, len(view), f"at least {length} bytes of value")
    return view


def multiple(view: memoryview, size: int, field: str) -> memoryview:
    """The view if it is a whole number of `size` bytes. Raises LengthError."""
    if len(view) % size:
        raise LengthError(MALFORMED, field, len(view), f"a multiple of {size} bytes of value")
    return view


def split(view: memoryview, field: str) -> Iterator[tuple[int, memoryview, bytes | None]]:
    """Type, value and odd padding of each item. Raises TruncatedError, LengthError."""
    at, end = 0, len(view)
    while at < end:
        if end - at < 4:
            raise TruncatedError(MALFORMED, field, bytes(view[at:]), "at least 4 bytes an item")
        kind, length = HEADER.unpack_from(view, at)
        stop = at + length
        if length < 4 or stop > end:
            raise LengthError(MALFORMED, f"{field} {kind:#x} length", length, f"4 to {end - at}")
        body = view[at + 4 : stop]
        at = stop + (-length & 3)
        yield kind, body, _odd(view[stop:at], -length & 3, last=at >= end, field=field)


def _odd(padding: memoryview, wanted: int, *, last: bool, field: str) -> bytes | None:
    """Padding as it is stored: None where it is the usual."""
    if len(padding) != (0 if last and not padding else wanted):
        raise LengthError(MALFORMED, f"{field} padding", bytes(padding), f"none or {wanted} bytes at the end")
    found = bytes(padding)
    usual = b"" if last else bytes(wanted)
    return None if found == usual else found


def parse_all(
    view: memoryview,
    known: Mapping[int, type[T]],
    unknown: Callable[[int, bytes, bytes | None], T],
    field: str,
) -> tuple[T, ...]:
    """Every item of a container, those of other types through `unknown`. Raises ProtocolError."""
    return tuple(
        known[kind].parse(body, padding) if kind in known else unknown(kind, bytes(body), padding)
        for kind, body, padding in split(view, field)
    )


def body_of(item: Tlv) -> bytes:
    """An item's value. Raises RangeError for what does not fit."""
    try:
        body = item.body()
    except StructError as error:
        raise RangeError("invalid-value", type(item).__name__, item, str(error)) from error
    if len(body) > LONGEST - 4:
        raise RangeError("invalid-value", type(item).__name__, len(body), f"at most {LONGEST - 4} bytes")
    return body


def build_all(items: Iterable[Tlv]) -> bytes:
    """The bytes of a container's items, without the container's own padding. Raises RangeError."""
    parts: list[bytes] = []
    usual = b""
    for item in items:
        body = body_of(item)
        number = item.type
        if not 0 <= number <= LONGEST:
            raise RangeError("invalid-value", "type", number, f"0 to {LONGEST}")
        own = item.padding
        parts += (usual, HEADER.pack(number, len(body) + 4), body, own or b"")
        usual = bytes(-len(body) & 3) if own is None else b""
    return b"".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty(Tlv):
    """No value at all."""

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        sized(body, 0, cls.__name__)
        return cls(padding=padding)

    def body(self) -> bytes:
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque(Tlv):
    """Bytes that mean something to their sender only, or that quote another item."""

    value: bytes = b""

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        return cls(value=bytes(body), padding=padding)

    def body(self) -> bytes:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Word(Tlv):
    """One 32-bit number."""

    value: int

    @classmethod
    def parse(cls, body: memoryview, padding: bytes | None) -> Self:
        return cls(value=WORD.unpack(sized(body, 4, cls.__name__))[0], padding=padding)

    def body(self) -> bytes:
        return WORD.pack(self.value)
