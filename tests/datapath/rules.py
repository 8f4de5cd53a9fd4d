"""What must become of a packet, by where it comes from, what went before, and its chunk: docs/datapath.md as a table.

Nothing here is computed. A row is a way and a state; what a row does not name has the row's ``else``.
"""

from enum import StrEnum

from lb.model import Mode


class Way(StrEnum):
    """Who sent it."""

    UP = "client to endpoint"
    DOWN = "endpoint to client"


class State(StrEnum):
    """What went before. Packets of a restart carry the tags of the association that is there, or the new ones."""

    NONE = "no association"
    INIT = "after INIT"
    INIT_ACK = "after INIT ACK"
    COOKIE_ECHO = "after COOKIE ECHO"
    ESTABLISHED = "established"
    RESTART = "restart under way, old tags"
    RESTARTED = "restart under way, new tags"
    SHUTDOWN = "shutting down"
    ABORTED = "aborted"


class Outcome(StrEnum):
    """What becomes of it."""

    SENT = "translated"
    BLUE = "out of the blue"  # §8, by its destination
    DIALS = "INIT to nobody's port"  # §3, by its destination
    PASSED = "pass"
    ORDER = "drop handshake_order"
    ASCONF = "drop asconf"
    OOTB = "drop ootb"
    NO_SERVICE = "drop no_service"


Row = dict[str, Outcome]
S, B, D = Outcome.SENT, Outcome.BLUE, Outcome.DIALS
ORDER, ASCONF, PASSED = Outcome.ORDER, Outcome.ASCONF, Outcome.PASSED

# §2 and §5: tags of a handshake; of an endpoint's packets COOKIE ACK waits for COOKIE ECHO.
CLIENT_OPENING: Row = {"else": S, "INIT": S, "INIT ACK": B, "ASCONF": ASCONF, "reflected": B}
ENDPOINT_OPENING: Row = {"else": S, "INIT": D, "ASCONF": ASCONF, "COOKIE ACK": ORDER, "reflected": B}
# §6 and §7: tags of an association, and reflected ones; a new INIT is a restart, an INIT ACK nobody's.
CLIENT_KNOWN: Row = {"else": S, "INIT": S, "INIT ACK": B, "ASCONF": ASCONF, "reflected": S}
ENDPOINT_KNOWN: Row = {"else": S, "INIT": D, "INIT ACK": B, "ASCONF": ASCONF, "reflected": S}

TRANSLATED: dict[tuple[Way, State], Row] = {
    (Way.UP, State.NONE): {"else": B, "INIT": S},
    (Way.UP, State.INIT): {"else": B, "INIT": S},
    (Way.UP, State.INIT_ACK): CLIENT_OPENING,
    (Way.UP, State.COOKIE_ECHO): CLIENT_OPENING,
    (Way.UP, State.ESTABLISHED): CLIENT_KNOWN,
    (Way.UP, State.RESTART): CLIENT_KNOWN,
    (Way.UP, State.RESTARTED): CLIENT_OPENING,
    (Way.UP, State.SHUTDOWN): CLIENT_KNOWN,
    (Way.UP, State.ABORTED): CLIENT_KNOWN,
    (Way.DOWN, State.NONE): {"else": B, "INIT": D},
    (Way.DOWN, State.INIT): ENDPOINT_OPENING,
    (Way.DOWN, State.INIT_ACK): ENDPOINT_OPENING,
    (Way.DOWN, State.COOKIE_ECHO): {**ENDPOINT_OPENING, "COOKIE ACK": S},
    (Way.DOWN, State.ESTABLISHED): ENDPOINT_KNOWN,
    (Way.DOWN, State.RESTART): ENDPOINT_KNOWN,
    (Way.DOWN, State.RESTARTED): {**ENDPOINT_OPENING, "COOKIE ACK": S},
    (Way.DOWN, State.SHUTDOWN): ENDPOINT_KNOWN,
    (Way.DOWN, State.ABORTED): ENDPOINT_KNOWN,
}

# dsr sees one direction: COOKIE ECHO makes the association, Tc names nothing, and replies are the host's to route.
OPENING_DIRECT: Row = {"else": B, "INIT": S, "COOKIE ECHO": S}
CLIENT_DIRECT: Row = {"else": S, "INIT": S, "INIT ACK": B, "ASCONF": ASCONF, "reflected": B}
DIRECT: dict[tuple[Way, State], Row] = {
    (Way.UP, State.NONE): {"else": B, "INIT": S},
    (Way.UP, State.INIT): OPENING_DIRECT,
    (Way.UP, State.INIT_ACK): OPENING_DIRECT,
    (Way.UP, State.COOKIE_ECHO): CLIENT_DIRECT,
    (Way.UP, State.ESTABLISHED): CLIENT_DIRECT,
    (Way.UP, State.RESTART): CLIENT_DIRECT,
    (Way.UP, State.RESTARTED): OPENING_DIRECT,
    (Way.UP, State.SHUTDOWN): CLIENT_DIRECT,
    (Way.UP, State.ABORTED): CLIENT_DIRECT,
    **{(Way.DOWN, state): {"else": PASSED} for state in State},
}

# An endpoint's packets go to a VIP in fullnat, where no service has the client's port; else to an address that is not
# ours to judge. A client's always dial the service.
NOWHERE = {Outcome.BLUE: Outcome.PASSED, Outcome.DIALS: Outcome.PASSED}
BY_DESTINATION: dict[tuple[Way, Mode], dict[Outcome, Outcome]] = {
    **{(Way.UP, mode): {Outcome.BLUE: Outcome.OOTB} for mode in Mode},
    **{(Way.DOWN, mode): NOWHERE for mode in Mode},
    (Way.DOWN, Mode.FULLNAT): {Outcome.BLUE: Outcome.OOTB, Outcome.DIALS: Outcome.NO_SERVICE},
}


def outcome(mode: Mode, way: Way, state: State, rule: str) -> Outcome:
    """Look it up."""
    row = (DIRECT if mode is Mode.DSR else TRANSLATED)[way, state]
    found = row.get(rule, row["else"])
    return BY_DESTINATION[way, mode].get(found, found)
