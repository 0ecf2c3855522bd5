"""The agent's process is killed again and again while a market swings: nothing is doubled, nothing lost."""

from __future__ import annotations

import json
import math
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as File

import pytest

from agent.cli.comparison import run_of
from agent.cli.local import write_files
from agent.cli.observer import Observer
from agent.config import load
from agent.sim.localnet import Localnet, LocalnetOptions, running
from agent.sim.path import Path, Shape, Step
from agent.sim.scenario import Scenario
from agent.sim.toolchain import Toolchain
from agent.values.fixed import from_float, to_float

BLOCKS, BLOCK_S, INTERVAL_S = 110, 30, 0.3
SWING, PERIOD = 0.05, 36  # of the price, and blocks of one swing: hedges are due all the time
START_S = 15.0  # for the process to be up; it dies after that
UP_S = (0.0, 2.5)


@contextmanager
def agent(config: File, log: File) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "agent.cli", "run", "-c", str(config), "--live", "--delegate"]
    with log.open("ab") as words:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def swing(start_wad: int) -> Path:
    """A market that needs the agent but does not break the book while nobody is there."""
    steps = []
    for block in range(BLOCKS + 1):
        ratio = 1 + SWING * math.sin(2 * math.pi * block / PERIOD)
        steps.append(Step(from_float(to_float(start_wad) * ratio) // 10**10 * 10**10, 0.001, 10**8))
    return Path(0, Shape(0, 0, 0), tuple(steps))


@contextmanager
def playing(net: Localnet) -> Iterator[threading.Thread]:
    script = swing(net.spot_wad())
    thread = threading.Thread(target=Scenario(net).play, args=(script, INTERVAL_S), daemon=True)
    thread.start()
    yield thread
    thread.join(timeout=60)


@pytest.mark.parametrize("seed", [3])
def test_an_agent_killed_at_random_moments_neither_doubles_nor_loses_a_hedge(
    toolchain: Toolchain, tmp_path: File, seed: int
) -> None:
    dice = random.Random(seed)
    kills = 0
    with running(toolchain, LocalnetOptions(block_s=BLOCK_S, automine=False)) as net:
        config, log = write_files(net, tmp_path), tmp_path / "agent.log"
        observer = Observer(load(config, []))
        first = observer.newest + 1
        with playing(net) as market:
            while market.is_alive():
                with agent(config, log) as process:
                    await_start(process, log)
                    time.sleep(dice.uniform(*UP_S))
                    assert process.poll() is None, log.read_text()[-2000:]
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
        assert kills >= 5
        # the script is over; the last agent lives and has to find its way in a market that stands still
        with agent(config, log) as process:
            settle(net, process, log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        last = observer.newest
        run = run_of("killed", net, [observer.sample(number) for number in range(first, last + 1)])
        intents = Counter(intent for sent in run.sent for intent in sent.intents)
        assert set(intents.values()) == {1}
        assert run.hedges >= 5
        assert run.liquidated == ()
        end = run.samples[-1]
        assert abs(end.net_delta) <= end.band * 0.4, "what was due when it was killed was done in the end"
        assert min(d for d in end.distances.values() if d is not None) >= 0.17
        assert_every_hedge_is_in_the_record(config, set(intents))


def await_start(process: subprocess.Popen[bytes], log: File) -> None:
    """Until this life has recovered what the last one left."""
    lives = log.read_text().count("recovered")
    deadline = time.monotonic() + START_S
    while log.read_text().count("recovered") == lives:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def settle(net: Localnet, process: subprocess.Popen[bytes], log: File) -> None:
    for _ in range(30):
        time.sleep(0.3)
        assert process.poll() is None, log.read_text()[-2000:]
        net.node.mine()
    time.sleep(0.5)


def assert_every_hedge_is_in_the_record(config: File, intents: set[str]) -> None:
    """The chain of hashes holds, and tells of every hedge the chain has seen."""
    command = [sys.executable, "-m", "agent.cli", "journal", "-c", str(config), "--json"]
    verified = json.loads(subprocess.check_output([*command, "--verify"]))
    assert verified["verified"] is True
    entries = json.loads(subprocess.check_output([*command, "--last", "100000"]))
    told = {
        entry["payload"]["intent_id"].removeprefix("0x")
        for entry in entries
        if entry["kind"] == "outcome" and entry["payload"]["verdict"] == "executed"
    }
    assert intents <= told
