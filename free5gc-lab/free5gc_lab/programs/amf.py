"""An AMF that answers NG Setup and registers UEs: real NGAP over real SCTP, any number of gNBs.

Commands: `report` (gNBs now, UEs registered so far), `shutdown`, `stop`.
"""

import itertools

from protocols import ngap
from protocols.errors import ProtocolError
from protocols.ngap import Guami, Ie, Nas, Pdu, Procedure, UeIds

from .console import Console, record
from .options import parser, socket_options
from .transport import NGAP_PORT, Association, Event, Message, Notice, listen

UE_STREAM = 1  # stream 0 is for non-UE signalling, TS 38.412 §7


class Amf:
    def __init__(self, argv: list[str]) -> None:
        made = parser(__doc__ or "", port=NGAP_PORT)
        made.add_argument("--name", required=True)
        made.add_argument("--plmn", default="20893")
        made.add_argument("--pointer", type=int, default=0, help="AMF pointer, one for each AMF of the set")
        words = made.parse_args(argv)
        self.name = words.name
        self.guami = Guami(plmn=words.plmn, region=0xCA, set=1, pointer=words.pointer)
        self.console = Console(self.command)
        self.listener = listen(socket_options(words))
        self.console.watch(self.listener.sock(), self.accept)
        self.gnbs: dict[int, Association] = {}
        self.accepted = self.registered = 0
        self.amf_ids = itertools.count(1)
        ngap.ng_setup_response(name=self.name, guami=self.guami)  # the codec is slow the first time
        record("listening", addresses=words.bind, port=words.port)

    def accept(self) -> None:
        sock, _ = self.listener.accept()
        self.accepted += 1
        number, association = self.accepted, Association(sock)
        self.gnbs[number] = association
        self.console.watch(association, lambda: self.serve(number))
        record("accepted", id=number, peers=association.peers())

    def serve(self, number: int) -> None:
        association = self.gnbs[number]
        try:
            for item in association.receive():
                if isinstance(item, Message):
                    self.answer(association, item)
                else:
                    self.notice(number, item)
            if not association.ended:
                done = association.flush()
                self.console.watch(association, lambda: self.serve(number), writable=not done)
        except OSError as error:
            self.end(number, str(error))

    def answer(self, association: Association, message: Message) -> None:
        try:
            pdu = ngap.decode(message.data)
            reply = self.reply(pdu)
        except ProtocolError as error:
            record("error", cause=error.cause, said=str(error))
            return
        if reply is not None:
            association.pending.append(Message(data=reply, stream=message.stream))

    def reply(self, pdu: Pdu) -> bytes | None:
        if pdu.procedure == Procedure.NG_SETUP:
            record("setup", gnb=pdu.ie(Ie.RAN_NODE_NAME))
            return ngap.ng_setup_response(name=self.name, guami=self.guami)
        if pdu.procedure == Procedure.INITIAL_UE_MESSAGE:
            number = next(self.amf_ids)
            ue = UeIds(amf=number, ran=pdu.ie(Ie.RAN_UE_NGAP_ID))
            nas = ngap.registration_accept(guami=self.guami, tmsi=number)
            return ngap.initial_context_setup_request(ue=ue, guami=self.guami, nas=nas)
        if pdu.procedure == Procedure.UPLINK_NAS_TRANSPORT:
            self.registered += pdu.ie(Ie.NAS_PDU)[2] == Nas.REGISTRATION_COMPLETE
        return None

    def notice(self, number: int, event: Event) -> None:
        if event.notice in {Notice.ENDED, Notice.LOST}:
            self.end(number, f"{event.notice} {event.detail}".strip())
        elif event.notice is not Notice.UP:
            record(event.notice.value, id=number, detail=event.detail)

    def end(self, number: int, reason: str) -> None:
        association = self.gnbs.pop(number)
        self.console.forget(association)
        association.close()
        record("closed", id=number, reason=reason)

    def command(self, line: str) -> None:
        if line == "report":
            record("report", gnbs=len(self.gnbs), registered=self.registered)
        elif line == "shutdown":
            for association in self.gnbs.values():
                association.shutdown()
        elif line == "stop":
            self.console.leave()
        else:
            record("error", said=line, allowed=["report", "shutdown", "stop"])


def main(argv: list[str]) -> int:
    amf = Amf(argv)
    amf.console.run(lambda _: None)
    return 0
