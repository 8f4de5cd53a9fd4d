"""What must hold of a datapath's tables at rest, checked through shared memory and sharing no code with them."""

from collections import Counter
from struct import pack

from bench.world import World

FREE, BUSY, TOMB = 0, 0x10000, 0x20000
NO_SLOT = 0xFFFFFFFF
PORT, PEER = 1, 3  # enum index_kind


def keys_in(memory: memoryview, step: int) -> list[int]:
    """The first word of every slot."""
    return list(memory.cast("Q")[:: step // 8])


def conversations(here: World) -> dict[int, dict[str, int]]:
    """Records of established associations, by number."""
    layout, memory = here.datapath.btf.layout("conversation"), here.maps["conversations"].memory()
    step = (layout.size + 7) // 8 * 8
    established = here.datapath.btf.enum("state")["STATE_ESTABLISHED"]
    wanted = (
        "client_tag",
        "server_tag",
        "client_port",
        "service_port",
        "our_port",
        "server_port",
        "forward",
        "reverse",
    )
    return {
        number: {name: layout.number(memory, name, number * step) for name in wanted}
        for number in range(len(memory) // step)
        if layout.number(memory, "state", number * step) == established
    }


def key_of(sport: int, dport: int, tag: int) -> int:
    """A key as the table has it: ports and tag as on the wire."""
    return int.from_bytes(pack(">HH", sport, dport) + pack("=I", tag), "little")


def broken(here: World, *, live: int) -> Counter[str]:
    """Violations by name, none if all is well; ``live``: how many associations there should be."""
    found: Counter[str] = Counter()
    keys = keys_in(here.maps["table"].memory(), 64)
    overflowed = {
        int.from_bytes(key[:8], "little")
        for key in here.maps["overflow"].keys()  # noqa: SIM118  # a map, no dict
    }
    there = Counter(key for key in keys if key not in {FREE, BUSY, TOMB})
    known = conversations(here)
    found["table slots left busy"] = keys.count(BUSY)
    found["keys twice in the table"] = sum(count - 1 for count in there.values())
    found["associations too many or too few"] = abs(len(known) - live)
    wanted: set[int] = set()
    for record in known.values():
        forward = key_of(record["client_port"], record["service_port"], record["server_tag"])
        reverse = key_of(record["server_port"], record["our_port"], record["client_tag"])
        for key, slot in ((forward, record["forward"]), (reverse, record["reverse"])):
            placed = slot != NO_SLOT and keys[slot] == key
            found["entries not where their association says"] += not placed and key not in overflowed
            wanted.add(key)
    found["entries of no association"] = len((there.keys() | overflowed) - wanted)
    found.update(_index(here, live))
    return +found


def _index(here: World, live: int) -> Counter[str]:
    """Each association holds one port and one client address, and nothing else holds any."""
    words = here.maps["index_table"].memory().cast("Q")
    slots = list(zip(words[::2], words[1::2], strict=True))
    kinds = Counter(value >> 56 for key, value in slots if key not in {FREE, BUSY, TOMB})
    held = Counter((key, value >> 56) for key, value in slots if key not in {FREE, BUSY, TOMB})
    return Counter(
        {
            "index slots left busy": sum(key == BUSY for key, _ in slots),
            "index words twice": sum(count - 1 for count in held.values()),
            "ports held too many or too few": abs(kinds[PORT] - live),
            "client addresses too many or too few": abs(kinds[PEER] - live),
        }
    )
