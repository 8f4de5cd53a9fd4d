"""Compiled BPF objects: opened, sized and configured by name, then loaded through libbpf."""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from lb.bpf.btf import Btf
from lb.bpf.btf import constants as object_constants
from lb.bpf.errors import BpfError, LoadError, UnsupportedError
from lb.bpf.maps import Map

LOG_BYTES = 1 << 20
ENOENT = 2

_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


_silent = _PRINT(lambda _level, _format, _arguments: 0)  # kept: libbpf holds no reference


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise UnsupportedError("libbpf.so.1 is missing: install the package libbpf1") from error
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    for name, result, arguments in (
        ("bpf_object__open_file", pointer, [text, pointer]),
        ("bpf_object__load", ctypes.c_int, [pointer]),
        ("bpf_object__close", None, [pointer]),
        ("bpf_object__next_map", pointer, [pointer, pointer]),
        ("bpf_object__next_program", pointer, [pointer, pointer]),
        ("bpf_map__name", text, [pointer]),
        ("bpf_map__fd", ctypes.c_int, [pointer]),
        ("bpf_map__set_max_entries", ctypes.c_int, [pointer, ctypes.c_uint32]),
        ("bpf_map__reuse_fd", ctypes.c_int, [pointer, ctypes.c_int]),
        ("bpf_map__initial_value", pointer, [pointer, ctypes.POINTER(size)]),
        ("bpf_program__name", text, [pointer]),
        ("bpf_program__fd", ctypes.c_int, [pointer]),
        ("bpf_program__set_log_buf", ctypes.c_int, [pointer, pointer, size]),
        ("bpf_program__set_log_level", ctypes.c_int, [pointer, ctypes.c_uint32]),
        ("libbpf_set_print", pointer, [_PRINT]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.libbpf_set_print(_silent)
    return library


class BpfObject:
    """An object file between open and close: configure, then ``load``; afterwards ``maps`` and ``programs``."""

    def __init__(self, path: Path) -> None:
        if os.geteuid():
            raise UnsupportedError("loading BPF programs needs root")
        self._library = _library()
        self.path = path
        self._object = self._library.bpf_object__open_file(str(path).encode(), None)
        if not self._object:
            raise BpfError(f"open {path}", ctypes.get_errno())
        self._maps = {self._library.bpf_map__name(m).decode(): m for m in self._walk("map")}
        self._programs = {self._library.bpf_program__name(p).decode(): p for p in self._walk("program")}
        self._log = ctypes.create_string_buffer(LOG_BYTES)
        self.btf = Btf.of_object(path)
        self.maps: dict[str, Map] = {}
        self.programs: dict[str, int] = {}

    def _walk(self, kind: str) -> list[int]:
        following = getattr(self._library, f"bpf_object__next_{kind}")
        found: list[int] = []
        while at := following(self._object, found[-1] if found else None):
            found.append(at)
        return found

    def _map(self, name: str) -> int:
        if name not in self._maps:
            raise BpfError(f"{self.path.name} has no map {name!r}; it has {', '.join(sorted(self._maps))}")
        return self._maps[name]

    @property
    def map_names(self) -> set[str]:
        """Maps that the object declares, its own sections apart."""
        return {name for name in self._maps if "." not in name}

    @property
    def program_names(self) -> set[str]:
        """Programs that the object declares."""
        return set(self._programs)

    def resize(self, sizes: Mapping[str, int]) -> None:
        """Set ``max_entries`` of maps that the object has; others are passed over."""
        for name, entries in sizes.items():
            if name in self._maps and self._library.bpf_map__set_max_entries(self._maps[name], entries):
                raise BpfError(f"set the size of {name} to {entries}", ctypes.get_errno())

    def reuse(self, name: str, descriptor: int) -> None:
        """Use an existing map in place of the declared one."""
        if self._library.bpf_map__reuse_fd(self._map(name), descriptor):
            raise BpfError(f"reuse map {name}", ctypes.get_errno())

    def configure(self, **constants: int) -> None:
        """Set ``const volatile`` variables before loading; those that the object lacks are passed over."""
        places = object_constants(self.path)
        name = next(name for name in self._maps if name.endswith(".rodata"))
        start = self._library.bpf_map__initial_value(self._maps[name], ctypes.byref(ctypes.c_size_t()))
        for variable, value in constants.items():
            if variable in places:
                offset, size = places[variable]
                ctypes.memmove(start + offset, value.to_bytes(size, "little"), size)

    def load(self) -> None:
        """Verify and load every program. Raises LoadError with the verifier's log."""
        for program in self._programs.values():
            self._library.bpf_program__set_log_buf(program, self._log, LOG_BYTES)
        if result := self._library.bpf_object__load(self._object):
            raise LoadError(f"load {self.path.name}", -result, self._log.value.decode(errors="replace"))
        for name, program in self._programs.items():
            self.programs[name] = self._library.bpf_program__fd(program)
        for name in self.map_names:
            self.maps[name] = Map(os.dup(self._library.bpf_map__fd(self._maps[name])), name)

    def close(self) -> None:
        """Let go of the object; pinned or attached parts live on."""
        if self._object:
            self._library.bpf_object__close(self._object)
            self._object = None
        for item in self.maps.values():
            item.close()
