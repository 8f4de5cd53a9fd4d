"""Frames as values, and the pcap file they make, read back by an independent reader."""

from pathlib import Path

from free5gc_lab.capture import Capture, Frame
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.sctp import SCTP, SCTPChunkCookieAck
from scapy.utils import rdpcap


def frame(packet: Ether) -> Frame:
    return Frame(time_ns=1_700_000_000_123_456_789, data=bytes(packet), towards_host=True)


CHUNK = SCTP(sport=1, dport=2, tag=3) / SCTPChunkCookieAck()


def test_sctp_is_found_in_either_family_without_ethernet_padding() -> None:
    """A minimal frame's padding is not part of the packet."""
    four = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / CHUNK
    padded = Frame(time_ns=0, data=bytes(four) + bytes(12), towards_host=True)
    assert padded.network == ("10.0.0.1", "10.0.0.2", 132, bytes(CHUNK))
    six = frame(Ether() / IPv6(src="fd00::1", dst="fd00::2") / CHUNK)
    assert six.network == ("fd00::1", "fd00::2", 132, bytes(CHUNK))
    assert six.sctp == bytes(CHUNK)


def test_other_frames_are_not_sctp() -> None:
    """ARP has no addresses to give, UDP no SCTP, a torso neither."""
    assert frame(Ether() / ARP()).network is None
    assert frame(Ether() / IP() / UDP()).sctp is None
    assert Frame(time_ns=0, data=bytes(Ether() / IP())[:20], towards_host=True).network is None


def test_pcap_is_what_other_tools_read(tmp_path: Path) -> None:
    """Nanosecond time and bytes survive."""
    capture = Capture("nowhere", "none")
    capture.frames = [frame(Ether() / IP() / CHUNK)] * 2
    capture.write(tmp_path / "x.pcap")
    read = rdpcap(str(tmp_path / "x.pcap"))
    assert [bytes(packet) for packet in read] == [one.data for one in capture.frames]
    assert int(read[0].time * 10**9) == capture.frames[0].time_ns
