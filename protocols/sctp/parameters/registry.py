"""Which class speaks which parameter, and lists of them as bytes."""

from collections.abc import Iterable
from dataclasses import dataclass

from protocols.sctp.ids import Action
from protocols.sctp.parameters import address, asconf, auth, handshake, reconfig
from protocols.sctp.tlv import Opaque, Tlv, build_all, parse_all

Parameter = Tlv


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownParameter(Opaque):
    """A parameter of any other number, kept as it came."""

    number: int

    @property
    def type(self) -> int:
        return self.number

    @property
    def action(self) -> Action:
        """What a receiver that does not know it does, RFC 9260 §3.2.1."""
        return Action(self.number >> 14)


PARAMETERS: dict[int, type[Parameter]] = {
    known.TYPE: known
    for known in (
        handshake.HeartbeatInfo,
        address.Address4,
        address.Address6,
        handshake.StateCookie,
        handshake.Unrecognized,
        handshake.CookiePreservative,
        address.HostName,
        address.SupportedAddressTypes,
        reconfig.OutgoingReset,
        reconfig.IncomingReset,
        reconfig.TsnReset,
        reconfig.ResetResponse,
        reconfig.AddOutgoingStreams,
        reconfig.AddIncomingStreams,
        handshake.EcnCapable,
        handshake.ZeroChecksum,
        auth.Random,
        auth.ChunkList,
        auth.HmacAlgorithms,
        handshake.Padding,
        handshake.SupportedExtensions,
        handshake.ForwardTsnSupported,
        asconf.AddAddress,
        asconf.DeleteAddress,
        asconf.ErrorCauseIndication,
        asconf.SetPrimary,
        asconf.SuccessIndication,
        handshake.AdaptationLayer,
    )
}


def _unknown(number: int, value: bytes, padding: bytes | None) -> Parameter:
    return UnknownParameter(number=number, value=value, padding=padding)


def parse_parameters(raw: bytes | memoryview) -> tuple[Parameter, ...]:
    """A list of parameters, the last one with or without its padding. Raises ProtocolError."""
    return parse_all(memoryview(raw), PARAMETERS, _unknown, "parameter")


def build_parameters(parameters: Iterable[Parameter]) -> bytes:
    """The bytes of a list, without padding behind the last one. Raises RangeError."""
    return build_all(parameters)
