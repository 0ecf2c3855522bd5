"""The small chain of the lane's tests, one for a module; every test finds it as new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.sim.toolchain import Toolchain
from tests.lane import FaultyNode, Lane, Relay, running


@pytest.fixture(scope="module")
def shared(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with running(toolchain, tmp_path_factory.mktemp("lane")) as lane:
        lane.delegate()
        yield lane


@pytest.fixture
def lane(shared: Lane, tmp_path: Path) -> Iterator[Lane]:
    """Delegated, nothing executed yet, an empty pool."""
    snapshot = shared.node.snapshot()
    own = replace(shared, folder=tmp_path, agents=[])
    yield own
    for agent in own.agents:
        agent.close()
    shared.node.request("anvil_dropAllTransactions")
    shared.node.revert(snapshot)


@pytest.fixture
def faulty(lane: Lane) -> Iterator[FaultyNode]:
    node = FaultyNode(lane.node.url)
    yield node
    node.close()


@pytest.fixture
def relay() -> Iterator[Relay]:
    server = Relay()
    yield server
    server.close()
