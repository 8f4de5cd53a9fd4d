"""The machine that figures are of: kernel, CPU, what runs beside."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _mitigations() -> str:
    folder = Path("/sys/devices/system/cpu/vulnerabilities")
    states = {path.name: path.read_text().strip() for path in folder.glob("*")}
    costly = ("spectre_v2", "retbleed", "spec_rstack_overflow")
    return "; ".join(f"{name}: {states[name]}" for name in costly if name in states) or "unknown"


def machine() -> dict[str, object]:
    """What to know of a measurement: memory in MB, load as the mean number of runnable tasks over one minute."""
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count() or 1,
        "memory_mb": int(_field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "mitigations": _mitigations(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
