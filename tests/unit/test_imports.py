"""The arrows between packages: protocols knows nothing of us, lb only protocols, nobody the lab."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"protocols", "lb", "telco", "free5gc_lab", "bench", "tests"}
ALLOWED = {
    "protocols": {"protocols"},
    "lb": {"lb", "protocols"},
    "telco": {"telco", "lb", "protocols"},
}
LAZY = {("telco/cli", "free5gc_lab"), ("telco/cli", "bench")}  # commands that start the lab or the benchmarks


def imported(path: Path) -> set[str]:
    """Top-level packages of ours that a module names in any import."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names & OURS


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_package_imports_only_what_lies_below_it(package: str) -> None:
    """DESIGN's table of who may import whom."""
    for path in (ROOT / package).rglob("*.py"):
        where = str(path.relative_to(ROOT))
        lazy = {name for prefix, name in LAZY if where.startswith(prefix)}
        assert imported(path) <= ALLOWED[package] | lazy, where
