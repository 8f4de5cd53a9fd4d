"""Real kernel SCTP between lab hosts over plain forwarding: what scenarios rely on, without the balancer."""

import time
from collections.abc import Callable

import pytest
from free5gc_lab.echo import WHOLE, dial, finish, paths, serve, wait_for_state
from free5gc_lab.errors import LabGuestError
from free5gc_lab.lab import Lab

pytestmark = [pytest.mark.root, pytest.mark.lab]


@pytest.mark.parametrize(("client_homes", "server_homes"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_thousand_echoes_intact_and_every_path_active(
    core: Lab, client_homes: int, server_homes: int
) -> None:
    """Uni- and multi-homed on either side."""
    gnb, amf = core.host("gnb1"), core.host("amf1")
    serve(amf, binds=amf.addresses[:server_homes])
    peers, binds = amf.addresses[:1], gnb.addresses[:client_homes]
    client = dial(gnb, peers, "--count", 1000, "--stay", binds=binds)
    up = client.expect("up")
    assert up["peers"] == list(amf.addresses[:server_homes])
    assert up["locals"] == list(gnb.addresses[:client_homes])
    report = client.expect("done")
    assert report.items() >= (WHOLE | {"delivered": 1000}).items()
    for address in amf.addresses[:server_homes]:
        wait_for_state(client, address, "ACTIVE")
    client.tell("shutdown")
    assert client.wait().status == 0


def test_cut_cable_moves_traffic_to_the_other_path_and_back(core: Lab) -> None:
    """No message is lost; the gap is a retransmission time-out: about 100 ms here."""
    gnb, amf = core.host("gnb1"), core.host("amf1")
    serve(amf)
    client = dial(gnb, amf.addresses, "--interval", 5)
    client.expect("up")
    wait_for_state(client, amf.addresses[1], "ACTIVE")
    core.faults.cut("gnb1", 0)
    wait_for_state(client, amf.addresses[0], "INACTIVE")
    assert paths(client)[amf.addresses[1]].state in {
        "ACTIVE",
        "PF",
    }  # PF: RFC 7829
    core.faults.mend("gnb1", 0)
    wait_for_state(client, amf.addresses[0], "ACTIVE")
    report = finish(client)
    assert report.items() >= WHOLE.items()
    gap = report["max_gap_ms"]
    assert isinstance(gap, float)
    assert 50 < gap < 1500


def test_client_that_vanishes_and_redials_restarts_the_association(core: Lab) -> None:
    """RFC 9260 §5.2.2: same addresses and port, new tag; the server sees a restart, no new peer."""
    gnb, amf = core.host("gnb1"), core.host("amf1")
    server = serve(amf)
    old = dial(gnb, amf.addresses, "--port", 38412, "--interval", 5)
    old.expect("up")
    words = (
        "--bind",
        ",".join(gnb.addresses),
        "--peer",
        ",".join(amf.addresses),
        "--port",
        38412,
        "--count",
        50,
    )
    new = core.faults.relive("gnb1", old, "echo_client", *words)
    assert new.expect("done").items() >= (WHOLE | {"delivered": 50}).items()
    server.expect("restarted")
    assert new.wait().status == 0


def test_vanished_client_leaves_its_server_unaware(core: Lab) -> None:
    """Neither SHUTDOWN nor ABORT is heard: the server learns it only when it speaks to the dead."""
    gnb, amf = core.host("gnb1"), core.host("amf1")
    server = serve(amf)
    client = dial(gnb, amf.addresses, "--count", 1, "--stay")
    client.expect("done")
    core.faults.vanish("gnb1", client)
    server.pump()
    assert not any('"closed"' in line for line in server.lines)
    server.expect("closed", timeout_s=5.0)  # its heartbeat is answered by an ABORT


@pytest.mark.parametrize("word", ["shutdown", "abort"])
def test_server_can_end_the_association(core: Lab, word: str) -> None:
    """Gracefully (RFC 9260 §9.2) or not (§9.1); the client says which."""
    gnb, amf = core.host("gnb1"), core.host("amf1")
    server = serve(amf)
    client = dial(gnb, amf.addresses, "--count", 10, "--stay")
    client.expect("done")
    server.tell(word)
    reason = str(client.expect("closed")["reason"])
    assert reason.startswith("ended" if word == "shutdown" else "lost")


def test_large_unordered_messages_on_many_streams(core: Lab) -> None:
    """60,000 bytes on 64 streams, unordered, intact."""
    gnb, amf = core.host("gnb1"), core.host("amf1")
    serve(amf, "--streams", 64)
    words = ("--size", 60_000, "--streams", 64, "--unordered", "--count", 64, "--window", 2)
    report = dial(gnb, amf.addresses, *words).expect("done")
    assert report.items() >= (WHOLE | {"delivered": 64}).items()


def test_partially_reliable_messages_expire_while_the_cable_is_cut(core: Lab) -> None:
    """RFC 3758: what could not be sent in its lifetime is given up, what comes later arrives."""
    gnb, amf = core.host("gnb1"), core.host("amf1")
    serve(amf, binds=amf.addresses[:1])
    words = ("--ttl", 50, "--interval", 5, "--window", 1000, "--patience", 2)
    client = dial(gnb, amf.addresses[:1], *words, binds=gnb.addresses[:1])
    client.expect("up")
    time.sleep(0.3)
    core.faults.cut("gnb1", 0)
    time.sleep(0.5)
    core.faults.mend("gnb1", 0)
    time.sleep(1.5)  # more than the largest RTO: the path is in use again
    report = finish(client)
    assert report.items() >= {"damaged": 0, "duplicates": 0, "waiting": 0}.items()
    assert int(str(report["lost"])) > 10
    assert int(str(report["delivered"])) > 100


def test_capture_shows_the_handshake_and_its_payload_protocol(core: Lab) -> None:
    """Both directions at the endpoint's end of the cable; NGAP's payload protocol is 60 in network order."""
    gnb, amf = core.host("gnb1"), core.host("amf1")
    serve(amf)
    with core.capture("amf1", 0) as capture:
        dial(gnb, amf.addresses, "--count", 1).wait()
    seen = capture.packets(towards_host=True)
    assert {(source, target) for source, target, _ in seen} == {(gnb.addresses[0], amf.addresses[0])}
    assert [packet[12] for _, _, packet in seen][:2] == [1, 10]  # INIT, COOKIE ECHO
    assert [packet[12] for _, _, packet in capture.packets(towards_host=False)][:2] == [2, 11]
    data = next(packet for _, _, packet in seen if packet[12] == 0)
    assert int.from_bytes(data[12 + 12 : 12 + 16]) == 60


def test_sink_swallows_sctp_without_an_answer(core: Lab) -> None:
    """A client that dials the sink hears nothing, not even ICMP, and gives up."""
    gnb = core.host("gnb1")
    gnb.sysctls({"net.sctp.max_init_retransmits": "2"})
    try:
        with core.capture("sink") as capture:
            client = dial(gnb, core.plain("sink").addresses, binds=gnb.addresses[:1])
            assert client.wait().status == 1
    finally:
        gnb.sysctls(core.sctp.sysctls())
    assert not [frame for frame in capture.frames if not frame.towards_host and frame.network]


@pytest.mark.parametrize("families", [(0, 1, 2, 3), (1, 3), (0, 3)], ids=["both", "ipv6", "one-each"])
def test_mixed_address_lists(lab_of: Callable[[str], Lab], families: tuple[int, ...]) -> None:
    """IPv6 and IPv4 addresses in one association: all are advertised, confirmed and carry traffic."""
    lab = lab_of("mixed")
    lab.forwarding(on=True)
    gnb, amf = lab.host("gnb1"), lab.host("amf1")
    own, peer = ([host.addresses[number] for number in families] for host in (gnb, amf))
    serve(amf, binds=peer)
    client = dial(gnb, peer[:1], "--count", 200, "--stay", binds=own)
    assert client.expect("up")["peers"] == sorted(peer)
    for address in peer:
        wait_for_state(client, address, "ACTIVE")
    assert client.expect("done").items() >= (WHOLE | {"delivered": 200}).items()


def test_program_that_fails_says_why(core: Lab) -> None:
    """The traceback's last line is part of the error."""
    with pytest.raises(LabGuestError, match="Cannot assign requested address"):
        serve(core.host("gnb1"), binds=("192.0.2.77",))
