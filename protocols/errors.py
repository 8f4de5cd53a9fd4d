"""The one exception tree that leaves this package, whatever the bytes.

ProtocolError
├── TruncatedError   the bytes end before what they announce
├── LengthError      a length field that its own format, or what surrounds it, does not allow
├── ChecksumError    the stored checksum is not that of the bytes
├── ContentError     a field's value that the format does not allow
└── RangeError       a value to be built does not fit its field
"""


class ProtocolError(ValueError):
    """Bytes that break a protocol: what the wire would answer, and where, what and what is allowed."""

    def __init__(self, cause: str, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {value!r:.80}: {allowed}")
        self.cause = cause
        self.field = field
        self.value = value
        self.allowed = allowed


class TruncatedError(ProtocolError):
    """The bytes end before what they announce."""


class LengthError(ProtocolError):
    """A length field that its own format, or what surrounds it, does not allow."""


class ChecksumError(ProtocolError):
    """The stored checksum is not that of the bytes."""


class ContentError(ProtocolError):
    """A field's value that the format does not allow."""


class RangeError(ProtocolError):
    """A value to be built does not fit its field."""
