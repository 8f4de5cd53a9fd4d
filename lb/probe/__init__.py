"""Health checks of endpoint addresses: what is due, and what answers mean (no I/O). `lb.probe.runner` asks."""

from lb.probe.prober import Attempt, Change, Prober, Target, targets

__all__ = ["Attempt", "Change", "Prober", "Target", "targets"]
