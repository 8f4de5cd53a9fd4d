"""Puts the compiled BPF objects into the wheel, so that it works where there is no compiler."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BpfObjects(BuildHookInterface[Any]):
    """A checkout uses build/bpf as it is; a wheel carries a copy."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling. Raises FileNotFoundError where nothing was compiled."""
        if version == "editable":
            return
        objects = Path(self.root, "build", "bpf")
        if not list(objects.glob("*.bpf.o")):
            raise FileNotFoundError(
                f"{objects}: no compiled BPF objects: run `make bpf` first, or `make wheel`"
            )
        build_data["force_include"][str(objects)] = "lb/datapath/objects"
