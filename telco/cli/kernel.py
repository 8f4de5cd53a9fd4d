"""`telco trace --bcc`: what the kernel's XDP layer says of packets that it could not send or that a program failed on.

BCC is the distribution's package, not PyPI's of that name; it compiles at run time and needs the kernel's headers.
"""

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from telco.errors import HostError

PACKAGES = Path("/usr/lib/python3/dist-packages")
TEXT = """
struct event { u32 interface; s32 error; u32 program; u32 what; };
BPF_PERF_OUTPUT(events);
TRACEPOINT_PROBE(xdp, xdp_redirect_err) {
    struct event e = {args->ifindex, args->err, args->prog_id, 0};
    events.perf_submit(args, &e, sizeof(e));
    return 0;
}
TRACEPOINT_PROBE(xdp, xdp_exception) {
    struct event e = {args->ifindex, (s32)args->act, args->prog_id, 1};
    events.perf_submit(args, &e, sizeof(e));
    return 0;
}
"""


def _library(packages: Path, headers: list[Path]) -> Any:
    """BCC's module. Raises HostError."""
    missing = []
    if not (packages / "bcc" / "__init__.py").exists():
        missing.append("the package python3-bpfcc")
    if not any(place.exists() for place in headers):
        missing.append(f"the headers of kernel {platform.release()} (linux-headers-{platform.release()})")
    if missing:
        raise HostError(
            f"telco trace --bcc needs {' and '.join(missing)}; telco trace without it needs neither"
        )
    if os.geteuid():
        raise HostError("telco trace --bcc needs root")
    sys.path.append(str(packages))
    import bcc  # noqa: PLC0415  # the distribution's

    return bcc


def trouble() -> Iterator[dict[str, object]]:
    """One event for each packet that XDP could not redirect, or that a program ended on in an error; without end."""
    release = platform.release()
    headers = [Path(f"/lib/modules/{release}/build"), Path("/sys/kernel/kheaders.tar.xz")]
    table = _library(PACKAGES, headers).BPF(text=TEXT)
    found: list[dict[str, object]] = []

    def note(_cpu: int, data: Any, _size: int) -> None:
        one = table["events"].event(data)
        what = f"action {one.error}" if one.what else os.strerror(-one.error)
        found.append(
            {
                "kind": "xdp_exception" if one.what else "xdp_redirect_err",
                "reason": what,
                "interface": one.interface,
                "program": one.program,
            }
        )

    table["events"].open_perf_buffer(note)
    while True:
        table.perf_buffer_poll(timeout=500)
        yield from found
        found.clear()
