"""What the compiler recorded of C types (BTF, Documentation/bpf/btf.rst): layouts, enums, offsets of constants.

Records are packed and unpacked by these layouts, so that C is the one place that defines them.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lb.bpf.errors import BpfError

INT, POINTER, ARRAY, STRUCT, UNION, ENUM, ENUM64 = 1, 2, 3, 4, 5, 6, 19
NO_BITS = 8  # SHT_NOBITS
MODIFIERS = {8, 9, 10, 11}  # typedef, volatile, const, restrict
TRAILER = {1: 4, 3: 12, 14: 4, 17: 4}  # bytes after the common part, of kinds without members
INTEGERS = {1: "B", 2: "H", 4: "I", 8: "Q"}  # struct's letter by size in bytes
MEMBER = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # bytes a member


@dataclass(frozen=True, slots=True)
class Type:
    """One record of the type table; ``members`` are raw triples or pairs."""

    kind: int
    name: str
    size: int
    target: int
    members: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a struct: bytes from its start, size in bytes; ``order`` is '' for what is not an integer."""

    name: str
    offset: int
    size: int
    order: str


class Layout:
    """A struct as the compiler laid it out."""

    def __init__(self, name: str, size: int, fields: tuple[Field, ...]) -> None:
        self.name = name
        self.size = size
        self.fields = {field.name: field for field in fields}

    def pack(self, **values: int | bytes) -> bytes:
        """A record with these fields set, the others zero."""
        record = bytearray(self.size)
        for name, value in values.items():
            self.set(record, name, value)
        return bytes(record)

    def set(self, record: bytearray | memoryview, name: str, value: int | bytes) -> None:
        """Overwrite one field of a record."""
        field = self.fields[name]
        raw = (
            value.to_bytes(field.size, "big" if field.order == ">" else "little")
            if isinstance(value, int)
            else value
        )
        if len(raw) > field.size:
            raise BpfError(f"{self.name}.{name} has {field.size} bytes, not {len(raw)}")
        record[field.offset : field.offset + len(raw)] = raw

    def packer(self, *names: str) -> Callable[..., bytes]:
        """Makes records of these fields' values in this order, the others zero: ``pack`` for many records.

        Integers are host order; other fields, and those in network order, are bytes of the field's size.
        """
        order = sorted(names, key=lambda name: self.fields[name].offset)
        layout, at = "=", 0
        for name in order:
            field = self.fields[name]
            layout += f"{field.offset - at}x"
            layout += INTEGERS[field.size] if field.order == "<" else f"{field.size}s"
            at = field.offset + field.size
        record = struct.Struct(f"{layout}{self.size - at}x")
        if list(names) != order:
            raise BpfError(f"{self.name}: the fields are in the order {', '.join(order)}")
        return record.pack

    def number(self, record: bytes | memoryview, name: str, start: int = 0) -> int:
        """One integer field of the record at ``start``."""
        field = self.fields[name]
        at = start + field.offset
        return int.from_bytes(record[at : at + field.size], "big" if field.order == ">" else "little")

    def raw(self, record: bytes | memoryview, name: str, start: int = 0) -> bytes:
        """One field as it lies."""
        field = self.fields[name]
        return bytes(record[start + field.offset : start + field.offset + field.size])


class Btf:
    """The types of one object file."""

    def __init__(self, data: bytes) -> None:
        magic, _, _, header, type_at, type_size, names_at, _ = struct.unpack_from("<HBBIIIII", data)
        if magic != 0xEB9F:
            raise BpfError(f"not BTF: magic {magic:#x}, 0xeb9f expected")
        self._names = data[header + names_at :]
        self._types = [Type(0, "void", 0, 0, ())]
        self._parse(data[header + type_at : header + type_at + type_size])

    @classmethod
    def of_object(cls, path: Path) -> "Btf":
        """Read the ``.BTF`` section of a compiled object."""
        sections = elf_sections(path.read_bytes(), str(path))
        if ".BTF" not in sections:
            raise BpfError(f"{path} has no BTF: compile it with -g")
        return cls(sections[".BTF"][1])

    def _name(self, offset: int) -> str:
        return self._names[offset : self._names.index(b"\0", offset)].decode()

    def _parse(self, table: bytes) -> None:
        at = 0
        while at < len(table):
            name, info, size = struct.unpack_from("<III", table, at)
            kind, count = info >> 24 & 31, info & 0xFFFF
            at += 12
            if kind in MEMBER:
                step = MEMBER[kind]
                raw = table[at : at + step * count]
                members = tuple(struct.iter_unpack("<" + "I" * (step // 4), raw))
                at += step * count
            else:
                trailer = TRAILER.get(kind, 0)
                members = (struct.unpack_from("<" + "I" * (trailer // 4), table, at),)
                at += trailer
            self._types.append(Type(kind, self._name(name), size, size, members))

    def _find(self, name: str, kinds: set[int]) -> Type:
        for candidate in self._types:
            if candidate.name == name and candidate.kind in kinds:
                return candidate
        raise BpfError(f"no C type {name!r} in this object")

    def _resolve(self, number: int) -> tuple[Type, str]:
        order = "<"
        while (found := self._types[number]).kind in MODIFIERS:
            order = ">" if found.name.startswith("__be") else order
            number = found.target
        return found, order

    def _size(self, number: int) -> int:
        found, _ = self._resolve(number)
        if found.kind == ARRAY:
            element, _, count = found.members[0]
            return self._size(element) * count
        return 8 if found.kind == POINTER else found.size

    def _fields(self, of: Type, base: int) -> list[Field]:
        fields: list[Field] = []
        for name, target, bits in of.members:
            found, order = self._resolve(target)
            offset = base + (bits & 0xFFFFFF) // 8
            if not name and found.kind in {STRUCT, UNION}:
                fields += self._fields(found, offset)
                continue
            integer = found.kind in {INT, ENUM}
            fields.append(Field(self._name(name), offset, self._size(target), order if integer else ""))
        return fields

    def layout(self, name: str) -> Layout:
        """A struct by name; members of anonymous unions count as its own."""
        found = self._find(name, {STRUCT})
        return Layout(name, found.size, tuple(self._fields(found, 0)))

    def enum(self, name: str) -> dict[str, int]:
        """An enum's names and values."""
        return {self._name(member[0]): member[1] for member in self._find(name, {ENUM}).members}


def elf_sections(data: bytes, path: str) -> dict[str, tuple[int, bytes]]:
    """Sections of a 64-bit little-endian ELF file: number and bytes by name."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise BpfError(f"{path} is not a 64-bit little-endian ELF object")
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, table + size * i) for i in range(count)]
    strings = headers[names][4]
    sections: dict[str, tuple[int, bytes]] = {}
    for i, (name, kind, _, _, offset, length) in enumerate(headers):
        start = strings + name
        content = b"" if kind == NO_BITS else data[offset : offset + length]
        sections[data[start : data.index(b"\0", start)].decode()] = (i, content)
    return sections


def constants(path: Path, section: str = ".rodata") -> dict[str, tuple[int, int]]:
    """Variables of a section, from the symbol table (the compiler leaves BTF's offsets 0): offset and size in bytes."""
    sections = elf_sections(path.read_bytes(), str(path))
    number, _ = sections[section]
    names = sections[".strtab"][1]
    return {
        names[name : names.index(b"\0", name)].decode(): (value, size)
        for name, _, _, where, value, size in struct.iter_unpack("<IBBHQQ", sections[".symtab"][1])
        if where == number and size
    }
