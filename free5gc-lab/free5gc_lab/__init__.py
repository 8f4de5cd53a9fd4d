"""The lab: SCTP hosts in User-Mode Linux guests around the balancer's namespace, and scenarios."""

from . import demo
from .errors import LabError, LabGuestError, LabPrerequisiteError, LabTopologyError
from .lab import Lab
from .scenario import SCENARIOS, Step, down, run, scenario, up
from .topologies import TOPOLOGIES, topology

__all__ = [
    "SCENARIOS",
    "TOPOLOGIES",
    "Lab",
    "LabError",
    "LabGuestError",
    "LabPrerequisiteError",
    "LabTopologyError",
    "Step",
    "demo",
    "down",
    "run",
    "scenario",
    "topology",
    "up",
]
