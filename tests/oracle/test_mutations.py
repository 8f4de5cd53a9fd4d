"""Planted mistakes in the C, one patch each: the model disagrees with every one of them, and soon."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree

import pytest

from lb.bpf import BpfObject
from tests.oracle.compare import Coverage, Disagreement, run
from tests.oracle.driver import Driver

pytestmark = pytest.mark.root
HERE = Path(__file__).parent
PATCHES = sorted((HERE / "mutations").glob("*.patch"))
SEQUENCES, SEQUENCE = 400, 60  # even seeds alone: the XDP program is what is mutated


def compile_mutant(patch: Path, place: Path) -> Path:
    """The XDP object of a patched copy of the sources."""
    copytree(HERE.parents[1] / "bpf", place / "bpf")
    subprocess.run(["git", "apply", patch], cwd=place / "bpf", check=True, capture_output=True)
    made = place / "xdp.bpf.o"
    command = ["make", "-s", "-C", str(place / "bpf"), f"OUT={place}", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Path]]]:
    """All of them being compiled, as many at once as there are CPUs."""
    pool = ThreadPoolExecutor(2)
    yield {
        patch.stem: pool.submit(compile_mutant, patch, tmp_path_factory.mktemp(patch.stem) / "copy")
        for patch in PATCHES
    }
    pool.shutdown(cancel_futures=True)


@contextmanager
def instead(driver: Driver, path: Path) -> Iterator[None]:
    """A mutant on the maps of the real datapath."""
    mutant = BpfObject(path)
    programs = driver.datapath.programs
    real = programs["telco_xdp"]
    try:
        driver.datapath.join(mutant)
        programs["telco_xdp"] = mutant.programs["telco_xdp"]
        yield
    finally:
        programs["telco_xdp"] = real
        mutant.close()


def run_all(driver: Driver) -> None:
    """Sequences of XDP."""
    for seed in range(0, 2 * SEQUENCES, 2):
        run(driver, seed, SEQUENCE, Coverage())


def test_there_are_twenty() -> None:
    """At least."""
    assert len(PATCHES) >= 20


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [patch.stem for patch in PATCHES])
def test_mutation_is_caught(oracle_driver: Driver, mutants: dict[str, Future[Path]], name: str) -> None:
    """Within the packets of a fraction of the long run."""
    with instead(oracle_driver, mutants[name].result()), pytest.raises(Disagreement):
        run_all(oracle_driver)
