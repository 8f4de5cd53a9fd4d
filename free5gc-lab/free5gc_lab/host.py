"""Hosts as a scenario sees them: run a command, start a program."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from . import netns
from .errors import LabError, LabGuestError
from .remote import Finished, Program, Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestHost:
    """A host with kernel SCTP; `addresses` NIC by NIC."""

    name: str
    addresses: tuple[str, ...]
    remote: Remote

    def start(self, program: str, *argv: object) -> Program:
        """Start a program of free5gc_lab.programs."""
        return self.remote.start(self.name, program, *argv)

    def run(self, *argv: object, timeout_s: float = 20.0) -> Finished:
        """Run a command to its end; LabGuestError unless it succeeds."""
        done = self.remote.execute(self.name, *argv).wait(timeout_s=timeout_s)
        if done.status:
            raise LabGuestError(
                f"{self.name}: {' '.join(map(str, argv))}: {done.errors.strip() or done.status}"
            )
        return done

    def ip(self, *lines: str, version: int | None = None) -> None:
        """Run `ip` commands in the host, as one batch; `version` 4 or 6 where `ip` cannot tell."""
        if lines:
            self.remote.request("ip", host=self.name, lines=list(lines), version=version)

    def sysctls(self, values: Mapping[str, str]) -> None:
        self.remote.request("sysctls", host=self.name, values=dict(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainHost:
    """A bare namespace of the real host."""

    name: str
    addresses: tuple[str, ...]
    namespace: str

    def run(self, *argv: object, timeout_s: float = 20.0) -> Finished:
        """Run a command to its end; LabError unless it succeeds."""
        words = [str(word) for word in argv]
        with netns.entered(self.namespace):
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout_s)
        if done.returncode:
            raise LabError(f"{self.name}: {' '.join(words)}: {done.stderr.strip() or done.returncode}")
        return Finished(status=0, lines=tuple(done.stdout.splitlines()), errors=done.stderr)
