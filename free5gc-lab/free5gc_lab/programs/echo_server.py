"""Sends every message back as it came: same stream, payload protocol, order; any number of associations.

Commands: `paths`, `sources` (messages by source address), `shutdown`, `abort` (every association), `stop`.
"""

from collections import Counter

from .console import Console, record
from .options import parser, socket_options
from .transport import NGAP_PORT, Association, Event, Message, Notice, listen


class EchoServer:
    def __init__(self, argv: list[str]) -> None:
        words = parser(__doc__ or "", port=NGAP_PORT).parse_args(argv)
        self.console = Console(self.command)
        self.listener = listen(socket_options(words))
        self.console.watch(self.listener.sock(), self.accept)
        self.associations: dict[int, Association] = {}
        self.sources: Counter[str] = Counter()
        self.accepted = 0
        record("listening", addresses=words.bind, port=words.port)

    def accept(self) -> None:
        sock, _ = self.listener.accept()
        self.accepted += 1
        number, association = self.accepted, Association(sock)
        self.associations[number] = association
        self.console.watch(association, lambda: self.serve(number))
        record("accepted", id=number, peers=association.peers())

    def serve(self, number: int) -> None:
        association = self.associations[number]
        try:
            for item in association.receive():
                if isinstance(item, Message):
                    self.sources[item.source] += 1
                    association.pending.append(item)
                else:
                    self.notice(number, item)
            if not association.ended:
                done = association.flush()
                self.console.watch(association, lambda: self.serve(number), writable=not done)
        except OSError as error:
            self.end(number, str(error))

    def notice(self, number: int, event: Event) -> None:
        if event.notice in {Notice.ENDED, Notice.LOST}:
            self.end(number, f"{event.notice} {event.detail}".strip())
        elif event.notice is not Notice.UP:
            record(event.notice.value, id=number, detail=event.detail)

    def end(self, number: int, reason: str) -> None:
        association = self.associations.pop(number)
        self.console.forget(association)
        association.close()
        record("closed", id=number, reason=reason)

    def command(self, line: str) -> None:
        if line == "paths":
            record("paths", associations={n: a.paths() for n, a in self.associations.items()})
        elif line == "sources":
            record("sources", messages=dict(self.sources))
        elif line == "shutdown":
            for association in self.associations.values():
                association.shutdown()
        elif line == "abort":
            for association in self.associations.values():
                self.console.forget(association)
                association.abort()
            self.associations.clear()
            self.console.leave()
        elif line == "stop":
            self.console.leave()
        else:
            record("error", said=line, allowed=["paths", "sources", "shutdown", "abort", "stop"])


def main(argv: list[str]) -> int:
    server = EchoServer(argv)
    server.console.run(lambda _: None)
    return 0
