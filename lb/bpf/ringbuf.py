"""The consumer's side of a BPF ring buffer (Documentation/bpf/ringbuf.rst), by shared memory and epoll."""

import mmap
import select
import struct

from lb.bpf.maps import Map

HEADER = 8
BUSY, DISCARD = 1 << 31, 1 << 30


class RingBuffer:
    """Records as the datapath submitted them. ``fileno`` becomes readable when there are some."""

    def __init__(self, ring: Map) -> None:
        size = ring.info.max_entries
        page = mmap.PAGESIZE
        self._mask = size - 1
        self._consumer = mmap.mmap(ring.fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._producer = mmap.mmap(ring.fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._poll = select.epoll()
        self._poll.register(ring.fd, select.EPOLLIN)

    def fileno(self) -> int:
        """For an event loop's reader."""
        return self._poll.fileno()

    def read(self) -> list[bytes]:
        """All records that are there; never waits."""
        (at,) = struct.unpack_from("=Q", self._consumer)
        (end,) = struct.unpack_from("=Q", self._producer)
        records: list[bytes] = []
        while at < end:
            start = mmap.PAGESIZE + (at & self._mask)
            (length,) = struct.unpack_from("=I", self._producer, start)
            if length & BUSY:
                break
            size = length & ~(BUSY | DISCARD)
            if not length & DISCARD:
                records.append(self._producer[start + HEADER : start + HEADER + size])
            at += HEADER + (size + 7) // 8 * 8
            struct.pack_into("=Q", self._consumer, 0, at)
        return records

    def close(self) -> None:
        """Stop listening; the buffer itself stays."""
        self._poll.close()
        self._consumer.close()
        self._producer.close()
