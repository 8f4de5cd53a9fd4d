"""Maps as a whole: what batches write, batches read."""

import pytest

from lb.bpf import MapType, create_map

pytestmark = pytest.mark.root
NO_PREALLOC = 1


def test_a_map_is_read_whole() -> None:
    """More elements than one batch holds, each once; none of an empty map; fewer after a deletion."""
    made = create_map(
        MapType.HASH, key_size=8, value_size=4, max_entries=200_000, flags=NO_PREALLOC, name="whole"
    )
    assert made.items() == {}
    keys = [i.to_bytes(8, "little") for i in range(150_000)]
    values = [i.to_bytes(4, "little") for i in range(150_000)]
    made.update_batch(keys, values)
    assert made.items() == dict(zip(keys, values, strict=True))
    made.delete_batch(keys[1:])
    assert made.items() == {keys[0]: values[0]}
    made.close()
