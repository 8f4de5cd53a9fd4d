"""The OpenAPI document is complete and true: examples fit the shapes, answers fit the document, nothing gives a 500."""

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import TypeAdapter
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from telco.api.examples import ERROR_EXAMPLES, EXAMPLES
from telco.api.openapi import SHAPES
from telco.policy import Limits
from telco.resources import parse
from tests.product.conftest import Build

pytestmark = pytest.mark.root
EXAMPLES_EACH = 500 if os.environ.get("FUZZ") == "long" else 50
LIMITS = Limits(services=64, endpoints=64, vip_ports=256)


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every operation by its name."""
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


@pytest.mark.parametrize("name", SHAPES)
def test_examples_fit_their_shapes(name: str) -> None:
    """Every field of them, and no other."""
    shape = TypeAdapter(SHAPES[name])
    if name == "ProblemDocument":
        for status, example in ERROR_EXAMPLES.items():
            assert shape.validate_python(example)["status"] == status
    else:
        found = shape.dump_python(shape.validate_python(EXAMPLES[name]), mode="json", exclude_unset=True)
        assert found == EXAMPLES[name]


def test_yaml_example_is_the_json_one() -> None:
    """In the other spelling."""
    assert parse(EXAMPLES["yaml"].encode(), yaml_text=True) == TypeAdapter(SHAPES["Policy"]).validate_python(
        EXAMPLES["Policy"]
    )


def test_every_body_and_answer_has_a_schema_and_an_example(build: Build) -> None:
    """Errors too."""
    document = build()[1].openapi()
    names = set(document["components"]["schemas"])
    found = operations(document)
    assert len(found) == 15
    for name, operation in found:
        contents = [
            answer["content"] for answer in operation["responses"].values() if "content" in answer
        ] + [operation["requestBody"]["content"] for _ in range("requestBody" in operation)]
        assert len(contents) >= len(operation["responses"]), name
        for content in contents:
            for media, part in content.items():
                assert part["schema"], (name, media)
                assert part.get("example") is not None or part.get("examples"), (name, media)
        for reference in _references(operation):
            assert reference.rpartition("/")[2] in names
    assert all(reference.rpartition("/")[2] in names for reference in _references(document["components"]))


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for part in value.values() for found in _references(part)]
    return [found for part in value for found in _references(part)] if isinstance(value, list) else []


def test_no_request_gives_a_500_and_every_answer_is_as_described(build: Build) -> None:
    """Requests made from the document, right ones and wrong ones, to the application over the real engine."""
    _, app = build(limits=LIMITS)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path_regex="/events$")
    tested = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        strategy = found.ok().as_strategy()

        @given(case=strategy)
        @settings(
            max_examples=EXAMPLES_EACH,
            deadline=None,
            database=None,
            derandomize=EXAMPLES_EACH < 100,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            case.call_and_validate(
                excluded_checks=[positive_data_acceptance]
            )  # no schema knows which pools exist

        ask()
        tested += 1
    assert tested == 14
