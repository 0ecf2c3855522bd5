"""A lane whose journal is on a server goes on by itself when that server or the line to it fails."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import JournalUnwritable, Refused
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.proof.postgres import Postgres
from agent.sim.toolchain import Toolchain
from tests.journal.errands import CHAIN
from tests.journal.line import Fault, Line
from tests.lane import Agent, Lane, running
from tests.postgres import Server, later, token


@pytest.fixture
def lane(toolchain: Toolchain, tmp_path: Path) -> Iterator[Lane]:
    with running(toolchain, tmp_path) as lane:
        lane.delegate()
        yield lane
        for agent in lane.agents:
            agent.close()


def on_chain_or_in_pool(lane: Lane) -> set[str]:
    content = lane.node.request("txpool_content")
    assert isinstance(content, dict)
    return {tx["hash"] for queue in content.values() for by in queue.values() for tx in by.values()}


def journalled(lane: Lane, url: str) -> set[str]:
    with Database(Postgres(url), time.time, read_only=True) as database:
        history = Journal(database).history(CHAIN, lane.account, 1_000)
        return {attempt.tx_hash for one in history for attempt in one.attempts}


def heads(lane: Lane, agent: Agent, goal: int) -> Iterator[bool]:
    """What the cycle does with one head after another, until that many hedges are final; if it was let."""
    for _ in range(300):
        try:
            agent.observe()
            in_flight = agent.sender.in_flight()
            if not in_flight and lane.effects() >= goal:
                return
            if not any(errand.is_open for errand in in_flight) and lane.effects() < goal:
                agent.sender.submit(lane.hedge(agent, life_s=120), Urgency.RESCUE, agent.head())
        except JournalUnwritable:
            yield False
        except Refused:
            pass  # one that is in the pool will do it
        else:
            yield True
        lane.node.mine()
    raise AssertionError(f"no end: {agent.sender.in_flight()}")


def test_commits_and_answers_that_get_lost_lose_and_double_nothing(lane: Lane, server: Server) -> None:
    dice, schema, line = random.Random(20_261_121), token(), Line(server.port)
    lane.keep = lambda path: Database(Postgres(server.url(schema, port=line.port)), time.time)
    agent, goal = lane.agent(), 8
    faults = [Fault.QUESTION, Fault.ANSWER, *[Fault.NONE] * 40]
    line.draw = lambda: dice.choice(faults)
    refused = 0
    for was_let in heads(lane, agent, goal):
        if not was_let:
            refused += 1
            assert on_chain_or_in_pool(lane) <= journalled(lane, server.url(schema))
    line.draw = lambda: Fault.NONE
    assert refused > 5
    assert lane.effects() == agent.intent().epoch == goal
    line.close()


def test_a_server_that_is_killed_again_and_again_loses_and_doubles_nothing(
    lane: Lane, own_server: Server
) -> None:
    dice, url = random.Random(20_261_121), own_server.url(token())
    lane.keep = lambda path: Database(Postgres(url), time.time)
    agent, goal, kills, killer = lane.agent(), 6, 0, 0
    for was_let in heads(lane, agent, goal):
        if not was_let and killer:
            os.waitpid(killer, 0)
            own_server.revive()
            killer = 0
            assert on_chain_or_in_pool(lane) <= journalled(lane, url)
        if not killer and kills < 5:
            killer = later(dice.uniform(0.0, 0.15), own_server.kill)
            kills += 1
    if killer:  # it came too late to matter
        os.waitpid(killer, 0)
        own_server.revive()
    assert kills == 5
    assert lane.effects() == agent.intent().epoch == goal
    assert agent.sender.in_flight() == ()
    assert agent.journal.epoch_hint(CHAIN, lane.account) == goal
