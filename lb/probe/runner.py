"""Probing for real: the prober's agenda on the event loop, its questions through raw sockets."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address

from lb.datapath.attach import inside
from lb.model import Address, ProbeType
from lb.probe import ping, sctp, sockets
from lb.probe.prober import Attempt, Change, Prober, Target

OPEN = {ProbeType.SCTP: sockets.open_sctp, ProbeType.PING: sockets.open_ping}
ROOM = 2048  # bytes of an answer that matter


class Runner:
    """Runs one prober; ``report`` hears of changes, on the event loop."""

    def __init__(self, prober: Prober, report: Callable[[Change], None], *, netns: str | None = None) -> None:
        self.prober = prober
        self._report = report
        self._netns = netns
        self._sockets: dict[tuple[ProbeType, int], socket.socket] = {}
        self._woken = asyncio.Event()

    def retarget(self, wanted: Iterable[Target]) -> None:
        """Probe these from now on."""
        now = asyncio.get_running_loop().time()
        self._tell(self.prober.retarget(wanted, now))
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                attempts, changes = self.prober.due(loop.time())
                self._tell(changes)
                for attempt in attempts:
                    self._ask(attempt)
                due = self.prober.next()
                self._woken.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(
                        self._woken.wait(), None if due is None else max(0.0, due - loop.time())
                    )
        finally:
            for made in self._sockets.values():
                loop.remove_reader(made)
                made.close()

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._report(change)

    def _result(self, token: int, *, ok: bool, reason: str) -> None:
        self._tell(self.prober.result(token, asyncio.get_running_loop().time(), ok=ok, reason=reason))

    def _socket(self, kind: ProbeType, family: int) -> socket.socket:
        key = kind, family
        if key not in self._sockets:
            with inside(self._netns):
                self._sockets[key] = OPEN[kind](family)
            heard = self._heard_sctp if kind is ProbeType.SCTP else self._heard_ping
            asyncio.get_running_loop().add_reader(self._sockets[key], heard, self._sockets[key], family)
        return self._sockets[key]

    def _ask(self, attempt: Attempt) -> None:
        target, family = attempt.target, attempt.target.address.version
        kind = target.probe.type
        question = (
            sctp.init(target.port, attempt.token)
            if kind is ProbeType.SCTP
            else ping.request(family, attempt.token)
        )
        try:
            self._socket(kind, family).sendto(question, (str(target.address), 0))
        except OSError as error:
            self._result(attempt.token, ok=False, reason=(error.strerror or "not sent").lower())

    def _receive(self, made: socket.socket, family: int) -> tuple[bytes, Address] | None:
        try:
            packet, sender = made.recvfrom(ROOM)
        except OSError:  # nothing there any more, or an error of an earlier question: silence tells as much
            return None
        return sockets.payload(family, packet), ip_address(sender[0].partition("%")[0])

    def _heard_sctp(self, made: socket.socket, family: int) -> None:
        while (received := self._receive(made, family)) is not None:
            packet, sender = received
            answer = sctp.answer(packet)
            target = self.prober.asked(answer.token) if answer else None
            if answer is None or target is None or target.address != sender:
                continue
            if answer.reply:
                with suppress(OSError):
                    made.sendto(answer.reply, (str(sender), 0))
            self._result(answer.token, ok=answer.ok, reason=answer.reason)

    def _heard_ping(self, made: socket.socket, family: int) -> None:
        while (received := self._receive(made, family)) is not None:
            message, sender = received
            token = ping.reply(family, message)
            target = self.prober.asked(token) if token else None
            if token and target and target.address == sender:
                self._result(token, ok=True, reason="echo reply")
