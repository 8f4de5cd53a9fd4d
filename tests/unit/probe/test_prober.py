"""The agenda of probes and what results make of it; time is an argument."""

from ipaddress import ip_address

import pytest

from lb.model import Admin, Endpoint, Mode, Pick, Policy, Pool, Probe, ProbeType, Protocol, Service
from lb.probe.prober import Prober, Target, targets

ADDRESS = ip_address("10.11.0.2")
KEY = ("amf", ADDRESS)
PROBE = Probe(type=ProbeType.SCTP, interval=1.0, timeout=0.4, rise=2, fall=3)


def target(probe: Probe = PROBE) -> Target:
    """One address."""
    return Target(pool="amf", address=ADDRESS, port=38412, probe=probe)


def run(prober: Prober, until: float, alive: list[tuple[float, float]]) -> list[tuple[float, bool]]:
    """Let time pass in steps of 10 ms; the address answers at once while alive. Gives when it went up or down."""
    changes, now = [], 0.0
    while now <= until:
        attempts, found = prober.due(now)
        for attempt in attempts:
            if any(start <= now < end for start, end in alive):
                found += prober.result(attempt.token, now, ok=True, reason="INIT ACK")
        changes += [(round(now, 2), change.up) for change in found]
        now += 0.01
    return changes


@pytest.mark.parametrize("death", [3.0 + step / 20 for step in range(20)])
def test_down_within_fall_times_interval_of_the_last_sign_of_life(death: float) -> None:
    """Wherever in the interval it dies."""
    prober = Prober()
    prober.retarget([target()], 0.0)
    ((when, up),) = run(prober, 10, [(0, death)])
    assert not up
    assert when - death <= PROBE.fall * PROBE.interval + 0.02


def test_up_again_after_rise_answers() -> None:
    """Not after the first."""
    prober = Prober()
    prober.retarget([target()], 0.0)
    (down, _), (up, verdict) = run(prober, 12, [(0, 2), (6, 99)])
    assert down < 6
    assert verdict
    assert 1.0 <= up - 6 <= 1.0 + 2 * PROBE.interval


def test_single_losses_change_nothing() -> None:
    """Two in a row are not three."""
    prober = Prober()
    prober.retarget([target()], 0.0)
    gaps = [(n * 3.0, n * 3.0 + 2.2) for n in range(10)]
    assert run(prober, 29, gaps) == []


def test_a_refusal_counts_at_once_and_is_not_repeated_at_once() -> None:
    """Three ABORTs take three timeouts, not three round trips."""
    prober = Prober()
    prober.retarget([target()], 0.0)
    now, asked = 0.0, []
    while now < 5 and prober.verdicts()[KEY].up:
        attempts, _ = prober.due(now)
        for attempt in attempts:
            asked.append(now)
            prober.result(attempt.token, now, ok=False, reason="refused by ABORT")
        now += 0.01
    assert len(asked) == 3
    assert asked[1] - asked[0] == pytest.approx(PROBE.timeout, abs=0.011)
    assert prober.verdicts()[KEY].reason == "refused by ABORT"


def test_late_and_foreign_answers_are_nothing() -> None:
    """A token counts once, in its time."""
    prober = Prober()
    prober.retarget([target()], 0.0)
    (attempt,), _ = prober.due(1.0)
    assert prober.result(attempt.token ^ 1, 1.1, ok=False, reason="") == []
    assert prober.asked(attempt.token) == target()
    prober.due(1.0 + PROBE.timeout)
    assert prober.asked(attempt.token) is None
    assert prober.result(attempt.token, 2.0, ok=True, reason="") == []


def test_a_changed_probe_keeps_the_verdict_and_a_removed_one_frees_it() -> None:
    """Down stays down until the new probe says otherwise; what nobody probes is up."""
    prober = Prober(lambda *_: False)
    assert prober.retarget([target()], 0.0) == []
    assert not prober.verdicts()[KEY].up
    prober.retarget([target(Probe(type=ProbeType.PING, interval=2.0))], 1.0)
    assert not prober.verdicts()[KEY].up
    (change,) = prober.retarget([], 2.0)
    assert (change.pool, change.address, change.up) == ("amf", ADDRESS, True)
    assert prober.due(99.0) == ([], [])


def test_first_questions_are_spread() -> None:
    """A thousand endpoints are not asked in one instant."""
    prober = Prober()
    many = [
        Target(pool="p", address=ip_address(i), port=1, probe=PROBE) for i in range(1 << 24, (1 << 24) + 1000)
    ]
    prober.retarget(many, 0.0)
    early = len(prober.due(0.1)[0])
    assert 50 < early < 200


def test_targets_of_a_policy() -> None:
    """Every address of endpoints that are not down, at the endpoint's port or the pool's service's."""
    endpoints = (
        Endpoint(name="a", addresses=(ADDRESS, ip_address("10.12.0.2"))),
        Endpoint(name="b", addresses=(ip_address("10.11.0.3"),), port=36412),
        Endpoint(name="c", addresses=(ip_address("10.11.0.4"),), admin=Admin.DOWN),
    )
    service = Service(
        name="n2",
        vips=(ip_address("10.100.0.1"),),
        protocol=Protocol.SCTP,
        port=38412,
        last_port=38412,
        mode=Mode.FULLNAT,
        pick=Pick.ROUND_ROBIN,
        pool="amf",
    )
    made = Policy(
        pools={
            "amf": Pool(name="amf", endpoints=endpoints, probe=PROBE),
            "quiet": Pool(name="quiet", endpoints=endpoints),
        },
        services={"n2": service},
    )
    assert [(str(one.address), one.port) for one in targets(made)] == [
        ("10.11.0.2", 38412),
        ("10.12.0.2", 38412),
        ("10.11.0.3", 36412),
    ]
