"""From bytes to plain values: JSON or YAML, bounded in depth and in what aliases multiply, no key twice."""

import json
from collections.abc import Sequence
from reprlib import Repr
from typing import Any, NoReturn

import yaml
from yaml._yaml import CParser
from yaml.composer import Composer, ComposerError
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from telco.errors import PolicyError, Problem

MAX_DEPTH = 32  # a policy needs seven
MAX_ALIASED = 100_000  # values that aliases stand for, in one body
SHOWN = 60  # characters of a value in a message


class _Short(Repr):
    """Values in messages: whatever was sent, a line of it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring, self.maxother = 3, 4, 4, SHOWN, SHOWN

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write very large numbers out."""
        return hex(x) if x.bit_length() > 1000 else super().repr_int(x, level)


def short(value: object) -> str:
    """A value as a message quotes it."""
    text = value[:SHOWN].decode(errors="replace") if isinstance(value, bytes) else _Short().repr(value)
    text = text.encode(errors="backslashreplace").decode()  # lone surrogates cannot be sent
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def bad_body(body: bytes, allowed: str) -> PolicyError:
    """A body that is no document at all."""
    return PolicyError([Problem(field="body", value=short(body), allowed=allowed)])


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{short(twice)} is there twice in one object")
    return made


def read_json(body: bytes) -> object:
    """One JSON value. Raises PolicyError."""
    try:
        return json.loads(body, parse_constant=_no_constant, object_pairs_hook=_once)
    except RecursionError as error:
        raise bad_body(body, "JSON: less deeply nested values") from error
    except ValueError as error:
        raise bad_body(body, f"JSON: {error}") from error


class _Loader(Composer, CParser, SafeConstructor, Resolver):
    """libyaml's events, PyYAML's safe values; nodes are made here, where they can be counted."""

    def __init__(self, body: bytes) -> None:
        CParser.__init__(self, body)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self._depth = self._made = self._aliased = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node, everything below it included."""
        event: Any = self.peek_event()
        anchor, before = event.anchor, self._made
        if isinstance(event, yaml.AliasEvent):
            self._alias(anchor, event.start_mark)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ComposerError(None, None, f"more than {MAX_DEPTH} levels deep", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._made += 1
        if anchor is not None:
            self._sizes.setdefault(anchor, self._made - before)
        return node

    def _alias(self, anchor: str, mark: Any) -> None:
        if anchor in self.anchors and anchor not in self._sizes:
            raise ComposerError(None, None, f"alias {anchor!r} contains itself", mark)
        grown = self._sizes.get(anchor, 0)
        self._made += grown
        self._aliased += grown
        if self._aliased > MAX_ALIASED:
            raise ComposerError(None, None, f"aliases stand for more than {MAX_ALIASED} values", mark)

    def compose_document(self) -> yaml.Node | None:
        """Anchors hold within one document."""
        self._sizes = {}
        return super().compose_document()

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping has no key twice; PyYAML would take the last."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ComposerError(
                        None, None, f"{short(key.value)} is there twice in one mapping", key.start_mark
                    )
                seen.add(key.value)
        return node


def read_yaml(body: bytes) -> Sequence[object]:
    """Every document that is not empty; one that is a list stands for its items. Raises PolicyError."""
    try:
        loader: Any = _Loader(body)
        try:
            found = []
            while loader.check_data():
                found.append(loader.get_data())
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise bad_body(body, f"YAML: {reason}") from error
    documents = [document for document in found if document is not None]
    if not documents:
        raise bad_body(body, "at least one resource; to remove everything, push the empty list []")
    return documents[0] if len(documents) == 1 and isinstance(documents[0], list) else documents
