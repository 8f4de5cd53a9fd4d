"""What can go wrong between user space and the kernel's BPF.

BpfError
├── LoadError             the kernel refused a program; carries the verifier's log
├── UnsupportedError           root, libbpf or a kernel feature is missing
└── ForeignProgramError   another program holds the hook
"""

import os


class BpfError(Exception):
    """A call failed: what was asked, and the kernel's reason. ``errno`` is 0 where there is none."""

    def __init__(self, what: str, errno: int = 0) -> None:
        super().__init__(f"{what}: {os.strerror(errno)}" if errno else what)
        self.errno = errno


class LoadError(BpfError):
    """A program was refused; ``log`` is the verifier's whole log."""

    def __init__(self, what: str, errno: int, log: str) -> None:
        tail = log.strip().splitlines()[-6:]
        super().__init__("\n  ".join([f"{what}: {os.strerror(errno)}", *tail]))
        self.errno = errno
        self.log = log


class UnsupportedError(BpfError):
    """The host lacks something; the message says what and how to get it."""


class ForeignProgramError(BpfError):
    """The interface's hook is held by a program that is not ours."""

    def __init__(self, interface: str, program: int, name: str) -> None:
        super().__init__(
            f"interface {interface} already runs XDP program {name!r} (id {program}); it is not replaced"
        )
        self.program = program
