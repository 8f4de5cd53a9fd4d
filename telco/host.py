"""What `telco serve` needs of its machine, asked before anything is touched: one sentence each where it is missing."""

import fcntl
import grp
import os
import socket
import ssl
import stat
from contextlib import suppress
from pathlib import Path

from telco.config import Config
from telco.errors import HostError

GROUP = "telco"
SYS_ADMIN = 21  # stands for BPF and PERFMON too, include/uapi/linux/capability.h
CAPABILITIES = {"CAP_BPF": 39, "CAP_PERFMON": 38, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}


def privileges() -> None:
    """Root, with what BPF and networks take. Raises HostError."""
    if os.geteuid():
        raise HostError("telco serve needs root: it loads BPF programs and assigns addresses")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    held = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    instead = {"CAP_BPF", "CAP_PERFMON"} if held >> SYS_ADMIN & 1 else set()
    missing = [name for name, bit in CAPABILITIES.items() if not held >> bit & 1 and name not in instead]
    if missing:
        raise HostError(
            f"telco serve needs {', '.join(missing)}, which this process does not have: add it to the unit or container"
        )


def lock(directory: Path) -> int:
    """Held until this process ends: two daemons on one state would undo each other's work. Raises HostError."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"directory {directory} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise HostError(f"another telco serve uses {directory}: stop it, or give this one its own") from error
    return held


def unix_socket(path: Path) -> socket.socket:
    """A bound socket that owner and group may use, and nobody else. Raises HostError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        _clear(path)
        made.bind(str(path))
        with suppress(KeyError):  # no such group: root's alone
            os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    except HostError:
        made.close()
        raise
    except OSError as error:
        made.close()
        raise HostError(f"socket {path} cannot be made: {error.strerror or error}") from error
    finally:
        os.umask(before)
    return made


def _clear(path: Path) -> None:
    """Remove what a killed daemon left, and nothing else."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise HostError(f"socket {path} cannot be made: a file that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        if asked.connect_ex(str(path)) == 0:
            raise HostError(f"a daemon answers at {path} already: stop it, or give this one another --socket")
    path.unlink()


def tcp_socket(config: Config) -> socket.socket:
    """A bound socket for ``listen``. Raises HostError."""
    host, port = config.address()
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise HostError(f"listen: {config.listen}: {error.strerror}") from error
    return made


def tls(config: Config) -> None:
    """Certificate and key are there and fit. Raises HostError."""
    if config.tls_certificate is None or config.tls_key is None:
        return
    for path in (config.tls_certificate, config.tls_key):
        try:
            path.read_bytes()
        except OSError as error:
            raise HostError(f"TLS file {path} cannot be read: {error.strerror}") from error
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(config.tls_certificate, config.tls_key, lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise HostError(
            f"tls_certificate {config.tls_certificate} and tls_key {config.tls_key} do not fit: {reason}; "
            "a PEM certificate and its key without a passphrase are allowed"
        ) from error
