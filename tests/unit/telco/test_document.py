"""Bodies that are no policy: each is refused in one sentence, in little time and memory; none ends the process."""

import json

import pytest

from telco.document import read_json, read_yaml, short
from telco.errors import PolicyError
from telco.resources import parse

POOL = b"kind: Pool\nname: amf\nspec: {endpoints: []}\n"
BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("k"))
)
HUGE = b"1" + b"0" * 5000
YAML = {
    "nothing": (b"", "push the empty list"),
    "only comments": (b"# a policy\n---\n", "push the empty list"),
    "deep lists": (b"[" * 100_000, "32 levels deep"),
    "deep mappings": (b"{a: " * 100_000, "32 levels deep"),
    "deep blocks": ("\n".join(" " * i + "a:" for i in range(1000)).encode(), "32 levels deep"),
    "bomb": (BOMB, "aliases stand for more than 100000 values"),
    "alias of itself": (b"&a [*a]", "'a' contains itself"),
    "key twice": (b"kind: Pool\nname: amf\nname: amf2\n", "'name' is there twice"),
    "null bytes": (b"\0\0", "control characters"),
    "no UTF-8": (b"kind: \xff\xfe", "invalid leading UTF-8"),
    "ten megabytes": (bytes(range(256)) * 40_000, "control characters"),
    "python objects": (b"!!python/object/apply:os.system [true]", "could not determine a constructor"),
    "bad date": (b"2024-13-45", "month must be in"),
    "bad boolean": (b"!!bool maybe", "maybe"),
    "bad hexadecimal": (b"!!int x", "invalid literal"),
    "unhashable key": (b"? [a]\n: b", "unhashable"),
}
JSON = {
    "nothing": (b"", "Expecting value"),
    "deep lists": (b"[" * 1_000_000, "less deeply nested"),
    "no number": (b'{"a": NaN}', "NaN is no JSON number"),
    "infinity": (b'{"a": -Infinity}', "-Infinity is no JSON number"),
    "long number": (HUGE, "4300 digits"),
    "key twice": (b'{"kind": "Pool", "kind": "Pool"}', "'kind' is there twice"),
    "null bytes": (b"\0" * 4096, "Expecting value"),
    "no UTF-8": (b'"\xff', "can't decode byte"),
    "ten megabytes": (b"x" * 10_000_000, "Expecting value"),
}


@pytest.mark.parametrize("case", YAML)
def test_yaml_that_is_none_is_refused(case: str) -> None:
    """With what is wrong, as the body's problem."""
    body, reason = YAML[case]
    with pytest.raises(PolicyError, match=r"YAML|at least one") as found:
        read_yaml(body)
    (problem,) = found.value.problems
    assert problem.field == "body"
    assert reason in problem.allowed
    assert len(problem.value) <= 60


@pytest.mark.parametrize("case", JSON)
def test_json_that_is_none_is_refused(case: str) -> None:
    """The same."""
    body, reason = JSON[case]
    with pytest.raises(PolicyError, match="JSON") as found:
        read_json(body)
    (problem,) = found.value.problems
    assert (problem.field, reason in problem.allowed) == ("body", True)


MANY_ITEMS = b"[" + b"0," * 5_000_000 + b"0]"
MANY_FIELDS = b'{"kind":"Pool","name":"a","spec":{%s}}' % b",".join(b'"k%d":1' % i for i in range(200_000))


@pytest.mark.parametrize("body", [MANY_ITEMS, MANY_FIELDS], ids=["items", "fields"])
def test_many_wrong_things_make_at_most_a_hundred_problems(body: bytes) -> None:
    """Each takes far more memory than what is wrong about it."""
    with pytest.raises(PolicyError) as found:
        parse(body, yaml_text=False)
    assert 1 <= len(found.value.problems) <= 100


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\u0000"', "1" + "0" * 4000, '"' + "x" * 10_000 + '"'])
def test_any_value_can_be_quoted(text: str) -> None:
    """In a line of UTF-8."""
    assert len(short(json.loads(text)).encode()) <= 60


def test_huge_yaml_numbers_can_be_quoted() -> None:
    """Hexadecimal ones escape Python's bound on digits."""
    body = (
        b"kind: Pool\nname: amf\nspec: {endpoints: [{name: a, addresses: [10.0.0.1], weight: 0x%s}]}" % HUGE
    )
    with pytest.raises(PolicyError) as found:
        parse(body, yaml_text=True)
    assert [problem.field for problem in found.value.problems] == ["Pool/amf.spec.endpoints[0].weight"]


def test_aliases_and_merge_keys_are_allowed_within_reason() -> None:
    """People share probes by them."""
    body = b"""
kind: Pool
name: amf
spec: {endpoints: [], probe: &p {type: sctp, interval: 2s}}
---
kind: Pool
name: smf
spec: {endpoints: [], probe: {<<: &q {type: ping}, rise: 5}}
"""
    pools = parse(body, yaml_text=True)
    assert [pool.model_dump()["spec"]["probe"]["type"] for pool in pools] == ["sctp", "ping"]


def test_observed_status_is_passed_over() -> None:
    """What `telco get -o yaml` shows can be applied as it is."""
    assert parse(POOL + b"status: {up: 2}\n", yaml_text=True) == parse(POOL, yaml_text=True)
