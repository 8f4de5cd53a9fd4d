"""The one exception that leaves this package, whatever the bytes."""


class ProtocolError(ValueError):
    """Bytes that break a protocol: what the wire would answer, and where, what and what is allowed."""

    def __init__(self, cause: str, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {value!r:.80}: {allowed}")
        self.cause = cause
        self.field = field
        self.value = value
        self.allowed = allowed
