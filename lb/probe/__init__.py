"""Health checks of endpoint addresses: what is due and what it means (no I/O), and the sockets that ask."""

from lb.probe.prober import Attempt, Change, Prober, Target, targets
from lb.probe.runner import Runner

__all__ = ["Attempt", "Change", "Prober", "Runner", "Target", "targets"]
