"""What the storm found about starts, each as small as it can be made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from agent.errors import DecodeMismatch, RpcRejected
from agent.runtime.supervisor import on_next_heads

GARBAGE = DecodeMismatch(label="eth_call", target="node", expected="JSON", reason="<html>")
REFUSED = RpcRejected(endpoint="node", method="eth_call", reason="internal error", rpc_code=-32603, data=None)

ON_A_FULL_DISK = """
import resource, sys, time
from pathlib import Path
from agent.errors import JournalUnwritable
from agent.proof.database import Database
path = Path(sys.argv[1])
Database(path, time.time).close()
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    Database(path, time.time).close()
except JournalUnwritable:
    pass
"""


@pytest.fixture
def impatient() -> Iterator[None]:
    """Tries as often as in earnest, without the waits."""
    with stamina.set_testing(True, attempts=5):
        yield


@pytest.mark.parametrize("odd", [GARBAGE, REFUSED], ids=["garbage", "refused"])
def test_one_odd_answer_at_the_start_does_not_halt_the_agent(impatient: None, odd: Exception) -> None:
    tries = 0
    for attempt in on_next_heads():
        with attempt:
            tries += 1
            if tries == 1:
                raise odd
    assert tries == 2


@pytest.mark.parametrize("odd", [GARBAGE, REFUSED], ids=["garbage", "refused"])
def test_an_odd_answer_that_stays_halts_it(impatient: None, odd: Exception) -> None:
    tries = 0
    with pytest.raises(type(odd)):
        for attempt in on_next_heads():
            with attempt:
                tries += 1
                raise odd
    assert tries == 5


def test_a_full_disk_is_no_reason_to_crash_at_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(tmp_path / "journal.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
