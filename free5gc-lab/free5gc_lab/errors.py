"""What the lab raises, one tree.

LabError
├── LabPrerequisiteError   the machine lacks something: root, User-Mode Linux, a tool
├── LabTopologyError       a topology, host, NIC or scenario that does not exist or contradicts itself
└── LabGuestError          a guest did not boot, does not answer, or a command inside it failed
"""


class LabError(Exception):
    """Anything the lab cannot do; the message is one sentence for a person."""


class LabPrerequisiteError(LabError):
    """The machine lacks something the lab needs."""


class LabTopologyError(LabError):
    """A name or a value of a topology that does not hold."""


class LabGuestError(LabError):
    """A guest or a command inside it failed."""
