"""Mutated SCTP packets: nothing but ProtocolError comes out, and what decodes gives its very bytes back."""

import os
import random
from ipaddress import IPv4Address

import pytest

from protocols import sctp
from protocols.errors import ProtocolError

LONG = os.environ.get("FUZZ") == "long"
MUTANTS = 1_000_000 if LONG else 20_000
SEED = 9260
HOME = sctp.Address4(address=IPv4Address("10.1.0.2"))
COOKIE = sctp.StateCookie(value=bytes(45))
SEEDS: tuple[tuple[sctp.Chunk, ...], ...] = (
    (sctp.Init(tag=1, parameters=(HOME, sctp.SupportedAddressTypes(types=(5, 6)), sctp.EcnCapable())),),
    (sctp.InitAck(tag=2, parameters=(HOME, COOKIE, sctp.HmacAlgorithms(identifiers=(3, 1)))),),
    (sctp.Sack(tsn=1, window=9, gaps=((2, 3),), duplicates=(7,)), sctp.Data(tsn=1, payload=b"hello")),
    (sctp.Asconf(serial=1, parameters=(HOME, sctp.AddAddress(correlation=1, address=HOME))),),
    (sctp.ReConfig(parameters=(sctp.OutgoingReset(request=1, response=2, last_tsn=3, streams=(4,)),)),),
    (sctp.Abort(causes=(sctp.MissingParameter(types=(7,)), sctp.StaleCookie(value=1))),),
    (sctp.IForwardTsn(tsn=1, skipped=((1, 1, 2),)), sctp.IData(tsn=2, payload=b"abc")),
    (sctp.Auth(key=0, algorithm=1, hmac=bytes(20)), sctp.UnknownChunk(number=200, value=b"x")),
)


def mutant(rng: random.Random, raw: bytes) -> bytes:
    """One to four bytes set, or a part cut out or doubled."""
    data = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 4, 5, 0xFF, rng.randrange(256)))
    at = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            del data[at:]
        case 1:
            data[at:at] = data[at : at + 4 * rng.randint(1, 4)]
        case _:
            pass
    return bytes(data)


@pytest.mark.timeout(1800)
def test_no_exception_but_protocol_error_and_the_same_bytes_back() -> None:
    """Both outcomes must really occur, or the mutants would test nothing."""
    rng = random.Random(SEED)
    originals = [
        sctp.encode(sctp.Packet(source=38412, destination=38412, tag=1, chunks=chunks)) for chunks in SEEDS
    ]
    decoded = refused = 0
    for number in range(MUTANTS):
        raw = mutant(rng, rng.choice(originals))
        try:
            again = sctp.encode(sctp.decode(raw, verify=False))
        except ProtocolError:
            refused += 1
            continue
        except Exception as error:  # noqa: BLE001  # any other is what is looked for
            pytest.fail(f"seed {SEED}, mutant {number}, {raw.hex()}: {error!r}")
        assert again == raw, f"seed {SEED}, mutant {number}, {raw.hex()}"
        decoded += 1
    assert min(decoded, refused) > MUTANTS // 10
