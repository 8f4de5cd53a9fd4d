"""Command-line words the programs share."""

import argparse

from .transport import NGAP_PORT, Options


def addresses(text: str) -> list[str]:
    return text.split(",")


def parser(description: str, *, port: int) -> argparse.ArgumentParser:
    """A parser with what every socket has; `port` is the default local one."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--bind", type=addresses, required=True, help="local addresses, separated by commas")
    made.add_argument("--port", type=int, default=port, help="local port, 0: any")
    made.add_argument("--streams", type=int, default=16)
    for name in ("initial", "min", "max"):
        made.add_argument(f"--rto-{name}", type=int, help="milliseconds; the host's own if not given")
    return made


def add_peer(made: argparse.ArgumentParser) -> None:
    made.add_argument("--peer", type=addresses, required=True, help="the peer's addresses, tried in order")
    made.add_argument("--peer-port", type=int, default=NGAP_PORT)


def socket_options(words: argparse.Namespace) -> Options:
    return Options(
        binds=words.bind,
        port=words.port,
        streams=words.streams,
        rto_initial_ms=words.rto_initial,
        rto_min_ms=words.rto_min,
        rto_max_ms=words.rto_max,
    )
