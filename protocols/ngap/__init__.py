"""NGAP: ids, a full codec, and the messages that a gNB and an AMF exchange when a UE registers."""

from protocols.ngap.codec import Pdu, decode, encode
from protocols.ngap.ids import PORT, PPID, Ie, Nas, Procedure
from protocols.ngap.messages import (
    Guami,
    UeIds,
    downlink_nas_transport,
    initial_context_setup_request,
    initial_context_setup_response,
    initial_ue_message,
    ng_setup_request,
    ng_setup_response,
    registration_accept,
    registration_complete,
    registration_request,
    uplink_nas_transport,
)

__all__ = [
    "PORT",
    "PPID",
    "Guami",
    "Ie",
    "Nas",
    "Pdu",
    "Procedure",
    "UeIds",
    "decode",
    "downlink_nas_transport",
    "encode",
    "initial_context_setup_request",
    "initial_context_setup_response",
    "initial_ue_message",
    "ng_setup_request",
    "ng_setup_response",
    "registration_accept",
    "registration_complete",
    "registration_request",
    "uplink_nas_transport",
]
