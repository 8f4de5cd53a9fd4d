"""Random packets through the model and the real datapath: verdict, bytes, counters and records agree."""

import os
import sys

import pytest

from tests.oracle.compare import Coverage, run
from tests.oracle.coverage import missing, table
from tests.oracle.driver import Driver

pytestmark = pytest.mark.root
LONG = os.environ.get("FUZZ") == "long"
PACKETS = 10_000_000 if LONG else 100_000
SEQUENCE = 60  # steps
FIRST_SEED = int(
    os.environ.get("ORACLE_SEED", "0")
)  # replays one sequence: ORACLE_SEED=123 ORACLE_SEQUENCES=1
SEQUENCES = int(os.environ.get("ORACLE_SEQUENCES", "0"))


@pytest.mark.timeout(36_000 if LONG else 300)
def test_model_and_datapath_agree(oracle_driver: Driver, capsys: pytest.CaptureFixture[str]) -> None:
    """No disagreement, at least half forwarded, every state, chunk, direction and reason met."""
    coverage, packets, seed = Coverage(), 0, FIRST_SEED
    while seed - FIRST_SEED < SEQUENCES if SEQUENCES else packets < PACKETS:
        packets += run(oracle_driver, seed, SEQUENCE, coverage)
        seed += 1
    with capsys.disabled():
        sys.stdout.write(f"\n{packets} packets in sequences {FIRST_SEED} to {seed - 1}\n{table(coverage)}\n")
    if SEQUENCES:
        return
    assert coverage.verdicts["forward"] * 2 >= packets
    assert coverage.undetermined * 10 < seed - FIRST_SEED
    assert missing(coverage, oracle_driver.reasons) == []
