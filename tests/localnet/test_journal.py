"""A process may die anywhere. Whoever comes next finds a journal from which the hedge happens once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.chain.rpc import Rpc
from agent.errors import JournalUnwritable, SimulationReverted
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.sim.toolchain import Toolchain
from agent.tx.errand import Errand, State
from agent.tx.ledger import Outcome
from agent.values.address import TxHash
from tests.lane import Agent, Lane, running
from tests.postgres import Kept

DIED = 9
BROKE = 3


@pytest.fixture(scope="module")
def shared(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with running(toolchain, tmp_path_factory.mktemp("lane")) as lane:
        lane.delegate()
        yield lane


@pytest.fixture
def lane(shared: Lane, tmp_path: Path, kept: Kept) -> Iterator[Lane]:
    own = replace(shared, folder=tmp_path, agents=[], keep=kept.open)
    with rolled_back(own):
        yield own


class rolled_back:
    """The chain and the pool are as before when the block ends."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def __enter__(self) -> None:
        self._snapshot = self._lane.node.snapshot()

    def __exit__(self, *_: object) -> None:
        for agent in self._lane.agents:
            agent.close()
        self._lane.agents.clear()
        self._lane.node.request("anvil_dropAllTransactions")
        self._lane.node.revert(self._snapshot)


class Fuse:
    """Ends the process at the n-th point, as a kill would: nothing is flushed, nobody is told."""

    def __init__(self, points: int) -> None:
        self._left = points

    def burn(self) -> None:
        if self._left == 0:
            os._exit(DIED)
        self._left -= 1


class MortalJournal(Journal):
    """May end before and after every commit."""

    def __init__(self, database: Database, fuse: Fuse) -> None:
        super().__init__(database)
        self._fuse = fuse

    def open(self, errand: Errand) -> Errand:
        self._fuse.burn()
        opened = super().open(errand)
        self._fuse.burn()
        return opened

    def save(self, errand: Errand, outcomes: Sequence[Outcome] = ()) -> None:
        self._fuse.burn()
        super().save(errand, outcomes)
        self._fuse.burn()

    def acknowledge(self, outcomes: Sequence[Outcome]) -> None:
        self._fuse.burn()
        super().acknowledge(outcomes)
        self._fuse.burn()


class MortalRpc(Rpc):
    """May end before and after the node has a transaction."""

    def __init__(self, endpoint: str, timeout_s: float, fuse: Fuse) -> None:
        super().__init__(endpoint, timeout_s)
        self._fuse = fuse

    def send_raw(self, raw: bytes) -> TxHash:
        self._fuse.burn()
        answer = super().send_raw(raw)
        self._fuse.burn()
        return answer


Trouble = Callable[[Lane, Agent], None]


def nothing(_lane: Lane, _agent: Agent) -> None:
    """The way it should be."""


def evict(lane: Lane, agent: Agent) -> None:
    """The pool loses what was sent, so it has to be outbid."""
    for errand in agent.sender.in_flight():
        if errand.state is State.SENT and len(errand.attempts) == 1:
            lane.drop(errand.attempts[0].tx_hash)


def delay(lane: Lane, agent: Agent) -> None:
    """The first stays out until its deadline, so it has to be cancelled and planned again."""
    if [(e.id, e.state) for e in agent.sender.in_flight()] == [(1, State.SENT)]:
        evict(lane, agent)
        lane.node.warp(40)


def uproot(lane: Lane, agent: Agent) -> None:
    """The first block that held it goes away."""
    lane.node.mine()
    agent.observe()
    if [e.state for e in agent.sender.in_flight()] == [State.INCLUDED]:
        lane.reorg(1)


def live(lane: Lane, agent: Agent, goal: int, trouble: Trouble = nothing) -> None:
    """What the cycle does, until ``goal`` hedges have happened and nothing is in flight."""
    agent.sender.acknowledge(agent.sender.recover(agent.head()))
    for _ in range(60):
        agent.observe()
        in_flight = agent.sender.in_flight()
        if not any(errand.is_open for errand in in_flight):
            if lane.effects() >= goal:
                if not in_flight:
                    return
            else:
                with contextlib.suppress(SimulationReverted):  # one that is still in the pool will do it
                    agent.sender.submit(lane.hedge(agent, life_s=30), Urgency.RESCUE, agent.head())
                trouble(lane, agent)
        lane.node.mine()
    raise AssertionError(f"no end: {agent.sender.in_flight()}")


def in_a_child(lane: Lane, work: Callable[[], None]) -> int:
    """The process id of a child that does ``work`` and ends with 0, or ends before that."""
    child = os.fork()
    if child:
        return child
    try:
        lane.node.close()  # the connection is the parent's; a new one is opened
        work()
    except BaseException:  # noqa: BLE001 - the child must not go on into pytest
        traceback.print_exc()
        os._exit(BROKE)
    os._exit(0)


@pytest.mark.parametrize(
    ("kept", "trouble"),
    [*(("sqlite", trouble) for trouble in (nothing, evict, delay, uproot)), ("postgresql", evict)],
    indirect=["kept"],
)
def test_killed_at_any_boundary_the_hedge_still_happens_exactly_once(lane: Lane, trouble: Trouble) -> None:
    ended, points = DIED, 0
    while ended == DIED:
        own = replace(lane, folder=lane.folder / f"{trouble.__name__}-{points}", agents=[])
        with rolled_back(own):
            fuse = Fuse(points)

            def work(own: Lane = own, fuse: Fuse = fuse) -> None:
                agent = own.agent(
                    ledger=lambda database: MortalJournal(database, fuse),
                    wire=lambda endpoint, timeout_s: MortalRpc(endpoint, timeout_s, fuse),
                )
                live(own, agent, 1, trouble)

            ended = os.waitstatus_to_exitcode(os.waitpid(in_a_child(own, work), 0)[1])
            assert ended in (0, DIED), f"the process broke at boundary {points}"
            agent = own.agent()
            live(own, agent, 1)
            assert own.effects() == 1, f"killed at boundary {points}"
            assert agent.intent().epoch == 1
        points += 1
    assert points > 12  # it lived through every boundary in turn before it reached the end


def test_killed_at_random_moments_every_hedge_happens_exactly_once(lane: Lane, kept: Kept) -> None:
    dice, goal, kills = random.Random(20_261_121), 40 if kept.is_file else 12, 0
    while lane.effects() < goal:

        def work() -> None:
            agent = lane.agent()
            for target in range(lane.effects(), goal):
                live(lane, agent, target + 1)

        child = in_a_child(lane, work)
        time.sleep(dice.uniform(0.02, 0.25) if kept.is_file else dice.uniform(0.1, 0.7))
        os.kill(child, signal.SIGKILL)
        kills += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    agent = lane.agent()
    live(lane, agent, goal)
    assert kills >= 3
    assert lane.effects() == agent.intent().epoch == goal


@pytest.mark.parametrize("kept", ["sqlite"], indirect=True)
def test_a_full_disk_sends_nothing(lane: Lane) -> None:
    agent = lane.agent()
    hedge = lane.hedge(agent)
    with agent.database.transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(JournalUnwritable, match="full"):
        for _ in range(40):  # until what is free inside the file is used up
            agent.sender.submit(hedge, Urgency.NORMAL, agent.head())
            lane.node.mine()
            agent.sender.observe(agent.head())
            hedge = lane.hedge(agent)
    sent = {attempt.tx_hash for errand in agent.sender.in_flight() for attempt in errand.attempts}
    content = lane.node.request("txpool_content")
    assert isinstance(content, dict)
    pool = {tx["hash"] for queue in content.values() for by in queue.values() for tx in by.values()}
    assert pool <= sent
    assert lane.effects() == agent.intent().epoch
