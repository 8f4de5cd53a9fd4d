"""Hypothesis strategies for every SCTP chunk, parameter and error cause that the package knows, and for others."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from protocols import sctp
from protocols.sctp.causes import BARE, CAUSES
from protocols.sctp.chunks.registry import CHUNKS
from protocols.sctp.parameters.registry import PARAMETERS

U8, U16, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
BYTES = st.binary(max_size=40)
USER_DATA = st.binary(min_size=1, max_size=60)
WORDS = st.lists(U16, max_size=6).map(tuple)
SOME_WORDS = st.lists(U16, min_size=1, max_size=6).map(tuple)
PAIRS = st.lists(st.tuples(U16, U16), max_size=5).map(tuple)
ADDRESS = st.builds(sctp.Address4, address=st.ip_addresses(v=4)) | st.builds(
    sctp.Address6, address=st.ip_addresses(v=6)
)
QUOTING = (U16).filter(lambda code: code not in CAUSES and code not in BARE)
CAUSES_BY_CLASS: dict[type[sctp.Cause], dict[str, Any]] = {
    sctp.InvalidStream: {"stream": U16, "reserved": U16},
    sctp.MissingParameter: {"types": WORDS},
    sctp.StaleCookie: {"value": U32},
    sctp.NoUserData: {"value": U32},
    sctp.UnsupportedHmac: {"identifier": U16},
    sctp.BareCause: {"code": st.sampled_from(sorted(BARE))},
    sctp.QuotingCause: {"code": QUOTING, "value": BYTES},
}
CAUSE: SearchStrategy[sctp.Cause] = st.one_of(
    *(st.builds(kind, **fields) for kind, fields in CAUSES_BY_CLASS.items())
)
CAUSE_LISTS = st.lists(CAUSE, max_size=4).map(tuple)
OPAQUE = (
    sctp.HeartbeatInfo,
    sctp.StateCookie,
    sctp.Unrecognized,
    sctp.HostName,
    sctp.Random,
    sctp.ChunkList,
    sctp.Padding,
    sctp.SupportedExtensions,
)
NUMBERS = (
    sctp.CookiePreservative,
    sctp.TsnReset,
    sctp.ZeroChecksum,
    sctp.SuccessIndication,
    sctp.AdaptationLayer,
)
CHANGES = (sctp.AddAddress, sctp.DeleteAddress, sctp.SetPrimary)
MORE_STREAMS = (sctp.AddOutgoingStreams, sctp.AddIncomingStreams)
PARAMETERS_BY_CLASS: dict[type[sctp.Parameter], dict[str, Any]] = {
    sctp.Address4: {"address": st.ip_addresses(v=4)},
    sctp.Address6: {"address": st.ip_addresses(v=6)},
    **{kind: {"value": BYTES} for kind in OPAQUE},
    **{kind: {"value": U32} for kind in NUMBERS},
    **{kind: {"correlation": U32, "address": ADDRESS} for kind in CHANGES},
    **{kind: {"request": U32, "streams": U16, "reserved": U16} for kind in MORE_STREAMS},
    sctp.EcnCapable: {},
    sctp.ForwardTsnSupported: {},
    sctp.SupportedAddressTypes: {"types": SOME_WORDS},
    sctp.HmacAlgorithms: {"identifiers": SOME_WORDS},
    sctp.ErrorCauseIndication: {"correlation": U32, "causes": CAUSE_LISTS},
    sctp.OutgoingReset: {"request": U32, "response": U32, "last_tsn": U32, "streams": WORDS},
    sctp.IncomingReset: {"request": U32, "streams": WORDS},
    sctp.ResetResponse: {"response": U32, "result": U32, "next_tsns": st.none() | st.tuples(U32, U32)},
    sctp.UnknownParameter: {"number": U16.filter(lambda kind: kind not in PARAMETERS), "value": BYTES},
}
PARAMETER: SearchStrategy[sctp.Parameter] = st.one_of(
    *(st.builds(kind, **fields) for kind, fields in PARAMETERS_BY_CLASS.items())
)
PARAMETER_LISTS = st.lists(PARAMETER, max_size=5).map(tuple)
OPENING = {
    "tag": U32,
    "window": U32,
    "outbound": U16,
    "inbound": U16,
    "tsn": U32,
    "parameters": PARAMETER_LISTS,
}
MESSAGE = {"tsn": U32, "stream": U16, "payload": USER_DATA}
TRIPLES = st.lists(st.tuples(U16, U16, U32), max_size=5).map(tuple)
ASCONF_LISTS = st.builds(lambda first, rest: (first, *rest), ADDRESS, PARAMETER_LISTS)
CHUNKS_BY_CLASS: dict[type[sctp.Chunk], dict[str, Any]] = {
    sctp.Data: {"ssn": U16, "ppid": U32, **MESSAGE},
    sctp.IData: {"reserved": U16, "mid": U32, "ppid_or_fsn": U32, **MESSAGE},
    sctp.Init: OPENING,
    sctp.InitAck: OPENING,
    sctp.Sack: {"tsn": U32, "window": U32, "gaps": PAIRS, "duplicates": st.lists(U32, max_size=5).map(tuple)},
    **{kind: {"parameters": PARAMETER_LISTS} for kind in (sctp.Heartbeat, sctp.HeartbeatAck, sctp.ReConfig)},
    **{kind: {"causes": CAUSE_LISTS} for kind in (sctp.Abort, sctp.Error)},
    **{kind: {"tsn": U32} for kind in (sctp.Shutdown, sctp.Ecne, sctp.Cwr)},
    **{kind: {} for kind in (sctp.ShutdownAck, sctp.CookieAck, sctp.ShutdownComplete)},
    **{kind: {"value": BYTES} for kind in (sctp.CookieEcho, sctp.Pad)},
    sctp.Auth: {"key": U16, "algorithm": U16, "hmac": BYTES},
    sctp.AsconfAck: {"serial": U32, "parameters": PARAMETER_LISTS},
    sctp.Asconf: {"serial": U32, "parameters": ASCONF_LISTS},
    sctp.ForwardTsn: {"tsn": U32, "skipped": PAIRS},
    sctp.IForwardTsn: {"tsn": U32, "skipped": TRIPLES},
    sctp.UnknownChunk: {"number": U8.filter(lambda kind: kind not in CHUNKS), "value": BYTES},
}
CHUNK: SearchStrategy[sctp.Chunk] = st.one_of(
    *(st.builds(kind, flags=U8, **fields) for kind, fields in CHUNKS_BY_CLASS.items())
)
PACKET = st.builds(
    sctp.Packet, source=U16, destination=U16, tag=U32, chunks=st.lists(CHUNK, max_size=4).map(tuple)
)
