"""What is recorded of the compiled programs: their cost to the verifier, and what pinned maps hold.

``make record`` writes both files anew.
"""

import json
import platform
import sys
from pathlib import Path
from typing import Any

from lb.bpf import Btf, program_info
from lb.bpf.btf import ARRAY, ENUM, INT, POINTER, STRUCT, UNION
from lb.datapath.objects import OBJECTS, Datapath, Sizes, object_directory

HERE = Path(__file__).parent
LAYOUT, VERIFIER = HERE / "layout.json", HERE / "verifier.json"
ENUMS = (
    "state",
    "mode",
    "pick",
    "refusal",
    "entry_flag",
    "index_kind",
    "endpoint_admin",
    "reason",
)  # in maps
NAMED = ("address", "addresses", "pairs")  # structs that many others contain: written out once
SCRATCH = {"works"}  # nothing of one packet is read by the next: only the size must fit
MAPS = ".maps"
DATASEC, VAR = 15, 14
NAMES = {1: "hash", 2: "array", 6: "per-cpu array", 9: "LRU hash", 11: "LPM trie", 12: "array of maps"}
NAMES |= {22: "queue", 27: "ring buffer"}

Record = dict[str, Any]


def kernel() -> str:
    """Major and minor version: the verifier changes with both."""
    return ".".join(platform.release().split(".")[:2])


def read(path: Path) -> Record:
    """One of the two files."""
    found: Record = json.loads(path.read_text()) if path.exists() else {}
    return found


def costs() -> Record:
    """Instructions that the verifier walked, and bytes of the translated program, of each shipped program."""
    datapath = Datapath(sizes=Sizes(conversations=256, handshakes=128, services=64, endpoints=64))
    try:
        infos = {name: program_info(descriptor) for name, descriptor in sorted(datapath.programs.items())}
    finally:
        datapath.close()
    return {
        name: {"verified": info.verified_instructions, "translated": info.translated_bytes}
        for name, info in infos.items()
    }


class Layouts:
    """What the maps of one object hold, from its BTF."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf

    def maps(self) -> Record:
        """Every map that the object declares, by name."""
        section = self._btf._find(MAPS, {DATASEC})
        found: Record = {}
        for number, _, _ in section.members:
            variable = self._btf._types[number]
            definition, _ = self._btf._resolve(variable.target)
            found[variable.name] = self._map(definition.members)
        return found

    def named(self) -> Record:
        """The structs that others contain."""
        return {
            name: self.type(self._btf._types.index(self._btf._find(name, {STRUCT})), whole=True)
            for name in NAMED
        }

    def _map(self, members: tuple[tuple[int, ...], ...]) -> Record:
        found: Record = {}
        for name, target, _ in members:
            word, pointed = self._btf._name(name), self._pointed(target)
            if word in {"key", "value"}:
                found[word] = {"bytes": self._btf._size(pointed), "holds": self.type(pointed)}
            elif word in {"type", "max_entries"}:
                (_, _, count), *_ = self._btf._types[pointed].members
                found[word] = NAMES[count] if word == "type" else count
        return found

    def _pointed(self, number: int) -> int:
        found, _ = self._btf._resolve(number)
        return found.target if found.kind == POINTER else number

    def type(self, number: int, *, whole: bool = False) -> Any:
        """A type in words; of a struct or union each member with its offset, as 'offset name' → type."""
        found, order = self._btf._resolve(number)
        if found.name in NAMED and not whole:
            return found.name
        if found.kind in {STRUCT, UNION}:
            return {
                f"{(bits & 0xFFFFFF) // 8} {self._btf._name(name)}": self.type(target)
                for name, target, bits in found.members
            }
        if found.kind == ARRAY:
            element, _, count = found.members[0]
            return [count, self.type(element)]
        if found.kind in {INT, ENUM}:
            return f"{'big' if order == '>' else 'host'} {found.size}"
        return f"kind {found.kind}"


def layouts() -> Record:
    """What every pinned map holds, and the numbers that are stored in them; sizes set by configuration left out."""
    resized = Sizes().entries()
    found: Record = {}
    for name in OBJECTS:
        found |= Layouts(Btf.of_object(object_directory() / f"{name}.bpf.o")).maps()
    for name in resized:
        found[name].pop("max_entries", None)
    for name in SCRATCH:
        found[name]["value"].pop("holds")
    control = Btf.of_object(object_directory() / "control.bpf.o")
    enums = {name: control.enum(name) for name in ENUMS}
    return {"maps": found, "structs": Layouts(control).named(), "enums": enums}


def version() -> int:
    """LAYOUT_VERSION, as compiled."""
    return Btf.of_object(object_directory() / "control.bpf.o").enum("layout")["LAYOUT_VERSION"]


def differences(before: Any, now: Any, where: str = "") -> list[str]:
    """Places in which two records differ, named by their path."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return [] if before == now else [f"{where}: {before!r} became {now!r}"]
    found = [f"{where}/{name} is gone" for name in sorted(before.keys() - now.keys())]
    found += [f"{where}/{name} is new" for name in sorted(now.keys() - before.keys())]
    for name in sorted(before.keys() & now.keys()):
        found += differences(before[name], now[name], f"{where}/{name}")
    return found


def complaint(recorded: Record, number: int, now: Record) -> str:
    """What is wrong with layout version ``number`` that holds ``now``; '' if it is as recorded."""
    changed = differences({k: recorded.get(k) for k in now}, now)
    if recorded.get("version") != number:
        return f"layout version {number} is not recorded: make record"
    if changed:
        return "\n".join(["what pinned maps hold has changed: raise LAYOUT_VERSION in bpf/types.h", *changed])
    return ""


def dearer(before: Record, now: Record, allowed: float) -> list[str]:
    """Programs that cost more than ``allowed`` times what was recorded, and programs that come or went."""
    found = [f"{name} is not recorded" for name in sorted(now.keys() - before.keys())]
    found += [f"{name} is gone" for name in sorted(before.keys() - now.keys())]
    for name in sorted(before.keys() & now.keys()):
        for what, was in before[name].items():
            if now[name][what] > was * allowed:
                found.append(f"{name}: {what} {was} became {now[name][what]}")
    return found


def table(before: Record, now: Record) -> str:
    """Both costs of each program, recorded and now."""
    lines = [f"{'program':12} {'':12} {'recorded':>10} {'now':>10} {'change':>8}"]
    for name, figures in now.items():
        for what, value in figures.items():
            was = before.get(name, {}).get(what, 0)
            change = f"{value / was - 1:+.1%}" if was else "new"
            lines.append(f"{name:12} {what:12} {was:10,} {value:10,} {change:>8}")
    return "\n".join(lines)


def write(path: Path, record: Record) -> None:
    """As text that diffs well."""
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def main() -> int:
    """Record both; a changed layout only under a new version."""
    recorded, number, now = read(LAYOUT), version(), layouts()
    if recorded.get("version") == number and (wrong := complaint(recorded, number, now)):
        sys.stderr.write(wrong + "\n")
        return 1
    write(LAYOUT, {"version": number, **now})
    before, costly = read(VERIFIER), costs()
    sys.stdout.write(table(before.get(kernel(), {}), costly) + "\n")
    write(VERIFIER, before | {kernel(): costly})
    return 0


if __name__ == "__main__":
    sys.exit(main())
