"""The echo client's book-keeping: nothing is lost, damaged, doubled or late without being counted."""

from free5gc_lab.programs.tracker import Tracker, payload


def made(*, ordered: bool = True, streams: int = 1) -> Tracker:
    return Tracker(size=32, streams=streams, ordered=ordered)


def test_every_echo_is_matched_to_its_message() -> None:
    """Deliveries, round trips and the longest pause come from the times given."""
    tracker = made()
    first, stream = tracker.next(1.0)
    second, _ = tracker.next(1.5)
    tracker.echoed(first, stream, 1.25)
    tracker.echoed(second, stream, 3.25)
    report = tracker.report()
    assert (report["sent"], report["delivered"], report["waiting"]) == (2, 2, 0)
    assert (report["max_gap_ms"], report["gap_at_s"]) == (2000.0, 1.25)
    assert report["rtt_p50_ms"] == 1750.0


def test_changed_byte_cut_tail_and_wrong_stream_are_damage() -> None:
    """An echo counts only if it is the very message on its very stream."""
    tracker = made(streams=2)
    data, stream = tracker.next(0.0)
    tracker.echoed(data[:-1] + bytes([data[-1] ^ 1]), stream, 0.1)
    tracker.echoed(data[:-1], stream, 0.1)
    tracker.echoed(data, stream + 1, 0.1)
    tracker.echoed(b"", stream, 0.1)
    assert tracker.damaged == 4
    assert tracker.delivered == 0


def test_overtaking_counts_only_within_a_stream_and_only_where_ordered() -> None:
    """Streams are independent (RFC 9260 §6.5); unordered messages have no order (§6.6)."""
    for ordered, expected in ((True, 1), (False, 0)):
        tracker = made(ordered=ordered, streams=2)
        sent = [tracker.next(0.0) for _ in range(4)]
        for number in (3, 2, 0, 1):
            tracker.echoed(*sent[number], 0.1)
        assert tracker.reordered == expected * 2, "0 after 2 and 1 after 3"


def test_second_copy_is_a_duplicate() -> None:
    """An echo of an echoed message is not a delivery."""
    tracker = made()
    data, stream = tracker.next(0.0)
    tracker.echoed(data, stream, 0.1)
    tracker.echoed(data, stream, 0.2)
    assert (tracker.delivered, tracker.duplicates) == (1, 1)


def test_overdue_message_is_lost_until_it_comes_after_all() -> None:
    """Patience decides; a late echo takes the loss back."""
    tracker = made()
    data, stream = tracker.next(0.0)
    tracker.give_up(0.9, 1.0)
    assert tracker.lost == 0
    tracker.give_up(1.1, 1.0)
    assert (tracker.lost, len(tracker.waiting)) == (1, 0)
    tracker.echoed(data, stream, 2.0)
    assert (tracker.lost, tracker.delivered, tracker.duplicates) == (0, 1, 0)


def test_payloads_differ_and_are_as_long_as_asked() -> None:
    """Neither a swap nor a cut can go unseen."""
    assert len({payload(number, 64) for number in range(100)}) == 100
    assert len(payload(7, 60_000)) == 60_000
