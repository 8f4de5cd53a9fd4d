"""The messages of NG Setup and of a UE's registration (TS 38.413 §8.7.1, §8.6, §8.3; TS 24.501 §8.2.6 ff)."""

from dataclasses import dataclass

from protocols.errors import ProtocolError
from protocols.ngap.codec import encode
from protocols.ngap.ids import Ie, Nas, Procedure

REJECT, IGNORE = "reject", "ignore"
PLAIN_5GMM = b"\x7e\x00"
SLICE = {"s-NSSAI": {"sST": b"\x01"}}


def plmn_bytes(plmn: str) -> bytes:
    """'20893' or '208093' as three octets, TS 24.008 §10.5.1.13. Raises ProtocolError."""
    if not plmn.isdigit() or len(plmn) not in {5, 6}:
        raise ProtocolError("semantic-error", "plmn", plmn, "5 or 6 digits")
    third = plmn[5] if len(plmn) == 6 else "f"
    mnc = plmn[3:5]
    return bytes.fromhex(plmn[1] + plmn[0] + third + plmn[2] + mnc[1] + mnc[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Guami:
    """Globally unique AMF identifier, TS 23.003 §2.10.1."""

    plmn: str
    region: int
    set: int
    pointer: int

    def value(self) -> dict[str, object]:
        """As pycrate has it."""
        return {
            "pLMNIdentity": plmn_bytes(self.plmn),
            "aMFRegionID": (self.region, 8),
            "aMFSetID": (self.set, 10),
            "aMFPointer": (self.pointer, 6),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UeIds:
    """The pair that names a UE on one association."""

    amf: int
    ran: int


def ng_setup_request(*, gnb_id: int, name: str, plmn: str, tac: int) -> bytes:
    """NG SETUP REQUEST, §9.2.6.1."""
    identity = plmn_bytes(plmn)
    gnb = {"pLMNIdentity": identity, "gNB-ID": ("gNB-ID", (gnb_id, 24))}
    area = {
        "tAC": tac.to_bytes(3, "big"),
        "broadcastPLMNList": [{"pLMNIdentity": identity, "tAISliceSupportList": [SLICE]}],
    }
    return encode(
        "initiatingMessage",
        Procedure.NG_SETUP,
        "NGSetupRequest",
        {
            Ie.GLOBAL_RAN_NODE_ID: (REJECT, "GlobalRANNodeID", ("globalGNB-ID", gnb)),
            Ie.RAN_NODE_NAME: (IGNORE, "RANNodeName", name),
            Ie.SUPPORTED_TA_LIST: (REJECT, "SupportedTAList", [area]),
            Ie.DEFAULT_PAGING_DRX: (IGNORE, "PagingDRX", "v128"),
        },
    )


def ng_setup_response(*, name: str, guami: Guami, capacity: int = 255) -> bytes:
    """NG SETUP RESPONSE, §9.2.6.2."""
    supported = {"pLMNIdentity": plmn_bytes(guami.plmn), "sliceSupportList": [SLICE]}
    return encode(
        "successfulOutcome",
        Procedure.NG_SETUP,
        "NGSetupResponse",
        {
            Ie.AMF_NAME: (REJECT, "AMFName", name),
            Ie.SERVED_GUAMI_LIST: (REJECT, "ServedGUAMIList", [{"gUAMI": guami.value()}]),
            Ie.RELATIVE_AMF_CAPACITY: (IGNORE, "RelativeAMFCapacity", capacity),
            Ie.PLMN_SUPPORT_LIST: (REJECT, "PLMNSupportList", [supported]),
        },
    )


def _location(plmn: str, tac: int) -> tuple[str, str, object]:
    identity = plmn_bytes(plmn)
    place = {
        "nR-CGI": {"pLMNIdentity": identity, "nRCellIdentity": (1, 36)},
        "tAI": {"pLMNIdentity": identity, "tAC": tac.to_bytes(3, "big")},
    }
    return IGNORE, "UserLocationInformation", ("userLocationInformationNR", place)


def initial_ue_message(*, ran: int, nas: bytes, plmn: str, tac: int) -> bytes:
    """INITIAL UE MESSAGE, §9.2.5.1."""
    _, kind, place = _location(plmn, tac)
    return encode(
        "initiatingMessage",
        Procedure.INITIAL_UE_MESSAGE,
        "InitialUEMessage",
        {
            Ie.RAN_UE_NGAP_ID: (REJECT, "RAN-UE-NGAP-ID", ran),
            Ie.NAS_PDU: (REJECT, "NAS-PDU", nas),
            Ie.USER_LOCATION_INFORMATION: (REJECT, kind, place),
            Ie.RRC_ESTABLISHMENT_CAUSE: (IGNORE, "RRCEstablishmentCause", "mo-Signalling"),
            Ie.UE_CONTEXT_REQUEST: (IGNORE, "UEContextRequest", "requested"),
        },
        IGNORE,
    )


def _ids(ue: UeIds, criticality: str = REJECT) -> dict[Ie, tuple[str, str, object]]:
    return {
        Ie.AMF_UE_NGAP_ID: (criticality, "AMF-UE-NGAP-ID", ue.amf),
        Ie.RAN_UE_NGAP_ID: (criticality, "RAN-UE-NGAP-ID", ue.ran),
    }


def initial_context_setup_request(*, ue: UeIds, guami: Guami, nas: bytes) -> bytes:
    """INITIAL CONTEXT SETUP REQUEST, §9.2.2.1."""
    algorithms = ("nRencryptionAlgorithms", "nRintegrityProtectionAlgorithms")
    four_g = ("eUTRAencryptionAlgorithms", "eUTRAintegrityProtectionAlgorithms")
    capabilities = dict.fromkeys(algorithms + four_g, (57344, 16))
    return encode(
        "initiatingMessage",
        Procedure.INITIAL_CONTEXT_SETUP,
        "InitialContextSetupRequest",
        {
            **_ids(ue),
            Ie.GUAMI: (REJECT, "GUAMI", guami.value()),
            Ie.ALLOWED_NSSAI: (REJECT, "AllowedNSSAI", [SLICE]),
            Ie.UE_SECURITY_CAPABILITIES: (REJECT, "UESecurityCapabilities", capabilities),
            Ie.SECURITY_KEY: (REJECT, "SecurityKey", (1, 256)),
            Ie.NAS_PDU: (IGNORE, "NAS-PDU", nas),
        },
    )


def initial_context_setup_response(*, ue: UeIds) -> bytes:
    """INITIAL CONTEXT SETUP RESPONSE, §9.2.2.2."""
    return encode(
        "successfulOutcome", Procedure.INITIAL_CONTEXT_SETUP, "InitialContextSetupResponse", _ids(ue, IGNORE)
    )


def uplink_nas_transport(*, ue: UeIds, nas: bytes, plmn: str, tac: int) -> bytes:
    """UPLINK NAS TRANSPORT, §9.2.5.3."""
    ies = {
        **_ids(ue),
        Ie.NAS_PDU: (REJECT, "NAS-PDU", nas),
        Ie.USER_LOCATION_INFORMATION: _location(plmn, tac),
    }
    return encode("initiatingMessage", Procedure.UPLINK_NAS_TRANSPORT, "UplinkNASTransport", ies, IGNORE)


def downlink_nas_transport(*, ue: UeIds, nas: bytes) -> bytes:
    """DOWNLINK NAS TRANSPORT, §9.2.5.2."""
    ies = {**_ids(ue), Ie.NAS_PDU: (REJECT, "NAS-PDU", nas)}
    return encode("initiatingMessage", Procedure.DOWNLINK_NAS_TRANSPORT, "DownlinkNASTransport", ies, IGNORE)


def registration_request(*, plmn: str, msin: str) -> bytes:
    """REGISTRATION REQUEST with a SUCI of the null scheme, TS 24.501 §8.2.6 and §9.11.3.4."""
    if not msin.isdigit() or not 1 <= len(msin) <= 10:
        raise ProtocolError("semantic-error", "msin", msin, "1 to 10 digits")
    digits = msin + "f" * (len(msin) % 2)
    scheme_output = bytes.fromhex("".join(digits[i + 1] + digits[i] for i in range(0, len(digits), 2)))
    suci = b"\x01" + plmn_bytes(plmn) + b"\xf0\xff\x00\x00" + scheme_output
    security = bytes.fromhex("2e02f0f0")
    return (
        PLAIN_5GMM + bytes([Nas.REGISTRATION_REQUEST, 0x79]) + len(suci).to_bytes(2, "big") + suci + security
    )


def registration_accept(*, guami: Guami, tmsi: int) -> bytes:
    """REGISTRATION ACCEPT with a 5G-GUTI, TS 24.501 §8.2.7."""
    amf = (guami.set << 6 | guami.pointer).to_bytes(2, "big")
    guti = b"\xf2" + plmn_bytes(guami.plmn) + bytes([guami.region]) + amf + tmsi.to_bytes(4, "big")
    return PLAIN_5GMM + bytes([Nas.REGISTRATION_ACCEPT]) + b"\x01\x01" + b"\x77\x00\x0b" + guti


def registration_complete() -> bytes:
    """REGISTRATION COMPLETE, TS 24.501 §8.2.8."""
    return PLAIN_5GMM + bytes([Nas.REGISTRATION_COMPLETE])
