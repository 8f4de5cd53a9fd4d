"""What INIT, INIT ACK and HEARTBEAT carry beside addresses (RFC 9260 §3.3.2, §3.3.3, §3.3.5 and its extensions)."""

from dataclasses import dataclass
from typing import ClassVar

from protocols.sctp.ids import ParameterType
from protocols.sctp.tlv import Empty, Opaque, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatInfo(Opaque):
    """Heartbeat Info: comes back as it was sent, RFC 9260 §3.3.5."""

    TYPE: ClassVar[int] = ParameterType.HEARTBEAT_INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCookie(Opaque):
    """State Cookie, RFC 9260 §3.3.3.1."""

    TYPE: ClassVar[int] = ParameterType.STATE_COOKIE


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecognized(Opaque):
    """Unrecognized Parameter: quotes one parameter whole, RFC 9260 §3.3.3.1."""

    TYPE: ClassVar[int] = ParameterType.UNRECOGNIZED


@dataclass(frozen=True, slots=True, kw_only=True)
class CookiePreservative(Word):
    """By how many milliseconds the cookie shall live longer, RFC 9260 §3.3.2.1.3."""

    TYPE: ClassVar[int] = ParameterType.COOKIE_PRESERVATIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class EcnCapable(Empty):
    """The sender understands ECN, RFC 4960 Appendix A."""

    TYPE: ClassVar[int] = ParameterType.ECN_CAPABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroChecksum(Word):
    """Zero Checksum Acceptable: the value is the Error Detection Method Identifier, RFC 9653 §4."""

    TYPE: ClassVar[int] = ParameterType.ZERO_CHECKSUM


@dataclass(frozen=True, slots=True, kw_only=True)
class Padding(Opaque):
    """Padding parameter, RFC 4820 §4."""

    TYPE: ClassVar[int] = ParameterType.PADDING


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportedExtensions(Opaque):
    """Each byte is the number of a chunk type that the sender supports, RFC 5061 §4.2.7."""

    TYPE: ClassVar[int] = ParameterType.SUPPORTED_EXTENSIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardTsnSupported(Empty):
    """RFC 3758 §3.1."""

    TYPE: ClassVar[int] = ParameterType.FORWARD_TSN_SUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationLayer(Word):
    """Adaptation Layer Indication: the value is the code point, RFC 5061 §4.2.6."""

    TYPE: ClassVar[int] = ParameterType.ADAPTATION_LAYER
