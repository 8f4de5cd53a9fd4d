"""Call chains fit into the verifier's 512 bytes as older kernels count them: each frame rounded up to 32 bytes."""

import re
import shutil
import subprocess
from functools import cache

import pytest

from lb.datapath.objects import object_directory

LIMIT, ROUND, FRAMES = 512, 32, 8
DISASSEMBLER = shutil.which("llvm-objdump-14") or "llvm-objdump"


def frames(hook: str) -> tuple[dict[str, int], dict[str, set[str]]]:
    """Stack bytes and callees of each function of an object."""
    listing = subprocess.run(
        [DISASSEMBLER, "-d", "-r", str(object_directory() / f"{hook}.bpf.o")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    stack: dict[str, int] = {}
    calls: dict[str, set[str]] = {}
    name = ""
    for line in listing.splitlines():
        if found := re.match(r"[0-9a-f]+ <(?!LBB)(\w+)>:", line):
            name = found[1]
            stack[name], calls[name] = 0, set()
        for found in re.finditer(r"r10 - (0x[0-9a-f]+|\d+)", line):
            stack[name] = max(stack[name], int(found[1], 0))
        for found in re.finditer(r"r\d+ \+= -(\d+)$", line):
            depth = int(found[1])
            stack[name] = max(stack[name], depth if depth <= LIMIT else 0)
        if found := re.search(r"R_BPF_64_32\s+(\w+)", line):
            calls[name].add(found[1])
    return stack, calls


@pytest.mark.parametrize("hook", ["xdp", "tc"])
def test_every_chain_fits(hook: str) -> None:
    """The deepest one, named when it does not."""
    stack, calls = frames(hook)

    @cache
    def deepest(name: str) -> tuple[int, tuple[str, ...]]:
        own = -(-max(stack[name], 1) // ROUND) * ROUND
        below = max((deepest(callee) for callee in calls[name] if callee in stack), default=(0, ()))
        return own + below[0], (f"{name}:{stack[name]}", *below[1])

    total, chain = deepest(f"telco_{hook}")
    assert len(chain) > 3, "no calls were found"
    assert total <= LIMIT, " > ".join(chain)
    assert len(chain) <= FRAMES, " > ".join(chain)
