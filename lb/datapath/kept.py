"""Loaded programs that outlive the process: a restart of the same version takes them over instead of verifying anew."""

from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from lb.datapath.pins import get_pinned, pin

PREFIX = "prog_"


def fingerprint(objects: Iterable[Path]) -> str:
    """What tells the programs of one build from those of another: a few bytes, as text."""
    digest = blake2b(digest_size=6)
    for path in objects:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def keep(programs: dict[str, int], pins: Path, mark: str) -> None:
    """Pin programs by name and build; those of other builds are let go."""
    for name, descriptor in programs.items():
        with suppress(FileNotFoundError):
            (pins / f"{PREFIX}{name}_{mark}").unlink()
        pin(descriptor, pins / f"{PREFIX}{name}_{mark}")
    for path in list(pins.iterdir()):
        if path.name.startswith(PREFIX) and not path.name.endswith(mark):
            path.unlink()


def kept(names: Iterable[str], pins: Path, mark: str) -> dict[str, int]:
    """The programs of this build, by name; none unless all of them are there."""
    places = {name: pins / f"{PREFIX}{name}_{mark}" for name in names}
    if not all(path.exists() for path in places.values()):
        return {}
    return {name: get_pinned(path) for name, path in places.items()}
