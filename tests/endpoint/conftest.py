"""One chain, and forks of it: nodes that have the same blocks up to a point and then go their own way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.sim.anvil import Anvil, AnvilOptions
from agent.sim.node import Node
from agent.sim.toolchain import Toolchain


@pytest.fixture(scope="session")
def still(toolchain: Toolchain) -> Iterator[Node]:
    """A chain of four blocks that nobody adds to."""
    with Anvil(toolchain.anvil, AnvilOptions()) as running:
        for _ in range(3):
            running.mine()
        yield running


@pytest.fixture
def node(toolchain: Toolchain) -> Iterator[Node]:
    """A chain of four blocks."""
    with Anvil(toolchain.anvil, AnvilOptions()) as running:
        for _ in range(3):
            running.mine()
        yield running


@pytest.fixture
def fork(toolchain: Toolchain, node: Node) -> Iterator[Node]:
    """Another node that knows the same blocks now, and none of what comes."""
    with Anvil(toolchain.anvil, AnvilOptions(fork_url=node.url, interval_s=None)) as running:
        yield running
