"""Writes docs/policy.md from the models: every field, what it may be, its default.

`python tools/policy_docs.py` writes; `--check` says whether the page is current.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from telco.api.examples import POLICY as EXAMPLE
from telco.resources import PoolSpec, ServiceSpec

PAGE = Path(__file__).parents[1] / "docs" / "policy.md"
HEAD = """# Policy reference

Made from the models by `make docs`. A policy is a list of resources `{kind, name, spec}`, in JSON or YAML; names are
letters, digits, `.`, `_` and `-`, at most 63. Unknown fields are errors. Durations are seconds, or a number and `ms`,
`s`, `min` or `h`. What all of this means: [concepts](concepts.md).
"""


def _allowed(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a field may be, in words."""
    if "$ref" in schema:
        found = definitions[schema["$ref"].rpartition("/")[2]]
        return ", ".join(f"`{value}`" for value in found["enum"]) if "enum" in found else "see below"
    if "anyOf" in schema:
        if any(one.get("type") == "number" for one in schema["anyOf"]):
            return "duration"
        parts = [_allowed(one, definitions) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if schema.get("type") == "array":
        many = (
            f"{schema.get('minItems', 0)} to {schema['maxItems']}" if "maxItems" in schema else "any number"
        )
        return f"list of {many}: {_allowed(schema['items'], definitions)}"
    bounds = [
        f"{word} {schema[key]:g}"
        for key, word in (
            ("exclusiveMinimum", "above"),
            ("minimum", "from"),
            ("maximum", "to"),
        )
        if key in schema
    ]
    kind = {"string": "text", "integer": "whole number", "number": "duration"}.get(schema.get("type", ""), "")
    return " ".join([kind, *bounds]).strip()


def _rows(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        default = field.get("default")
        shown = "**required**" if name in required else f"`{default}`" if default is not None else ""
        if isinstance(default, dict):
            shown = "as below"
        yield f"| `{name}` | {_allowed(field, definitions)} | {shown} | {field.get('description', '')} |"


def _table(title: str, schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    yield f"## {title}\n\n{schema.get('description', '')}\n"
    yield "| field | may be | default | |\n|---|---|---|---|"
    yield from _rows(schema, definitions)
    yield ""


def page() -> str:
    """The whole page."""
    lines = [HEAD, "```yaml", yaml.safe_dump_all(EXAMPLE, sort_keys=False).strip(), "```", ""]
    for model in (PoolSpec, ServiceSpec):
        schema = model.model_json_schema()
        definitions = schema.get("$defs", {})
        lines += _table(f"{model.__name__.removesuffix('Spec')}", schema, definitions)
        for name, part in definitions.items():
            if "properties" in part:
                lines += _table(
                    f"{model.__name__.removesuffix('Spec')}: {name.removesuffix('Spec')}", part, definitions
                )
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the page, or with --check compare it."""
    wanted = page()
    if "--check" in sys.argv[1:]:
        current = PAGE.exists() and PAGE.read_text() == wanted
        print("docs/policy.md is current" if current else "docs/policy.md is old: run `make docs`")  # noqa: T201
        return 0 if current else 1
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
