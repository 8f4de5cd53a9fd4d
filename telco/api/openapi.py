"""The description of the API: a schema and an example for each body, answer and error."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import Field, TypeAdapter

from telco import resources, shapes
from telco.api.examples import ERROR_EXAMPLES, EXAMPLES

PROBLEM_MEDIA = "application/problem+json"
Document = Annotated[
    list[Annotated[resources.Resource, Field(discriminator="kind")]],
    Field(description="a whole policy, or a part of one"),
]
SHAPES: dict[str, Any] = {
    "Policy": Document,
    "PoolResource": resources.PoolResource,
    "ServiceResource": resources.ServiceResource,
    "Resource": shapes.Resource,
    "Resources": list[shapes.Resource],
    "Applied": shapes.Applied,
    "Status": shapes.Status,
    "Stats": shapes.Stats,
    "Associations": list[shapes.Association],
    "Event": shapes.Event,
    "ProblemDocument": shapes.ProblemDocument,
}
REFERENCE = "#/components/schemas/{model}"
ETAG = {"ETag": {"description": "the policy's revision", "schema": {"type": "string"}}}
CHANGE = (401, 404, 412, 413, 415, 422, 429, 503, 507)
ASK = (401, 404, 422, 429, 507)


def reference(name: str) -> dict[str, str]:
    """A schema by its name."""
    return {"$ref": REFERENCE.format(model=name)}


def body(*names: str) -> dict[str, Any]:
    """A request's body: one of these shapes, as JSON or YAML."""
    schemas = [reference(name) for name in names]
    content: dict[str, Any] = {
        "schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas},
        "examples": {name: {"value": EXAMPLES[name]} for name in names},
    }
    text = {"schema": {"type": "string"}, "example": EXAMPLES["yaml"]}
    return {
        "requestBody": {"required": True, "content": {"application/json": content, "application/yaml": text}}
    }


def answer(
    name: str, *errors: int, text: str = "done", media: str = "application/json", etag: bool = False
) -> dict[int | str, dict[str, Any]]:
    """What a request is answered with: a shape (or plain text), and problems."""
    schema = reference(name) if name in SHAPES else {"type": "string"}
    found: dict[int | str, dict[str, Any]] = {
        200: {
            "description": text,
            "content": {media: {"schema": schema, "example": EXAMPLES[name]}},
            **({"headers": ETAG} if etag else {}),
        }
    }
    for status in errors:
        example = ERROR_EXAMPLES[status]
        found[status] = {
            "description": example["detail"],
            "content": {PROBLEM_MEDIA: {"schema": reference("ProblemDocument"), "example": example}},
        }
    return found


def components() -> Mapping[str, Any]:
    """Every schema by name."""
    made, shared = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(shape)) for name, shape in SHAPES.items()], ref_template=REFERENCE
    )
    named = {
        name: schema for (name, _), schema in made.items() if schema.get("$ref") != reference(name)["$ref"]
    }
    return {**shared["$defs"], **named}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document at /openapi.json, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        made["components"] = {
            "schemas": components(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        }
        made["security"] = [{}, {"token": []}]  # the unix socket asks for none
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"] = {
                    status: found
                    for status, found in operation["responses"].items()
                    if "HTTPValidationError" not in str(found)
                }
        app.openapi_schema = made
    return app.openapi_schema
