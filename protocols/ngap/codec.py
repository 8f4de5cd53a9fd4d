"""Whole NGAP PDUs through pycrate: built from plain values, decoded into them. Never on the path: 170 µs and more.

pycrate's PDU is one global object that raises five kinds of exceptions; here it has one user at a time and raises one.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from protocols.errors import ProtocolError
from protocols.ngap.ids import Ie, Procedure

_LOCK = threading.Lock()
KINDS = {"initiatingMessage", "successfulOutcome", "unsuccessfulOutcome"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pdu:
    """One PDU: which of the three kinds, its procedure, the message's name, its IEs by id."""

    kind: str
    procedure: int
    message: str
    ies: Mapping[int, Any]

    def ie(self, wanted: Ie) -> Any:
        """A mandatory IE's value. Raises ProtocolError (abstract-syntax-error-reject) if it is missing."""
        if wanted not in self.ies:
            raise ProtocolError(
                "abstract-syntax-error-reject", self.message, sorted(self.ies), f"{wanted.name} is mandatory"
            )
        return self.ies[wanted]


@cache
def _pdu() -> Any:
    from pycrate_asn1dir import NGAP  # noqa: PLC0415  # takes half a second

    return NGAP.NGAP_PDU_Descriptions.NGAP_PDU


def decode(raw: bytes) -> Pdu:
    """Decode a PDU. Raises ProtocolError with cause transfer-syntax-error."""
    with _LOCK:
        pdu = _pdu()
        try:
            pdu.from_aper(raw)
            kind, body = pdu.get_val()
            message, content = body["value"]
            ies = {item["id"]: item["value"][1] for item in content["protocolIEs"]}
            return Pdu(kind=kind, procedure=body["procedureCode"], message=message, ies=ies)
        except Exception as error:
            raise ProtocolError(
                "transfer-syntax-error", "NGAP PDU", raw, f"TS 38.413: {error!r:.120}"
            ) from error


def encode(
    kind: str,
    procedure: Procedure,
    message: str,
    ies: Mapping[Ie, tuple[str, str, Any]],
    criticality: str = "reject",
) -> bytes:
    """Build a PDU; an IE is (criticality, type name, value). Raises ProtocolError naming what does not fit."""
    content = [
        {"id": int(ie), "criticality": c, "value": (name, value)} for ie, (c, name, value) in ies.items()
    ]
    value = (
        kind,
        {
            "procedureCode": int(procedure),
            "criticality": criticality,
            "value": (message, {"protocolIEs": content}),
        },
    )
    with _LOCK:
        pdu = _pdu()
        try:
            pdu.set_val(value)
            return bytes(pdu.to_aper())
        except Exception as error:
            raise ProtocolError("semantic-error", message, dict(ies), f"TS 38.413: {error!r:.120}") from error
