"""The table of VIPs: read through shared memory, written by the datapath's own code so that readers need not wait."""

from collections.abc import Iterable, Sequence
from itertools import chain

from lb.bpf import BpfError
from lb.datapath.objects import Datapath

SLOT_BYTES, KEY_AT, VALUE_AT = 32, 8, 28  # struct vip_slot: hash, key, value
CHANGE_BYTES = 24  # struct vip: key and value
UNUSED = {0, 0x20000}  # KEY_FREE, KEY_TOMB


class VipTable:
    """The map ``vips`` as a mapping of bytes to bytes, changed in batches. One writer at a time."""

    def __init__(self, datapath: Datapath) -> None:
        self._datapath = datapath
        self._map = datapath.maps["vips"]
        self._batch = datapath.maps["vip_changes"].info.max_entries
        self._changes = datapath.maps["vip_changes"].memory()
        self.limit = self._map.info.max_entries // 2

    def items(self) -> dict[bytes, bytes]:
        """Every key and its value."""
        found: dict[bytes, bytes] = {}
        for _, piece in self._map.stretches():
            hashes = memoryview(piece).cast("Q")[:: SLOT_BYTES // 8]
            for slot, word in enumerate(hashes):
                if word not in UNUSED:
                    start = slot * SLOT_BYTES
                    value = start + VALUE_AT
                    found[piece[start + KEY_AT : value]] = piece[value : start + SLOT_BYTES]
        return found

    def update_batch(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Set many keys. Raises BpfError where there is no room."""
        records = b"".join(chain.from_iterable(zip(keys, values, strict=True)))
        if self._change(records, remove=0) < len(keys):
            raise self.full()

    def delete_batch(self, keys: Iterable[bytes]) -> None:
        """Remove many keys that are there. Raises BpfError where one is not."""
        records = b"".join(key + b"\0\0\0\0" for key in keys)
        if self._change(records, remove=1) * CHANGE_BYTES < len(records):
            raise BpfError("vips: what is to be deleted is not there")

    def full(self) -> BpfError:
        """What to say when there is no room."""
        return BpfError(
            f"more than {self.limit} VIPs with a port or part of a port range: raise `services` and restart"
        )

    def _change(self, records: bytes, *, remove: int) -> int:
        step, changed = self._batch * CHANGE_BYTES, 0
        layout = self._datapath.btf.layout("change_vips")
        for start in range(0, len(records), step):
            part = records[start : start + step]
            self._changes[: len(part)] = part
            result = self._datapath.call("change_vips", count=len(part) // CHANGE_BYTES, remove=remove)
            changed += layout.number(result, "changed")
        return changed
