"""NGAP messages built here decode to what went in; pycrate's NAS decoder is the judge of the NAS parts."""

import pytest

from protocols import ngap
from protocols.errors import ProtocolError
from protocols.ngap import Guami, Ie, Procedure, UeIds

GUAMI = Guami(plmn="20893", region=0xCA, set=1, pointer=3)
UE = UeIds(amf=2**40 - 1, ran=7)


@pytest.mark.parametrize(
    ("raw", "message", "procedure"),
    [
        (
            ngap.ng_setup_request(gnb_id=0x102, name="gnb1", plmn="20893", tac=1),
            "NGSetupRequest",
            Procedure.NG_SETUP,
        ),
        (ngap.ng_setup_response(name="amf1", guami=GUAMI), "NGSetupResponse", Procedure.NG_SETUP),
        (
            ngap.initial_ue_message(ran=7, nas=b"\x7e\0\x41", plmn="20893", tac=1),
            "InitialUEMessage",
            Procedure.INITIAL_UE_MESSAGE,
        ),
        (
            ngap.initial_context_setup_request(ue=UE, guami=GUAMI, nas=b"\x7e\0\x42"),
            "InitialContextSetupRequest",
            Procedure.INITIAL_CONTEXT_SETUP,
        ),
        (
            ngap.initial_context_setup_response(ue=UE),
            "InitialContextSetupResponse",
            Procedure.INITIAL_CONTEXT_SETUP,
        ),
        (
            ngap.downlink_nas_transport(ue=UE, nas=b"\x7e"),
            "DownlinkNASTransport",
            Procedure.DOWNLINK_NAS_TRANSPORT,
        ),
        (
            ngap.uplink_nas_transport(ue=UE, nas=b"\x7e", plmn="208093", tac=9),
            "UplinkNASTransport",
            Procedure.UPLINK_NAS_TRANSPORT,
        ),
    ],
)
def test_built_messages_decode(raw: bytes, message: str, procedure: Procedure) -> None:
    """Name and procedure survive; UE ids where the message has them."""
    pdu = ngap.decode(raw)
    assert (pdu.message, pdu.procedure) == (message, procedure)
    if Ie.AMF_UE_NGAP_ID in pdu.ies:
        assert (pdu.ie(Ie.AMF_UE_NGAP_ID), pdu.ie(Ie.RAN_UE_NGAP_ID)) == (UE.amf, UE.ran)


def test_registration_request_is_nas_to_another_decoder() -> None:
    """SUCI of the null scheme with the digits that went in."""
    from pycrate_mobile.NAS5G import parse_NAS5G  # noqa: PLC0415  # slow, and prints when imported

    message, error = parse_NAS5G(ngap.registration_request(plmn="20893", msin="0000000010"))
    assert error == 0
    assert message._name == "5GMMRegistrationRequest"
    assert "MSIN : 0000000010" in repr(message["5GSID"])


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff" * 40, bytes(200)])
def test_broken_bytes_are_a_named_error(raw: bytes) -> None:
    """Nothing but ProtocolError leaves."""
    with pytest.raises(ProtocolError) as found:
        ngap.decode(raw)
    assert found.value.cause == "transfer-syntax-error"


def test_missing_ie_is_named() -> None:
    """The cause is what an Error Indication would carry."""
    with pytest.raises(ProtocolError, match="NAS_PDU is mandatory"):
        ngap.decode(ngap.initial_context_setup_response(ue=UE)).ie(Ie.NAS_PDU)


@pytest.mark.parametrize("plmn", ["2089", "2089x", ""])
def test_bad_plmn_is_named(plmn: str) -> None:
    """Field, value, allowed."""
    with pytest.raises(ProtocolError, match=r"plmn: .*: 5 or 6 digits"):
        ngap.ng_setup_request(gnb_id=1, name="g", plmn=plmn, tac=1)
