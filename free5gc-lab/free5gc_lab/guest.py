"""A User-Mode Linux guest: booting, hanging, killing it.  What runs inside is the agent's."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from . import agent, netns
from .errors import LabGuestError, LabPrerequisiteError
from .remote import GUEST_ADDRESS, Remote

KERNEL = "linux.uml"
MANAGEMENT = "mgmt"  # the real host's end of the management link
MANAGEMENT_RAW = "mgmt-raw"  # the end the guest's vec0 is bound to
HOST_ADDRESS = "169.254.77.1"
BOOT_S = 30.0

# The guest's root is the host's, read-only; what it must write lies in memory.  Modules are looked up below
# /run/kmod because /lib/modules belongs to the real host's kernel.
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run
mkdir -p /run/kmod/lib/modules /run/netns
ln -s "/usr/lib/uml/modules/$(uname -r)" /run/kmod/lib/modules/
printf '#!/bin/sh\nexec modprobe -d /run/kmod "$@"\n' >/run/modprobe; chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
/run/modprobe sctp
ip link set lo up; ip addr add {address}/30 dev vec0; ip link set vec0 up
cd /run
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={path}
exec {python} -S -c "from {module} import main; main('{address}')"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A guest NIC: a raw socket on an interface of the guest's namespace on the real host."""

    interface: str
    mac: str


def check_machine() -> None:
    """LabPrerequisiteError naming the first thing that a lab with guests lacks."""
    if os.geteuid():
        raise LabPrerequisiteError("the lab needs root: network namespaces, raw sockets and BPF")
    for command, package in ((KERNEL, "user-mode-linux"), ("ip", "iproute2"), ("modprobe", "kmod")):
        if not shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            raise LabPrerequisiteError(f"{command!r} is missing: apt-get install {package}")
    if not find_spec("sctp"):
        raise LabPrerequisiteError("the Python package pysctp is missing: pip install 'telco-lb[lab]'")


class Guest:
    """One guest with its namespace on the real host (which must exist) and its control folder."""

    def __init__(self, *, namespace: str, folder: Path, nics: Sequence[Nic], memory_mb: int) -> None:
        self.namespace, self.folder, self.nics, self.memory_mb = namespace, folder, tuple(nics), memory_mb
        self.remote = Remote(namespace)
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it and return at once; `wait` until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        init = self.folder / "init.sh"
        init.write_text(_init_script())
        init.chmod(0o755)
        argv = [KERNEL, f"mem={self.memory_mb}M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"]
        argv += [
            f"init={init}",
            f"uml_dir={self.folder}",
            "umid=uml",
            "con=null",
            "con0=null,fd:1",
            "ssl=null",
        ]
        vecs = [(MANAGEMENT_RAW, "02:00:00:00:00:02"), *((nic.interface, nic.mac) for nic in self.nics)]
        for number, (interface, mac) in enumerate(vecs):
            argv.append(f"vec{number}:transport=raw,ifname={interface},depth=64,gro=0,mac={mac}")
        with netns.entered(self.namespace), (self.folder / "console").open("wb") as console:
            self._process = subprocess.Popen(
                [*argv, "quiet"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "HOME": str(self.folder)},
            )
        (self.folder / "pid").write_text(identity(self._process.pid))

    def wait(self) -> None:
        """Until the agent answers; LabGuestError with the console's last words otherwise."""
        deadline = time.monotonic() + BOOT_S
        while not self.remote.answers():
            if not self.alive() or time.monotonic() > deadline:
                console = (self.folder / "console").read_text(errors="replace").strip().splitlines()
                raise LabGuestError(f"guest {self.namespace} did not boot: {' | '.join(console[-4:])}")
            time.sleep(0.02)

    @property
    def pid(self) -> int | None:
        """Its process id while it lives (the start time guards against reuse of the number)."""
        try:
            known = (self.folder / "pid").read_text()
            pid = int(known.split()[0])
            return pid if identity(pid) == known else None
        except (FileNotFoundError, ProcessLookupError):
            return None

    def alive(self) -> bool:
        if self._process is not None:
            self._process.poll()  # reaps it
        return self.pid is not None

    def hang(self) -> None:
        """Stop it in its tracks, as a hung server; its NICs stay up and say nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """The power cord is pulled: nothing is sent to anybody."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None
        while self.pid is not None:
            time.sleep(0.002)

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            raise LabGuestError(f"guest {self.namespace} is not running")
        os.kill(pid, number)


def identity(pid: int) -> str:
    """'PID STARTTIME' of a live process; ProcessLookupError if there is none (or only a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None
    if fields[0] == "Z":
        raise ProcessLookupError(pid)
    return f"{pid} {fields[19]}"


def _init_script() -> str:
    path = os.pathsep.join(entry for entry in sys.path if entry and Path(entry).is_dir())
    return INIT.format(address=GUEST_ADDRESS, path=f"'{path}'", python=sys.executable, module=agent.__name__)
