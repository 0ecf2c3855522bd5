"""anvil starts, says why when it cannot, and never outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.errors import RpcRejected, RpcUnavailable, ToolMissing
from agent.sim.anvil import Anvil, AnvilOptions, free_port
from agent.sim.toolchain import Toolchain

CHILD = """
import sys, time
from pathlib import Path
from agent.sim.anvil import Anvil
anvil = Anvil(Path(sys.argv[1]))
anvil.start()
print(anvil.pid, flush=True)
time.sleep(60)
"""


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b"\nState:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()


def test_it_ends_with_its_context(toolchain: Toolchain) -> None:
    anvil = Anvil(toolchain.anvil, AnvilOptions(chain_id=4242))
    with anvil as node:
        pid = anvil.pid
        assert node.chain_id() == 4242
        assert _is_running(pid)
    assert not _is_running(pid)
    with pytest.raises(RpcUnavailable):
        node.chain_id()


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel can be asked to do this")
def test_it_dies_with_a_parent_that_is_killed(toolchain: Toolchain) -> None:
    command = [sys.executable, "-c", CHILD, str(toolchain.anvil)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _is_running(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(pid)


def test_a_port_in_use_gives_anvils_own_words(toolchain: Toolchain) -> None:
    port = free_port()
    with Anvil(toolchain.anvil, AnvilOptions(port=port)), pytest.raises(RpcUnavailable, match="in use"):
        Anvil(toolchain.anvil, AnvilOptions(port=port)).start()


def test_a_program_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="anvil"):
        Anvil(tmp_path / "anvil").start()


def test_a_snapshot_can_be_used_once(toolchain: Toolchain) -> None:
    with Anvil(toolchain.anvil) as node:
        snapshot = node.snapshot()
        node.mine()
        node.revert(snapshot)
        assert node.block_number() == 0
        with pytest.raises(RpcRejected, match="no snapshot"):
            node.revert(snapshot)


def test_the_clock_goes_by_blocks(toolchain: Toolchain) -> None:
    with Anvil(toolchain.anvil, AnvilOptions(genesis_s=1_000_000_000, interval_s=5)) as node:
        node.mine()
        node.warp(100)
        node.mine()
        assert node.now_s() == 1_000_000_000 + 5 + 100 + 5
