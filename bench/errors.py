"""What can go wrong while measuring.

BenchError
├── GuardError      what was to be measured did not happen: the figure would be of something else
└── UnknownGroupError   no such group of figures
"""


class BenchError(Exception):
    """A figure could not be measured; the message says why."""


class GuardError(BenchError):
    """What was to be measured did not happen."""


class UnknownGroupError(BenchError):
    """No group has this name; the message lists those there are."""
