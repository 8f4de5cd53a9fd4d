"""The kernel's BPF from Python: objects, maps, programs, type layouts. Knows nothing of load balancing."""

from lb.bpf.btf import Btf, Layout
from lb.bpf.errors import BpfError, ForeignProgramError, LoadError, UnsupportedError
from lb.bpf.maps import Map, MapInfo, MapType, create_map
from lb.bpf.object import BpfObject
from lb.bpf.programs import ProgramInfo, TestRun, program_info, run_live, run_packet, run_syscall
from lb.bpf.ringbuf import RingBuffer

__all__ = [
    "BpfError",
    "BpfObject",
    "Btf",
    "ForeignProgramError",
    "Layout",
    "LoadError",
    "Map",
    "MapInfo",
    "MapType",
    "ProgramInfo",
    "RingBuffer",
    "TestRun",
    "UnsupportedError",
    "create_map",
    "program_info",
    "run_live",
    "run_packet",
    "run_syscall",
]
