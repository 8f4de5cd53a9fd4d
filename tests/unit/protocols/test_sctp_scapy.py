"""What scapy builds from random fields decodes here to the same fields: two implementations that share nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers import sctp as scapy
from scapy.packet import Raw

from protocols import sctp
from tests.unit.protocols.sctp_values import CHUNKS_BY_CLASS, PARAMETERS_BY_CLASS

few = settings(max_examples=20)


def words(numbers: tuple[int, ...], size: int = 2) -> bytes:
    return b"".join(number.to_bytes(size) for number in numbers)


def address(change: Any) -> dict[str, Any]:
    """An ASCONF request's fields."""
    inner = change.address
    return {
        "correlation_id": change.correlation,
        "addr_type": inner.type,
        "addr_len": 4 + len(inner.address.packed),
        "addr": str(inner.address),
    }


def plain(item: Any) -> Any:
    """Without padding: scapy counts that of a last parameter into the chunk, which is allowed too."""
    inner = {"parameters": tuple(map(plain, item.parameters))} if hasattr(item, "parameters") else {}
    return replace(item, padding=None, **inner)


def more_streams(asked: Any) -> dict[str, Any]:
    return {
        "re_conf_req_seq_num": asked.request,
        "num_new_stream": asked.streams,
        "reserved": asked.reserved,
    }


# Each of ours as scapy's; those that scapy lacks (Padding, Zero Checksum, ECNE) or gets wrong (the length of PAD) are
# not here.
PARAMETERS: dict[type[sctp.Parameter], Callable[[Any], Any]] = {
    sctp.Address4: lambda p: scapy.SCTPChunkParamIPv4Addr(addr=str(p.address)),
    sctp.Address6: lambda p: scapy.SCTPChunkParamIPv6Addr(addr=str(p.address)),
    sctp.HeartbeatInfo: lambda p: scapy.SCTPChunkParamHeartbeatInfo(data=p.value),
    sctp.StateCookie: lambda p: scapy.SCTPChunkParamStateCookie(cookie=p.value),
    sctp.Unrecognized: lambda p: scapy.SCTPChunkParamUnrocognizedParam(param=p.value),
    sctp.CookiePreservative: lambda p: scapy.SCTPChunkParamCookiePreservative(sug_cookie_inc=p.value),
    sctp.HostName: lambda p: scapy.SCTPChunkParamHostname(hostname=p.value),
    sctp.SupportedAddressTypes: lambda p: scapy.SCTPChunkParamSupportedAddrTypes(
        addr_type_list=list(p.types)
    ),
    sctp.EcnCapable: lambda _: scapy.SCTPChunkParamECNCapable(),
    sctp.ForwardTsnSupported: lambda _: scapy.SCTPChunkParamFwdTSN(),
    sctp.Random: lambda p: scapy.SCTPChunkParamRandom(random=p.value),
    sctp.ChunkList: lambda p: scapy.SCTPChunkParamChunkList(chunk_list=list(p.value)),
    sctp.HmacAlgorithms: lambda p: scapy.SCTPChunkParamRequestedHMACFunctions(
        HMAC_functions_list=list(p.identifiers)
    ),
    sctp.SupportedExtensions: lambda p: scapy.SCTPChunkParamSupportedExtensions(
        supported_extensions=list(p.value)
    ),
    sctp.AdaptationLayer: lambda p: scapy.SCTPChunkParamAdaptationLayer(indication=p.value),
    sctp.AddAddress: lambda p: scapy.SCTPChunkParamAddIPAddr(**address(p)),
    sctp.DeleteAddress: lambda p: scapy.SCTPChunkParamDelIPAddr(**address(p)),
    sctp.SetPrimary: lambda p: scapy.SCTPChunkParamSetPrimaryAddr(**address(p)),
    sctp.ErrorCauseIndication: lambda p: scapy.SCTPChunkParamErrorIndication(
        correlation_id=p.correlation, error_causes=sctp.build_causes(p.causes)
    ),
    sctp.SuccessIndication: lambda p: scapy.SCTPChunkParamSuccessIndication(correlation_id=p.value),
    sctp.OutgoingReset: lambda p: scapy.SCTPChunkParamOutSSNResetReq(
        re_conf_req_seq_num=p.request,
        re_conf_res_seq_num=p.response,
        tsn=p.last_tsn,
        stream_num_list=list(p.streams),
    ),
    sctp.IncomingReset: lambda p: scapy.SCTPChunkParamInSSNResetReq(
        re_conf_req_seq_num=p.request, stream_num_list=list(p.streams)
    ),
    sctp.TsnReset: lambda p: scapy.SCTPChunkParamSSNTSNResetReq(re_conf_req_seq_num=p.value),
    sctp.AddOutgoingStreams: lambda p: scapy.SCTPChunkParamAddOutgoingStreamReq(**more_streams(p)),
    sctp.AddIncomingStreams: lambda p: scapy.SCTPChunkParamAddIncomingStreamReq(**more_streams(p)),
}
ANY_PARAMETER: st.SearchStrategy[sctp.Parameter] = st.one_of(
    *(st.builds(kind, **PARAMETERS_BY_CLASS[kind]) for kind in PARAMETERS)
)
LISTS = st.lists(ANY_PARAMETER, max_size=4).map(tuple)


def theirs(parameters: tuple[sctp.Parameter, ...]) -> list[Any]:
    return [PARAMETERS[type(parameter)](parameter) for parameter in parameters]


def flags(chunk: sctp.Chunk) -> dict[str, Any]:
    """The flags of DATA and I-DATA, one by one."""
    names = ("ending", "beginning", "unordered", "delay_sack")
    return {name: chunk.flags >> bit & 1 for bit, name in enumerate(names)} | {"reserved": chunk.flags >> 4}


def opening(chunk: Any) -> dict[str, Any]:
    return {
        "flags": chunk.flags,
        "init_tag": chunk.tag,
        "a_rwnd": chunk.window,
        "n_out_streams": chunk.outbound,
        "n_in_streams": chunk.inbound,
        "init_tsn": chunk.tsn,
        "params": theirs(chunk.parameters),
    }


def skipped(chunk: Any, *sizes: int) -> bytes:
    return b"".join(n.to_bytes(size) for one in chunk.skipped for n, size in zip(one, sizes, strict=True))


CHUNKS: dict[type[sctp.Chunk], Callable[[Any], Any]] = {
    sctp.Data: lambda c: scapy.SCTPChunkData(
        **flags(c), tsn=c.tsn, stream_id=c.stream, stream_seq=c.ssn, proto_id=c.ppid, data=c.payload
    ),
    sctp.IData: lambda c: scapy.SCTPChunkIData(
        **flags(c),
        tsn=c.tsn,
        stream_id=c.stream,
        reserved_16=c.reserved,
        message_id=c.mid,
        ppid_fsn=c.ppid_or_fsn,
        data=c.payload,
    ),
    sctp.Init: lambda c: scapy.SCTPChunkInit(**opening(c)),
    sctp.InitAck: lambda c: scapy.SCTPChunkInitAck(**opening(c)),
    sctp.Sack: lambda c: scapy.SCTPChunkSACK(
        flags=c.flags,
        cumul_tsn_ack=c.tsn,
        a_rwnd=c.window,
        gap_ack_list=[f"{start}:{end}" for start, end in c.gaps],
        dup_tsn_list=list(c.duplicates),
    ),
    sctp.Heartbeat: lambda c: scapy.SCTPChunkHeartbeatReq(flags=c.flags, params=theirs(c.parameters)),
    sctp.HeartbeatAck: lambda c: scapy.SCTPChunkHeartbeatAck(flags=c.flags, params=theirs(c.parameters)),
    sctp.Abort: lambda c: scapy.SCTPChunkAbort(
        reserved=c.flags >> 1, TCB=c.flags & 1, error_causes=sctp.build_causes(c.causes)
    ),
    sctp.Error: lambda c: scapy.SCTPChunkError(flags=c.flags, error_causes=sctp.build_causes(c.causes)),
    sctp.Shutdown: lambda c: scapy.SCTPChunkShutdown(flags=c.flags, cumul_tsn_ack=c.tsn),
    sctp.ShutdownAck: lambda c: scapy.SCTPChunkShutdownAck(flags=c.flags),
    sctp.ShutdownComplete: lambda c: scapy.SCTPChunkShutdownComplete(reserved=c.flags >> 1, TCB=c.flags & 1),
    sctp.CookieEcho: lambda c: scapy.SCTPChunkCookieEcho(flags=c.flags, cookie=c.value),
    sctp.CookieAck: lambda c: scapy.SCTPChunkCookieAck(flags=c.flags),
    sctp.Auth: lambda c: scapy.SCTPChunkAuthentication(
        flags=c.flags, shared_key_id=c.key, HMAC_function=c.algorithm, HMAC=c.hmac
    ),
    sctp.Asconf: lambda c: scapy.SCTPChunkAddressConf(
        flags=c.flags, seq=c.serial, params=theirs(c.parameters)
    ),
    sctp.AsconfAck: lambda c: scapy.SCTPChunkAddressConfAck(
        flags=c.flags, seq=c.serial, params=theirs(c.parameters)
    ),
    sctp.ReConfig: lambda c: scapy.SCTPChunkReConfig(flags=c.flags, params=theirs(c.parameters)),
    sctp.ForwardTsn: lambda c: scapy.SCTPChunkForwardTSN(
        flags=c.flags, new_tsn=c.tsn, skips=[Raw(skipped(c, 2, 2))]
    ),
    sctp.IForwardTsn: lambda c: scapy.SCTPChunkIForwardTSN(
        flags=c.flags, new_tsn=c.tsn, skips=[Raw(skipped(c, 2, 2, 4))]
    ),
}


def fields(kind: type[sctp.Chunk]) -> dict[str, Any]:
    """As the round trips draw them, parameters from those that scapy can build."""
    drawn = {"flags": st.integers(0, 255), **CHUNKS_BY_CLASS[kind]}
    if "parameters" in drawn:
        first = st.builds(sctp.Address4, address=st.ip_addresses(v=4))
        listed = st.builds(lambda one, rest: (one, *rest), first, LISTS)
        drawn["parameters"] = listed if kind is sctp.Asconf else LISTS
    return drawn


@pytest.mark.parametrize("kind", CHUNKS, ids=lambda kind: kind.__name__)
@few
@given(st.data())
def test_chunk_of_another_builder(kind: type[sctp.Chunk], data: st.DataObject) -> None:
    """A packet that scapy built, its checksum included."""
    chunk = data.draw(st.builds(kind, **fields(kind)))
    built = bytes(scapy.SCTP(sport=38412, dport=38413, tag=0xDECADE) / CHUNKS[kind](chunk))
    decoded = sctp.decode(built)
    assert sctp.encode(decoded) == built
    assert (decoded.source, decoded.destination, decoded.tag) == (38412, 38413, 0xDECADE)
    assert tuple(map(plain, decoded.chunks)) == (chunk,)


@pytest.mark.parametrize("kind", PARAMETERS, ids=lambda kind: kind.__name__)
@few
@given(st.data())
def test_parameter_of_another_builder(kind: type[sctp.Parameter], data: st.DataObject) -> None:
    """Alone, with scapy's padding behind it."""
    parameter = data.draw(st.builds(kind, **PARAMETERS_BY_CLASS[kind]))
    built = bytes(PARAMETERS[kind](parameter))
    assert sctp.build_parameters(sctp.parse_parameters(built)) == built
    found = sctp.parse_parameters(built[: int.from_bytes(built[2:4])])
    assert found == (parameter,)
