"""What must have been met, and what cannot be: the table that a run prints."""

from tests.oracle.compare import Coverage

CHUNKS = {
    0: "DATA",
    1: "INIT",
    2: "INIT ACK",
    3: "SACK",
    4: "HEARTBEAT",
    5: "HEARTBEAT ACK",
    6: "ABORT",
    7: "SHUTDOWN",
    8: "SHUTDOWN ACK",
    9: "ERROR",
    10: "COOKIE ECHO",
    11: "COOKIE ACK",
    12: "ECNE",
    13: "CWR",
    14: "SHUTDOWN COMPLETE",
    15: "AUTH",
    64: "I-DATA",
    0x82: "RE-CONFIG",
    0x84: "PAD",
    0xC0: "FORWARD-TSN",
    0xC2: "I-FORWARD-TSN",
}
STATES = ("new", "pending", "established", "shutdown", "aborted")
UNREACHABLE = {
    "icmp_limit": "needs a thousand errors in a second; tests/datapath reaches it by emptying the bucket",
    "ports_exhausted": "needs 16 taken ports in a row; tests/datapath reaches it with a full index",
    "impossible": "cannot happen, by definition",
}


def cell(state: str, chunk: int, direction: str) -> str:
    """Why a cell of the table stays empty; '' if it must be met.

    ASCONF (0xC1, 0x80) is no row: it is never forwarded.
    """
    if state == "new":
        return "" if (chunk, direction) == (1, "up") else "only INIT opens"
    if chunk == 1:
        return "INIT never comes from the endpoint" if direction == "down" else ""
    if chunk == 2 and state != "pending":
        return "INIT ACK belongs to a handshake"
    if chunk == 2 and direction == "up":
        return "INIT ACK comes from the endpoint"
    if chunk == 11 and state == "pending":
        return "COOKIE ACK makes it established" if direction == "down" else ""
    return ""


def missing(coverage: Coverage, reasons: set[str]) -> list[str]:
    """Cells and reasons that should have been met and were not."""
    cells = [
        f"{state}, {name}, {direction}"
        for state in STATES
        for chunk, name in CHUNKS.items()
        for direction in ("up", "down")
        if not cell(state, chunk, direction) and not coverage.met[state, chunk, direction]
    ]
    return cells + [f"reason {r}" for r in sorted(reasons - UNREACHABLE.keys()) if not coverage.reasons[r]]


def table(coverage: Coverage) -> str:
    """For people: forwarded packets by state, chunk and direction; drops by reason."""
    head = f"{'':>18}" + "".join(f"{s + ' ' + d:>18}" for s in STATES for d in ("up", "down"))
    rows = [
        f"{name:>18}"
        + "".join(
            f"{coverage.met[s, chunk, d] or ('-' if cell(s, chunk, d) else 0):>18}"
            for s in STATES
            for d in ("up", "down")
        )
        for chunk, name in CHUNKS.items()
    ]
    reasons = [f"{name:>18} {count}" for name, count in sorted(coverage.reasons.items())]
    excluded = [f"{name:>18} not here: {why}" for name, why in UNREACHABLE.items()]
    return "\n".join([head, *rows, "", *reasons, *excluded, "", f"verdicts {dict(coverage.verdicts)}"])
