"""A gNB: NG Setup, then UE registrations one after another; dials again when its association is lost.

Commands: `report` (and start a new measurement), `finish` (no more UEs; SHUTDOWN when all are done).
"""

import time

from protocols import ngap
from protocols.errors import ProtocolError
from protocols.ngap import Ie, Pdu, Procedure, UeIds

from .console import Console, record
from .options import add_peer, parser, socket_options
from .transport import Association, Event, Message, Notice, connect

NON_UE_STREAM, UE_STREAM = 0, 1  # TS 38.412 §7
REDIAL_S = 0.2


class Gnb:
    def __init__(self, argv: list[str]) -> None:
        made = parser(__doc__ or "", port=0)
        add_peer(made)
        made.add_argument("--name", required=True)
        made.add_argument("--id", type=int, default=1)
        made.add_argument("--plmn", default="20893")
        made.add_argument("--tac", type=int, default=1)
        made.add_argument("--interval", type=float, default=50.0, help="milliseconds between registrations")
        self.words = made.parse_args(argv)
        self.console = Console(self.command)
        self.association: Association | None = None
        self.dial_at = time.monotonic()
        self.next_ue = float("inf")  # not before NG Setup is done
        self.ran_ids = 0
        self.waiting: dict[int, float] = {}  # RAN-UE-NGAP-ID → when it began
        self.registered = self.abandoned = self.setups = 0
        self.last_answer = time.monotonic()
        self.longest_pause = 0.0
        self.finishing = False
        self.setup = ngap.ng_setup_request(
            gnb_id=self.words.id, name=self.words.name, plmn=self.words.plmn, tac=self.words.tac
        )

    def tick(self, now: float) -> float:
        if self.association is None and now >= self.dial_at and not self.finishing:
            self.dial()
        while now >= self.next_ue and self.association is not None and not self.finishing:
            self.next_ue += self.words.interval / 1e3
            self.register(now)
        if self.finishing and not self.waiting and self.association is not None:
            self.association.shutdown()
            self.finishing = False
            self.next_ue = float("inf")
        return min(now + 1.0, self.next_ue, self.dial_at if self.association is None else now + 1.0)

    def dial(self) -> None:
        self.association = connect(socket_options(self.words), self.words.peer, self.words.peer_port)
        self.console.watch(self.association, self.serve)

    def send(self, data: bytes, stream: int) -> None:
        if self.association is None:
            return
        self.association.pending.append(Message(data=data, stream=stream))
        try:
            done = self.association.flush()
        except OSError as error:
            self.lost(str(error))
            return
        self.console.watch(self.association, self.serve, writable=not done)

    def register(self, now: float) -> None:
        self.ran_ids += 1
        self.waiting[self.ran_ids] = now
        nas = ngap.registration_request(plmn=self.words.plmn, msin=f"{self.ran_ids:010d}")
        message = ngap.initial_ue_message(ran=self.ran_ids, nas=nas, plmn=self.words.plmn, tac=self.words.tac)
        self.send(message, UE_STREAM)

    def serve(self) -> None:
        if self.association is None:
            return
        for item in self.association.receive():
            if isinstance(item, Message):
                try:
                    self.answer(ngap.decode(item.data))
                except ProtocolError as error:
                    record("error", cause=error.cause, said=str(error))
            else:
                self.notice(item)
        if self.association is not None:
            try:
                done = self.association.flush()
            except OSError as error:
                self.lost(str(error))
                return
            self.console.watch(self.association, self.serve, writable=not done)

    def answer(self, pdu: Pdu) -> None:
        now = time.monotonic()
        self.longest_pause = max(self.longest_pause, now - self.last_answer)
        self.last_answer = now
        if pdu.procedure == Procedure.NG_SETUP:
            self.setups += 1
            record("setup", amf=pdu.ie(Ie.AMF_NAME), capacity=pdu.ie(Ie.RELATIVE_AMF_CAPACITY))
            self.next_ue = now
        elif pdu.procedure == Procedure.INITIAL_CONTEXT_SETUP:
            ue = UeIds(amf=pdu.ie(Ie.AMF_UE_NGAP_ID), ran=pdu.ie(Ie.RAN_UE_NGAP_ID))
            self.send(ngap.initial_context_setup_response(ue=ue), UE_STREAM)
            nas = ngap.registration_complete()
            self.send(
                ngap.uplink_nas_transport(ue=ue, nas=nas, plmn=self.words.plmn, tac=self.words.tac), UE_STREAM
            )
            self.registered += self.waiting.pop(ue.ran, None) is not None

    def notice(self, event: Event) -> None:
        if event.notice is Notice.UP and self.association is not None:
            record("up", peers=self.association.peers())
            self.send(self.setup, NON_UE_STREAM)
        elif event.notice is Notice.ENDED:
            record("ended", **self.report())
            self.console.leave()
        elif event.notice is Notice.LOST:
            self.lost(event.detail)

    def lost(self, reason: str) -> None:
        """The association is gone: its UEs are, too (TS 38.413 §8.7.4 would tell of them); dial again."""
        record("lost", reason=reason)
        if self.association is not None:
            self.console.forget(self.association)
            self.association.close()
        self.association = None
        self.abandoned += len(self.waiting)
        self.waiting.clear()
        self.next_ue, self.dial_at = float("inf"), time.monotonic() + REDIAL_S

    def report(self) -> dict[str, object]:
        return {
            "registered": self.registered,
            "waiting": len(self.waiting),
            "abandoned": self.abandoned,
            "setups": self.setups,
            "longest_pause_ms": round(self.longest_pause * 1e3, 1),
        }

    def command(self, line: str) -> None:
        if line == "report":
            record("report", **self.report())
            self.longest_pause = 0.0
        elif line == "finish":
            self.finishing = True
        else:
            record("error", said=line, allowed=["report", "finish"])


def main(argv: list[str]) -> int:
    gnb = Gnb(argv)
    gnb.console.run(gnb.tick)
    return 0
