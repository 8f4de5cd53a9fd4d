"""`telco serve` without the command line's library: a daemon that restarts must be ready soon."""

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path

OPTIONS = {
    "--config": "config",
    "-c": "config",
    "--interface": "interface",
    "-i": "interface",
    "--attach": "attach",
    "--netns": "netns",
    "--state-dir": "state_dir",
    "--pin-dir": "pin_dir",
    "--socket": "socket",
    "--listen": "listen",
}
MANY = {"interface"}


def plain(words: Sequence[str]) -> dict[str, object] | None:
    """Options, each followed by its value; None: something else, which the library understands or refuses."""
    given: dict[str, object] = {}
    listed: dict[str, list[str]] = {name: [] for name in MANY}
    for option, value in zip(words[::2], words[1::2], strict=False):
        name = OPTIONS.get(option)
        if name is None or value.startswith("-"):
            return None
        if name in MANY:
            listed[name].append(value)
        else:
            given[name] = value
    return None if len(words) % 2 else given | {name: values for name, values in listed.items() if values}


def serve(given: Mapping[str, object]) -> None:
    """Run the daemon with these settings. Raises TelcoError."""
    gc.disable()  # until all is loaded: nothing of it is garbage
    from telco.config import load  # noqa: PLC0415
    from telco.daemon import serve as run  # noqa: PLC0415

    rest = {name: value for name, value in given.items() if name not in {"config", "interface"}}
    file = given.get("config")
    run(load(Path(str(file)) if file else None, interfaces=given.get("interface"), **rest))
