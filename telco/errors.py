"""What the product refuses, with the words for it.

TelcoError
├── PolicyError       a document that cannot become policy: a list of problems
├── ConflictError     somebody else changed the policy meanwhile
├── NotFoundError     no such kind or resource
├── StoreError        the state directory cannot be read or written
├── HostError         the machine lacks something, or another process has it
└── ConfigError       the daemon's own settings
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong: where, what was there, what would be right."""

    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: {self.value}: {self.allowed}"


class TelcoError(Exception):
    """Root of the tree."""


class PolicyError(TelcoError):
    """Nothing of the document was applied."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        shown = "; ".join(map(str, problems[:5]))
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        super().__init__(shown + more)
        self.problems = tuple(problems)


class ConflictError(TelcoError):
    """The revision is not the one that the caller saw."""


class NotFoundError(TelcoError):
    """Names what there is instead."""


class StoreError(TelcoError):
    """One sentence about the file and the reason."""


class HostError(TelcoError):
    """One sentence about what is missing, or who has it."""


class ConfigError(TelcoError):
    """One sentence about the setting, its value and what is allowed."""
