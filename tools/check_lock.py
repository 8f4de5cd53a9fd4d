"""The lock file names versions and hashes only: no index, no host, and every dependency of pyproject.toml."""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def requirement_name(text: str) -> str:
    """The normalised distribution name that a requirement line starts with (PEP 503)."""
    match = re.match(r"[A-Za-z0-9._-]+", text)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def problems() -> list[str]:
    """What is wrong with requirements.lock, one sentence each; empty when it is right."""
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {requirement_name(line) for line in lock.splitlines() if re.match(r"[a-z0-9]", line)}
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    found = [f"{name} is not locked" for name in map(requirement_name, wanted) if name not in locked]
    if re.search(r"--(extra-)?index-url|https?://", lock):
        found.append("requirements.lock names a package index: lock versions and hashes only")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or None)
