"""Mutated NGAP PDUs and random bytes: a value or ProtocolError comes out, nothing else."""

import os
import random

import pytest

from protocols import ngap
from protocols.errors import ProtocolError
from tests.fuzz.test_fuzz_sctp import mutant

LONG = os.environ.get("FUZZ") == "long"
MUTANTS = 1_000_000 if LONG else 20_000
SEED = 38413
GUAMI = ngap.Guami(plmn="20893", region=0xCA, set=1, pointer=3)
UE = ngap.UeIds(amf=2**40 - 1, ran=7)
NAS = ngap.registration_request(plmn="20893", msin="0000000010")
SEEDS = (
    ngap.ng_setup_request(gnb_id=0x102, name="gnb1", plmn="20893", tac=1),
    ngap.ng_setup_response(name="amf1", guami=GUAMI),
    ngap.initial_ue_message(ran=7, nas=NAS, plmn="20893", tac=1),
    ngap.initial_context_setup_request(ue=UE, guami=GUAMI, nas=NAS),
    ngap.initial_context_setup_response(ue=UE),
    ngap.downlink_nas_transport(ue=UE, nas=NAS),
    ngap.uplink_nas_transport(ue=UE, nas=NAS, plmn="208093", tac=9),
)


def candidate(rng: random.Random) -> bytes:
    """Nine in ten are mutants, the others noise."""
    return mutant(rng, rng.choice(SEEDS)) if rng.random() < 0.9 else rng.randbytes(rng.randrange(64))


@pytest.mark.timeout(3600 if LONG else 120)
def test_a_value_or_protocol_error_and_nothing_else() -> None:
    """Both must really occur; between them, a whole PDU decodes as it did before: nothing of a broken one stays."""
    rng = random.Random(SEED)
    untouched = [ngap.decode(raw) for raw in SEEDS]
    decoded = refused = 0
    for number in range(MUTANTS):
        raw = candidate(rng)
        try:
            pdu = ngap.decode(raw)
            pdu.ie(ngap.Ie.NAS_PDU)
        except ProtocolError:
            refused += 1
        except BaseException as error:  # noqa: BLE001  # any other is what is looked for
            pytest.fail(f"seed {SEED}, mutant {number}, {raw.hex()}: {error!r}")
        else:
            decoded += 1
        if number % 1000 == 0:
            assert [ngap.decode(whole) for whole in SEEDS] == untouched, f"after mutant {number}, {raw.hex()}"
    assert min(decoded, refused) > MUTANTS // 20
